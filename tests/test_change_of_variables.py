"""Transformed densities against quadrature, scipy.stats, histograms and formulas by hand."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.flows.change_of_variables import (
    AFFINE_SUPPORT,
    EXPONENTIAL_SUPPORT,
    affine_of_uniform,
    exponential_of_uniform,
    log_abs_det_jacobian,
    transformed,
    uniform,
)

EXERCISES = [
    pytest.param(affine_of_uniform, AFFINE_SUPPORT, lambda u: 2 * u + 1, id="2Z+1"),
    pytest.param(exponential_of_uniform, EXPONENTIAL_SUPPORT, lambda u: (2 * u).exp(), id="exp Z"),
]
Density = Callable[[Tensor], Tensor]


def at(density: Density, x: float) -> float:
    return float(density(torch.tensor(x, dtype=torch.float64)))


@pytest.mark.parametrize(("density", "support", "sample"), EXERCISES)
def test_quadrature_gives_one(
    density: Density, support: tuple[float, float], sample: Density
) -> None:
    mass, _ = integrate.quad(lambda x: at(density, x), *support, epsabs=1e-12)
    assert mass == pytest.approx(1, abs=1e-10)
    for outside in (support[0] - 1e-6, support[1] + 1e-6, -3.0, 0.0, 1e9, math.inf):
        assert at(density, outside) == 0


@pytest.mark.parametrize(("density", "support", "sample"), EXERCISES)
def test_histograms_agree_within_the_errors_of_their_counts(
    density: Density, support: tuple[float, float], sample: Density
) -> None:
    count, bins = 200_000, 25
    drawn = sample(Noise(11, 1).uniform(count).double()[0]).numpy()
    counts, edges = np.histogram(drawn, bins, support)
    assert counts.sum() == count
    chances = [
        integrate.quad(lambda x: at(density, x), a, b)[0] for a, b in itertools.pairwise(edges)
    ]
    expected = count * np.array(chances)
    deviations = (counts - expected) / np.sqrt(expected * (1 - np.array(chances)))
    assert np.abs(deviations).max() < 4
    # Too good a fit would be as suspicious: chi squared with 24 degrees of freedom.
    assert 0.001 < stats.chi2.cdf((deviations**2 * (1 - np.array(chances))).sum(), bins - 1) < 0.999


def test_closed_forms_are_those_of_scipy() -> None:
    x = torch.linspace(-1, 9, 1001, dtype=torch.float64)
    inside = (x != 1) & (x != 3)  # scipy counts the ends in
    theirs = stats.uniform(1, 2).pdf(x[inside].numpy())
    np.testing.assert_allclose(affine_of_uniform(x[inside]).numpy(), theirs, rtol=1e-12)
    # exp of a uniform number is what scipy calls reciprocal.
    theirs = stats.reciprocal(1, math.exp(2)).pdf(x[inside].numpy())
    np.testing.assert_allclose(exponential_of_uniform(x[inside]).numpy(), theirs, rtol=1e-12)


def normal(z: Tensor) -> Tensor:
    return (-z.square() / 2).exp() / math.sqrt(2 * math.pi)


def test_other_maps_give_scipys_densities() -> None:
    x = torch.linspace(-0.5, 6, 651, dtype=torch.float64)
    lognormal = transformed(normal, torch.log, torch.reciprocal)
    np.testing.assert_allclose(lognormal(x).numpy(), stats.lognorm(1).pdf(x.numpy()), atol=1e-12)
    # A falling map: -log U of a uniform number is exponential.
    falling = transformed(uniform(0, 1), lambda x: (-x).exp(), lambda x: -(-x).exp())
    inside = x.abs() > 1e-9  # scipy counts 0 in
    theirs = stats.expon.pdf(x[inside].numpy())
    np.testing.assert_allclose(falling(x[inside]).numpy(), theirs, atol=1e-12)


def test_a_support_must_have_a_length() -> None:
    with pytest.raises(ValueError, match="below"):
        uniform(1, 1)


def test_jacobian_of_a_matrix_is_its_determinant() -> None:
    matrix = Noise(1, 4).normal(4).double()
    x = Noise(2, 3).normal(4).double()
    told = log_abs_det_jacobian(lambda v: v @ matrix.T, x)
    expected = np.log(abs(np.linalg.det(matrix.numpy())))
    np.testing.assert_allclose(told.numpy(), expected, rtol=1e-12)


def test_jacobian_of_polar_coordinates_is_the_radius() -> None:
    def cartesian(polar: Tensor) -> Tensor:
        radius, angle = polar.T
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)

    polar = Noise(3, 5).uniform(2).double() * torch.tensor([3.0, 6.0])
    told = log_abs_det_jacobian(cartesian, polar)
    torch.testing.assert_close(told, polar[:, 0].log(), rtol=0, atol=1e-12)


def test_a_flat_map_has_no_volume() -> None:
    flat = log_abs_det_jacobian(lambda v: torch.stack([v[:, 0], v[:, 0]], 1), torch.ones(2, 2))
    assert flat.tolist() == [-math.inf, -math.inf]
    constant = log_abs_det_jacobian(
        lambda v: torch.stack([v[:, 0], torch.ones(2)], 1), torch.ones(2, 2)
    )
    assert constant.tolist() == [-math.inf, -math.inf]
