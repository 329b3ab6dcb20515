r"""An ensemble of pixel classifiers on feature maps of several sizes.

Each is a small MLP, linear-ReLU-BN twice and a last linear layer, applied to a pixel's features:
those of all maps, enlarged bilinearly to the image's size and joined. Joined features of a whole
image are large (8,448 numbers a pixel in the paper, 210 GB for 50 images of 256 px). But the first
layer is linear and enlarging is a mean with weights that sum to 1, so the two commute,

.. math:: W \,\mathrm{up}(f) + b = \mathrm{up}(W f + b),

and for joined maps :math:`W \,\mathrm{up}([f_1, f_2]) = \mathrm{up}(W_1 f_1) + \mathrm{up}(W_2
f_2)`. So every map goes through its part of the first layer at its own size, and only the hidden
units are enlarged. Trained are they on the features of single pixels, taken by :func:`at`.

The members differ in their initial weights and in the pixels that each batch of theirs has. What
they say together is a majority vote; their disagreement is the Jensen-Shannon divergence of their
distributions, :math:`H(\bar p) - \overline{H(p)}` in nats, from 0 to the logarithm of the number of
members or classes, whichever is less.

References:
    Label-Efficient Semantic Segmentation with Diffusion Models (Baranchuk et al., 2022),
    arXiv:2112.03126, section 4 and appendix A; the head is DatasetGAN's (Zhang et al., 2021).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, grid_sample, interpolate, one_hot

HIDDEN = (64, 32)
"""Units of the two hidden layers; the paper's first has 128, for ten times as many features."""


class PixelHeads(nn.Module):
    """The ensemble.

    Args:
        channels: of each feature map.
        classes: how many there are.
        members: of the ensemble.
        hidden: units of a member's two hidden layers.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        members: int = 10,
        hidden: tuple[int, int] = HIDDEN,
    ) -> None:
        super().__init__()
        self.channels, self.classes, self.members = tuple(channels), classes, members
        first, second = hidden
        self.weight = nn.Parameter(torch.empty(members, sum(channels), first))
        nn.init.normal_(self.weight, std=sum(channels) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(members, 1, first))
        self.rest = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm1d(members * first),
            nn.Conv1d(members * first, members * second, 1, groups=members),
            nn.ReLU(),
            nn.BatchNorm1d(members * second),
            nn.Conv1d(members * second, members * classes, 1, groups=members),
        )
        self.register_buffer("mean", torch.zeros(sum(channels)))
        self.register_buffer("deviation", torch.ones(sum(channels)))

    def standardise(self, features: Tensor) -> None:
        """Take the features' means and deviations from those of some pixels, shape (P, C)."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, correction=0).clamp(min=1e-6))

    def forward(self, features: Tensor) -> Tensor:
        """The logits of pixels, each member's its own.

        Args:
            features: shape (members, P, C), C being those of all maps, joined.

        Returns:
            shape (members, P, classes).
        """
        x = (features - self.mean) / self.deviation
        hidden = torch.baddbmm(self.bias, x, self.weight)
        joined = hidden.permute(0, 2, 1).reshape(1, -1, features.shape[1])
        out: Tensor = self.rest(joined)
        return out.view(self.members, self.classes, -1).permute(0, 2, 1)

    def on_maps(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The logits of all pixels of some images, the first layer being applied before enlarging.

        Args:
            maps: each with shape (N, channels, h, w).
            size: height and width of the images.

        Returns:
            shape (N, members, classes, H, W).
        """
        weight = (self.weight / self.deviation[:, None]).permute(0, 2, 1).flatten(0, 1)
        bias = self.bias[:, 0] - (self.mean / self.deviation) @ self.weight
        parts = list(zip(maps, weight.split(self.channels, 1), strict=True))
        hidden = bias.reshape(1, -1, 1, 1)
        # Maps of one size together: enlarging takes longer than the layer.
        for side in dict.fromkeys(features.shape[2:] for features in maps):
            alike = [(f, own) for f, own in parts if f.shape[2:] == side]
            joined, own = (torch.cat(some, 1) for some in zip(*alike, strict=True))
            hidden = hidden + enlarged(conv2d(joined, own[:, :, None, None]), size)
        out: Tensor = self.rest(hidden.flatten(2))
        return out.view(len(out), self.members, self.classes, *size)


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (N, C, h, w) enlarged bilinearly to (N, C, H, W), edges being repeated."""
    if maps.shape[2:] == size:
        return maps
    return interpolate(maps, size, mode="bilinear", align_corners=False)


def at(maps: Sequence[Tensor], pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """The joined features of some pixels, as :func:`enlarged` maps have them there.

    Args:
        maps: each with shape (N, C_k, h, w).
        pixels: their numbers in an image, row by row, int64 with shape (N, P).
        size: height and width of the images.

    Returns:
        shape (N, P, sum of C_k).
    """
    height, width = size
    row, column = pixels // width, pixels % width
    # -1 and 1 are the outer edges of the image, so pixels' centres lie half a step inside.
    place = torch.stack([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1], -1)[:, None]
    taken = [
        grid_sample(m, place.to(m), padding_mode="border", align_corners=False)[:, :, 0]
        for m in maps
    ]
    return torch.cat(taken, 1).permute(0, 2, 1)


def vote(logits: Tensor) -> Tensor:
    """The class that most members say; of several, that of the greatest mean probability.

    Args:
        logits: shape (N, members, classes, H, W).

    Returns:
        int64 with shape (N, H, W).
    """
    votes = one_hot(logits.argmax(2), logits.shape[2]).sum(1)  # (N, H, W, classes)
    likely = logits.softmax(2).mean(1).movedim(1, -1)
    # The mean is at most 1, so half of it decides only between equal votes.
    return (votes + 0.5 * likely).argmax(-1)


def disagreement(logits: Tensor) -> Tensor:
    """The Jensen-Shannon divergence of the members' distributions in nats.

    Args:
        logits: shape (N, members, classes, H, W).

    Returns:
        shape (N, H, W).
    """
    logs = logits.log_softmax(2)
    mean = logs.logsumexp(1) - math.log(logits.shape[1])
    each = -(logs.exp() * logs).sum(2).mean(1)
    return (-(mean.exp() * mean).sum(1) - each).clamp(min=0)
