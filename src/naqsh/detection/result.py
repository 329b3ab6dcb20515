"""What a detection found: figures, how they are kept in files, and how they are printed."""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naqsh import inline
from naqsh.data.defects import GOOD
from naqsh.detection.choice import Choice
from naqsh.detection.examined import Suspects
from naqsh.detection.scores import LARGEST, Floats, Scores
from naqsh.metrics import detection as measure

if TYPE_CHECKING:
    from naqsh.detection.detector import Detector

FORMAT = 1
POINTS = 200
"""Most points of a kept ROC curve."""

BINS = 30

SHOWN = 8
"""How many of the most and of the least anomalous pictures are shown."""

REASONS = {
    "seen": "the run was trained on the normal pictures that thresholds come from: expect more "
    "false alarms than asked for; train with --training.validation 0.1 to hold some out",
    "other_pictures": "the run's data set has changed since it was trained: these normal pictures "
    "are not those",
    "repeated": "some of the pictures examined are among the normal ones, pixel for pixel",
    "few": "there are too few normal pictures held out for so low a rate of false alarms: the "
    "threshold is their largest score",
    "unlabelled": "which pictures are good is not known (no sub-folder named good beside others): "
    "scores and flags alone",
    "round_trip": "the method gives every picture back as it was: its reconstruction error is "
    "rounding, and says nothing of anomalies",
    "no_maps": "there are too many pixels to keep heat maps of all pictures",
}
"""What a reader must know, by the name under which it is kept."""


@dataclass(frozen=True)
class Figures:
    """What one scorer found.

    Attributes:
        name: of the scorer.
        detail: what its scores are.
        baseline: whether it is one that any model has to beat.
        scores: of the pictures examined, and the maps it made.
        threshold: what scores above it is flagged; from normal pictures alone.
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
        """Which pictures score above the threshold."""
        return np.asarray(self.scores.values > self.threshold)


@dataclass(frozen=True)
class Detection:
    """All that was found about one collection of pictures.

    Attributes:
        step: the checkpoint that scored.
        weights: whether they were the ``last`` or the ``best``.
        seed: of noise and choices.
        suspects: what was examined.
        normal: name, counts and origin of the normal pictures.
        false_alarms: rate that thresholds were chosen for.
        draws: of noise, averaged over.
        figures: of each scorer, by name, the deciding one first, the one beside it second.
        likelihood: what :func:`naqsh.detection.caution.check` found; None without a likelihood.
        notes: names out of :data:`REASONS`.
        choice: what held-out normal images said of two scores, where that was asked for.
        terms: what else it depends on: names, fingerprints of images.
        pictures: files of heat maps, and ``maps_of``, whose they are.
        folder: where all of it lies, once it is written.
        detector: what flags, fitted, for new images.
    """

    step: int
    weights: str
    seed: int
    suspects: Suspects
    normal: dict[str, Any]
    false_alarms: float
    draws: int
    figures: dict[str, Figures]
    likelihood: dict[str, Any] | None
    notes: tuple[str, ...]
    choice: Choice | None = None
    terms: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    detector: "Detector | None" = None

    @property
    def deciding(self) -> Figures:
        """The scorer that decides what is flagged and how images are ordered."""
        return next(iter(self.figures.values()))

    @property
    def beside(self) -> Figures | None:
        """The scorer that flags too, where normal images could not tell which is better."""
        if self.choice is None or self.choice.better is not None:
            return None
        return self.figures[self.choice.names[1]]

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which images are flagged, by the deciding scorer or the one beside it."""
        flagged = self.deciding.flagged
        return flagged if self.beside is None else flagged | self.beside.flagged

    def _repr_html_(self) -> str:
        from naqsh.detection.printed import table

        piece = inline.text(table(self))
        grid = self.folder / self.pictures["most"] if self.folder and self.pictures else None
        if grid and grid.is_file():
            piece += inline.image(grid.read_bytes(), "the most anomalous images")
        return piece

    @property
    def slug(self) -> str:
        """The name of its folder: of what was examined, and a hash of all that it depends on."""
        terms = {
            "step": self.step,
            "weights": self.weights,
            "seed": self.seed,
            "draws": self.draws,
            "false_alarms": self.false_alarms,
            **self.terms,
        }
        digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()[:8]
        words = re.sub(r"[^0-9a-z]+", "-", self.suspects.name.lower()).strip("-")[:40]
        return f"{words or 'images'}-{digest}"

    def order(self) -> list[int]:
        """The pictures, most anomalous first."""
        return [int(i) for i in np.argsort(-self.deciding.scores.values, kind="stable")]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        examined = self.suspects
        return {
            "format": FORMAT,
            "step": self.step,
            "weights": self.weights,
            "seed": self.seed,
            "terms": self.terms,
            "suspects": {
                "name": examined.name,
                "count": len(examined),
                "kinds": dict(Counter(examined.kinds or ())),
                "labelled": examined.anomalous is not None,
                "masks": 0 if examined.masks is None else int(examined.masks[1].sum()),
                "notes": list(examined.notes),
            },
            "normal": self.normal,
            "false_alarms": self.false_alarms,
            "draws": self.draws,
            "deciding": self.deciding.name,
            "beside": None if self.beside is None else self.beside.name,
            "choice": None if self.choice is None else self.choice.to_dict(),
            "flagged": int(self.flagged.sum()),
            "scorers": [_plain(figures, examined) for figures in self.figures.values()],
            "likelihood": self.likelihood,
            "notes": list(self.notes),
            "extremes": {
                "most": [self._named(i) for i in self.order()[:SHOWN]],
                "least": [self._named(i) for i in self.order()[::-1][:SHOWN]],
            },
            "pictures": self.pictures,
        }

    def _named(self, number: int) -> dict[str, Any]:
        kinds = self.suspects.kinds
        return {
            "path": self.suspects.paths[number],
            "kind": None if kinds is None else kinds[number],
            "score": float(self.deciding.scores.values[number]),
            "flagged": bool(self.flagged[number]),
        }

    def to_csv(self) -> str:
        """A row a picture: path, kind, label (1 an anomaly), flagged, and every score."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["path", "kind", "label", "flagged", *self.figures])
        for number, path in enumerate(self.suspects.paths):
            kinds = self.suspects.kinds
            kind = "" if kinds is None else kinds[number]
            label = "" if kinds is None else int(kind != GOOD)
            scores = [f"{f.scores.values[number]:.9g}" for f in self.figures.values()]
            writer.writerow([_cell(path), _cell(kind), label, int(self.flagged[number]), *scores])
        return buffer.getvalue()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: what begins like one gets an apostrophe."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _plain(figures: Figures, examined: Suspects) -> dict[str, Any]:
    flagged = figures.flagged
    kinds = examined.kinds or ("",) * len(examined)
    counts = Counter(kind for kind, is_flagged in zip(kinds, flagged, strict=True) if is_flagged)
    return {
        "name": figures.name,
        "detail": figures.detail,
        "baseline": figures.baseline,
        "threshold": figures.threshold,
        "largest": float(figures.scores.values.max()),
        "flagged": int(flagged.sum()),
        "flagged_by_kind": {kind: counts[kind] for kind in sorted(set(kinds)) if kind},
        **figures.measured,
        "histogram": _histogram(figures, kinds),
    }


FENCE = 3.0
"""Interquartile ranges from a quartile to where a histogram ends."""


def _histogram(figures: Figures, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Counts of scores by kind between shared edges, the held-out normal pictures among them.

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
    return {
        "edges": edges.tolist(),
        "counts": {
            name: np.histogram(np.clip(part, low, high), edges)[0].tolist()
            for name, part in parts.items()
        },
    }


def measured(values: Floats, examined: Suspects, maps: Any, seed: int) -> dict[str, Any]:
    """AUROC, average precision, F1 and AUROC by kind with their intervals; none without labels."""
    labels = examined.anomalous
    if labels is None or examined.kinds is None:
        return {}
    areas, precisions = measure.resampled(values, labels, seed=seed)
    best = measure.best_f1(values, labels)
    kinds = np.array(examined.kinds)
    by_kind = {}
    for kind in sorted(set(examined.kinds) - {GOOD}):
        kept = (kinds == GOOD) | (kinds == kind)
        part = (values[kept], kinds[kept] != GOOD)
        resamples, _ = measure.resampled(*part, seed=seed)
        by_kind[kind] = {
            "count": int((kinds == kind).sum()),
            "auroc": measure.auroc(*part),
            "interval": measure.interval(resamples),
        }
    false, true = measure.roc(values, labels)
    kept = np.unique(np.linspace(0, len(false) - 1, POINTS).round().astype(int))
    return {
        "auroc": measure.auroc(values, labels),
        "auroc_interval": measure.interval(areas),
        "average_precision": measure.average_precision(values, labels),
        "average_precision_interval": measure.interval(precisions),
        "f1": vars(best),
        "pixel_auroc": _pixels(maps, examined),
        "kinds": by_kind,
        "roc": {"false": false[kept].tolist(), "true": true[kept].tolist()},
    }


def less(own: Floats, other: Floats, examined: Suspects, seed: int) -> dict[str, Any]:
    """By how much an AUROC is above another's on the same pictures, with a paired interval."""
    labels = examined.anomalous
    if labels is None:
        return {}
    areas, _ = measure.resampled(np.stack([own, other]), labels, seed=seed)
    return {
        "difference": measure.auroc(own, labels) - measure.auroc(other, labels),
        "interval": measure.interval(areas[0] - areas[1]),
    }


def _pixels(maps: Any, examined: Suspects) -> float | None:
    """AUROC of single pixels, over pictures whose faults are known."""
    if maps is None or examined.masks is None:
        return None
    masks, known = examined.masks
    if not masks[known].any():
        return None
    return measure.auroc(maps[known], masks[known])


def is_rounding(scores: Scores) -> bool:
    """Whether reconstruction errors are below what 256 grey levels can show."""
    return bool(scores.values.max() < (1 / 510) ** 2) and float(scores.values.max()) < LARGEST
