r"""Minibatch discrimination: features of an image that say how near the others of its batch lie.

A generator that makes one image over and over cannot be told by images one at a time. From the
features :math:`f(x_i)` of N images a layer with a tensor T makes B rows of C numbers each,
:math:`M_i = f(x_i)\,T`, and gives beside the features

.. math:: o(x_i)_b = \sum_{j \ne i} \exp(-\lVert M_{ib} - M_{jb} \rVert_1).

The sum is over a whole batch, of all ranks, so its size belongs to the layer. Real images and
generated ones are two batches. T begins with entries of variance 1 / (C F): rows of features whose
mean square is 1 then lie about 2.5 apart, where the exponential is neither 0 nor flat. (In the
released code T is from N(0, 0.05), divided by its norm, with a scale and a bias that are learnt.)

References:
    Improved Techniques for Training GANs (Salimans et al., 2016), arXiv:1606.03498, section 3.2.
"""

import torch
from torch import Tensor, nn

from naqsh.core import ranks
from naqsh.core.precision import full_precision

NUMBERS = 5
"""C, the numbers in a row."""


class Minibatch(nn.Module):
    """Adds to each image's features how near its batch lies.

    Args:
        features: numbers that come in, an image.
        kernels: B, numbers that are added.
    """

    def __init__(self, features: int, kernels: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.weight = nn.Parameter(torch.empty(kernels * NUMBERS, features))
        nn.init.normal_(self.weight, std=(features * NUMBERS) ** -0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Features with shape (N, F) to (N, F + kernels); the whole batch at once."""
        # bfloat16 would round away how near nearly equal images are.
        with full_precision(features):
            rows = features.to(self.weight) @ self.weight.T
        rows = rows.unflatten(1, (self.kernels, NUMBERS))
        every = ranks.gathered(rows)
        # One number of the rows at a time: all at once are C times the memory, and slower.
        mine, theirs = rows.permute(2, 1, 0), every.permute(2, 1, 0)
        apart = torch.zeros((), device=rows.device, dtype=rows.dtype)
        for own, other in zip(mine, theirs, strict=True):
            apart = apart + (own[:, :, None] - other[:, None]).abs()
        first = ranks.number() * len(rows)
        numbers = torch.arange(first, first + len(rows), device=rows.device)
        itself = numbers[:, None] == torch.arange(len(every), device=rows.device)
        near = torch.exp(-apart).masked_fill(itself, 0).sum(-1).T
        return torch.cat([features, near.to(features)], 1)
