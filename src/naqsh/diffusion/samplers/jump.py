r"""Jumps by average velocities: as many evaluations as steps, and one may do.

A step from t to s is exact where the average velocity is
(:mod:`naqsh.diffusion.averaging`): :math:`x_s = x_t - (t - s)\, u(x_t, s, t)`. The clean image that
it is on the way to is :math:`\hat x_0 = x_t - t\, u`.

References:
    Mean Flows for One-step Generative Modeling (Geng et al., 2025), arXiv:2505.13447, algorithm 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.averaging import Averaging
from naqsh.diffusion.samplers.sampler import Sampler, Walk


@dataclass(frozen=True)
class Jump(Sampler):
    """Steps by the velocity averaged over each of them; one evaluation a step."""

    def path(self, walk: Walk, x: Tensor, noise: Noise) -> Iterator[tuple[Tensor, Tensor]]:
        """x after each step, and the x0 that it was on the way to."""
        if not isinstance(walk.denoiser, Averaging):
            raise NaqshError("jumps need a network that was trained on intervals, as by meanflow")
        for t, s in pairwise(walk.times):
            x0 = x - t * walk.denoiser.average(x, t, s, walk.labels)
            if walk.clip:
                x0 = x0.clamp(-1, 1)
            x = x0.lerp(x, s / t)
            yield x, x0
