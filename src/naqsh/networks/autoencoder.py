"""Encoder and decoder of an autoencoder whose latents are small images.

Each level of the encoder has residual blocks of one width, then halves the image; in the middle are
two more blocks, with self-attention between them where it is asked for. The decoder is the same
backwards, with one block more a level. Blocks are those of the U-Net without a time
(:mod:`naqsh.networks.unet_blocks`); nothing is joined across, so all that the decoder knows of an
image went through its latents.

Each level but the last halves the sides: 28x28 with three multipliers becomes 7x7.

References:
    High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022),
    arXiv:2112.10752, appendix E and the released code, whose 1x1 convolutions around the latents
    are left out: they follow and precede linear layers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from naqsh.core.spec import Shape
from naqsh.networks.unet_blocks import (
    Down,
    ResidualBlock,
    SelfAttention,
    Up,
    group_norm,
    initialise,
)


def latent_shape(shape: Shape, latent: int, levels: int) -> Shape:
    """(C, H, W) of the latents of images with shape (C, H, W).

    Raises:
        ValueError: sides that do not halve evenly so often; says what would fit.
    """
    _, height, side = shape
    step = 2 ** (levels - 1)
    if height % step or side % step:
        fits = max(1, round(height / step)) * step
        raise ValueError(
            f"{levels} levels need sides that divide by {step}, got {height}x{side}; give "
            f"data.size, e.g. {fits}, or fewer method.multipliers"
        )
    return latent, height // step, side // step


def _middle(channels: int, attention: bool) -> nn.Sequential:
    """Two blocks of one width, with self-attention between them or without."""
    between = [SelfAttention(channels)] if attention else []
    first, second = ResidualBlock(channels, channels), ResidualBlock(channels, channels)
    return nn.Sequential(first, *between, second)


class Encoder(nn.Module):
    """Images to latents, or to what their distribution is told by.

    Args:
        channels: of the images.
        outputs: channels of what comes out.
        width: channels of the first level.
        multipliers: the width of each level over `width`, finest first.
        blocks: residual blocks a level.
        attention: whether the middle has self-attention.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        width: int = 16,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 1,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        initialise(self.first)
        parts: list[nn.Module] = []
        now = width
        for level, factor in enumerate(multipliers):
            for _ in range(blocks):
                parts.append(ResidualBlock(now, factor * width))
                now = factor * width
            if level < len(multipliers) - 1:
                parts.append(Down(now))
        self.down = nn.Sequential(*parts)
        self.middle = _middle(now, attention)
        self.norm = group_norm(now)
        self.last = nn.Conv2d(now, outputs, 3, padding=1)
        initialise(self.last)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to (N, outputs, H / 2^k, W / 2^k), k levels less one."""
        h = self.first(images.contiguous(memory_format=torch.channels_last))
        out: Tensor = self.last(silu(self.norm(self.middle(self.down(h)))))
        return out


class Decoder(nn.Module):
    """Latents to images; arguments as those of :class:`Encoder`, `latent` channels come in."""

    def __init__(
        self,
        latent: int,
        channels: int,
        width: int = 16,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 1,
        attention: bool = False,
    ) -> None:
        super().__init__()
        now = multipliers[-1] * width
        self.first = nn.Conv2d(latent, now, 3, padding=1)
        initialise(self.first)
        self.middle = _middle(now, attention)
        parts: list[nn.Module] = []
        for level, factor in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                parts.append(ResidualBlock(now, factor * width))
                now = factor * width
            if level:
                parts.append(Up(now))
        self.up = nn.Sequential(*parts)
        self.norm = group_norm(now)
        self.last = nn.Conv2d(now, channels, 3, padding=1)
        initialise(self.last)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (N, latent, h, w) to unbounded numbers with the shape of images."""
        h = self.first(latents.contiguous(memory_format=torch.channels_last))
        out: Tensor = self.last(silu(self.norm(self.up(self.middle(h)))))
        return out
