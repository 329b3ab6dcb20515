r"""The U-Net of denoising diffusion models: a noisy image and its time in, an image out.

Each level has residual blocks of one width, then halves the image; the way back up joins what
each block on the way down has left. One residual block is

.. math:: h = \mathrm{conv}_1(s(\mathrm{GN}(x))) + W s(e(t)), \qquad
   y = \mathrm{skip}(x) + \mathrm{conv}_2(\mathrm{dropout}(s(\mathrm{GN}(h))))

with SiLU :math:`s(u) = u\,\sigma(u)`, group normalisation GN and a 1x1 convolution as skip where
widths differ. The time embedding e is sinusoidal and goes through two layers; a class adds a learnt
vector to it. At chosen resolutions and in the middle a block is followed by self-attention over
positions,

.. math:: y = x + P\, \mathrm{softmax}\!\left(q k^\top / \sqrt{d}\right) v, \qquad
   (q, k, v) = W\, \mathrm{GN}(x).

The last convolution of each block, the projection P and the network's last convolution begin at
zero: at first every block is the identity and the network's output is zero.

With base 128, multipliers 1, 2, 2, 2, two blocks a level, attention at 16x16 and three channels it
is the paper's network for CIFAR-10 with 35,746,307 parameters.

The finest level takes most of the time and holds few of the parameters, so on a CPU a small network
should be narrow there: on MNIST, after a minute of one core, widths 16-32-64 had a loss of 0.050,
widths 32-64-64 one of 0.066, and 64-64 on patches of 2x2 pixels one of 0.060.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, appendix B.
    U-Net (Ronneberger et al., 2015), arXiv:1505.04597.
    Group Normalization (Wu and He, 2018), arXiv:1803.08494.
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598: the class "none".
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention, silu

from naqsh.core.spec import Shape
from naqsh.networks.embeddings import Sinusoidal

GROUPS = 32
"""Groups of channels that are normalised together, or the most that divide the channels."""

LEAST_IN_GROUP = 4
"""A group of fewer channels would take most of a narrow layer's mean and scale away."""


class GroupNorm(nn.GroupNorm):
    """Group normalisation in float32, whatever comes in, as CUDA's autocast does it.

    On a CPU the kernel for bfloat16 took five times as long, half of a whole training step.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Features (N, C, H, W) to features of that shape and type."""
        wide = torch.promote_types(input.dtype, torch.float32)
        return super().forward(input.to(wide)).to(input.dtype)


def group_norm(channels: int) -> GroupNorm:
    """Group normalisation of `channels`: 32 groups, fewer where they would be small or unequal."""
    groups = next(
        g
        for g in range(min(GROUPS, max(1, channels // LEAST_IN_GROUP)), 0, -1)
        if channels % g == 0
    )
    return GroupNorm(groups, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip; time comes in between them.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        embedding: length of the time's vector.
        dropout: chance that a number before the second convolution is set to 0.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = group_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(embedding, outputs)
        self.norm2 = group_norm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        for layer in (self.conv1, self.time, self.skip):
            initialise(layer)
        initialise(self.conv2, zero=True)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Features (N, inputs, H, W) and SiLU of embeddings (N, D) to (N, outputs, H, W)."""
        h = self.conv1(silu(self.norm1(x)))
        h = h + self.time(embedding)[:, :, None, None]
        h = self.conv2(self.dropout(silu(self.norm2(h))))
        out: Tensor = self.skip(x) + h
        return out


class SelfAttention(nn.Module):
    """Attention of every position on all positions, added to what came in.

    Args:
        channels: in and out.
        heads: parts of the channels that attend each for itself; they divide the channels.
    """

    def __init__(self, channels: int, heads: int = 1) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{heads} attention heads do not divide {channels} channels")
        self.heads = heads
        self.norm = group_norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)
        # Three square matrices in one: each is initialised as itself.
        for part in self.qkv.weight.detach().chunk(3):
            nn.init.xavier_uniform_(part)
        nn.init.zeros_(self.qkv.bias)
        initialise(self.projection, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features with shape (N, C, H, W) to features of that shape."""
        count, channels, height, width = x.shape
        # With channels last in memory this is a view: positions are rows of a matrix.
        rows = self.norm(x).permute(0, 2, 3, 1).reshape(count, height * width, channels)
        qkv = self.qkv(rows).view(count, height * width, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value)
        mixed = self.projection(mixed.transpose(1, 2).reshape(count, height * width, channels))
        out: Tensor = x + mixed.view(count, height, width, channels).permute(0, 3, 1, 2)
        return out


class Down(nn.Module):
    """Half the sides by a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)
        initialise(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to (N, C, H/2, W/2)."""
        # The released code pads below and to the right only: TensorFlow's "same" at stride 2.
        out: Tensor = self.conv(pad(x, (0, 1, 0, 1)))
        return out


class Up(nn.Module):
    """Twice the sides by repeating pixels, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        initialise(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to (N, C, 2H, 2W)."""
        out: Tensor = self.conv(self.enlarge(x))
        return out


class Stage(nn.Module):
    """A residual block, with self-attention behind it or without."""

    def __init__(self, block: ResidualBlock, attention: SelfAttention | None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """As :class:`ResidualBlock`."""
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x)


class UNet(nn.Module):
    """The network of :mod:`naqsh.networks.unet`.

    Args:
        shape: (C, H, W) of the images; H and W divide by 2 for each level but the last.
        width: channels of the first level.
        multipliers: the width of each level over `width`, finest first.
        blocks: residual blocks a level on the way down; one more on the way up.
        attention: the sides of the levels that attend; the middle always does.
        heads: of each attention.
        dropout: in each residual block.
        classes: labels that it may be conditioned on; 0 for none. Label `classes` means "none".
        outputs: channels that come out; by default those that go in.

    Raises:
        ValueError: sizes that do not fit, with what would.
    """

    def __init__(
        self,
        shape: Shape,
        width: int = 16,
        multipliers: Sequence[int] = (1, 2, 6),
        blocks: int = 1,
        attention: Sequence[int] = (),
        heads: int = 1,
        dropout: float = 0.0,
        classes: int = 0,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        channels, height, side = shape
        _check(height, side, len(multipliers))
        self.shape, self.classes = shape, classes
        length = 4 * width
        self.embed = nn.Sequential(
            Sinusoidal(width), nn.Linear(width, length), nn.SiLU(), nn.Linear(length, length)
        )
        for layer in self.embed:
            initialise(layer)
        self.label = nn.Embedding(classes + 1, length) if classes else None

        def stage(inputs: int, width: int, attends: bool) -> Stage:
            block = ResidualBlock(inputs, width, length, dropout)
            return Stage(block, SelfAttention(width, heads) if attends else None)

        self.first = nn.Conv2d(channels, width, 3, padding=1)
        initialise(self.first)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        left, now = [width], width
        sizes = [height >> level for level in range(len(multipliers))]
        for level, factor in enumerate(multipliers):
            for _ in range(blocks):
                self.down.append(stage(now, factor * width, sizes[level] in attention))
                now = factor * width
                left.append(now)
            if level < len(multipliers) - 1:
                self.down.append(Down(now))
                left.append(now)
        self.middle = nn.ModuleList([stage(now, now, True), stage(now, now, False)])
        for level, factor in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                after = factor * width
                self.up.append(stage(now + left.pop(), after, sizes[level] in attention))
                now = after
            if level:
                self.up.append(Up(now))
        self.norm = group_norm(now)
        outputs = channels if outputs is None else outputs
        self.last = nn.Conv2d(now, outputs, 3, padding=1)
        initialise(self.last, zero=True)
        # On a CPU a convolution of this layout was 1.2 to 2.5 times as fast, by its size.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """One evaluation.

        Args:
            x: noisy images with shape (N, C, H, W).
            time: real numbers with shape (N,); the embedding tells them apart best where they
                spread over 0 to 1000.
            labels: int64 with shape (N,), `classes` for no class; None where no image has one.

        Returns:
            what the network was trained to tell, shape (N, outputs, H, W).
        """
        embedding = self.embed(time)
        if self.label is not None:
            if labels is None:
                labels = torch.full_like(time, self.classes, dtype=torch.int64)
            embedding = embedding + self.label(labels)
        # Every block begins by the same SiLU of the same vector.
        embedding = silu(embedding)
        h = self.first(x.contiguous(memory_format=torch.channels_last))
        left = [h]
        for part in self.down:
            h = part(h) if isinstance(part, Down) else part(h, embedding)
            left.append(h)
        for part in self.middle:
            h = part(h, embedding)
        for part in self.up:
            h = part(h) if isinstance(part, Up) else part(torch.cat([h, left.pop()], 1), embedding)
        out: Tensor = self.last(silu(self.norm(h)))
        return out


def _check(height: int, side: int, levels: int) -> None:
    """Levels must halve evenly: an image that came back smaller could not be joined to its own."""
    if levels < 1:
        raise ValueError("a U-Net needs at least one multiplier")
    step = 2 ** (levels - 1)
    if height % step or side % step:
        raise ValueError(
            f"{levels} levels need sides that divide by {step}, got {height}x{side}; give "
            f"data.size, e.g. {max(1, round(height / step)) * step}, or fewer multipliers"
        )


def initialise(layer: nn.Module, zero: bool = False) -> None:
    """The paper's weights: uniform of variance 1 / mean of fan-in and fan-out, or zero; no bias."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        if zero:
            nn.init.zeros_(layer.weight)
        else:
            nn.init.xavier_uniform_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
