"""A network that reads several factors off an image, each by a head of its own.

Where things stand is one of them, so positions are not averaged out: four convolutions bring 32x32
pixels to 4x4, and two linear layers see all of these.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

SIDE = 32
"""Pixels across of what it reads."""


def _layer(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Reader(nn.Module):
    """Colour images of 32x32 in [-1, 1] to scores of each factor's values.

    Args:
        factors: how many values each factor has, by its name.
        width: channels of the last convolution, a multiple of 8.
    """

    def __init__(self, factors: Mapping[str, int], width: int = 48) -> None:
        super().__init__()
        self.factors, self.width = dict(factors), width
        self.trunk = nn.Sequential(
            _layer(3, 3 * width // 8, 5, 2),
            _layer(3 * width // 8, 5 * width // 8, 3, 1),
            _layer(5 * width // 8, width, 3, 2),
            _layer(width, width, 3, 2),
            nn.Flatten(),
            nn.Linear(16 * width, 2 * width),
            nn.ReLU(),
        )
        self.heads = nn.Linear(2 * width, sum(self.factors.values()))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Scores (N, values) of each factor, by its name."""
        scores = self.heads(self.trunk(images))
        return dict(
            zip(self.factors, torch.split(scores, list(self.factors.values()), 1), strict=True)
        )
