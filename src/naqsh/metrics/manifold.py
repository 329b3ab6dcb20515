r"""Precision, recall, density and coverage: is each picture good, and are all kinds there?

Each set is given a manifold: the union of open balls around its points, each reaching to its k-th
nearest neighbour within the set. With n real points :math:`x_i`, m generated :math:`y_j` and their
balls :math:`B(\cdot)`,

.. math::
    \text{precision} &= \tfrac1m \sum_j 1[\exists i: y_j \in B(x_i)], &
    \text{recall} &= \tfrac1n \sum_i 1[\exists j: x_i \in B(y_j)], \\
    \text{density} &= \tfrac1{km} \sum_{ij} 1[y_j \in B(x_i)], &
    \text{coverage} &= \tfrac1n \sum_i 1[\exists j: y_j \in B(x_i)].

Precision and density say whether generated pictures look real; density is not fooled by one real
outlier with a huge ball. Recall and coverage say whether all real pictures are represented;
coverage is not fooled by a generated outlier. Precision, recall and coverage lie in [0, 1]; density
is >= 0 and 1 is expected between samples of the same distribution.

Memory: squared distances are computed in float64 in blocks of 512 x 2048. Whatever n and m, no more
is held beside the features than about 12 MiB, 40 KiB times the number of features (0.08 GiB for
2,048 features) and a few numbers a point; a full matrix takes 8 n m bytes (0.75 GiB for 10,000
against 10,000), and ``prdc`` holds two of them. Work grows as n^2 + nm + m^2.

References:
    Improved Precision and Recall Metric for Assessing Generative Models (Kynkaanniemi et al.,
    2019), arXiv:1904.06991, equations 1 and 2.
    Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al., 2020),
    arXiv:2002.09797, equations 3 to 5.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from naqsh.errors import NaqshError
from naqsh.metrics._arrays import Array, as_pair

ROWS, COLUMNS = 512, 2048


class PrecisionRecall(NamedTuple):
    """Shares of generated pictures within the real manifold, and the other way round."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """How densely real balls are hit, and the share of real balls that are."""

    density: float
    coverage: float


def precision_recall(real: Array, generated: Array, k: int = 5) -> PrecisionRecall:
    """Improved precision and recall.

    Args:
        real: features with shape (n, d), n > k.
        generated: features with shape (m, d), m > k.
        k: which neighbour a ball reaches to; the paper takes 3, ``prdc`` 5.

    Raises:
        NaqshError: too few rows for k, different columns, or numbers that are not finite.
    """
    real, generated = _checked(real, generated, k)
    precision, recall, _, _ = _hits(real, generated, _radii(real, k), _radii(generated, k))
    return PrecisionRecall(precision, recall)


def density_coverage(real: Array, generated: Array, k: int = 5) -> DensityCoverage:
    """Density and coverage; arguments and errors as :func:`precision_recall`."""
    real, generated = _checked(real, generated, k)
    # Only real balls are asked for, so that the generated ones may stay empty.
    radii = _radii(real, k)
    _, _, hits, coverage = _hits(real, generated, radii, radii.new_zeros(len(generated)))
    return DensityCoverage(1 / k * hits, coverage)


def manifold(real: Array, generated: Array, k: int = 5) -> tuple[PrecisionRecall, DensityCoverage]:
    """Both pairs for little more than the price of the first; arguments and errors are its own."""
    real, generated = _checked(real, generated, k)
    precision, recall, hits, coverage = _hits(
        real, generated, _radii(real, k), _radii(generated, k)
    )
    return PrecisionRecall(precision, recall), DensityCoverage(1 / k * hits, coverage)


def _checked(real: Array, generated: Array, k: int) -> tuple[Tensor, Tensor]:
    if k < 1:
        raise NaqshError(f"a ball reaches to the k-th neighbour, so k is at least 1; got {k}")
    return as_pair(real, generated, at_least=k + 1)


def _left(points: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Where a block of rows lies, and the block in float64 as (-2 x, |x|^2, 1).

    Its product with what :func:`_right` yields is |x|^2 - 2 x.y + |y|^2, the squared distances, in
    one matrix product and no further pass over the block.
    """
    for start in range(0, len(points), ROWS):
        x = points[start : start + ROWS].double()
        lengths = x.square().sum(dim=1, keepdim=True)
        yield (
            slice(start, start + len(x)),
            torch.cat([-2 * x, lengths, torch.ones_like(lengths)], dim=1),
        )


def _right(points: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Where a block of columns lies, and the block in float64 as (y, 1, |y|^2), transposed."""
    for start in range(0, len(points), COLUMNS):
        y = points[start : start + COLUMNS].double()
        lengths = y.square().sum(dim=1, keepdim=True)
        yield (
            slice(start, start + len(y)),
            torch.cat([y, torch.ones_like(lengths), lengths], dim=1).T,
        )


def _radii(points: Tensor, k: int) -> Tensor:
    """Squared distance of each point to its k-th nearest neighbour, float64 with shape (n,)."""
    radii = []
    for _, x in _left(points):
        nearest = x.new_empty(len(x), 0)
        for _, y in _right(points):
            squared = x @ y
            # One more than k, because every point meets itself at distance zero.
            count = min(k + 1, squared.shape[1])
            found = squared.topk(count, largest=False, sorted=False).values
            nearest = torch.cat([nearest, found], dim=1)
            if nearest.shape[1] > k + 1:
                nearest = nearest.topk(k + 1, largest=False, sorted=False).values
        radii.append(nearest.amax(dim=1))
    return torch.cat(radii)


def _hits(
    real: Tensor, generated: Tensor, real_radii: Tensor, generated_radii: Tensor
) -> tuple[float, float, float, float]:
    """Precision, recall, mean number of real balls around a generated point, and coverage."""
    hits = torch.zeros(len(generated), dtype=torch.int64, device=real.device)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = torch.zeros_like(recalled)
    for rows, x in _left(real):
        for columns, y in _right(generated):
            squared = x @ y
            within = squared < real_radii[rows, None]
            hits[columns] += within.sum(dim=0)
            covered[rows] |= within.any(dim=1)
            recalled[rows] |= (squared < generated_radii[columns]).any(dim=1)
    n, m = len(real), len(generated)
    precise = int((hits > 0).sum())
    return precise / m, int(recalled.sum()) / n, int(hits.sum()) / m, int(covered.sum()) / n
