r"""The kernel distance, KID: the squared maximum mean discrepancy under a cubic kernel.

.. math:: k(x, y) = \left(\tfrac1d x^T y + 1\right)^3, \qquad
          \text{MMD}^2 = \frac1{n(n-1)} \sum_{i \ne j} k(x_i, x_j)
          + \frac1{m(m-1)} \sum_{i \ne j} k(y_i, y_j) - \frac2{nm} \sum_{ij} k(x_i, y_j).

Its expected value does not depend on n and m, which is what it has over FID with few images; so
it may come out a little below zero between equal distributions, and is not clipped.

The value is computed from all pairs at once: the mean over 100 random subsets, which other programs
print, has the same expected value but adds the noise of the draw. The influences (`influence.py`)
of a generated and a real image are

.. math:: h_i = 2 \operatorname{mean}_{j \ne i} k(y_i, y_j) - 2 \operatorname{mean}_j k(x_j, y_i),
          \qquad
          g_i = 2 \operatorname{mean}_{j \ne i} k(x_i, x_j) - 2 \operatorname{mean}_j k(x_i, y_j),

so the standard error, the reference held fixed, is :math:`\operatorname{std} h / \sqrt n`. Subsets
that redraw the reference would give the noise of the reference instead, which generators measured
against the same one share.

Memory: kernels are computed in float64 in blocks of 1024 x 1024, so that no more than about 8 MiB
and 16 KiB times the number of features are held beside the features.

References:
    Demystifying MMD GANs (Binkowski et al., 2018), arXiv:1801.01401, section 4 and appendix A.
    A Kernel Two-Sample Test (Gretton et al., 2012), JMLR 13, lemma 6.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from naqsh.metrics._arrays import Array, as_pair
from naqsh.metrics.influence import Influence

BLOCK = 1024


class Kernel(NamedTuple):
    """A symmetric function of two rows of features.

    Attributes:
        between: of every row of a (n, d) with every row of b (m, d), in float64, shape (n, m).
        own: of each row with itself, shape (n,).
    """

    between: Callable[[Tensor, Tensor], Tensor]
    own: Callable[[Tensor], Tensor]


def _cubic(products: Tensor) -> Tensor:
    shifted = products + 1
    return shifted * shifted * shifted


CUBIC = Kernel(
    lambda a, b: _cubic((a @ b.T).div_(a.shape[1])),
    lambda a: _cubic(a.square().sum(dim=1) / a.shape[1]),
)
"""KID's."""


class KernelDistance(NamedTuple):
    """An unbiased estimate and its standard error over draws of the second table."""

    value: float
    standard_error: float


def kernel_distance(a: Array, b: Array) -> KernelDistance:
    """The kernel distance between two tables of features.

    Args:
        a: features of the reference with shape (n, d), n >= 4; held fixed in the standard error.
        b: features with shape (m, d), m >= 4.

    Raises:
        NaqshError: too few rows, different columns, or numbers that are not finite.
    """
    value, influence = kernel_influence(a, b)
    return KernelDistance(value, influence.standard_error)


def kernel_influence(
    real: Array, generated: Array, kernel: Kernel = CUBIC
) -> tuple[float, Influence]:
    """The kernel distance, and what each image does to it; arguments as for the distance."""
    x, y = as_pair(real, generated, 4, names=("first features", "second features"))
    within_x, within_y = _means_within(x, kernel), _means_within(y, kernel)
    across = _sums(x, y, kernel)
    to_y, to_x = across[0] / len(y), across[1] / len(x)
    value = within_x.mean() + within_y.mean() - 2 * to_y.mean()
    sides = [(2 * (within - to)) for within, to in ((within_x, to_y), (within_y, to_x))]
    return float(value), Influence(*((side - side.mean()).cpu().numpy() for side in sides))


def _means_within(x: Tensor, kernel: Kernel) -> Tensor:
    """Of each row the mean kernel with the others, shape (n,)."""
    own = torch.cat([kernel.own(rows.double()) for rows in torch.split(x, BLOCK)])
    return (_sums(x, x, kernel)[0] - own) / (len(x) - 1)


def _sums(x: Tensor, y: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """Of each row of x the sum of kernels with all of y, (n,), and the other way round, (m,)."""
    of_x = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    of_y = torch.zeros(len(y), dtype=torch.float64, device=x.device)
    for i, rows in enumerate(torch.split(x, BLOCK)):
        for j, columns in enumerate(torch.split(y, BLOCK)):
            kernels = kernel.between(rows.double(), columns.double())
            of_x[i * BLOCK : i * BLOCK + len(rows)] += kernels.sum(dim=1)
            of_y[j * BLOCK : j * BLOCK + len(columns)] += kernels.sum(dim=0)
    return of_x, of_y
