"""Extraction in batches, the cache of features, and the extractors that need no large weights."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.io import places
from naqsh.metrics import _cache, classifier
from naqsh.metrics.classifier import ClassifierFeatures, Origin, load_classifier, save_classifier
from naqsh.metrics.extractors import NAMES, FunctionFeatures, Pixels, by_name
from naqsh.metrics.features import FeatureExtractor, extract, picture_fingerprint
from naqsh.networks.classifier import SmallClassifier


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (23, 1, 16, 16), dtype=torch.uint8, generator=generator)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SmallClassifier((1, 16, 16), width=4)


class Counting(Pixels):
    """Counts the images it is given."""

    seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return super().__call__(images)


def test_batches_join_in_order_and_report_progress(pictures):
    steps = []
    features = extract(Pixels(), pictures, batch=10, progress=lambda *s: steps.append(s))
    assert torch.equal(features, pictures.flatten(1) / 255)
    assert steps == [(10, 23), (20, 23), (23, 23)]
    assert torch.equal(extract(Pixels(), pictures.numpy(), batch=7), features)
    features.requires_grad_(True).sum().backward()  # an ordinary tensor, not one of inference


def test_cache_answers_only_for_the_same_pictures_and_extractor(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path))
    counting = Counting()
    first = extract(counting, pictures, cache=True)
    assert torch.equal(extract(counting, pictures, cache=True), first)
    assert counting.seen == 23
    changed = pictures.clone()
    changed[22, 0, 15, 15] ^= 1
    assert not torch.equal(extract(counting, changed, cache=True), first)
    assert counting.seen == 46
    counting.fingerprint = "another"
    extract(counting, pictures, cache=True)
    assert counting.seen == 69
    assert len(list((tmp_path / "features").iterdir())) == 3  # and nothing aside is left


def test_a_damaged_cache_is_computed_anew(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path))
    whole = extract(Pixels(), pictures, cache=True)
    (file,) = (tmp_path / "features").iterdir()
    flipped = bytearray(file.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    for damage in (b"", file.read_bytes()[:-9], b"nonsense", flipped):
        file.write_bytes(damage)
        assert torch.equal(extract(Pixels(), pictures, cache=True), whole)
    np.save(file, np.zeros((3, 2), np.float32))
    assert torch.equal(extract(Pixels(), pictures, cache=True), whole)


def test_a_cache_that_cannot_be_written_loses_nothing(pictures, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "file"))
    assert extract(Pixels(), pictures, cache=True).shape == (23, 256)


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path))
    place = _cache.place("classifier:runs/a b", "e", "p")
    assert place == tmp_path / "features" / "classifier_runs_a_b-e-p.npy"
    monkeypatch.delenv("NAQSH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _cache.place("a", "e", "p").parent == places.cache() / "features"


def test_fingerprint_is_of_the_content(pictures):
    same = picture_fingerprint(pictures)
    assert picture_fingerprint(pictures.numpy()) == same
    assert picture_fingerprint(pictures.transpose(2, 3).contiguous().transpose(2, 3)) == same
    assert picture_fingerprint(pictures.flip(0)) != same
    assert picture_fingerprint(pictures.view(23, 1, 8, 32)) != same


def test_pictures_that_cannot_be(pictures):
    with pytest.raises(NaqshError, match=r"uint8 images.*torch.float32"):
        extract(Pixels(), pictures.float())
    with pytest.raises(NaqshError, match=r"\(16, 16\)"):
        extract(Pixels(), pictures[0, 0])
    with pytest.raises(NaqshError, match="no images"):
        extract(Pixels(), pictures[:0])
    with pytest.raises(NaqshError, match="batch of at least 1"):
        extract(Pixels(), pictures, batch=0)


def test_features_that_cannot_be(pictures):
    def spoilt(images):
        values = images.flatten(1).float()
        return torch.where(values.sum(1, keepdim=True) == pictures[17].sum(), torch.nan, values)

    with pytest.raises(NaqshError, match="'mine' of image 17 are not finite"):
        extract(FunctionFeatures(spoilt, "mine", "1"), pictures, batch=5)
    with pytest.raises(NaqshError, match=r"shape \(1, 256\) for 5 images"):
        extract(FunctionFeatures(lambda x: x[:1], "mine", "1"), pictures, batch=5)
    with pytest.raises(NaqshError, match=r"must return a tensor of shape \(N, d\)"):
        extract(FunctionFeatures(lambda x: x.numpy(), "mine", "1"), pictures)


def test_a_function_becomes_an_extractor(pictures):
    mine = FunctionFeatures(lambda x: x.float().mean((2, 3)), "means", version="1")
    assert isinstance(mine, FeatureExtractor)
    assert extract(mine, pictures).shape == (23, 1)
    assert mine.fingerprint == FunctionFeatures(lambda x: x, "means", "1").fingerprint
    assert mine.fingerprint != FunctionFeatures(lambda x: x, "means", "2").fingerprint


def test_classifier_features_do_not_depend_on_the_batch(pictures, network):
    extractor = ClassifierFeatures(network, "mine")
    assert isinstance(extractor, FeatureExtractor)
    whole = extract(extractor, pictures)
    assert whole.shape == (23, extractor.dimension)
    # Batch normalisation is in evaluation mode; sums may be taken in another order.
    torch.testing.assert_close(extract(extractor, pictures, batch=1), whole)
    direct = network.head(whole).softmax(1)
    torch.testing.assert_close(extractor.probabilities(pictures), direct)
    with pytest.raises(NaqshError, match="are of 1x16x16 images, got 3x16x16"):
        extractor(pictures.expand(-1, 3, -1, -1))


def test_classifier_weights_travel_with_their_origin(network, tmp_path):
    origin = Origin("naqsh train classifier-mnist", 0.9954)
    save_classifier(network, tmp_path / "w" / "a.safetensors", origin)
    loaded, known = load_classifier(tmp_path / "w" / "a.safetensors")
    assert known == origin
    assert loaded.shape == network.shape
    before, after = ClassifierFeatures(network, "a"), ClassifierFeatures(loaded, "b")
    assert before.fingerprint == after.fingerprint
    with torch.no_grad():
        loaded.head.bias[0] += 1e-3
    assert ClassifierFeatures(loaded, "b").fingerprint != before.fingerprint


def test_weights_that_cannot_be(network, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    with pytest.raises(NaqshError, match="no classifier weights at"):
        load_classifier(path)
    path.write_bytes(b"nonsense" * 4)
    with pytest.raises(NaqshError, match="not a readable safetensors file"):
        load_classifier(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(NaqshError, match="holds no classifier of ours"):
        load_classifier(path)
    metadata = {"network": "SmallClassifier", "architecture": "{}"}
    save_file({"a": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(NaqshError, match="does not fit the network"):
        load_classifier(path)


def test_names(monkeypatch, tmp_path, network):
    assert by_name("pixels").name == "pixels"
    with pytest.raises(NaqshError, match="did you mean 'inception'"):
        by_name("incepton")
    with pytest.raises(NaqshError, match=f"known: {', '.join(NAMES)}"):
        by_name("zzz")
    monkeypatch.setattr(classifier, "_SHIPPED", tmp_path)
    with pytest.raises(NaqshError, match="lacks the weights of features 'mnist'"):
        by_name("mnist")
    save_classifier(network, tmp_path / "mnist.safetensors", Origin("c", 0.5))
    assert by_name("mnist").dimension == 16


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 16, 16), (1, 28, 28), (3, 32, 32), (2, 20, 28)])
def test_small_classifier_takes_any_size(shape):
    network = SmallClassifier(shape, classes=7, width=4)
    x = torch.rand(3, *shape) * 2 - 1
    assert network(x).shape == (3, 7)
    assert network.features(x).shape == (3, network.dimension) == (3, 16)
    network(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_small_classifier_is_small():
    size = sum(t.numel() * t.element_size() for t in SmallClassifier().state_dict().values())
    assert size < 450_000
    for arguments in ({"shape": (1, 7, 28)}, {"width": 0}, {"classes": 1}):
        with pytest.raises(ValueError, match="need"):
            SmallClassifier(**arguments)


def test_importing_the_metrics_is_light():
    heavy = ["scipy", "sklearn", "requests", "PIL", "matplotlib"]
    code = f"import naqsh.metrics, sys; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert output.stdout == "[]\n"
