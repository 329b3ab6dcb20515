"""The parts of detection, each against an independent source: baselines, densities, warnings."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from naqsh import metrics
from naqsh.core.errors import NaqshError
from naqsh.core.spec import Layout
from naqsh.studies.detection import caution, conditional, density, figures, heat, maps
from naqsh.studies.detection.baselines import Neighbour, Residual
from naqsh.studies.detection.examined import Examined
from naqsh.studies.detection.scores import Reconstruction, Scores, smooth

PICTURES = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 8)).astype(np.uint8)


@pytest.mark.parametrize("count", [9, 400])  # fewer and more images than their 192 dimensions
def test_pca_is_scikit_learns(count):
    random = np.random.default_rng(1)
    base = random.normal(size=(5, 192))
    rows = 128 + 20 * random.normal(size=(count, 5)) @ base + random.normal(size=(count, 192))
    normal = np.clip(rows, 0, 255).astype(np.uint8).reshape(-1, 3, 8, 8)
    ours = Residual(4)
    ours.fit(normal)
    scores = ours.score(PICTURES, 0)
    theirs = PCA(4, svd_solver="full").fit(normal.reshape(count, -1) / 255)
    left = PICTURES.reshape(12, -1) / 255
    left = left - theirs.inverse_transform(theirs.transform(left))
    # Ours projects in float32.
    np.testing.assert_allclose(scores.values, np.square(left).mean(1), rtol=1e-4)
    assert scores.maps.shape == (12, 8, 8)


def test_pca_gives_back_what_it_was_fitted_to():
    ours = Residual(60)
    ours.fit(PICTURES[:5])
    assert ours.detail.startswith("residual of 4 ")
    # Five images span a mean and four directions: nothing but rounding is left over.
    assert ours.score(PICTURES[:5], 0).values.max() < 1e-10
    assert ours.score(PICTURES[5:], 0).values.min() > 1e-2
    ours = Residual()
    ours.fit(np.repeat(PICTURES[:2], 4, axis=0))  # repeated images have no variance to divide by
    assert np.isfinite(ours.score(PICTURES, 0).values).all()


def test_neighbour_is_scikit_learns():
    ours = Neighbour()
    ours.fit(PICTURES[:7])
    theirs = NearestNeighbors(n_neighbors=1).fit(PICTURES[:7].reshape(7, -1) / 255)
    distance, _ = theirs.kneighbors(PICTURES.reshape(12, -1) / 255)
    np.testing.assert_allclose(ours.score(PICTURES, 0).values, distance[:, 0] ** 2 / 192, atol=1e-7)


def test_a_flow_gives_everything_back():
    """Its reconstruction error is rounding for noise too; that says nothing of anomalies."""
    from naqsh import recipes
    from naqsh.studies.detection.figures import is_rounding
    from naqsh.training.building import build

    try:
        recipe = recipes.by_name("maf-digits")
    except NaqshError:
        pytest.skip("no recipe maf-digits")
    method = build(recipe.override({"method.hidden": [32, 32]}), Layout((1, 8, 8))).eval()
    noise = PICTURES[:, :1]
    assert is_rounding(Reconstruction(method, torch.device("cpu")).score(noise, 0))
    assert not is_rounding(Scores(np.array([1e-12, 1e-3]), None))


class Bright:
    """A likelihood that sees nothing but brightness."""

    def score(self, images, first):
        return Scores(-images.reshape(len(images), -1).mean(1, dtype=np.float64), None)


class Packed:
    """A likelihood that is a PNG's size."""

    def score(self, images, first):
        return Scores(caution.png_bits(images) * math.log(2), None)


def test_a_likelihood_of_brightness_alone_is_found_out():
    nats, bits = Bright().score(PICTURES, 0).values, caution.png_bits(PICTURES)
    found = caution.check(Bright(), PICTURES, nats, bits, PICTURES)
    assert found["brightness_correlation"] == -1
    assert abs(found["complexity_correlation"]) < 1
    means = PICTURES.reshape(12, -1).mean(1)
    grey = found["constants"]["grey"]
    assert grey == {"nats": -128.0, "likelier_than": float((means < 128).mean())}
    assert found["normal"] == 12


def test_a_likelihood_of_complexity_alone_is_found_out():
    random = np.random.default_rng(2)
    amounts = np.linspace(0, 255, 9).astype(int)
    images = np.stack([random.integers(0, a + 1, (1, 16, 16)) for a in amounts]).astype(np.uint8)
    nats = Packed().score(images, 0).values
    found = caution.check(Packed(), images, nats, caution.png_bits(images), images)
    assert found["complexity_correlation"] == 1
    # One grey packs best: likelier than all that has any detail.
    assert found["constants"]["mean"]["likelier_than"] == pytest.approx(8 / 9)
    # And nothing is left once the complexity is taken away.
    np.testing.assert_allclose(caution.corrected(nats, caution.png_bits(images)), 0, atol=1e-9)


def test_png_bits_are_those_of_the_file():
    buffer = io.BytesIO()
    Image.fromarray(PICTURES[3].transpose(1, 2, 0)).save(buffer, "PNG", compress_level=9)
    assert caution.png_bits(PICTURES)[3] == 8 * len(buffer.getvalue())
    assert caution.png_bits(PICTURES[:, :1]).shape == (12,)


def _flow(dimensions: int = 5) -> conditional.ConditionalFlow:
    torch.manual_seed(0)
    flow = conditional.ConditionalFlow(dimensions, code=3, couplings=3, hidden=8).double()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return flow


def test_conditional_flow_against_autograd():
    flow = _flow()
    x, code = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    z, log_det = flow(x, code)
    torch.testing.assert_close(flow.inverse(z, code), x)
    for row in range(4):
        jacobian = torch.autograd.functional.jacobian(
            lambda v, row=row: flow(v[None], code[row : row + 1])[0][0], x[row]
        )
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det[row])
    assert not torch.allclose(flow(x, code + 1)[0], z)


def test_conditional_flow_is_a_density():
    flow, code = _flow(2), torch.tensor([[0.3, -1.0, 0.5]], dtype=torch.float64)

    line = torch.linspace(-15, 15, 601, dtype=torch.float64)
    points = torch.cartesian_prod(line, line)
    with torch.no_grad():
        density_there = flow.log_prob(points, code.expand(len(points), -1)).exp()
    # Kinks of ReLU keep the sum from its usual accuracy; the step is a twentieth.
    assert float(density_there.sum()) * 0.05**2 == pytest.approx(1, abs=5e-3)


def test_place_codes_tell_places_apart():
    codes = conditional.place_codes(9, 7)
    assert codes.shape == (63, conditional.CODE)
    assert codes.abs().max() <= 1
    assert torch.cdist(codes, codes).fill_diagonal_(1).min() > 0.1
    half = conditional.CODE // 2
    assert torch.equal(codes[:7, :half], codes[:1, :half].expand(7, -1))  # one row, one first half


class Planted:
    """Feature maps of two scales: correlated noise, which a fault parts at one place."""

    name = fingerprint = "planted"

    def __call__(self, images):
        made = []
        for picture in images:
            seed, fault = int(picture[0, 0, 0]), bool(picture[0, 0, 1])
            generator = torch.Generator().manual_seed(seed)
            fine = torch.randn(1, 8, 8, generator=generator).repeat(4, 1, 1)
            fine += 0.1 * torch.randn(4, 8, 8, generator=generator)
            if fault:  # each channel is as usual; together they are not
                fine[0, 5, 2] += 1.5
                fine[1, 5, 2] -= 1.5
            coarse = torch.randn(3, 4, 4, generator=generator)
            made.append((fine, coarse))
        return [torch.stack(scale) for scale in zip(*made, strict=True)]


def _planted(count: int, fault: bool, first: int) -> np.ndarray:
    images = np.zeros((count, 1, 16, 16), np.uint8)
    images[:, 0, 0, 0] = first + np.arange(count)
    images[:, 0, 0, 1] = fault
    return images


def test_densities_find_what_single_channels_do_not(monkeypatch):
    monkeypatch.setattr(density, "PLACES", 128)
    normal = _planted(60, False, 0)
    good, bad = _planted(10, False, 100), _planted(10, True, 110)
    for scorer in (
        density.GaussianOnFeatures(Planted(), seed=0),
        density.FlowOnFeatures(Planted(), seed=0, steps=100),
    ):
        scorer.fit(normal)
        values = scorer.score(np.concatenate([good, bad]), 0)
        area = metrics.detection.auroc(values.values, np.repeat([False, True], 10))
        assert area > 0.9, scorer.name
        row, column = np.unravel_index(values.maps[10:].mean(0).argmax(), (16, 16))
        # Place (5, 2) of 8x8 is around pixel (10.5, 4.5) of 16x16.
        assert abs(row - 10.5) < 2.5
        assert abs(column - 4.5) < 2.5


def test_a_flow_on_features_is_the_same_again(monkeypatch):
    monkeypatch.setattr(density, "PLACES", 32)
    normal = _planted(6, False, 0)
    scores = []
    for seed in (0, 0, 1):
        scorer = density.FlowOnFeatures(Planted(), seed=seed, steps=5)
        torch.manual_seed(len(scores))  # of no effect
        scorer.fit(normal)
        scores.append(scorer.score(normal, 0).values)
    assert (scores[0] == scores[1]).all()
    assert (scores[0] != scores[2]).any()


def test_gaussian_is_mahalanobis_at_each_place():
    scorer = density.GaussianOnFeatures(Planted(), seed=0)
    normal, other = _planted(20, False, 0), _planted(3, True, 50)
    scorer.fit(normal)
    ours = scorer.score(other, 0)
    fitted = [standard(m) for standard, m in zip(scorer.standards, Planted()(normal), strict=True)]
    seen = [standard(m) for standard, m in zip(scorer.standards, Planted()(other), strict=True)]

    def table(parts: list[torch.Tensor]) -> np.ndarray:
        coarse = torch.nn.functional.interpolate(parts[1], (8, 8), mode="bilinear")
        return torch.cat([parts[0], coarse], 1).double().numpy()

    rows, asked = table(fitted), table(seen)
    distances = np.empty((3, 8, 8))
    for i, j in np.ndindex(8, 8):
        covariance = np.cov(rows[:, :, i, j].T) + density.RIDGE * np.eye(7)
        left = asked[:, :, i, j] - rows[:, :, i, j].mean(0)
        distances[:, i, j] = np.sqrt(
            np.einsum("nd,de,ne->n", left, np.linalg.inv(covariance), left)
        )
    wide = torch.nn.functional.interpolate(
        torch.from_numpy(distances)[:, None], (16, 16), mode="bilinear"
    )
    expected = smooth(wide[:, 0].numpy())
    # float32 solves with condition numbers of a few hundred.
    np.testing.assert_allclose(ours.maps, expected, rtol=1e-3)
    np.testing.assert_allclose(ours.values, expected.max((1, 2)), rtol=1e-3)


def test_network_maps_are_the_networks_own():
    found = maps.feature_maps("digits")
    images = torch.from_numpy(PICTURES).repeat(1, 1, 4, 4)  # 32x32, three channels turned to grey
    fine, coarse = found(images)
    network = metrics.by_name("digits").network
    grey = maps._recoloured(images, 1).float() / 127.5 - 1
    with torch.no_grad():
        torch.testing.assert_close(fine, network.trunk[:3](grey))
        torch.testing.assert_close(coarse, network.trunk(grey))
    assert fine.shape[2:] == (16, 16)
    assert coarse.shape[2:] == (8, 8)
    with pytest.raises(NaqshError, match="take larger images"):
        found(images[:, :, :6, :6])


def test_inception_gives_two_scales(monkeypatch):
    from naqsh.metrics import inception
    from naqsh.networks.inception import Inception

    torch.manual_seed(0)
    network = Inception().eval()
    monkeypatch.setattr(inception, "load_inception", lambda: network)
    found = maps.feature_maps("inception")(torch.from_numpy(PICTURES[:1]))
    assert [tuple(scale.shape) for scale in found] == [(1, 288, 35, 35), (1, 768, 17, 17)]


def test_a_function_of_the_users(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_features.py").write_text(
        "def good(images):\n    return images.float()[:, :, ::2, ::2]\n"
        "def bad(images):\n    return images.float().mean((2, 3))\n"
    )
    images = torch.from_numpy(PICTURES)
    (scale,) = maps.feature_maps("my_features:good")(images)
    assert torch.equal(scale, images[:, :, ::2, ::2].float())
    with pytest.raises(NaqshError, match=r"must return a tensor of shape \(N, D, h, w\)"):
        maps.feature_maps("my_features:bad")(images)


def test_smoothing_keeps_a_constant_and_spreads_a_point():
    constant = smooth(np.full((2, 56, 56), 3.0))
    np.testing.assert_allclose(constant, 3, rtol=1e-6)
    point = np.zeros((1, 112, 112))
    point[0, 50, 60] = 1
    blurred = smooth(point)[0]
    assert blurred.sum() == pytest.approx(1, rel=1e-5)
    # A Gaussian of two pixels; scipy cuts it at four deviations.
    assert blurred[50, 60] == pytest.approx(1 / (2 * math.pi * 4), rel=0.01)
    assert blurred[50, 62] == pytest.approx(blurred[50, 60] * math.exp(-0.5), rel=0.01)


def test_overlay_is_grey_where_nothing_is_and_red_where_all_is():
    image = np.full((3, 1, 2), 100, np.uint8)
    shown = heat.overlay(image, np.array([[0.0, 1.0]], np.float32), 0.0, 1.0)
    assert shown[:, 0, 0].tolist() == [100, 100, 100]
    assert shown[:, 0, 1].tolist() == [204, 52, 36]  # a fifth of the grey, four fifths of the red


def test_figures_of_kinds_and_pixels_are_scikit_learns():
    """Each kind against the good ones; pixels of images whose faults are known alone."""
    random = np.random.default_rng(0)
    kinds = np.array(["good"] * 6 + ["dent"] * 4 + ["scratch"] * 5)
    values, heat_maps = random.normal(size=15), random.normal(size=(15, 4, 4))
    masks, known = random.random((15, 4, 4)) < 0.2, np.ones(15, np.bool_)
    masks[kinds == "good"] = False
    known[[7, 12]] = False  # their faults are hot, and marked nowhere
    masks[~known], heat_maps[~known] = False, 5.0
    images = np.zeros((15, 1, 4, 4), np.uint8)
    examined = Examined("x", images, tuple("abcdefghijklmno"), tuple(kinds), (masks, known))
    found = figures.measured(values, examined, heat_maps)
    assert found["auroc"] == pytest.approx(roc_auc_score(kinds != "good", values))
    for kind in ("dent", "scratch"):
        part = (kinds == "good") | (kinds == kind)
        wanted = roc_auc_score(kinds[part] == kind, values[part])
        assert found["kinds"][kind]["auroc"] == pytest.approx(wanted)
    pixels = roc_auc_score(masks[known].ravel(), heat_maps[known].ravel())
    assert found["pixel_auroc"] == pytest.approx(pixels)
