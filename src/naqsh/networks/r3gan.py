r"""Residual generator and discriminator without normalisation, for sides that divide by four.

A block widens, mixes neighbours in groups of channels, and narrows again:

.. math:: y = x + W_3\,\phi(W_2 * \phi(W_1 x + b_1) + b_2)

with 1x1 convolutions :math:`W_1, W_3`, a grouped 3x3 convolution :math:`W_2` and :math:`\phi(u) =
\max(u, u / 5)`. :math:`W_3` begins at 0, so that each block begins as the identity, and the others
with variances that make up for the number of blocks; nothing needs to be normalised.

The published networks have blocks at every side down to 4. These have them at a half and a quarter
of the images' side alone, where they cost least: the image enters by a convolution with stride 2
and leaves by unfolding channels into pixels, as in :mod:`naqsh.networks.convnets`.

References:
    The GAN is dead; long live the GAN! A Modern GAN Baseline (Huang et al., 2024),
    arXiv:2501.05441, section 4 and figure 2.
    Fixup Initialization (Zhang et al., 2019), arXiv:1901.09321, section 3.
"""

import math

from torch import Tensor, nn

from naqsh.core.spec import Shape
from naqsh.networks.conditional import Beside, Chain
from naqsh.networks.convnets import quarter

SLOPE = 0.2
"""Of the activation below 0."""

EXPANSION = 2
"""Channels inside a block over those outside."""

GROUP = 16
"""Channels that a 3x3 convolution mixes."""

EMBEDDING = 32
"""Numbers that stand for a label."""


def _scaled(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Conv2d | nn.Linear:
    """The layer with normal weights of variance gain^2 / inputs, and no bias."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    """(N, width, H, W) to the same shape.

    Args:
        width: channels, a multiple of 8.
        blocks: how many there are in the network, for the scale of the first weights.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        inside = EXPANSION * width
        # Of a block of m layers Fixup scales each but the last by L^(-1/(2m - 2)); m is 3.
        gain = math.sqrt(2 / (1 + SLOPE**2)) * blocks ** (-1 / 4)
        self.widen = _scaled(nn.Conv2d(width, inside, 1), gain)
        groups = max(1, inside // GROUP)
        self.mix = _scaled(nn.Conv2d(inside, inside, 3, padding=1, groups=groups), gain)
        self.narrow = _scaled(nn.Conv2d(inside, width, 1, bias=False), 0.0)
        self.phi = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of the input and what is made of it."""
        y: Tensor = self.narrow(self.phi(self.mix(self.phi(self.widen(x)))))
        return x + y


def generator(
    shape: Shape, latent: int, width: int = 32, blocks: int = 1, classes: int = 0
) -> Chain:
    """The generator.

    Args:
        shape: (C, H, W) of the images; H and W divide by 4.
        latent: size of the latent vector.
        width: channels at half the side, a multiple of 8; there are twice as many at a quarter.
        blocks: at each of the two sides.
        classes: how many labels it is told; 0 for none.

    Returns:
        latents with shape (N, latent) to images in [-1, 1] with shape (N, C, H, W).
    """
    height, side = quarter(shape)
    known = latent + (EMBEDDING if classes else 0)
    layers: dict[str, nn.Module] = {"label": Beside(classes, EMBEDDING)} if classes else {}
    layers["linear"] = _scaled(nn.Linear(known, 2 * width * height * side))
    layers["reshape"] = nn.Unflatten(1, (2 * width, height, side))
    layers |= {f"coarse{n}": Block(2 * width, 2 * blocks) for n in range(blocks)}
    layers["narrow"] = _scaled(nn.Conv2d(2 * width, width, 1))
    layers["up"] = nn.Upsample(scale_factor=2, mode="bilinear")
    layers |= {f"fine{n}": Block(width, 2 * blocks) for n in range(blocks)}
    layers["shuffle"] = nn.PixelShuffle(2)
    layers["conv"] = _scaled(nn.Conv2d(width // 4, shape[0], 3, padding=1))
    layers["tanh"] = nn.Tanh()
    return Chain(layers)


def discriminator(shape: Shape, width: int = 32, blocks: int = 1) -> nn.Sequential:
    """The discriminator.

    Args:
        shape: (C, H, W) of the images; H and W divide by 4.
        width: channels at half the side, a multiple of 8; there are twice as many at a quarter.
        blocks: at each of the two sides.

    Returns:
        images with shape (N, C, H, W) to logits with shape (N,).
    """
    height, side = quarter(shape)
    layers: dict[str, nn.Module] = {
        "conv": _scaled(nn.Conv2d(shape[0], width, 4, stride=2, padding=1))
    }
    layers |= {f"fine{n}": Block(width, 2 * blocks) for n in range(blocks)}
    layers["down"] = nn.AvgPool2d(2)
    layers["widen"] = _scaled(nn.Conv2d(width, 2 * width, 1))
    layers |= {f"coarse{n}": Block(2 * width, 2 * blocks) for n in range(blocks)}
    # A weight for each channel and place, as the published basis: what a mean would throw away.
    basis = nn.Conv2d(2 * width, 2 * width, (height, side), groups=2 * width, bias=False)
    layers["basis"] = _scaled(basis)
    layers["flatten"] = nn.Flatten()
    layers["linear"] = _scaled(nn.Linear(2 * width, 1, bias=False))
    layers["score"] = nn.Flatten(0)
    return Chain(layers)
