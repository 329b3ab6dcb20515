"""FID's Inception against torch-fidelity's module, and the ways in which its weights can be had."""

import hashlib
import importlib
import importlib.util
import sys
import types

import numpy as np
import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.io.download import DownloadError
from naqsh.metrics import inception as module
from naqsh.metrics.extractors import by_name
from naqsh.metrics.features import FeatureExtractor, extract
from naqsh.metrics.inception import FILE, InceptionFeatures
from naqsh.networks.inception import Inception


@pytest.fixture(scope="module")
def network():
    """Random weights, with statistics far enough from 0 and 1 that leaving them out would show."""
    torch.manual_seed(0)
    network = Inception().eval()
    for name, values in network.state_dict().items():
        if name.endswith("running_var"):
            values.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bn.bias")):
            values.normal_(0, 0.1)
    return network


@pytest.fixture
def peer(monkeypatch):
    """torch-fidelity's module file alone: importing the package imports torchvision."""
    spec = importlib.util.find_spec("torch_fidelity")
    if spec is None:
        pytest.skip("torch-fidelity is not installed (pip install --no-deps torch-fidelity)")
    package = types.ModuleType("torch_fidelity")
    package.__path__ = list(spec.submodule_search_locations)
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    yield importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    for name in [name for name in sys.modules if name.startswith("torch_fidelity.")]:
        del sys.modules[name]


def test_equals_torch_fidelity_on_equal_weights(network, peer, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    theirs = peer.FeatureExtractorInceptionV3("peer", ["2048", "logits"], tmp_path / "weights.pth")
    assert set(theirs.state_dict()) == set(network.state_dict())
    generator = torch.Generator().manual_seed(0)
    # At 299 pixels neither resizes, which the two do differently; the scales differ as well.
    pictures = torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8, generator=generator)
    with torch.inference_mode():
        expected, logits = theirs(pictures)
        ours = network.features((pictures.float() - 128) / 128)
        assert expected.std() > 0.01
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(network.logits(ours), logits, rtol=1e-5, atol=1e-5)


def test_has_the_shape_of_the_published_weights(network):
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert sum(p.numel() for p in network.parameters()) == 23_850_960
    # 94 convolutions with a weight and five tensors of normalisation each, and the last layer.
    assert len(shapes) == 94 * 6 + 2
    assert shapes["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert shapes["Mixed_6b.branch7x7dbl_2.conv.weight"] == (128, 128, 7, 1)
    assert shapes["Mixed_7c.branch3x3dbl_3b.bn.running_var"] == (384,)
    assert shapes["fc.weight"] == (1008, 2048)


def resized(picture, size):
    """Bilinear with half-pixel centres, no antialiasing, edges repeated; axis by axis."""
    for axis in (0, 1):
        length = picture.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, None)
        low = np.minimum(np.floor(at).astype(int), length - 1)
        high = np.minimum(low + 1, length - 1)
        share = np.expand_dims(at - low, 1 - axis)
        picture = picture.take(low, axis) * (1 - share) + picture.take(high, axis) * share
    return picture


@pytest.mark.parametrize("size", [32, 400])
def test_resizes_and_scales_as_pytorch_fid(network, monkeypatch, size):
    seen = []
    monkeypatch.setattr(network, "features", lambda x: seen.append(x) or x.mean((2, 3)))
    picture = torch.randint(0, 256, (1, 1, size, size), dtype=torch.uint8)
    InceptionFeatures(network)(picture)
    expected = 2 * resized(picture[0, 0].double().numpy() / 255, 299) - 1
    assert seen[0].shape == (1, 3, 299, 299)
    for channel in seen[0][0]:
        # Positions near 400 carry 2e-5 in float32, times a contrast of at most 2.
        np.testing.assert_allclose(channel.numpy(), expected, atol=1e-4)


def test_is_an_extractor(network):
    extractor = InceptionFeatures(network)
    assert isinstance(extractor, FeatureExtractor)
    features = extract(extractor, torch.full((2, 1, 20, 20), 7, dtype=torch.uint8))
    assert features.shape == (2, extractor.dimension)
    with pytest.raises(NaqshError, match="got 4 channels"):
        extractor(torch.zeros(1, 4, 20, 20, dtype=torch.uint8))


def test_loads_published_weights_wherever_they_lie(network, tmp_path, monkeypatch):
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NAQSH_DATA_HOME", str(tmp_path / "data"))
    path = tmp_path / "data" / "inception" / FILE
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)
    with pytest.raises(NaqshError, match="not the published file"):
        by_name("inception")
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    path.rename(tmp_path / "elsewhere.pth")
    path.symlink_to(tmp_path / "elsewhere.pth")  # as many keep large files
    extractor = by_name("inception")
    assert extractor.fingerprint == InceptionFeatures(network).fingerprint


def test_without_network_the_other_extractors_are_named(tmp_path, monkeypatch):
    def refused(*_arguments):
        raise DownloadError("no connection to github.com")

    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path))
    monkeypatch.delenv("NAQSH_DATA_HOME", raising=False)
    monkeypatch.setattr(module, "fetch", refused)
    with pytest.raises(NaqshError, match="take other --features") as error:
        by_name("inception")
    assert "\n" not in str(error.value)
    assert FILE in str(error.value)
