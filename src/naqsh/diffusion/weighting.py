r"""How a denoiser's loss is weighted over time, and times that are drawn as often as they weigh.

The squared error of the network's output F (:mod:`naqsh.diffusion.parameterisation`) is multiplied
by w(t):

* ``simple``: w = 1. This is DDPM's simple loss for epsilon, EDM's weights
  :math:`(\sigma^2 + s^2)/(\sigma s)^2` for edm, flow matching's loss for velocity;
* ``noise``: what makes it the squared error of epsilon whatever F stands for; for the score this is
  NCSN's :math:`\sigma^2`;
* ``min-snr``: :math:`\min(\mathrm{SNR}, \gamma)` times the squared error of :math:`x_0`.

Where many times weigh little, many images of a batch say little. Importance sampling draws t as
often as it weighs and counts all alike: with the schedule's own density p,

.. math:: \mathbb E_p[w(t)\, \ell(t)] = \mathbb E_q[\bar w\, \ell(t)], \qquad
   q(t) = p(t)\, w(t) / \bar w, \qquad \bar w = \mathbb E_p[w(t)],

the same loss by gradients of less variance. Here w is constant on cells that p draws alike, one a
level of noise, or 1,000 where a schedule has no levels, and the correction is exact in them.

References:
    Improved Denoising Diffusion Probabilistic Models (Nichol and Dhariwal, 2021),
    arXiv:2102.09672, section 3.3: times drawn by importance, there by the size of past losses.
    Efficient Diffusion Training via Min-SNR Weighting Strategy (Hang et al., 2023),
    arXiv:2303.09556, equation 8.
    Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon, 2019),
    arXiv:1907.05600, equations 5 and 6: weights sigma^2.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.diffusion.parameterisation import Form, Parameterisation, form
from naqsh.diffusion.schedule import Schedule

Weighting = Literal["simple", "noise", "min-snr", "vlb"]

CELLS = 1000
"""Cells of a schedule without levels."""


@dataclass(frozen=True)
class Weights:
    """The weights of a denoiser's loss.

    Attributes:
        kind: of the weighting; ``vlb`` is no weighting of F, and its w is 1 here.
        schedule: of the noise.
        parameterisation: what F stands for.
        sigma_data: standard deviation of the images' values, for ``edm``.
        gamma: where ``min-snr`` cuts.
    """

    kind: Weighting
    schedule: Schedule
    parameterisation: Parameterisation
    sigma_data: float
    gamma: float

    def __call__(self, t: Tensor, maps: Form) -> Tensor:
        """w at times `t` with the parameterisation's `maps` there, float64 with their shape."""
        if self.kind == "noise":
            return maps.epsilon[1] ** 2
        if self.kind == "min-snr":
            return self.schedule.log_snr(t).exp().clamp(max=self.gamma) * maps.x0[1] ** 2
        return torch.ones_like(maps.x0[1])

    def draw(self, noise: Noise) -> tuple[Tensor, Tensor]:
        """A time for each image, as often as it weighs; what a loss there is multiplied by.

        Returns:
            times and factors, shape (N,) both; the factors are float64.
        """
        ends, corrections = _cells(self, noise.device)
        u = noise.uniform().double()
        cell = torch.searchsorted(ends[:-1], u, right=True)
        begin = torch.where(cell > 0, ends[cell - 1], 0.0)
        within = (u - begin) / (ends[cell] - begin)
        return self.schedule.quantile((cell + within) / len(ends)), corrections[cell]


@lru_cache
def _cells(weights: Weights, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where cells end on the line from 0 to 1, and the mean weight over that of each."""
    count = weights.schedule.levels or CELLS
    middles = (torch.arange(count, dtype=torch.float64, device="cpu") + 0.5) / count
    t = weights.schedule.quantile(middles)
    w = weights(t, form(weights.parameterisation, *weights.schedule(t), weights.sigma_data))
    ends = w.cumsum(0) / w.sum()
    return ends.to(device), (w.mean() / w).to(device)
