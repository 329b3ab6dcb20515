"""Features of a network that was never trained: for images of which no classifier is at hand.

Three layers of random filters, each followed by a rectifier, and the mean of every filter's answer
over the image. That tells how much of which colours, edges and textures an image has, and nothing
of what it shows or where: two sets of images that differ in these are told apart, and two that
differ only in their objects are not. Nothing was learnt, so nothing speaks for a kind of images,
and no weights have to be had. Random features stood in for trained ones in density and coverage
(Naeem et al., 2020, arXiv:2002.09797), where images are far from ImageNet's.
"""

import hashlib

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from naqsh.core.noise import Noise, derive

SIDE = 64
"""Images are brought to SIDE x SIDE pixels."""

WIDTHS = (32, 64, 128)
"""Filters of each layer; the number of features is their sum."""


class RandomFeatures:
    """Mean answers of random filters, a feature extractor that needs no weights.

    Args:
        device: where to compute.
    """

    name = "random"
    fingerprint = hashlib.sha256(f"random 1: {SIDE}, {WIDTHS}".encode()).hexdigest()[:16]
    dimension = sum(WIDTHS)

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._filters = []
        before = 3
        for number, width in enumerate(WIDTHS):
            taps = Noise(derive(0, "random features"), width, 1000 * number).normal(before, 3, 3)
            self._filters.append((taps * (2 / (9 * before)) ** 0.5).to(self._device))
            before = width

    def __call__(self, images: Tensor) -> Tensor:
        """Uint8 images (N, 1 or 3, H, W) to float32 (N, 224)."""
        x = images.to(self._device).float().expand(-1, 3, -1, -1) / 127.5 - 1
        x = interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        means = []
        for taps in self._filters:
            x = conv2d(x, taps).relu()
            means.append(x.mean((2, 3)))
            x = avg_pool2d(x, 2)
        return torch.cat(means, 1)
