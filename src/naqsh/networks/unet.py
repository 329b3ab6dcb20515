r"""The U-Net of denoising diffusion models: a noisy image and its time in, an image out.

Each level has residual blocks of one width (:mod:`naqsh.networks.unet_blocks`), then halves the
image; the way back up joins what each block on the way down has left. The time embedding is
sinusoidal and goes through two layers; a class adds a learnt vector to it, a caption that of its
embedding (:func:`naqsh.networks.conditional.embedding`). At chosen resolutions
and in the middle a block is followed by self-attention over positions. The network's last
convolution begins at zero, and so does its output.

Convolutions and attention know places by the image's edge alone. Where a network is told what
stands where, a map that is learnt, zero at first, may be added to what the first layer gives.

A class or a caption may be told by tokens instead: then nothing of it is added to the time, and
every attention is a transformer block with cross-attention to them
(:mod:`naqsh.networks.attention`).

With base 128, multipliers 1, 2, 2, 2, two blocks a level, attention at 16x16 and three channels it
is the paper's network for CIFAR-10 with 35,746,307 parameters.

The finest level takes most of the time and holds few of the parameters, so on a CPU a small network
should be narrow there: on MNIST, after a minute of one core, widths 16-32-64 had a loss of 0.050,
widths 32-64-64 one of 0.066, and 64-64 on patches of 2x2 pixels one of 0.060.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, appendix B.
    U-Net (Ronneberger et al., 2015), arXiv:1505.04597.
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598: the class "none".
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from naqsh.core.spec import Shape
from naqsh.networks import conditional
from naqsh.networks.attention import CrossAttention
from naqsh.networks.embeddings import Sinusoidal
from naqsh.networks.unet_blocks import (
    Down,
    ResidualBlock,
    SelfAttention,
    Stage,
    Up,
    group_norm,
    initialise,
)


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
        captions: numbers in the embeddings of captions that it may be conditioned on; 0 for none.
        tokens: that it is told a class or a caption by; 0 adds it to the time.
        places: whether a learnt number for each place and channel is added to the first features.

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
        captions: int = 0,
        tokens: int = 0,
        places: bool = False,
    ) -> None:
        super().__init__()
        channels, height, side = shape
        _check(height, side, len(multipliers))
        self.shape = shape
        length = 4 * width
        self.embed = nn.Sequential(
            Sinusoidal(width), nn.Linear(width, length), nn.SiLU(), nn.Linear(length, length)
        )
        for layer in self.embed:
            initialise(layer)
        self.tokens, context = tokens, 2 * width
        self.label = conditional.embedding(classes, captions, tokens * context or length)

        def attend(width: int) -> SelfAttention | CrossAttention:
            if self.label is not None and tokens:
                return CrossAttention(width, context, heads)
            return SelfAttention(width, heads)

        def stage(inputs: int, width: int, attends: bool) -> Stage:
            block = ResidualBlock(inputs, width, length, dropout)
            return Stage(block, attend(width) if attends else None)

        self.first = nn.Conv2d(channels, width, 3, padding=1)
        initialise(self.first)
        self.places = nn.Parameter(torch.zeros(width, height, side)) if places else None
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

    @property
    def null(self) -> int | Tensor:
        """What stands for no label or caption, of a network that is told one."""
        assert self.label is not None
        return conditional.null(self.label)

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """One evaluation.

        Args:
            x: noisy images with shape (N, C, H, W).
            time: real numbers with shape (N,); the embedding tells them apart best where they
                spread over 0 to 1000.
            labels: int64 with shape (N,), or captions' embeddings, float32 (N, captions); `null` in
                place of one for none, None where no image has one.

        Returns:
            what the network was trained to tell, shape (N, outputs, H, W).

        Raises:
            ValueError: `labels` are None, and it is told by tokens.
        """
        embedding = self.embed(time)
        told: tuple[Tensor | None, ...] = ()
        if self.label is not None and self.tokens:
            # None is refused by what looks at it.
            told = (None if labels is None else self.label(labels).unflatten(1, (self.tokens, -1)),)
        elif self.label is not None:
            if labels is None:
                labels = conditional.repeated(self.null, len(x), x.device)
            embedding = embedding + self.label(labels)
        # Every block begins by the same SiLU of the same vector.
        embedding = silu(embedding)
        h = self.first(x.contiguous(memory_format=torch.channels_last))
        if self.places is not None:
            h = h + self.places
        left = [h]
        for part in self.down:
            h = part(h) if isinstance(part, Down) else part(h, embedding, *told)
            left.append(h)
        for part in self.middle:
            h = part(h, embedding, *told)
        for part in self.up:
            if isinstance(part, Up):
                h = part(h)
            else:
                h = part(torch.cat([h, left.pop()], 1), embedding, *told)
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
