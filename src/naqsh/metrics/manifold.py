r"""Precision, recall, density and coverage: is each image good, and are all kinds there?

Each set is given a manifold: the union of open balls around its points, each reaching to its k-th
nearest neighbour within the set. With n real points :math:`x_i`, m generated :math:`y_j` and their
balls :math:`B(\cdot)`,

.. math::
    \text{precision} &= \tfrac1m \sum_j 1[\exists i: y_j \in B(x_i)], &
    \text{recall} &= \tfrac1n \sum_i 1[\exists j: x_i \in B(y_j)], \\
    \text{density} &= \tfrac1{km} \sum_{ij} 1[y_j \in B(x_i)], &
    \text{coverage} &= \tfrac1n \sum_i 1[\exists j: y_j \in B(x_i)].

Precision and density say whether generated images look real; density is not fooled by one real
outlier with a huge ball. Recall and coverage say whether all real images are represented;
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

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.metrics._arrays import Array, as_pair
from naqsh.metrics.influence import Influence

ROWS, COLUMNS = 512, 2048

EQUAL = 1e-12
"""Squared distances below this part of the longest point's squared length are rounding: a ball of k
+ 1 equal points has no inside, yet holds what is equal to them."""


class PrecisionRecall(NamedTuple):
    """Shares of generated images within the real manifold, and the other way round."""

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
    hits = _hits(real, generated, _radii(real, k), _radii(generated, k))
    return PrecisionRecall(_mean(hits.counts > 0), _mean(hits.recalled))


def density_coverage(real: Array, generated: Array, k: int = 5) -> DensityCoverage:
    """Density and coverage; arguments and errors as :func:`precision_recall`."""
    real, generated = _checked(real, generated, k)
    # Only real balls are asked for, so that the generated ones may stay empty.
    radii = _radii(real, k)
    hits = _hits(real, generated, radii, radii.new_zeros(len(generated)))
    return DensityCoverage(1 / k * _mean(hits.counts), _mean(hits.covered))


def manifold(real: Array, generated: Array, k: int = 5) -> dict[str, tuple[float, Influence]]:
    """All four with what each image does to them; arguments and errors as `precision_recall`.

    Precision and density are means over the generated images, so given the real ones their
    influences are the values themselves. Recall is one over the real images, given the generated
    ones. Coverage has both: of the real images their values, and of the generated ones what
    :func:`_coverage_influence` says.
    """
    real, generated = _checked(real, generated, k)
    hits = _hits(real, generated, _radii(real, k), _radii(generated, k))
    sides = {
        "precision": (False, hits.counts > 0),
        "recall": (True, hits.recalled),
        "density": (False, hits.counts.double() / k),
        "coverage": (True, hits.covered),
    }
    found = {}
    for name, (of_real, values) in sides.items():
        each = values.double().cpu().numpy()
        value = 1 / k * _mean(hits.counts) if name == "density" else _mean(values)
        still = np.zeros(len(generated) if of_real else len(real))
        if name == "coverage":
            still = _coverage_influence(hits, len(generated))
        pair = (each - value, still) if of_real else (still, each - value)
        found[name] = value, Influence(*pair)
    return found


def _coverage_influence(hits: "Hits", m: int) -> NDArray[np.float64]:
    r"""What each generated image does to coverage, scaled to the right variance.

    Leaving out image j loses the balls that it alone hits. The jackknife's variance of that is too
    large, up to twice, as it is for any count of occupied cells. With Poisson hits the true one is,
    over all pairs of balls that are hit by the same s > 0 images, the sum of :math:`(-1)^{s + 1}`,
    less :math:`N_1^2 / m` with :math:`N_1` balls hit once, over :math:`n^2`. This is unbiased (an
    alternating series as Good and Toulmin's) but noisy where balls are hit often, so it is not
    taken below its smoothed form, half of the jackknife's. `tests/metrics/test_intervals.py` has
    what the interval covers; where nearly all balls are hit it is too narrow.

    References:
        The number of new species, and the increase in population coverage, when a sample is
        increased (Good and Toulmin, 1956), Biometrika 43.
    """
    n = len(hits.covered)
    alone = np.bincount(hits.single[hits.each == 1], minlength=m).astype(np.float64)
    influence: NDArray[np.float64] = (alone - alone.mean()) * m / n
    jackknife = float(influence.var(ddof=1)) / m
    if jackknife == 0:
        return influence
    _, first, times = np.unique(hits.code, return_index=True, return_counts=True)
    size = hits.each[first]
    series = float((times[size > 0] ** 2 * np.where(size[size > 0] % 2, 1.0, -1.0)).sum())
    variance = (series - alone.sum() ** 2 / m) / n**2
    scaled: NDArray[np.float64] = influence * math.sqrt(max(variance, jackknife / 2) / jackknife)
    return scaled


def _mean(values: Tensor) -> float:
    """Of flags or counts, exact."""
    return int(values.sum()) / len(values)


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
    """Squared distance of each point to its k-th nearest neighbour, float64 with shape (n,).

    Where that neighbour is equal to it, a radius that just holds equal points.
    """
    radii, longest = [], 0.0
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
        longest = max(longest, float(x[:, -2].max()))
    return torch.cat(radii).clamp(min=EQUAL * (longest or 1.0))


class Hits(NamedTuple):
    """What lies within which balls.

    Attributes:
        counts: real balls around each generated point, int64 (m,).
        recalled: which real points lie in a generated ball, bool (n,).
        covered: which real balls hold a generated point, bool (n,).
        each: how many each real ball holds, int64 (n,).
        code: a number that balls of the same generated points share, and hardly others, (n,).
        single: the sum of the points' places: where a ball holds one, its place, int64 (n,).
    """

    counts: Tensor
    recalled: Tensor
    covered: Tensor
    each: NDArray[np.int64]
    code: NDArray[np.float64]
    single: NDArray[np.int64]


def _hits(real: Tensor, generated: Tensor, real_radii: Tensor, generated_radii: Tensor) -> Hits:
    hits = torch.zeros(len(generated), dtype=torch.int64, device=real.device)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    held = torch.zeros(len(real), 3, dtype=torch.float64, device=real.device)
    # Whole numbers whose sums stay below 2^53: exact in any order.
    codes = torch.randint(1 << 36, (len(generated),), generator=torch.Generator().manual_seed(0))
    places = torch.arange(len(generated))
    about = torch.stack([torch.ones_like(codes), codes, places], dim=1).to(held)
    for rows, x in _left(real):
        for columns, y in _right(generated):
            squared = x @ y
            within = squared < real_radii[rows, None]
            hits[columns] += within.sum(dim=0)
            held[rows] += within.double() @ about[columns]
            recalled[rows] |= (squared < generated_radii[columns]).any(dim=1)
    each, code, single = held.cpu().numpy().T
    counted = each.astype(np.int64), code, single.astype(np.int64)
    return Hits(hits, recalled, held[:, 0] > 0, *counted)
