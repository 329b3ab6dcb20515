r"""How well scores tell anomalies from what is normal: AUROC, average precision, F1, thresholds.

A score is any number that is larger for what is more anomalous. With scores :math:`a` of anomalies
and :math:`b` of normal images, and :math:`P` and :math:`R` precision and recall of flagging all
that scores at least as high as the l-th highest level,

.. math:: \mathrm{AUROC} = P(a > b) + \tfrac12 P(a = b), \qquad
          \mathrm{AP} = \sum_l (R_l - R_{l-1})\, P_l, \qquad F_1 = 2 P R / (P + R).

AUROC does not depend on how many anomalies there are and is 0.5 for chance; average precision does,
and is their share for chance. Accuracy says little: with one anomaly in a hundred, calling all
normal is right 99 times.

**Thresholds.** The k-th smallest of n scores of normal images that the model was not fitted to,
:math:`k = \lceil (n + 1)(1 - \alpha) \rceil`, is exceeded by a further normal image with a chance
of at most :math:`\alpha`, whatever the scores' distribution, if the images are exchangeable. No
anomaly is needed to choose it, and none may be used.

Intervals are in `naqsh.metrics.areas`.

References:
    The meaning and use of the area under a receiver operating characteristic curve (Hanley and
    McNeil, 1982), Radiology 143.
    The relationship between Precision-Recall and ROC curves (Davis and Goadrich, 2006), ICML.
    Inductive Confidence Machines for Regression (Papadopoulos et al., 2002), ECML: the threshold.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from naqsh.core.errors import NaqshError

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


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
    """Chance that an anomaly scores above a normal image, ties counted half.

    Args:
        scores: larger for what is more anomalous, any shape; infinite ones are allowed.
        anomalous: true for anomalies, same shape.

    Raises:
        NaqshError: a score is not a number, or only one kind is there.
    """
    normal, anomalies = _levels(*checked(scores, anomalous))
    below = np.cumsum(normal) - normal
    return float((anomalies * (below + normal / 2)).sum() / anomalies.sum() / normal.sum())


def average_precision(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> float:
    """Precision averaged over recall, a step a level of scores; arguments as for :func:`auroc`."""
    normal, anomalies = (counts[::-1] for counts in _levels(*checked(scores, anomalous)))
    found = np.cumsum(anomalies)
    return float((anomalies * found / (found + np.cumsum(normal))).sum() / found[-1])


def roc(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> tuple[Numbers, Numbers]:
    """The curve from (0, 0) to (1, 1): false and true positive rates, a point a level of scores."""
    normal, anomalies = (counts[::-1] for counts in _levels(*checked(scores, anomalous)))
    false, true = (np.concatenate([[0.0], np.cumsum(c) / c.sum()]) for c in (normal, anomalies))
    return false, true


def best_f1(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> Best:
    """The best F1 over all thresholds, the highest threshold of several; see :func:`auroc`."""
    values, labels = checked(scores, anomalous)
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
    """The threshold that a further normal image exceeds with at most a given chance.

    Args:
        scores: of normal images that the model was not fitted to, shape (n,).
        false_alarms: the chance, in (0, 1). Below 1 / (n + 1) it cannot be promised; the largest
            score is given then.

    Returns:
        the threshold; what scores above it is to be flagged.
    """
    values = np.sort(np.asarray(scores, np.float64).ravel())
    if not 0 < false_alarms < 1:
        raise NaqshError(f"a rate of false alarms lies between 0 and 1, not {false_alarms}")
    if not len(values) or np.isnan(values).any():
        raise NaqshError("a threshold needs scores of normal images, all of them numbers")
    # Without the small amount (n + 1)(1 - rate) rounds up to the next rank: 19.000000000000004.
    rank = math.ceil((len(values) + 1) * (1 - false_alarms) - 1e-9)
    return float(values[min(rank, len(values)) - 1])


def rank_correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Spearman's correlation of two rows of numbers, ties at their mean rank; 0 for a constant."""
    ranks = []
    for values in (a, b):
        _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[place])
    if min(np.ptp(r) for r in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def checked(scores: npt.ArrayLike, anomalous: npt.ArrayLike) -> tuple[Numbers, Flags]:
    """Scores and labels as rows of equal length; arguments and errors as for :func:`auroc`."""
    values, labels = np.asarray(scores, np.float64).ravel(), np.asarray(anomalous, bool).ravel()
    if len(values) != len(labels):
        raise ValueError(f"{len(values)} scores, but {len(labels)} labels")
    if np.isnan(values).any():
        raise NaqshError(f"{int(np.isnan(values).sum())} of {len(values)} scores are not a number")
    if labels.all() or not labels.any():
        raise NaqshError("need both normal images and anomalies to tell how well they part")
    return values, labels


def _levels(values: Numbers, labels: Flags) -> tuple[Numbers, Numbers]:
    """How many normal images and anomalies have each score, scores rising."""
    _, place = np.unique(values, return_inverse=True)
    size = int(place.max()) + 1
    counts = [np.bincount(place[labels == kind], minlength=size) for kind in (False, True)]
    return counts[0].astype(np.float64), counts[1].astype(np.float64)
