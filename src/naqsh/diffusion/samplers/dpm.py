r"""DPM-Solver++(2M) on the probability-flow equation, which is linear but for :math:`\hat x_0`.

With :math:`\lambda = \ln \alpha/\sigma`, step :math:`h = \lambda_s - \lambda_t`, the step before
:math:`h'` and what was predicted then :math:`\hat x_0'`,

.. math:: D = \Bigl(1 + \frac{h}{2h'}\Bigr) \hat x_0 - \frac{h}{2h'} \hat x_0', \qquad
   x_s = \frac{\sigma_s}{\sigma_t} x_t - \alpha_s (e^{-h} - 1) D,

with :math:`D = \hat x_0` in the first and the last step.

References:
    DPM-Solver++ (Lu et al., 2022), arXiv:2211.01095, algorithm 2.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.diffusion.samplers.sampler import Sampler, Walk


@dataclass(frozen=True)
class DpmSolver(Sampler):
    """DPM-Solver++(2M), of second order; one evaluation a step."""

    def path(self, walk: Walk, x: Tensor, noise: Noise) -> Iterator[tuple[Tensor, Tensor]]:
        """x after each step, and the x0 predicted in it."""
        times = torch.tensor(walk.times, dtype=torch.float64, device="cpu")
        half_log_snr = (walk.denoiser.schedule.log_snr(times) / 2).tolist()
        previous, last_h = x, math.inf
        for i in range(len(walk)):
            seen = walk.see(x, i)
            h = half_log_snr[i + 1] - half_log_snr[i]
            # The first step has no step before it; the last one is endless, h = inf.
            part = h / (2 * last_h) if 0 < i < len(walk) - 1 else 0.0
            guess = torch.lerp(seen.x0, previous, -part) if part else seen.x0
            x = walk.sigma[i + 1] / walk.sigma[i] * x - walk.alpha[i + 1] * math.expm1(-h) * guess
            previous, last_h = seen.x0, h
            yield x, seen.x0
