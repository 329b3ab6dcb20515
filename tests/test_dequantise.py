"""Dequantisation: its log-determinant against autograd and quadrature, and the way back."""

import math

import pytest
import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.flows.dequantise import Dequantise, bits_per_dimension

SHAPE = (1, 16, 16)


def every_level() -> Tensor:
    """One image that has each of the 256 levels, float32."""
    return (torch.arange(256) / 255).view(1, *SHAPE)


@pytest.mark.parametrize("logit", [None, 1e-6, 0.05])
def test_every_level_comes_back(logit: float | None) -> None:
    dequantise = Dequantise(SHAPE, logit)
    images = every_level().expand(40, -1, -1, -1)
    middle = dequantise.inverse(dequantise(images, None)[0])
    # Some roundings of float32, at most 256 times as large in levels: 256 * 2^-24 * 10.
    torch.testing.assert_close(middle, images, rtol=0, atol=256 * 2**-24 * 10 / 255)
    somewhere = dequantise.inverse(dequantise(images, Noise(1, 40))[0])
    assert torch.equal((somewhere * 255).round(), (images * 255).round())
    assert (somewhere - images).abs().max() > 0.4 / 255
    # A flow's own errors, far larger than those of float32, do no harm either: the sigmoid's slope
    # is 1/4 at most, so 1e-3 in y moves no pixel by more than 0.3 levels.
    y, _ = dequantise(images, None)
    assert torch.equal((dequantise.inverse(y + 1e-3) * 255).round(), (images * 255).round())


@pytest.mark.parametrize("logit", [None, 1e-6, 0.05])
def test_log_det_is_autograds(logit: float | None) -> None:
    images = every_level().double().requires_grad_()
    # Every factor is of y by v; autograd's is by x, and the levels are dv = 255/256 dx apart.
    y, log_det = Dequantise(SHAPE, logit)(images, None)
    (slope,) = torch.autograd.grad(y.sum(), images)
    expected = (slope.flatten(1) * 256 / 255).log()
    torch.testing.assert_close(log_det.detach(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("logit", [1e-6, 0.05])
def test_float32_is_right_at_both_ends(logit: float) -> None:
    ends = torch.tensor([[0.0, 1.0]]).view(1, 1, 1, 2)
    single, double = (
        Dequantise((1, 1, 2), logit)(ends.to(dtype), None)
        for dtype in (torch.float32, torch.float64)
    )
    for mine, exact in zip(single, double, strict=True):
        assert mine.dtype == torch.float32
        # Two logarithms of about 6 that are right to a few roundings each.
        torch.testing.assert_close(mine.double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("logit", [1e-6, 0.05])
def test_a_density_of_y_is_one_of_v(logit: float) -> None:
    # Uniform v has density 1: with p(y) of uniform v from the log-determinant's own formula, the
    # integral over all y that images give must be 1. Midpoint rule in y.
    dequantise = Dequantise((1, 1, 1), logit)
    edge = math.log((1 - logit) / logit)
    grid = torch.linspace(-edge, edge, 20001, dtype=torch.float64)
    middles = ((grid[1:] + grid[:-1]) / 2).view(-1, 1)
    values = (middles.sigmoid() - logit) / (1 - 2 * logit)
    images = ((256 * values - 0.5) / 255).view(-1, 1, 1, 1)
    y, log_det = dequantise(images, None)
    torch.testing.assert_close(y, middles, rtol=0, atol=1e-8)
    mass = ((-log_det).exp() * (grid[1] - grid[0])).sum()
    # The midpoint rule's error is step^2 / 24 times the change of the slope, below 1e-6.
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_values_are_even_in_each_bin() -> None:
    images = torch.full((4000, 1, 1, 1), 17 / 255)
    y, log_det = Dequantise((1, 1, 1), None)(images, Noise(3, 4000))
    place = 256 * y - 17
    assert 0 < float(place.min()) < 0.01
    assert 0.99 < float(place.max()) < 1
    # The mean of 4000 even numbers: deviation 1 / sqrt(12 * 4000).
    assert abs(float(place.mean()) - 0.5) < 4 / math.sqrt(12 * 4000)
    assert not log_det.any()


def test_bits_of_an_even_density_are_eight() -> None:
    assert bits_per_dimension(torch.zeros(3), 50).tolist() == [8, 8, 8]
    # A density twice as high everywhere in 50 dimensions is a bit less in each.
    assert float(bits_per_dimension(torch.tensor(50 * math.log(2)), 50)) == pytest.approx(7)


@pytest.mark.parametrize("logit", [0.0, 0.5, -1.0])
def test_lambda_must_leave_room(logit: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1/2"):
        Dequantise(SHAPE, logit)
