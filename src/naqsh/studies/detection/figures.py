"""What one scorer found: figures with their intervals, and a histogram of its scores."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naqsh.data.defects import GOOD
from naqsh.metrics import areas
from naqsh.metrics import detection as measure
from naqsh.runs import records
from naqsh.studies.detection.examined import Examined
from naqsh.studies.detection.scores import LARGEST, Floats, Scores

POINTS = 200
"""Most points of a kept ROC curve."""

BINS = 30


@dataclass(frozen=True)
class Figures:
    """What one scorer found.

    Attributes:
        name: of the scorer.
        detail: what its scores are.
        baseline: whether it is one that any model has to beat.
        scores: of the images examined, and the maps it made.
        threshold: what scores above it is flagged; from normal images alone.
        held_out: the scores of these, shape (M,).
        measured: AUROC and its like, where labels are known; plain values for JSON.
    """

    name: str
    detail: str
    baseline: bool
    scores: Scores
    threshold: float
    held_out: Floats
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which images score above the threshold."""
        return np.asarray(self.scores.values > self.threshold)


def record(figures: Figures, examined: Examined) -> records.Scorer:
    """One scorer as ``detection.json`` keeps it."""
    flagged = figures.flagged
    kinds = examined.kinds or ("",) * len(examined)
    counts = Counter(kind for kind, is_flagged in zip(kinds, flagged, strict=True) if is_flagged)
    return records.Scorer(
        figures.name,
        figures.detail,
        figures.baseline,
        figures.threshold,
        float(figures.scores.values.max()),
        int(flagged.sum()),
        {kind: counts[kind] for kind in sorted(set(kinds)) if kind},
        _histogram(figures, kinds),
        records.read(records.Quality, figures.measured) if figures.measured else None,
    )


FENCE = 3.0
"""Interquartile ranges from a quartile to where a histogram ends."""


def _histogram(figures: Figures, kinds: tuple[str, ...]) -> records.Spread:
    """Counts of scores by kind between shared edges, the held-out normal images among them.

    The outermost bins reach to Tukey's far fences, three interquartile ranges beyond the quartiles,
    and hold what lies beyond: the scores of one kind may be larger than all others by orders.
    """
    values, held = figures.scores.values, figures.held_out
    everything = np.concatenate([values, held])
    lower, upper = np.quantile(everything, [0.25, 0.75])
    low = max(everything.min(), lower - FENCE * (upper - lower))
    high = min(everything.max(), upper + FENCE * (upper - lower))
    if not high > low:
        low, high = low - 0.5 * max(abs(low), 1e-6), high + 0.5 * max(abs(high), 1e-6)
    edges = np.linspace(low, high, BINS + 1)
    parts = {"": held} | {
        kind or "all": values[np.array([k == kind for k in kinds])] for kind in sorted(set(kinds))
    }
    return records.Spread(
        tuple(edges.tolist()),
        {
            name: tuple(np.histogram(np.clip(part, low, high), edges)[0].tolist())
            for name, part in parts.items()
        },
    )


def measured(values: Floats, examined: Examined, maps: Any) -> dict[str, Any]:
    """AUROC, average precision, F1 and AUROC by kind with their intervals; none without labels."""
    labels = examined.anomalous
    if labels is None or examined.kinds is None:
        return {}
    area, precision = areas.auroc_area(values, labels), areas.precision_area(values, labels)
    kinds = np.array(examined.kinds)
    by_kind = {}
    for kind in sorted(set(examined.kinds) - {GOOD}):
        kept = (kinds == GOOD) | (kinds == kind)
        part = areas.auroc_area(values[kept], kinds[kept] != GOOD)
        count = int((kinds == kind).sum())
        by_kind[kind] = {"count": count, "auroc": part.value, "interval": part.interval}
    false, true = measure.roc(values, labels)
    kept = np.unique(np.linspace(0, len(false) - 1, POINTS).round().astype(int))
    return {
        "auroc": area.value,
        "auroc_interval": area.interval,
        "average_precision": precision.value,
        "average_precision_interval": precision.interval,
        "f1": vars(measure.best_f1(values, labels)),
        "pixel_auroc": _pixels(maps, examined),
        "kinds": by_kind,
        "roc": {"false": false[kept].tolist(), "true": true[kept].tolist()},
    }


def less(own: Floats, other: Floats, examined: Examined) -> dict[str, Any]:
    """By how much an AUROC is above another's on the same images, with a paired interval."""
    labels = examined.anomalous
    if labels is None:
        return {}
    difference = areas.less(own, other, labels)
    return {"difference": difference.value, "interval": difference.interval}


def _pixels(maps: Any, examined: Examined) -> float | None:
    """AUROC of single pixels, over images whose faults are known."""
    if maps is None or examined.masks is None:
        return None
    masks, known = examined.masks
    if not masks[known].any():
        return None
    return measure.auroc(maps[known], masks[known])


def is_rounding(scores: Scores) -> bool:
    """Whether reconstruction errors are below what 256 grey levels can show."""
    return bool(scores.values.max() < (1 / 510) ** 2) and float(scores.values.max()) < LARGEST
