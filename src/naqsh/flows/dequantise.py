r"""From images of 256 grey levels to vectors without bounds, and back.

A density needs continuous values. Level k of a pixel is spread evenly over its bin,

.. math:: v = (k + u) / 256, \qquad u \sim U(0, 1), \qquad k = 255\, x,

and, since v has bounds and a flow has none, it is stretched by a logit that keeps clear of 0 and 1:

.. math:: y = \operatorname{logit} p, \quad p = \lambda + (1 - 2\lambda) v, \qquad
   \frac{\partial y}{\partial v} = \frac{1 - 2\lambda}{p\,(1 - p)}.

Densities are with respect to v in [0, 1]. The expected log-density of v is no more than the
log-probability of the level plus log 256 for each pixel, hence the bound in bits a dimension,

.. math:: 8 - \frac{\log p(v)}{D \ln 2}.

References:
    A note on the evaluation of generative models (Theis et al., 2016), arXiv:1511.01844,
    section 3.1.
    Density estimation using Real NVP (Dinh et al., 2017), arXiv:1605.08803, section 4.1: the logit.
    Masked Autoregressive Flow (Papamakarios et al., 2017), arXiv:1705.07057, section 4.3 and
    appendix D: lambda 1e-6 for MNIST, 0.05 for CIFAR-10.
"""

import math

import torch
from torch import Tensor, nn

from naqsh.core.noise import Noise
from naqsh.core.spec import Shape

LEVELS = 256
EDGE = 2.0**-16
"""Nearer than this to a bin's edge, k + u rounds into the next bin in float32."""


class Dequantise(nn.Module):
    """Images to vectors; no Bijection, since many vectors belong to one image.

    Args:
        shape: (C, H, W) of the images.
        logit: lambda, in (0, 1/2); None leaves the values in [0, 1].
    """

    def __init__(self, shape: Shape, logit: float | None) -> None:
        super().__init__()
        if logit is not None and not 0 < logit < 0.5:
            raise ValueError(f"logit must lie between 0 and 1/2, got {logit}")
        self.shape, self.logit = shape, logit

    def forward(self, images: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        r"""Images to vectors.

        Args:
            images: whole levels k/255 in [0, 1] with shape (N, C, H, W).
            noise: of these N images, one draw; None puts every pixel in the middle of its bin.

        Returns:
            y and, for each number of it, :math:`\log \partial y / \partial v`; shape (N, D) both.
        """
        levels = (images * (LEVELS - 1)).flatten(1)
        if noise is None:
            values = (levels + 0.5) / LEVELS
        else:
            place = noise.uniform(levels.shape[1]).to(levels).clamp(EDGE, 1 - EDGE)
            values = (levels.round() + place) / LEVELS
        if self.logit is None:
            return values, torch.zeros_like(values)
        inner = 1 - 2 * self.logit
        # 1 - p from 1 - v, which is exact where v is near 1; 1 - p itself is not.
        log_p = (self.logit + inner * values).log()
        log_rest = (self.logit + inner * (1 - values)).log()
        return log_p - log_rest, math.log(inner) - log_p - log_rest

    def inverse(self, y: Tensor) -> Tensor:
        """Vectors to images: (256 v - 1/2) / 255, which is k/255 in the middle of a bin.

        Rounded to 256 levels it gives back the level that `y` was made from, wherever in the bin
        it lies; from the middle, y may be wrong by all but half a level.

        Args:
            y: shape (N, D); any number, those that no image gives are cut off.

        Returns:
            float images in [0, 1] with shape (N, C, H, W), not rounded.
        """
        values = y
        if self.logit is not None:
            values = (y.sigmoid() - self.logit) / (1 - 2 * self.logit)
        images = (LEVELS * values - 0.5) / (LEVELS - 1)
        return images.clamp(0, 1).view(-1, *self.shape)


def bits_per_dimension(
    log_density: Tensor, dimensions: int, level_width: float = 1 / LEVELS
) -> Tensor:
    """Bits a dimension from a log-density in nats with any shape; of levels that lie so far apart.

    A width of 1 leaves a density's bits as they are.
    """
    return -math.log2(level_width) - log_density / (dimensions * math.log(2))
