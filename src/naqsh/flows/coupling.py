r"""Coupling layers: one half of a vector is changed by what the other half, which is kept, says.

.. math:: z_a = x_a, \qquad z_b = e^{s(x_a)} \odot x_b + t(x_a), \qquad
   \log \left|\det \frac{\partial z}{\partial x}\right| = \sum_j s_j(x_a).

s and t come from a network, the conditioner, which is never undone: both directions cost one pass
of it. With s = 0 the coupling is additive (NICE) and keeps volumes. Else it is affine (RealNVP),
with a factor that only shrinks to speak of,

.. math:: e^s = \ell + (1 - \ell)\, \sigma(\tilde s + 2) / \sigma(2), \qquad \ell = e^{-3}:

between 0.05 and 1.13, and 1 at :math:`\tilde s = 0` (Glow's factor with a floor). Where factors may
grow, an image unlike those of training is thrown farther out by each coupling, and training broke
down on that with :math:`s = B \tanh(\tilde s / B)` and B of 1 or 2. What has to grow, a
normalisation before each coupling or a diagonal scaling after the last can do. A conditioner's last
layer begins at zero, thus a coupling as the identity.

How halves are taken:

* vectors: numbers at even and at odd places, in turns (NICE);
* images: every 2x2 square is taken apart into four channels of half the height and width
  (RealNVP's squeeze). Two of the four on a diagonal are kept, the other two changed, in turns: the
  paper's checkerboard. Then the upper two and the lower two, in turns: its channel masks. The
  conditioner is a convolution over the squares, so the checkerboard's sees half the height and
  width with twice the channels where the paper's sees the whole image with holes.

With several scales the lower half of each square is left alone after one scale, and the upper half
goes on as an image with twice the channels, half the height and half the width.

References:
    NICE (Dinh et al., 2015), arXiv:1410.8516, sections 3.2, 3.3 and 5.1.
    Density estimation using Real NVP (Dinh et al., 2017), arXiv:1605.08803, sections 3.2 to 3.7.
    Glow (Kingma and Dhariwal, 2018), arXiv:1807.03039, whose released code has the sigmoid.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from naqsh.core.spec import Shape
from naqsh.flows.bijection import Bijection
from naqsh.flows.normalise import ActNorm, BatchNormFlow

LEAST = math.exp(-3.0)
"""The least factor of an affine coupling, which bounds what its inverse multiplies by."""

LARGEST = LEAST + (1 - LEAST) * (1 + math.exp(-2.0))
"""Its largest factor, 1.13."""

Normalisation = Literal["none", "actnorm", "batch"]


class Coupling(Bijection):
    """One coupling; the numbers that are neither kept nor changed pass through, unseen.

    Args:
        kept: places that the conditioner sees, int64 with shape (K,).
        changed: places that it changes, int64 with shape (M,).
        conditioner: (N, K) to (N, M), or (N, 2M) for an affine one: t, then s before the sigmoid.
        affine: whether there is an s.
    """

    kept: Tensor
    changed: Tensor

    def __init__(self, kept: Tensor, changed: Tensor, conditioner: nn.Module, affine: bool) -> None:
        super().__init__()
        self.conditioner, self.affine = conditioner, affine
        self.register_buffer("kept", kept, persistent=False)
        self.register_buffer("changed", changed, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Towards the base density; the log-factors of what is not changed are 0."""
        shift, log_scale = self._numbers(x)
        z = x[:, self.changed] * log_scale.exp() + shift
        log_factors = torch.zeros_like(x).index_copy(1, self.changed, log_scale)
        return x.index_copy(1, self.changed, z), log_factors

    def inverse(self, z: Tensor) -> Tensor:
        """Away from the base density, by one pass of the conditioner."""
        shift, log_scale = self._numbers(z)
        x = (z[:, self.changed] - shift) * (-log_scale).exp()
        return z.index_copy(1, self.changed, x)

    def _numbers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """t and s, each with shape (N, M), in the vectors' own precision."""
        numbers: Tensor = self.conditioner(x[:, self.kept]).to(x.dtype)
        if not self.affine:
            return numbers, torch.zeros_like(numbers)
        shift, raw = numbers.chunk(2, dim=1)
        return shift, (LEAST + (LARGEST - LEAST) * (raw + 2).sigmoid()).log()


class Scale(Bijection):
    """Each number times a learnt factor, its logarithm from 0 (Dinh et al., 2015, section 3.3)."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(dimensions))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Towards the base density."""
        return x * self.log_scale.exp(), self.log_scale.expand_as(x)

    def inverse(self, z: Tensor) -> Tensor:
        """Away from the base density."""
        return z * (-self.log_scale).exp()


class Subset(Bijection):
    """A layer of some of the numbers, in an order of its own; the others pass through.

    Args:
        places: of these numbers, int64 with shape (M,).
        layer: of vectors with M numbers.
    """

    places: Tensor

    def __init__(self, places: Tensor, layer: Bijection) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Towards the base density; the log-factors of the others are 0."""
        z, some = self.layer(x[:, self.places])
        log_factors = torch.zeros_like(x).index_copy(1, self.places, some)
        return x.index_copy(1, self.places, z), log_factors

    def inverse(self, z: Tensor) -> Tensor:
        """Away from the base density."""
        return z.index_copy(1, self.places, self.layer.inverse(z[:, self.places]))


class Convolutional(nn.Module):
    """A conditioner of images: 3x3 convolutions with residual blocks, as RealNVP's.

    Args:
        inputs: (channels, height, width) of what it sees, flat.
        outputs: channels of what it gives, flat, of that height and width.
        hidden: channels inside.
        depth: number of residual blocks.
    """

    def __init__(self, inputs: Shape, outputs: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.first = nn.Conv2d(inputs[0], hidden, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(hidden, hidden, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(hidden, hidden, 3, padding=1),
            )
            for _ in range(depth)
        )
        self.last = nn.Conv2d(hidden, outputs, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(_bias(self.last))

    def forward(self, kept: Tensor) -> Tensor:
        """Shape (N, K) to (N, outputs * height * width)."""
        x: Tensor = self.first(kept.view(-1, *self.inputs))
        for block in self.blocks:
            x = x + block(x)
        changes: Tensor = self.last(relu(x))
        return changes.flatten(1)


def dense_conditioner(inputs: int, outputs: int, hidden: int, depth: int) -> nn.Sequential:
    """A conditioner of vectors: `depth` linear layers of `hidden` units with ReLU, and one more."""
    sizes = [inputs, *[hidden] * depth]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    last = nn.Linear(sizes[-1], outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(_bias(last))
    return nn.Sequential(*layers, last)


def dense(
    dimensions: int,
    blocks: int,
    hidden: int,
    depth: int,
    affine: bool = True,
    normalisation: Normalisation = "none",
) -> list[Bijection]:
    """Couplings of vectors, in the order in which an image meets them.

    Args:
        dimensions: D, at least 2.
        blocks: how many couplings; two change everything once.
        hidden: units of a conditioner's layers.
        depth: how many of them a conditioner has.
        affine: whether couplings are affine or additive.
        normalisation: which layer comes before each coupling; with none, a scaling ends it all.
    """
    places = torch.arange(dimensions)
    turns = itertools.cycle([(places[::2], places[1::2]), (places[1::2], places[::2])])
    layers: list[Bijection] = []
    for kept, changed in itertools.islice(turns, blocks):
        layers += _normalised(dimensions, 1, normalisation)
        outputs = len(changed) * (2 if affine else 1)
        conditioner = dense_conditioner(len(kept), outputs, hidden, depth)
        layers.append(Coupling(kept, changed, conditioner, affine))
    return layers if normalisation != "none" else [*layers, Scale(dimensions)]


def convolutional(
    shape: Shape,
    blocks: int,
    hidden: int,
    depth: int,
    scales: int = 1,
    affine: bool = True,
    normalisation: Normalisation = "none",
) -> list[Bijection]:
    """Couplings of images, in the order in which an image meets them.

    Args:
        shape: (C, H, W); H and W divide by 2 to the power of `scales`.
        blocks: couplings of each of the two kinds of masks, on each scale.
        hidden: channels inside the conditioners.
        depth: residual blocks of a conditioner.
        scales: after each but the last, half of what is left goes no further.
        affine: whether couplings are affine or additive.
        normalisation: which layer, of every channel of a squeezed image, precedes each coupling;
            with none, a scaling ends it all.
    """
    _, height, width = shape
    if height % 2**scales or width % 2**scales:
        sides = f"{height}x{width}"
        raise ValueError(f"{scales} scales need sides that divide by {2**scales}, got {sides}")
    layers: list[Bijection] = []
    picture = torch.arange(shape[0] * height * width).view(shape)
    for _ in range(scales):
        squares = squeeze(picture)
        _, channels, high, wide = squares.shape
        for kept, changed in _turns(squares, blocks):
            inner = _normalised(4 * channels, high * wide, normalisation)
            layers += [Subset(squares.flatten(), layer) for layer in inner]
            outputs = 2 * channels * (2 if affine else 1)
            seen = (2 * channels, high, wide)
            conditioner = Convolutional(seen, outputs, hidden, depth)
            layers.append(Coupling(kept, changed, conditioner, affine))
        picture = squares[:2].flatten(0, 1)
    return layers if normalisation != "none" else [*layers, Scale(math.prod(shape))]


def squeeze(picture: Tensor) -> Tensor:
    """Take every 2x2 square apart: (C, H, W) to (4, C, H/2, W/2), the four row by row."""
    channels, height, width = picture.shape
    squares = picture.view(channels, height // 2, 2, width // 2, 2)
    return squares.permute(2, 4, 0, 1, 3).reshape(4, channels, height // 2, width // 2)


def _turns(squares: Tensor, blocks: int) -> Iterator[tuple[Tensor, Tensor]]:
    """What is kept and what is changed: `blocks` checkerboards, then as many channel masks."""
    for one, other in (((0, 3), (1, 2)), ((0, 1), (2, 3))):
        halves = [torch.cat([squares[k] for k in half]).flatten() for half in (one, other)]
        for number in range(blocks):
            yield halves[number % 2], halves[1 - number % 2]


def _normalised(channels: int, pixels: int, normalisation: Normalisation) -> list[Bijection]:
    if normalisation == "none":
        return []
    kind = ActNorm if normalisation == "actnorm" else BatchNormFlow
    return [kind(channels, pixels)]


def _bias(layer: nn.Linear | nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
