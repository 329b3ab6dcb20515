r"""The RefineNet of noise conditional score networks, whose normalisation is told the level.

On the way down four stages of two residual blocks, of which the second halves the image; the third
and fourth see farther by dilated convolutions instead. On the way up four refining blocks: each
joins what its stage left with what comes from below, and adds to it what it pools around each
pixel. Everywhere before a convolution stands InstanceNorm++,

.. math:: \hat x_c = \frac{x_c - \mu_c}{\sigma_c}, \quad
   m_c = \frac{\mu_c - \bar\mu}{\sqrt{v + 10^{-5}}}, \quad
   y_c = \gamma_c (\hat x_c + a_c m_c) + \beta_c,

with :math:`\mu_c, \sigma_c` of channel c over an image's pixels, and the mean :math:`\bar\mu` and
unbiased variance v of these means over channels. Instance normalisation alone loses the means: an
image could not tell how bright it is. The three numbers a channel are learnt for each level of
noise; between two levels they lie on a line.

On digits of 16x16 the U-Net is the better: after 250 steps of 16 of ncsn-digits the loss on test
images was 0.138 with it, 0.185 with a RefineNet of width 16, which took three times as long a step
on one core (0.15 s, 519 thousand parameters; the U-Net's 0.05 s, 636 thousand). One training each.

Of width 64 it has 7.6 million parameters for one channel and 10 levels; of width 128, for three
channels and one level, 29.7 million.

References:
    Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon, 2019),
    arXiv:1907.05600, appendix A.
    RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic Segmentation (Lin et
    al., 2017), arXiv:1611.06612.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, elu, interpolate

from naqsh.core.spec import Shape


class InstanceNormPlus(nn.Module):
    """InstanceNorm++, conditional on a level.

    Args:
        channels: of the features.
        levels: how many there are; 1 for a network that is not told.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.of_level = nn.Embedding(levels, 3 * channels)
        with torch.no_grad():
            self.of_level.weight.normal_(1.0, 0.02)
            self.of_level.weight[:, 2 * channels :] = 0

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Features (N, C, H, W) at real levels (N,), from 0, to features of that shape."""
        variances, means = torch.var_mean(x, (2, 3), correction=0)
        spread, middle = torch.var_mean(means, 1, keepdim=True)
        scale, shifted, shift = self._at(level).chunk(3, 1)
        far = (means - middle) / (spread + 1e-5).sqrt()
        # One pass over the image: y = scale (x - mean) / deviation + the rest.
        scale_of_x = scale / (variances + 1e-5).sqrt()
        rest = scale * shifted * far + shift - scale_of_x * means
        return x * scale_of_x[:, :, None, None] + rest[:, :, None, None]

    def _at(self, level: Tensor) -> Tensor:
        """The numbers of each level (N, 3C)."""
        last = self.of_level.num_embeddings - 1
        level = level.clamp(0, last)
        low = level.floor()
        here, above = self.of_level(low.long()), self.of_level((low + 1).clamp(max=last).long())
        return torch.lerp(here, above, (level - low)[:, None])


class Residual(nn.Module):
    """Two convolutions beside a skip.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        levels: of the normalisation.
        dilation: of its convolutions.
        coarser: whether it begins a coarser stage: the image is halved, unless convolutions are
            dilated instead, and the skip is a convolution too.
    """

    def __init__(
        self, inputs: int, outputs: int, levels: int, dilation: int = 1, coarser: bool = False
    ) -> None:
        super().__init__()
        between = inputs if coarser else outputs
        self.norm1 = InstanceNormPlus(inputs, levels)
        self.conv1 = _conv(inputs, between, dilation)
        self.norm2 = InstanceNormPlus(between, levels)
        self.conv2 = _conv(between, outputs, dilation)
        self.halves = coarser and dilation == 1
        self.skip: nn.Module = nn.Identity()
        if self.halves:
            self.skip = nn.Conv2d(inputs, outputs, 1)
        elif coarser or inputs != outputs:
            self.skip = _conv(inputs, outputs, dilation)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Features (N, inputs, H, W) to (N, outputs, H, W), or half the sides."""
        h = self.conv1(elu(self.norm1(x, level)))
        h = self.conv2(elu(self.norm2(h, level)))
        out: Tensor = self.skip(x) + h
        return avg_pool2d(out, 2) if self.halves else out


class Convolved(nn.Module):
    """Residual units of two convolutions each, RefineNet's adaptation of what comes in.

    Args:
        channels: in and out.
        units: how many.
        levels: of the normalisation.
    """

    def __init__(self, channels: int, units: int, levels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(InstanceNormPlus(channels, levels) for _ in range(2 * units))
        self.convs = nn.ModuleList(_conv(channels, channels, bias=False) for _ in range(2 * units))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Features (N, C, H, W) to features of that shape."""
        for i in range(0, len(self.convs), 2):
            h = x
            for norm, conv in zip(self.norms[i : i + 2], self.convs[i : i + 2], strict=True):
                h = conv(elu(norm(h, level)))
            x = x + h
        return x


class Refine(nn.Module):
    """Features of several sizes to one of the first's size; pooled surroundings are added.

    Args:
        inputs: channels of each.
        outputs: channels that go out.
        levels: of the normalisation.
        units: residual units at the end.
    """

    def __init__(self, inputs: Sequence[int], outputs: int, levels: int, units: int = 1) -> None:
        super().__init__()
        self.adapt = nn.ModuleList(Convolved(channels, 2, levels) for channels in inputs)
        several = inputs if len(inputs) > 1 else ()
        self.join_norms = nn.ModuleList(InstanceNormPlus(channels, levels) for channels in several)
        self.join_convs = nn.ModuleList(_conv(channels, outputs) for channels in several)
        self.pool_norms = nn.ModuleList(InstanceNormPlus(outputs, levels) for _ in range(2))
        self.pool_convs = nn.ModuleList(_conv(outputs, outputs, bias=False) for _ in range(2))
        self.end = Convolved(outputs, units, levels)

    def forward(self, features: Sequence[Tensor], level: Tensor) -> Tensor:
        """Features (N, C_i, H_i, W_i) to (N, outputs, H_0, W_0)."""
        size = features[0].shape[2:]
        h = [adapt(x, level) for adapt, x in zip(self.adapt, features, strict=True)]
        if self.join_convs:
            joined = zip(h, self.join_norms, self.join_convs, strict=True)
            h = [_enlarged(conv(norm(x, level)), size) for x, norm, conv in joined]
        x = path = elu(torch.stack(h).sum(0) if len(h) > 1 else h[0])
        for norm, conv in zip(self.pool_norms, self.pool_convs, strict=True):
            path = conv(avg_pool2d(norm(path, level), 5, stride=1, padding=2))
            x = x + path
        refined: Tensor = self.end(x, level)
        return refined


class RefineNet(nn.Module):
    """The network of :mod:`naqsh.networks.refinenet`.

    Args:
        shape: (C, H, W) of the images; H and W are even.
        width: channels of the finest features.
        levels: of noise that it is told; 1 for none.
        outputs: channels that come out; by default those that go in.

    Raises:
        ValueError: sides that are not even.
    """

    def __init__(
        self, shape: Shape, width: int = 64, levels: int = 10, outputs: int | None = None
    ) -> None:
        super().__init__()
        channels, height, side = shape
        if height % 2 or side % 2:
            raise ValueError(f"a RefineNet needs even sides, got {height}x{side}; give data.size")
        wide = 2 * width
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        stages = ((width, width, 1), (width, wide, 1), (wide, wide, 2), (wide, wide, 4))
        self.down = nn.ModuleList()
        for i, (inputs, out, dilation) in enumerate(stages):
            begin = Residual(inputs, out, levels, dilation, coarser=i > 0)
            rest = Residual(out, out, levels, dilation)
            self.down.append(nn.ModuleList([begin, rest]))
        self.up = nn.ModuleList(
            [
                Refine([wide], wide, levels),
                Refine([wide, wide], wide, levels),
                Refine([wide, wide], width, levels),
                Refine([width, width], width, levels, units=3),
            ]
        )
        self.norm = InstanceNormPlus(width, levels)
        self.last = nn.Conv2d(width, channels if outputs is None else outputs, 3, padding=1)
        # On a CPU convolutions of this layout are faster, as in the U-Net.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, level: Tensor, labels: Tensor | None = None) -> Tensor:
        """One evaluation.

        Args:
            x: noisy images with shape (N, C, H, W).
            level: real numbers from 0 to `levels` - 1 with shape (N,).
            labels: None; it is not conditioned on them.

        Returns:
            what the network was trained to tell, shape (N, outputs, H, W).
        """
        h = self.first(x.contiguous(memory_format=torch.channels_last))
        left = []
        for stage in self.down:
            for block in cast(nn.ModuleList, stage):
                h = block(h, level)
            left.append(h)
        h = self.up[0]([left[3]], level)
        for refine, beside in zip(self.up[1:], left[2::-1], strict=True):
            h = refine([beside, h], level)
        out: Tensor = self.last(elu(self.norm(h, level)))
        return out


def _conv(inputs: int, outputs: int, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution of 3x3 that keeps the sides."""
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=bias)


def _enlarged(x: Tensor, size: torch.Size) -> Tensor:
    """Features of at least this size."""
    if x.shape[2:] == size:
        return x
    return interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)
