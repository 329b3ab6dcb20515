"""What a decoder's numbers say of an image: Bernoulli or Gaussian pixels, each by itself.

References:
    Simple and Effective VAE Training with Calibrated Decoders (Rybkin et al., 2020),
    arXiv:2006.13202, section 3.1: the learnt scale.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

LEAST_SCALE = 1 / 510
"""Half a grey level: images of 256 levels say nothing of finer differences."""


class Bernoulli(nn.Module):
    """Independent pixels, black or white, from their logits."""

    def forward(self, images: Tensor, logits: Tensor) -> Tensor:
        """Nats of images in [0, 1] with shape (N, C, H, W), given logits of that shape: (N,)."""
        cross = binary_cross_entropy_with_logits(logits.float(), images, reduction="none")
        return -cross.flatten(1).sum(1)

    def mean(self, logits: Tensor) -> Tensor:
        """The expected image, float32 in [0, 1]."""
        return logits.float().sigmoid()


class Gaussian(nn.Module):
    """Independent pixels with one standard deviation for all, from their means."""

    log_excess: Tensor

    def __init__(self, scale: float, learn: bool) -> None:
        super().__init__()
        log_excess = torch.tensor(math.log(scale - LEAST_SCALE))
        if learn:
            self.log_excess = nn.Parameter(log_excess)
        else:
            self.register_buffer("log_excess", log_excess)

    @property
    def scale(self) -> Tensor:
        """The standard deviation of a pixel."""
        # Without a floor a decoder that memorises its images has a loss without one.
        return LEAST_SCALE + self.log_excess.exp()

    def forward(self, images: Tensor, means: Tensor) -> Tensor:
        """Nats of images in [0, 1] with shape (N, C, H, W), given means of that shape: (N,)."""
        squares = ((images - means.float()) / self.scale).square().flatten(1)
        constant = squares.shape[1] * (self.scale.log() + math.log(2 * math.pi) / 2)
        return -squares.sum(1) / 2 - constant

    def mean(self, means: Tensor) -> Tensor:
        """The expected image, float32, cut to [0, 1]."""
        return means.float().clamp(0, 1)
