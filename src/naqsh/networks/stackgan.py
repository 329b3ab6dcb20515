r"""The networks of StackGAN: sentences to small images, and small images to larger ones.

A caption's embedding becomes a condition c by *conditioning augmentation*: a linear layer gives
:math:`\mu` and :math:`\log \sigma`, and :math:`c = \mu + \sigma \epsilon`. Neither has an
activation: released code has one on both (leaky, or a ReLU by which every sigma is at least 1).
With w the generator's width and d the discriminator's, squares of side :math:`4 \cdot 2^k`:

- stage I: (z, c) to 8w channels of 4x4 by a linear layer; k doublings, each to half the channels;
  a 3x3 convolution to the image, tanh.
- stage II: a 3x3 convolution of stage I's image to w channels, two 4x4 ones of stride 2 to 4w at a
  quarter of its side; c beside them at every place, a 3x3 convolution; residual blocks; doublings
  up to stage II's side, each to half the channels; a 3x3 convolution to the image, tanh.
- discriminator of either: 4x4 convolutions of stride 2 down to 4x4, the first to d channels, each
  further one to twice as many, then 3x3 ones back to 8d where there are more; the caption,
  compressed by a linear layer of its own, beside them at every place; a 1x1 convolution and a 4x4
  one to the score.

Batch normalisation and an activation (ReLU, leaky ReLU of slope 0.2 in discriminators) stand after
every layer but the last and, without normalisation, the first one that sees an image. Weights begin
from N(0, 0.02). Of the two released codes, which differ, this is the plainer one, with the paper's
1x1 convolution and compressed caption.

References:
    StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative Adversarial Networks
    (Zhang et al., 2017), arXiv:1612.03242, sections 3.2 to 3.4.
"""

from collections.abc import Iterator
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from naqsh.core.spec import Shape
from naqsh.networks.instance import initialise

Upsample = Literal["nearest", "shuffle"]
"""How features are doubled: every pixel repeated before a convolution, or channels unfolded into
pixels after one of four times as many. The arithmetic is the same, the second has four times the
weights."""

COARSEST = 4
"""Side of the coarsest features."""


def doublings(shape: Shape) -> int:
    """How often 4x4 is doubled to the images' sides.

    Raises:
        ValueError: images are not square, or of another side than 8, 16, 32, 64, …
    """
    _, height, width = shape
    times = (height // COARSEST).bit_length() - 1
    if height != width or height != COARSEST << max(1, times):
        raise ValueError(
            f"sides must be equal and 8, 16, 32, 64, …, got {height}x{width}; give data.size, e.g. "
            "32"
        )
    return times


class Condition(NamedTuple):
    """What a generator is told of a caption.

    Attributes:
        c: the draw, shape (N, d).
        mu: its mean.
        log_sigma: the logarithm of its deviation.
    """

    c: Tensor
    mu: Tensor
    log_sigma: Tensor

    @property
    def kl(self) -> Tensor:
        """KL(N(mu, sigma^2) || N(0, I)) a dimension in nats, averaged over the batch."""
        mu, log_sigma = self.mu.float(), self.log_sigma.float()
        return (((2 * log_sigma).exp() + mu.square() - 1) / 2 - log_sigma).mean()


class Conditioning(nn.Module):
    """Conditioning augmentation.

    Args:
        caption: numbers in an embedding.
        size: numbers in a condition.
    """

    def __init__(self, caption: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(caption, 2 * size)

    def forward(self, captions: Tensor, chance: Tensor) -> Condition:
        """Embeddings (N, caption) and standard normal numbers (N, size) to conditions."""
        mu, log_sigma = self.linear(captions).float().chunk(2, dim=1)
        return Condition(mu + log_sigma.exp() * chance, mu, log_sigma)


class StageOne(nn.Module):
    """The generator of small images.

    Args:
        shape: (C, H, W) of the images.
        caption: numbers in a caption's embedding.
        latent: numbers in z.
        condition: numbers in c.
        width: channels of the features at an eighth of the 512 that 4x4 has for 64.
        upsample: how features are doubled.

    Raises:
        ValueError: there is no such network for that shape.
    """

    def __init__(
        self,
        shape: Shape,
        caption: int,
        latent: int,
        condition: int,
        width: int,
        upsample: Upsample = "nearest",
    ) -> None:
        super().__init__()
        times, widest = doublings(shape), 8 * width
        self.conditioning = Conditioning(caption, condition)
        flat = widest * COARSEST**2
        self.coarse = nn.Sequential(
            nn.Linear(latent + condition, flat, bias=False),
            nn.BatchNorm1d(flat),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (widest, COARSEST, COARSEST)),
        )
        self.decoder = _decoder(widest, times, shape[0], upsample)
        initialise(self)

    def forward(self, z: Tensor, captions: Tensor, chance: Tensor) -> tuple[Tensor, Condition]:
        """Images in [-1, 1] with shape (N, C, H, W), and their conditions.

        Args:
            z: standard normal numbers, shape (N, latent).
            captions: embeddings, shape (N, caption).
            chance: standard normal numbers, shape (N, condition).
        """
        condition = self.conditioning(captions, chance)
        images: Tensor = self.decoder(self.coarse(torch.cat([z, condition.c], dim=1)))
        return images, condition


class StageTwo(nn.Module):
    """The generator that makes stage I's images larger, once more told what they show.

    Args:
        small: (C, h, w) of stage I's images.
        shape: (C, H, W) of its own, H at least twice h.
        caption: numbers in a caption's embedding.
        condition: numbers in c.
        width: channels of the features at stage I's side.
        blocks: residual blocks; published are 4 for 256 pixels.
        upsample: how features are doubled.

    Raises:
        ValueError: there is no such network for these shapes.
    """

    def __init__(
        self,
        small: Shape,
        shape: Shape,
        caption: int,
        condition: int,
        width: int,
        blocks: int,
        upsample: Upsample = "nearest",
    ) -> None:
        super().__init__()
        larger = doublings(shape) - doublings(small)
        if larger < 1 or small[0] != shape[0]:
            raise ValueError(
                f"stage I makes images of {small[1]}x{small[2]}x{small[0]}, and these have "
                f"{shape[1]}x{shape[2]}x{shape[0]}: they must be of twice or four times that side "
                "and of as many channels; give data.size or another stage I"
            )
        wide = 4 * width
        self.conditioning = Conditioning(caption, condition)
        self.encoder = nn.Sequential(
            nn.Conv2d(small[0], width, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            *_layer(width, 2 * width, 4, stride=2),
            *_layer(2 * width, wide, 4, stride=2),
        )
        self.joint = nn.Sequential(*_layer(wide + condition, wide, 3))
        self.residual = nn.Sequential(*(Block(wide) for _ in range(blocks)))
        self.decoder = _decoder(wide, 2 + larger, shape[0], upsample)
        initialise(self)

    def forward(self, small: Tensor, captions: Tensor, chance: Tensor) -> tuple[Tensor, Condition]:
        """Images in [-1, 1] with shape (N, C, H, W), and their conditions.

        Args:
            small: stage I's images in [-1, 1], shape (N, C, h, w).
            captions: embeddings, shape (N, caption).
            chance: standard normal numbers, shape (N, condition).
        """
        condition = self.conditioning(captions, chance)
        joint = self.joint(_beside(self.encoder(small), condition.c))
        images: Tensor = self.decoder(self.residual(joint))
        return images, condition


class Block(nn.Module):
    """Two convolutions beside a skip, and a ReLU after the sum.

    Args:
        channels: in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *_layer(channels, channels, 3),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, channels, H, W) to features of that shape."""
        changed: Tensor = self.inner(x)
        return (x + changed).relu()


class Discriminator(nn.Module):
    """Scores whether an image is real and shows what its caption says.

    Args:
        shape: (C, H, W) of the images.
        caption: numbers in a caption's embedding.
        text: numbers that it compresses one to.
        width: channels of its first layer.
        normalised: with batch normalisation, by which a score depends on other images, too.

    Raises:
        ValueError: there is no such network for that shape.
    """

    def __init__(
        self, shape: Shape, caption: int, text: int, width: int, normalised: bool = True
    ) -> None:
        super().__init__()
        layer = partial(_layer, leaky=True, normalised=normalised)
        layers: list[nn.Module] = [
            nn.Conv2d(shape[0], width, 4, stride=2, padding=1, bias=not normalised),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        channels = width
        for _ in range(doublings(shape) - 1):
            layers += layer(channels, 2 * channels, 4, stride=2)
            channels *= 2
        while channels > 8 * width:
            layers += layer(channels, channels // 2, 3)
            channels //= 2
        self.image = nn.Sequential(*layers)
        self.text = nn.Sequential(nn.Linear(caption, text), nn.LeakyReLU(0.2, inplace=True))
        self.joint = nn.Sequential(*layer(channels + text, channels, 1))
        self.score = nn.Conv2d(channels, 1, COARSEST)
        if normalised:
            initialise(self)
        else:
            _keep_deviations(self)

    def features(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] with shape (N, C, H, W) to features with shape (N, channels, 4, 4)."""
        seen: Tensor = self.image(images)
        return seen

    def judge(self, features: Tensor, captions: Tensor) -> Tensor:
        """Features and embeddings (N, caption) to logits of being real and right, shape (N,)."""
        logits: Tensor = self.score(self.joint(_beside(features, self.text(captions))))
        return logits.flatten().float()


def _beside(features: Tensor, vectors: Tensor) -> Tensor:
    """Features with vectors (N, d) beside them at every place."""
    spread = vectors[:, :, None, None].expand(-1, -1, *features.shape[2:])
    return torch.cat([features, spread.to(features.dtype)], dim=1)


def _keep_deviations(network: nn.Module) -> None:
    """Weights of He et al. (2015, arXiv:1502.01852) for slopes of 0.2, biases 0.

    From N(0, 0.02) a network without normalisation gives next to nothing, and hardly learns.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, 0.2)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


def _layer(
    inputs: int,
    outputs: int,
    size: int,
    stride: int = 1,
    leaky: bool = False,
    normalised: bool = True,
) -> Iterator[nn.Module]:
    """A convolution that keeps the sides, or halves them, with normalisation and activation."""
    padding = (size - 1) // 2
    yield nn.Conv2d(inputs, outputs, size, stride, padding=padding, bias=not normalised)
    if normalised:
        yield nn.BatchNorm2d(outputs)
    yield nn.LeakyReLU(0.2, inplace=True) if leaky else nn.ReLU(inplace=True)


def _decoder(inputs: int, times: int, colours: int, upsample: Upsample) -> nn.Sequential:
    """Doublings, each to half the channels, then the image."""
    layers: list[nn.Module] = []
    for _ in range(times):
        outputs = max(1, inputs // 2)
        layers += _doubled(inputs, outputs, upsample)
        inputs = outputs
    return nn.Sequential(*layers, nn.Conv2d(inputs, colours, 3, padding=1, bias=False), nn.Tanh())


def _doubled(inputs: int, outputs: int, upsample: Upsample) -> Iterator[nn.Module]:
    """Features of twice the sides."""
    if upsample == "nearest":
        yield nn.Upsample(scale_factor=2)
        yield from _layer(inputs, outputs, 3)
        return
    yield nn.Conv2d(inputs, 4 * outputs, 3, padding=1, bias=False)
    yield nn.PixelShuffle(2)
    yield nn.BatchNorm2d(outputs)
    yield nn.ReLU(inplace=True)
