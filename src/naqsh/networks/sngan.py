r"""Residual generator and discriminator of small images, the latter with a second head for turns.

Both work at sides that divide by eight: 28x28 is padded to 32x32 with black where it enters the
discriminator, and cut back where it leaves the generator, so that the border is nobody's to learn.
With w channels in the discriminator and 2w in the generator, 128 and 256 as published:

- generator: linear to 2w at an eighth of the side, batch normalisation; three blocks, each doubling
  the side; batch normalisation, ReLU, 3x3 convolution, tanh.
- discriminator: two blocks that halve the side, two that keep it; ReLU, *sum* over positions; a
  linear layer to the score, another to four angles.

A block is the sum of two 3x3 convolutions and a skip. In the generator the skip is the block's
input with every pixel repeated; in the discriminator it is the mean of 2x2 pixels, then a 1x1
convolution, or the input itself where the side stays. The means are taken without padding: with a
border of one, as one published table has it, 32 would become 17. Spectral normalisation is left to
the method.

References:
    Self-Supervised GANs via Auxiliary Rotation Loss (Chen et al., 2019), arXiv:1811.11212.
    Spectral Normalization for GANs (Miyato et al., 2018), arXiv:1802.05957, table 4.
"""

import math

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from naqsh.core.spec import Shape
from naqsh.networks.conditional import Chain, Labelled, batch_norm
from naqsh.networks.heads import Headed

MULTIPLE = 8
"""What both sides divide by inside the networks."""

TURNS = 4
"""Angles that are told apart: 0, 90, 180 and 270 degrees."""

BLACK = -1.0


def _border(shape: Shape) -> tuple[int, int, int, int]:
    """Pixels to the left, right, top and bottom that bring both sides to the next multiple."""
    above, beside = (-side % MULTIPLE for side in shape[1:])
    return beside // 2, beside - beside // 2, above // 2, above - above // 2


def _conv(inputs: int, outputs: int, size: int = 3, gain: float = math.sqrt(2)) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    return layer


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    return layer


class Up(Labelled):
    """A block of the generator: (N, width, H, W) to (N, width, 2H, 2W).

    Args:
        width: channels.
        classes: how many labels its normalisation is told; 0 for none.
    """

    def __init__(self, width: int, classes: int = 0) -> None:
        super().__init__()
        self.norm1, self.conv1 = batch_norm(width, classes, 2), _conv(width, width)
        self.norm2, self.conv2 = batch_norm(width, classes, 2), _conv(width, width)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Both ways to twice the side, added."""
        told = () if labels is None else (labels,)
        wide = interpolate(relu(self.norm1(x, *told)), scale_factor=2)
        y: Tensor = self.conv2(relu(self.norm2(self.conv1(wide), *told)))
        return y + interpolate(x, scale_factor=2)


class Down(nn.Module):
    """A block of the discriminator.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        halve: whether it halves the sides.
        first: whether it sees the image itself, which no ReLU may cut.
    """

    def __init__(self, inputs: int, outputs: int, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.conv1, self.conv2 = _conv(inputs, outputs), _conv(outputs, outputs)
        self.skip = _conv(inputs, outputs, 1, gain=1.0) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W), or to half the sides."""
        y: Tensor = self.conv1(x if self.first else relu(x))
        y = self.conv2(relu(y))
        if self.halve:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        skipped: Tensor = self.skip(x)
        return y + skipped


def generator(shape: Shape, latent: int, width: int = 256, classes: int = 0) -> Chain:
    """The generator.

    Args:
        shape: (C, H, W) of the images.
        latent: size of the latent vector.
        width: channels throughout.
        classes: how many labels its normalisation is told; 0 for none.

    Returns:
        latents with shape (N, latent) to images in [-1, 1] with shape (N, C, H, W).
    """
    border = _border(shape)
    across, down = (-(-side // MULTIPLE) for side in (shape[2], shape[1]))
    layers: dict[str, nn.Module] = {
        "linear": _linear(latent, width * down * across),
        "norm1": batch_norm(width * down * across, classes, 1),
        "reshape": nn.Unflatten(1, (width, down, across)),
        "up1": Up(width, classes),
        "up2": Up(width, classes),
        "up3": Up(width, classes),
        "norm2": batch_norm(width, classes, 2),
        "relu": nn.ReLU(inplace=True),
        "conv": _conv(width, shape[0], gain=1.0),
        "tanh": nn.Tanh(),
    }
    if any(border):
        left, right, top, bottom = border
        layers["cut"] = nn.ConstantPad2d((-left, -right, -top, -bottom), 0.0)
    return Chain(layers)


class Angles(nn.Module):
    """Says by which angle (C, H, W) images were turned, with `width` channels throughout."""

    def __init__(self, shape: Shape, width: int = 128) -> None:
        super().__init__()
        border = _border(shape)
        self.pad = nn.ConstantPad2d(border, BLACK) if any(border) else nn.Identity()
        self.blocks = nn.Sequential(
            Down(shape[0], width, halve=True, first=True),
            Down(width, width, halve=True),
            Down(width, width, halve=False),
            Down(width, width, halve=False),
        )
        self.turn = _linear(width, TURNS)

    def features(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] with shape (N, C, H, W) to what a head sees, shape (N, width)."""
        return relu(self.blocks(self.pad(images))).sum(dim=(2, 3))

    def turns(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] with shape (N, C, H, W) to logits of the four angles, shape (N, 4)."""
        logits: Tensor = self.turn(self.features(images))
        return logits


class Discriminator(Angles, Headed):
    """The same network with a score beside the angles: the discriminator."""

    def __init__(self, shape: Shape, width: int = 128) -> None:
        super().__init__(shape, width)
        self.score = _linear(width, 1)
