r"""How far samplers come from a distribution whose score is known: what their steps alone lose.

A model's samples are off because its network is, and because its sampler takes few steps. Here the
network is replaced by the exact denoiser of a mixture under the same schedule, so that the steps
are left. The numbers of an image are independent, each of

.. math:: 0.8\, \mathcal N(-\tfrac12, 0.1^2) + 0.2\, \mathcal N(\tfrac12, 0.1^2),

which has modes far apart and of unequal weight, as images have: a sampler must find the width of
both and their weights. The distance is Wasserstein's first, in one dimension the mean difference of
quantiles,

.. math:: W_1 = \int_0^1 \left| F_n^{-1}(u) - F^{-1}(u) \right| du,

with F in closed form, inverted on a grid. Of n exact draws it is on average
:math:`\sqrt{2 / (\pi n)} \int \sqrt{F (1 - F)}\, dx`, the floor below which nothing can be told.

References:
    Wasserstein GAN's distance in one dimension: Optimal Transport for Applied Mathematicians
    (Santambrogio, 2015), proposition 2.17.
    Central limit theorems for the Wasserstein distance between the empirical and the true
    distributions (del Barrio, Gine and Matran, 1999), theorem 1.1: the floor.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.noise import Noise, derive
from naqsh.diffusion.denoiser import Prediction
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.samplers import Sampler
from naqsh.diffusion.schedule import Schedule

MEANS, DEVIATION, WEIGHTS = (-0.5, 0.5), 0.1, (0.8, 0.2)
"""Of the mixture."""

IMAGES, SHAPE = 256, (1, 8, 8)
"""How many images are drawn, and their shape."""

COUNT = IMAGES * math.prod(SHAPE)
"""Numbers that are drawn."""

_GRID = np.linspace(-1.5, 1.5, 60_001)


class Independent:
    """The exact denoiser of images whose numbers are independently of the mixture.

    Args:
        schedule: of the noise.
    """

    variance: Variance = "small"

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        deviations = [DEVIATION] * len(MEANS)
        self.each = Mixture(schedule, [[mean] for mean in MEANS], deviations, WEIGHTS)

    def __call__(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        """The expected clean image and noise of `x_t` with shape (N, C, H, W), at one time."""
        seen = self.each(x_t.reshape(-1, 1, 1, 1), t)
        return Prediction(seen.x0.view_as(x_t), seen.epsilon.view_as(x_t))


def measured(sampler: Sampler, schedule: Schedule, seed: int = 0) -> tuple[float, float]:
    """The distance of a sampler's numbers, and the share of them at the lesser mode."""
    noise = Noise(derive(seed, "exact"), IMAGES)
    numbers = sampler(Independent(schedule), noise, SHAPE).flatten().double().numpy()
    return distance(numbers), float((numbers > 0).mean())


def distance(numbers: NDArray[np.float64]) -> float:
    """Wasserstein's first distance of some numbers, shape (n,), to the mixture."""
    middles = (np.arange(len(numbers)) + 0.5) / len(numbers)
    quantiles = np.interp(middles, _below(), _GRID)
    return float(np.abs(np.sort(numbers) - quantiles).mean())


def floor(count: int = COUNT) -> float:
    """What the distance of so many exact draws comes to on average."""
    below = _below()
    deviation = np.sqrt(below * (1 - below)).sum() * (_GRID[1] - _GRID[0])
    return math.sqrt(2 / (math.pi * count)) * float(deviation)


@lru_cache(maxsize=1)
def _below() -> NDArray[np.float64]:
    """The mixture's distribution function on the grid."""
    grid = torch.from_numpy(_GRID)
    parts = [
        weight * torch.special.ndtr((grid - mean) / DEVIATION)
        for weight, mean in zip(WEIGHTS, MEANS, strict=True)
    ]
    found: NDArray[np.float64] = torch.stack(parts).sum(0).numpy()
    return found
