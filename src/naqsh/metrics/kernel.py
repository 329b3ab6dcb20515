r"""The kernel distance, KID: the squared maximum mean discrepancy under a cubic kernel.

.. math:: k(x, y) = \left(\tfrac1d x^T y + 1\right)^3, \qquad
          \text{MMD}^2 = \frac1{n(n-1)} \sum_{i \ne j} k(x_i, x_j)
          + \frac1{m(m-1)} \sum_{i \ne j} k(y_i, y_j) - \frac2{nm} \sum_{ij} k(x_i, y_j).

Its expected value does not depend on n and m, which is what it has over FID with few pictures; so
it may come out a little below zero between equal distributions, and is not clipped.

The value is computed from all pairs at once: the mean over 100 random subsets, which other programs
print, has the same expected value but adds the noise of the draw. The standard error comes from
disjoint random subsets, whose values are independent: their standard deviation divided by the root
of their number. Smaller subsets are noisier, so it errs to the large side near zero.

Memory: kernels are computed in float64 in blocks of 1024 x 1024, so that no more than about 8 MiB
and 16 KiB times the number of features are held beside the features.

References:
    Demystifying MMD GANs (Binkowski et al., 2018), arXiv:1801.01401, section 4 and appendix A.
    A Kernel Two-Sample Test (Gretton et al., 2012), JMLR 13, lemma 6.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from naqsh.errors import NaqshError
from naqsh.metrics._arrays import Array, as_pair
from naqsh.seeds import derive

BLOCK = 1024


class KernelDistance(NamedTuple):
    """An unbiased estimate and its standard error."""

    value: float
    standard_error: float


def kernel_distance(a: Array, b: Array, subsets: int = 10, seed: int = 0) -> KernelDistance:
    """KID between two tables of features.

    Args:
        a: features with shape (n, d), n >= 4.
        b: features with shape (m, d), m >= 4.
        subsets: number of disjoint subsets behind the standard error; fewer where there are not
            two rows of each table for every one.
        seed: of the draw of the subsets; the value does not depend on it.

    Raises:
        NaqshError: too few rows, different columns, or numbers that are not finite.
    """
    if subsets < 2:
        raise NaqshError(f"a standard error needs at least 2 subsets, got {subsets}")
    first, second = as_pair(a, b, 4, names=("first features", "second features"))
    count = min(subsets, len(first) // 2, len(second) // 2)
    generator = torch.Generator().manual_seed(derive(seed, "kernel distance"))
    parts_a = torch.randperm(len(first), generator=generator).tensor_split(count)
    parts_b = torch.randperm(len(second), generator=generator).tensor_split(count)
    values = torch.tensor(
        [_mmd(first[i], second[j]) for i, j in zip(parts_a, parts_b, strict=True)],
        dtype=torch.float64,
    )
    return KernelDistance(_mmd(first, second), float(values.std() / count**0.5))


def _mmd(a: Tensor, b: Tensor) -> float:
    within = _mean_within(a) + _mean_within(b)
    return within - 2 * _sum_of_kernels(a, b) / (len(a) * len(b))


def _mean_within(x: Tensor) -> float:
    diagonal = 0.0
    for rows in torch.split(x, BLOCK):
        squares = rows.double().square().sum(dim=1)
        diagonal += float(_cubic(squares / x.shape[1]).sum())
    return (_sum_of_kernels(x, x) - diagonal) / (len(x) * (len(x) - 1))


def _sum_of_kernels(x: Tensor, y: Tensor) -> float:
    total = 0.0
    for rows in torch.split(x, BLOCK):
        for columns in torch.split(y, BLOCK):
            products = rows.double() @ columns.double().T
            total += float(_cubic(products.div_(x.shape[1])).sum())
    return total


def _cubic(products: Tensor) -> Tensor:
    shifted = products + 1
    return shifted * shifted * shifted
