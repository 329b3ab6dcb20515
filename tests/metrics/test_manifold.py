"""Precision, recall, density and coverage against the prdc package and a full matrix."""

import numpy as np
import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.metrics import manifold as module
from naqsh.metrics.manifold import density_coverage, manifold, precision_recall


def full_matrix(x, y, k):
    """The definitions, word by word."""

    def distances(a, b):
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))

    real, generated = (np.sort(distances(p, p), axis=1)[:, k] for p in (x, y))
    cross = distances(x, y)
    inside = cross < real[:, None]
    return (
        inside.any(0).mean(),
        (cross < generated[None]).any(1).mean(),
        inside.sum() / (k * len(y)),
        inside.any(1).mean(),
    )


@pytest.mark.parametrize(("n", "m", "k"), [(40, 60, 1), (61, 33, 5), (7, 9, 6)])
def test_equals_the_definitions_across_blocks(n, m, k, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 8)
    monkeypatch.setattr(module, "COLUMNS", 13)
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 4)), rng.normal(0.8, 1.2, size=(m, 4))
    precision, recall, density, coverage = full_matrix(x, y, k)
    assert precision_recall(x, y, k) == (precision, recall)
    assert density_coverage(x, y, k) == (pytest.approx(density, rel=1e-15), coverage)
    assert values(x, y, k) == (precision_recall(x, y, k), density_coverage(x, y, k))
    if k < 6:  # with as many neighbours as points everything is within
        assert 0 < precision < 1
        assert 0 < recall < 1


def values(x, y, k=5):
    """Both pairs, as the plain functions give them."""
    found = {name: value for name, (value, _) in manifold(x, y, k).items()}
    precision, recall, density, coverage = found.values()
    return (precision, recall), (density, coverage)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m", "d", "k"), [(600, 700, 64, 5), (1500, 800, 16, 3)])
def test_equals_prdc_to_the_last_digit(n, m, d, k, dtype, capsys):
    prdc = pytest.importorskip("prdc", reason="pip install naqsh[parity]")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(dtype)
    y = (1.05 * rng.normal(size=(m, d)) + 0.05).astype(dtype)
    peer = prdc.compute_prdc(x, y, nearest_k=k)
    capsys.readouterr()  # it prints
    ours = manifold(x, y, k)
    assert {name: value for name, (value, _) in ours.items()} == peer
    assert all(0 < value < 1.5 for value in peer.values())


def test_copies_and_strangers():
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    assert precision_recall(x, x) == (1.0, 1.0)
    assert density_coverage(x, x).coverage == 1.0
    assert values(x, x + 1000) == ((0.0, 0.0), (0.0, 0.0))


@pytest.mark.parametrize("at", [0.0, 7.3, 1e4])
def test_equal_images_lie_in_the_balls_of_their_equals(at):
    """k + 1 equal images make balls of radius 0; what equals them lies in these."""
    same = torch.full((60, 5), at)
    assert values(same, same) == ((1.0, 1.0), (60 / 5, 1.0))
    assert values(same, same + 1) == ((0.0, 0.0), (0.0, 0.0))
    mixed = torch.cat([same[:20], torch.randn(40, 5, generator=torch.Generator().manual_seed(0))])
    assert values(mixed, mixed)[0] == (1.0, 1.0)
    assert density_coverage(mixed, mixed).coverage == 1.0


def test_influences_are_means_over_the_side_they_are_of():
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    y = 0.6 * torch.randn(70, 3, generator=torch.Generator().manual_seed(1)) + 0.5
    for name, (value, influence) in manifold(x, y).items():
        assert (influence.real.shape, influence.generated.shape) == ((90,), (70,))
        assert abs(influence.real.mean()) < 1e-12
        assert abs(influence.generated.mean()) < 1e-12
        if name in ("precision", "recall"):
            side = influence.generated if name == "precision" else influence.real
            assert side.var() == pytest.approx(value * (1 - value))


def test_a_collapsed_generator_is_precise_and_misses_most():
    x = torch.randn(500, 5, generator=torch.Generator().manual_seed(0))
    y = x[:1] + 1e-3 * torch.randn(500, 5, generator=torch.Generator().manual_seed(1))
    precision, recall = precision_recall(x, y)
    assert precision == 1.0
    assert recall <= 1 / 500
    assert density_coverage(x, y).coverage < 0.1


def test_input_that_cannot_be():
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(NaqshError, match=r"generated features have 5 rows.*at least 6"):
        precision_recall(x, x[:5])
    with pytest.raises(NaqshError, match="real features have 5 rows"):
        density_coverage(x[:5], x)
    with pytest.raises(NaqshError, match="k is at least 1; got 0"):
        precision_recall(x, x, k=0)
    with pytest.raises(NaqshError, match="3 columns and generated features 2"):
        density_coverage(x, x[:, :2])
    x[4] = np.nan
    with pytest.raises(NaqshError, match="row 4"):
        manifold(x, x)
