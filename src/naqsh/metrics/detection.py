r"""How well scores tell anomalies from what is normal: AUROC, average precision, F1, thresholds.

A score is any number that is larger for what is more anomalous. With scores :math:`a` of anomalies
and :math:`b` of normal pictures, and :math:`P` and :math:`R` precision and recall of flagging all
that scores at least as high as the l-th highest level,

.. math:: \mathrm{AUROC} = P(a > b) + \tfrac12 P(a = b), \qquad
          \mathrm{AP} = \sum_l (R_l - R_{l-1})\, P_l, \qquad F_1 = 2 P R / (P + R).

AUROC does not depend on how many anomalies there are and is 0.5 for chance; average precision does,
and is their share for chance. Accuracy says little: with one anomaly in a hundred, calling all
normal is right 99 times.

**Thresholds.** The k-th smallest of n scores of normal pictures that the model was not fitted to,
:math:`k = \lceil (n + 1)(1 - \alpha) \rceil`, is exceeded by a further normal picture with a chance
of at most :math:`\alpha`, whatever the scores' distribution, if the pictures are exchangeable. No
anomaly is needed to choose it, and none may be used.

**Intervals.** Stratified percentile bootstrap: anomalies and normal pictures are resampled apart. A
resample is a vector of counts, one for each picture, so that scores are sorted once and all else is
cumulative sums. The same counts for several scores give the interval of their difference.

References:
    The meaning and use of the area under a receiver operating characteristic curve (Hanley and
    McNeil, 1982), Radiology 143.
    The relationship between Precision-Recall and ROC curves (Davis and Goadrich, 2006), ICML.
    Inductive Confidence Machines for Regression (Papadopoulos et al., 2002), ECML: the threshold.
    An Introduction to the Bootstrap (Efron and Tibshirani, 1993), chapters 8 and 13.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from naqsh.errors import NaqshError
from naqsh.seeds import derive

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RESAMPLES = 2000
LEVEL = 0.95
"""What part of the resamples an interval holds."""

_BLOCK = 1 << 22
"""Counts of resamples that are held at once."""


@dataclass(frozen=True)
class Best:
    """The best F1 that any threshold gives; chosen on the labels, so better than the next data's.

    Attributes:
        f1: in [0, 1].
        threshold: what scores above it is flagged.
        precision: part of the flagged that are anomalies.
        recall: part of the anomalies that are flagged.
    """

    f1: float
    threshold: float
    precision: float
    recall: float


def auroc(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> float:
    """Chance that an anomaly scores above a normal picture, ties counted half.

    Args:
        scores: larger for what is more anomalous, any shape; infinite ones are allowed.
        anomalous: true for anomalies, same shape.

    Raises:
        NaqshError: a score is not a number, or only one kind is there.
    """
    normal, anomalies = _levels(*_checked(scores, anomalous))
    below = np.cumsum(normal) - normal
    return float((anomalies * (below + normal / 2)).sum() / anomalies.sum() / normal.sum())


def average_precision(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> float:
    """Precision averaged over recall, a step a level of scores; arguments as for :func:`auroc`."""
    normal, anomalies = (counts[::-1] for counts in _levels(*_checked(scores, anomalous)))
    found = np.cumsum(anomalies)
    return float((anomalies * found / (found + np.cumsum(normal))).sum() / found[-1])


def roc(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> tuple[Numbers, Numbers]:
    """The curve from (0, 0) to (1, 1): false and true positive rates, a point a level of scores."""
    normal, anomalies = (counts[::-1] for counts in _levels(*_checked(scores, anomalous)))
    false, true = (np.concatenate([[0.0], np.cumsum(c) / c.sum()]) for c in (normal, anomalies))
    return false, true


def best_f1(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> Best:
    """The best F1 over all thresholds, the highest threshold of several; see :func:`auroc`."""
    values, labels = _checked(scores, anomalous)
    normal, anomalies = (counts[::-1] for counts in _levels(values, labels))
    found, flagged = np.cumsum(anomalies), np.cumsum(anomalies + normal)
    f1 = 2 * found / (flagged + found[-1])
    place = int(f1.argmax())
    levels = np.unique(values)[::-1]
    # The largest score that is not flagged, so that "above" holds exactly for those that are.
    lower = levels[place + 1] if place + 1 < len(levels) else np.nextafter(levels[-1], -np.inf)
    precision, recall = found[place] / flagged[place], found[place] / found[-1]
    return Best(float(f1[place]), float(lower), float(precision), float(recall))


def threshold_at(scores: npt.ArrayLike, false_alarms: float) -> float:
    """The threshold that a further normal picture exceeds with at most a given chance.

    Args:
        scores: of normal pictures that the model was not fitted to, shape (n,).
        false_alarms: the chance, in (0, 1). Below 1 / (n + 1) it cannot be promised; the largest
            score is given then.

    Returns:
        the threshold; what scores above it is to be flagged.
    """
    values = np.sort(np.asarray(scores, np.float64).ravel())
    if not 0 < false_alarms < 1:
        raise NaqshError(f"a rate of false alarms lies between 0 and 1, not {false_alarms}")
    if not len(values) or np.isnan(values).any():
        raise NaqshError("a threshold needs scores of normal pictures, all of them numbers")
    # Without the small amount (n + 1)(1 - rate) rounds up to the next rank: 19.000000000000004.
    rank = math.ceil((len(values) + 1) * (1 - false_alarms) - 1e-9)
    return float(values[min(rank, len(values)) - 1])


def resampled(
    scores: npt.ArrayLike, anomalous: npt.ArrayLike, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Numbers, Numbers]:
    """AUROC and average precision of stratified bootstrap resamples.

    Args:
        scores: of one scorer with shape (N,), or of several with shape (S, N): these see the same
            resamples, so that differences between rows are paired.
        anomalous: true for anomalies, shape (N,).
        resamples: how many.
        seed: of the draws.

    Returns:
        AUROC and average precision, each with shape (S, resamples) or (resamples,).
    """
    table = np.atleast_2d(np.asarray(scores, np.float64))
    labels = _checked(table[0], anomalous)[1]
    for row in table:
        _checked(row, labels)
    random = np.random.Generator(np.random.Philox(derive(seed, "bootstrap")))
    strata = [np.flatnonzero(labels == kind) for kind in (False, True)]
    parts = []
    block = max(1, _BLOCK // len(labels))
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        weights = np.empty((count, len(labels)))
        for members in strata:
            even = np.full(len(members), 1 / len(members))
            weights[:, members] = random.multinomial(len(members), even, size=count)
        parts.append([_weighted(row, labels, weights) for row in table])
    areas, precisions = np.moveaxis(np.concatenate(parts, axis=2), 1, 0)
    return (areas, precisions) if np.ndim(scores) == 2 else (areas[0], precisions[0])


def interval(values: npt.ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """The middle part of resampled values, `level` of them."""
    low, high = np.quantile(np.asarray(values), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def rank_correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Spearman's correlation of two rows of numbers, ties at their mean rank; 0 for a constant."""
    ranks = []
    for values in (a, b):
        _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[place])
    if min(np.ptp(r) for r in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _checked(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> tuple[Numbers, Flags]:
    values, labels = np.asarray(scores, np.float64).ravel(), np.asarray(anomalous, bool).ravel()
    if len(values) != len(labels):
        raise ValueError(f"{len(values)} scores, but {len(labels)} labels")
    if np.isnan(values).any():
        raise NaqshError(f"{int(np.isnan(values).sum())} of {len(values)} scores are not a number")
    if labels.all() or not labels.any():
        raise NaqshError("need both normal pictures and anomalies to tell how well they part")
    return values, labels


def _levels(values: Numbers, labels: Flags) -> tuple[Numbers, Numbers]:
    """How many normal pictures and anomalies have each score, scores rising."""
    _, place = np.unique(values, return_inverse=True)
    size = int(place.max()) + 1
    counts = [np.bincount(place[labels == kind], minlength=size) for kind in (False, True)]
    return counts[0].astype(np.float64), counts[1].astype(np.float64)


def _weighted(values: Numbers, labels: Flags, weights: Numbers) -> tuple[Numbers, Numbers]:
    """AUROC and average precision where picture j counts weights[i, j] times, each (resamples,)."""
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    starts = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
    sorted_weights, sorted_labels = weights[:, order], labels[order]
    anomalies = np.add.reduceat(sorted_weights * sorted_labels, starts, axis=1)
    normal = np.add.reduceat(sorted_weights * ~sorted_labels, starts, axis=1)
    found, false = np.cumsum(anomalies, axis=1), np.cumsum(normal, axis=1)
    below = false[:, -1:] - false + normal / 2
    pairs = found[:, -1] * false[:, -1]
    flagged = np.maximum(found + false, 1)  # no picture of the highest levels may be drawn
    return (anomalies * below).sum(1) / pairs, (anomalies * found / flagged).sum(1) / found[:, -1]
