r"""The generator of CycleGAN: an image to an image of equal sides, by residual blocks at a quarter.

.. math:: c7s1\text{-}w,\; d2w,\; d4w,\; n \times R4w,\; u2w,\; uw,\; c7s1\text{-}C

with w = 64: 7x7 convolutions at both ends, two of stride 2 down and two transposed ones up, and
between them n residual blocks, each :math:`x + \mathrm{IN}(\mathrm{conv}(\mathrm{relu}(
\mathrm{IN}(\mathrm{conv}(x)))))` without anything after the sum. Every convolution but the last is
followed by instance normalisation without scale and shift and by ReLU; borders are reflected.

With w = 64 and three colours it has 7,837,699 parameters with six blocks, 11,378,179 with nine.

References:
    Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al.,
    2017), arXiv:1703.10593, appendix 7.2.
    Perceptual Losses for Real-Time Style Transfer (Johnson et al., 2016), arXiv:1603.08155.
"""

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn

from naqsh.networks.instance import Conv, InstanceNorm, Transposed, initialise

MULTIPLE = 4
"""What both sides of an image divide by."""

LEAST = 8
"""Pixels of the least side: blocks at a quarter of it reflect a border of one."""


def generator(
    inputs: int,
    outputs: int,
    width: int = 64,
    blocks: int = 6,
    upsample: Literal["transposed", "nearest"] = "transposed",
) -> nn.Sequential:
    """The generator from one domain to the other.

    Args:
        inputs: channels of the images that come in.
        outputs: channels of those that go out.
        width: channels of the finest features; four times as many in the blocks.
        blocks: residual blocks; published are 6 at 128x128 and 9 from 256x256 on.
        upsample: by transposed convolutions as published, or by repeating pixels before a
            convolution, which leaves no checkerboard.

    Returns:
        images in [-1, 1] with shape (N, inputs, H, W) to images in [-1, 1] with shape
        (N, outputs, H, W); H and W divide by 4 and are at least 8.
    """
    widest = 4 * width
    layers: list[nn.Module] = [
        nn.ReflectionPad2d(3),
        Conv(inputs, width, 7),
        *_normalised(width),
        Conv(width, 2 * width, 3, stride=2, padding=1),
        *_normalised(2 * width),
        Conv(2 * width, widest, 3, stride=2, padding=1),
        *_normalised(widest),
        *(Block(widest) for _ in range(blocks)),
        *_doubled(widest, 2 * width, upsample),
        *_normalised(2 * width),
        *_doubled(2 * width, width, upsample),
        *_normalised(width),
        nn.ReflectionPad2d(3),
        nn.Conv2d(width, outputs, 7),
        nn.Tanh(),
    ]
    network = nn.Sequential(*layers)
    initialise(network)
    return network


def _normalised(channels: int) -> Iterator[nn.Module]:
    yield InstanceNorm(channels)
    yield nn.ReLU(inplace=True)


def _doubled(inputs: int, outputs: int, upsample: str) -> Iterator[nn.Module]:
    if upsample == "transposed":
        yield Transposed(inputs, outputs)
        return
    yield nn.Upsample(scale_factor=2)
    yield nn.ReflectionPad2d(1)
    yield Conv(inputs, outputs, 3)


class Block(nn.Module):
    """Two convolutions beside a skip.

    Args:
        channels: in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.ReflectionPad2d(1),
            Conv(channels, channels, 3),
            *_normalised(channels),
            nn.ReflectionPad2d(1),
            Conv(channels, channels, 3),
            InstanceNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, channels, H, W) to features of that shape."""
        changed: Tensor = self.inner(x)
        return x + changed
