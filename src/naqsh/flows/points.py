r"""Points in the plane to vectors of about unit variance, and back: nothing to dequantise.

A stored value v in [0, 1] stands for the coordinate :math:`x = (2 v - 1)\,\text{extent}`. A flow
works on :math:`y = 2 x / \text{extent}`, and densities are with respect to x.
"""

import math

import torch
from torch import Tensor, nn

from naqsh.core.noise import Noise
from naqsh.core.spec import Shape

SPREAD = 2.0
"""How far y reaches from 0: the sets of points have about half of their extent as deviation."""


class Scaled(nn.Module):
    """Stored points to vectors; as :class:`naqsh.flows.dequantise.Dequantise`, without chance.

    Args:
        shape: (2, 1, 1).
        extent: coordinates reach from -extent to extent.
    """

    def __init__(self, shape: Shape, extent: float) -> None:
        super().__init__()
        self.shape, self.extent = shape, extent

    def forward(self, points: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        r"""Points in [0, 1] with shape (N, 2, 1, 1) to y and :math:`\log \partial y / \partial x`.

        Args:
            points: to be scaled.
            noise: has no part in it.
        """
        y = (2 * points.flatten(1) - 1) * SPREAD
        return y, torch.full_like(y, math.log(SPREAD / self.extent))

    def inverse(self, y: Tensor) -> Tensor:
        """Vectors (N, 2) to points in [0, 1], cut to it."""
        return ((y / SPREAD + 1) / 2).clamp(0, 1).view(-1, *self.shape)
