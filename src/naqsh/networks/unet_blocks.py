r"""What the U-Net of denoising diffusion models is made of. One residual block is

.. math:: h = \mathrm{conv}_1(s(\mathrm{GN}(x))) + W s(e(t)), \qquad
   y = \mathrm{skip}(x) + \mathrm{conv}_2(\mathrm{dropout}(s(\mathrm{GN}(h))))

with SiLU :math:`s(u) = u\,\sigma(u)`, group normalisation GN, the embedding e of the time, and a
1x1 convolution as skip where widths differ. Self-attention over positions is

.. math:: y = x + P\, \mathrm{softmax}\!\left(q k^\top / \sqrt{d}\right) v, \qquad
   (q, k, v) = W\, \mathrm{GN}(x).

The last convolution of each block and the projection P begin at zero: at first every block is the
identity.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, appendix B.
    Group Normalization (Wu and He, 2018), arXiv:1803.08494.
"""

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual
from torch.nn.functional import pad, silu

from naqsh.networks.attend import attend

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
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        if unpack_dual(wide).tangent is not None:
            wide = wide.contiguous()  # PyTorch's forward derivative is of this layout alone
        return super().forward(wide).to(input.dtype)


def group_norm(channels: int) -> GroupNorm:
    """Group normalisation of `channels`: 32 groups, fewer where they would be small or unequal."""
    groups = next(
        g
        for g in range(min(GROUPS, max(1, channels // LEAST_IN_GROUP)), 0, -1)
        if channels % g == 0
    )
    return GroupNorm(groups, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip; time, where there is one, comes in between them.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        embedding: length of the time's vector; 0 for a block that knows no time.
        dropout: chance that a number before the second convolution is set to 0.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = group_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(embedding, outputs) if embedding else None
        self.norm2 = group_norm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        for layer in (self.conv1, self.time, self.skip):
            initialise(layer)
        initialise(self.conv2, zero=True)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Features (N, inputs, H, W) and SiLU of embeddings (N, D) to (N, outputs, H, W)."""
        h = self.conv1(silu(self.norm1(x)))
        if self.time is not None:
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
        mixed = attend(query, key, value)
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
    """A residual block, with attention behind it or without.

    Args:
        block: of this stage.
        attention: on positions, or on what :meth:`forward` is told, too.
    """

    def __init__(self, block: ResidualBlock, attention: nn.Module | None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(self, x: Tensor, embedding: Tensor, *told: Tensor | None) -> Tensor:
        """As :class:`ResidualBlock`; `told` is passed on to the attention."""
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x, *told)


def initialise(layer: nn.Module | None, zero: bool = False) -> None:
    """The paper's weights: uniform of variance 1 / mean of fan-in and fan-out, or zero; no bias."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        if zero:
            nn.init.zeros_(layer.weight)
        else:
            nn.init.xavier_uniform_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
