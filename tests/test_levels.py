"""NCSNv2's choice of levels and steps against the values that it published, and by simulation."""

import math

import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion import levels
from naqsh.diffusion.geometric import Geometric

CIFAR10 = Geometric(50.0, 0.01, 232)
CELEBA = Geometric(90.0, 0.01, 500)


@pytest.mark.parametrize(
    ("published", "dimensions"), [(CIFAR10, 3 * 32 * 32), (CELEBA, 3 * 64 * 64)]
)
def test_published_levels_share_567_thousandths_of_their_radii(
    published: Geometric, dimensions: int
) -> None:
    assert levels.shared(dimensions, published.ratio) == pytest.approx(0.567, abs=6e-4)
    between = math.log(published.most / published.least)
    count = 1 + between / math.log(levels.ratio(dimensions, 0.567))
    assert round(count) == published.levels


@pytest.mark.parametrize(
    ("published", "inner", "epsilon"), [(CIFAR10, 5, "6.2e-06"), (CELEBA, 5, "3.3e-06")]
)
def test_published_step_sizes(published: Geometric, inner: int, epsilon: str) -> None:
    found = levels.step_size(published.ratio, inner) * published.least**2
    assert f"{found:.1e}" == epsilon


@pytest.mark.parametrize(("dimensions", "overlap"), [(5, 0.5), (64, 0.5), (784, 0.2), (3072, 0.9)])
def test_the_ratio_solves_its_equation(dimensions: int, overlap: float) -> None:
    gamma = levels.ratio(dimensions, overlap)
    assert gamma > 1
    away = math.sqrt(2 * dimensions) * (gamma - 1)
    ends = torch.tensor([away + 3 * gamma, away - 3 * gamma], dtype=torch.float64)
    inside = torch.special.ndtr(ends)
    assert float(inside[0] - inside[1]) == pytest.approx(overlap, abs=1e-9)


def test_half_the_radii_give_cifar10_fewer_levels_than_published() -> None:
    assert 1 + math.log(5000) / math.log(levels.ratio(3072)) == pytest.approx(219.25, abs=0.01)


def test_in_few_dimensions_any_ratio_overlaps() -> None:
    assert min(levels.shared(4, gamma) for gamma in (1.1, 3.0, 1e3)) > 0.5
    with pytest.raises(NaqshError, match="2 dimensions overlap at any ratio; choose"):
        levels.ratio(2)


@pytest.mark.parametrize("inner", [1, 5, 100])
@pytest.mark.parametrize("ratio", [1.02, 1.67, 10.0])
def test_the_step_size_leaves_the_least_variance(ratio: float, inner: int) -> None:
    best = levels.step_size(ratio, inner)
    assert 0 < best < 1
    least = levels.variance_after(best, ratio, inner)
    assert least > 1
    for other in (best * 0.9, best * 1.1):
        assert levels.variance_after(min(other, 1.0), ratio, inner) > least


def test_variance_after_is_that_of_the_chain() -> None:
    """Of one image at 0 with sigma 1 the score is -x: each step is x (1 - r) + sqrt(2 r) z."""
    size, ratio = 0.3, 1.5
    variance = ratio**2
    for _ in range(4):
        variance = (1 - size) ** 2 * variance + 2 * size
    assert levels.variance_after(size, ratio, 4) == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize("count", [2, 700])
def test_the_largest_distance_is_that_of_all_pairs(count: int) -> None:
    images = Noise(0, count).normal(1, 3, 3)
    images[count // 2] *= 3
    expected = torch.cdist(images.flatten(1).double(), images.flatten(1).double()).max()
    assert levels.largest_distance(images) == pytest.approx(float(expected), rel=1e-5)


def test_levels_are_chosen_from_images() -> None:
    """The largest distance of MNIST's images in [0, 1] is 16.9: 96 levels of ratio 1.0814."""
    images = torch.full((3, 1, 28, 28), -1.0)
    images[1] += 2 * 16.9 / 28
    images[2] += 0.3
    schedule = levels.chosen(images)
    assert schedule.most == pytest.approx(33.8, rel=1e-5)
    assert (schedule.least, schedule.levels) == (0.02, 96)
    assert schedule.ratio == pytest.approx(1.0814, abs=5e-5)
    for inner, epsilon in ((5, 1.11e-5), (3, 1.25e-5)):
        found = levels.step_size(schedule.ratio, inner) * 0.01**2
        assert found == pytest.approx(epsilon, rel=5e-3)
    with pytest.raises(NaqshError, match="no two images are farther apart"):
        levels.chosen(images[:1])
