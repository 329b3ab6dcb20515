"""Churn: back towards noise before each step, which makes up for errors of the steps before.

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364, algorithm 2.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.samplers.sampler import Memoryless, Walk


class Here(NamedTuple):
    """A time with its signal and noise."""

    time: float
    alpha: float
    sigma: float


@dataclass(frozen=True)
class Churned(Memoryless):
    """What samplers with churn take.

    Attributes:
        churn: how much fresh noise comes in over all steps (S_churn); 0 is none after the start.
        churn_least: noise over signal below which none comes in (S_tmin).
        churn_most: noise over signal above which none comes in (S_tmax); None is no limit.
        churn_scale: standard deviation of the fresh noise (S_noise).
    """

    churn: float = 0.0
    churn_least: float = 0.0
    churn_most: float | None = None
    churn_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("churn", "churn_least", "churn_scale"):
            if getattr(self, name) < 0:
                raise NaqshError(f"{name} must be at least 0, got {getattr(self, name)}")

    def churned(self, walk: Walk, x: Tensor, i: int, noise: Noise) -> tuple[Tensor, Here]:
        """`x` of the `i`-th time with fresh noise, and where it then is."""
        alpha, sigma = walk.alpha[i], walk.sigma[i]
        ratio = sigma / alpha if alpha else math.inf
        most = math.inf if self.churn_most is None else self.churn_most
        if not self.churn or not self.churn_least <= ratio <= most or ratio == math.inf:
            return x, Here(walk.times[i], alpha, sigma)
        more = ratio * (1 + min(self.churn / len(walk), math.sqrt(2) - 1))
        schedule = walk.denoiser.schedule
        t = schedule.time(-2 * math.log(more))
        here = Here(float(t), *(float(number) for number in schedule(t)))
        more = here.sigma / here.alpha  # schedules of steps have no more noise than at their end
        fresh = self.churn_scale * math.sqrt(max(0.0, more**2 - ratio**2))
        return here.alpha * (x / alpha + fresh * noise.normal(*x.shape[1:]).to(x)), here
