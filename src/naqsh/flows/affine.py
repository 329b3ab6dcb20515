r"""The map of one dimension in an autoregressive flow, given its two parameters.

.. math:: z = (x - \mu)\, e^{-\alpha}, \qquad x = \mu + z\, e^{\alpha}, \qquad
   \alpha = b \tanh(a / b).

A log-scale without bounds gives images unlike those of training log-densities of -1e13; the tanh
keeps it within b, smoothly, and is the identity near 0.

References:
    Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
    arXiv:1705.07057, equations 3 and 4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """A shift and a bounded log-scale.

    Attributes:
        bound: of the log-scale, b above.
    """

    bound: float = 3.0

    def __post_init__(self) -> None:
        if self.bound <= 0:
            raise ValueError(f"the bound of the log-scale must be above 0, got {self.bound}")

    def log_scale(self, raw: Tensor) -> Tensor:
        """Alpha from a."""
        return self.bound * (raw / self.bound).tanh()

    def log_scale_slope(self, log_scale: Tensor) -> Tensor:
        """The derivative of alpha by a, from alpha."""
        return 1 - (log_scale / self.bound).square()

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """z and its log-derivative, from x (...) and mu and a side by side, shape (..., 2)."""
        shift, raw = parameters.unbind(-1)
        log_scale = self.log_scale(raw)
        return (x - shift) * (-log_scale).exp(), -log_scale

    def inverse(self, z: Tensor, shift: Tensor, raw: Tensor) -> Tensor:
        """x from z, mu and a, all of one shape."""
        return torch.addcmul(shift, z, self.log_scale(raw).exp_())

    def pull_back(self, to_x: Tensor, to_z: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients with respect to mu and alpha that come through x, all of one shape."""
        return to_x, to_z * z
