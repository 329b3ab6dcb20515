r"""Levels of noise that rise by one factor, the schedule of noise conditional score networks.

Noise is added and the signal kept (the variance explodes): :math:`\alpha_t = 1` and

.. math:: \sigma_t = \sigma_{min} \left(\frac{\sigma_{max}}{\sigma_{min}}\right)^{(t-1)/(L-1)},
   \qquad t = 1, \dots, L.

The papers count from the largest noise on, and give it for images in [0, 1]; ours lie in [-1, 1],
where the same noise has twice the sigma.

References:
    Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon, 2019),
    arXiv:1907.05600, section 4.
    Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021),
    arXiv:2011.13456, section 3.4: the variance-exploding equation, whose levels these are.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.diffusion.base import Kept, Whole, as_tensor


@dataclass(frozen=True)
class Geometric(Kept, Whole):
    """NCSN's levels of noise; those of the paper are the defaults.

    Attributes:
        most: sigma of the last level, where sampling begins.
        least: sigma of the first level.
        levels: how many there are.
    """

    most: float = 2.0
    least: float = 0.02
    levels: int = 10

    spacing = "log-snr"

    def __post_init__(self) -> None:
        if not 0 < self.least < self.most:
            raise ValueError(f"need 0 < least < most, got {self.least} and {self.most}")
        if self.levels < 2:
            raise ValueError(f"levels must be at least 2, got {self.levels}")

    @property
    def ratio(self) -> float:
        """The noise of a level over that of the level before."""
        return math.exp(self._slope)

    @property
    def _slope(self) -> float:
        return math.log(self.most / self.least) / (self.levels - 1)

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """1 and sigma, float64 with the shape of `t`; whole or real times, no noise at 0."""
        t = as_tensor(t).double()
        sigma = self.least * ((t - 1) * self._slope).exp()
        return torch.ones_like(t), torch.where(t == 0, 0.0, sigma)

    def time(self, log_snr: Tensor | float) -> Tensor:
        """The real time of a log-SNR, from 1 to L: more or less noise than theirs is cut."""
        log_sigma = -as_tensor(log_snr) / 2
        return ((log_sigma - math.log(self.least)) / self._slope + 1).clamp(1, self.levels)
