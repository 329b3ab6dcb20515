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

from naqsh.data.defects import GOOD
from naqsh.io import inline
from naqsh.runs import records
from naqsh.runs.records import Choice
from naqsh.runs.records.detection import FORMAT
from naqsh.studies.detection.examined import Examined
from naqsh.studies.detection.figures import Figures, record

if TYPE_CHECKING:
    from naqsh.studies.detection.detector import Detector

SHOWN = 8
"""How many of the most and of the least anomalous images are shown."""


@dataclass(frozen=True)
class Detection:
    """All that was found about one collection of images.

    Attributes:
        step: the checkpoint that scored.
        weights: whether they were the ``last`` or the ``best``.
        seed: of noise and choices.
        suspects: the test images.
        normal: name, counts and origin of the normal images.
        false_alarms: rate that thresholds were chosen for.
        draws: of noise, averaged over.
        figures: of each scorer, by name, the deciding one first, the one beside it second.
        likelihood: what :mod:`naqsh.studies.detection.caution` found; None without one.
        notes: names of texts, ``detection.notes``.
        choice: what held-out normal images said of two scores, where that was asked for.
        terms: what else it depends on: names, fingerprints of images.
        images: files of heat maps, and ``maps_of``, whose they are.
        folder: where all of it lies, once it is written.
        detector: what flags, fitted, for new images.
    """

    step: int
    weights: str
    seed: int
    suspects: Examined
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
        from naqsh.studies.detection.printed import table

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
        """The images, most anomalous first."""
        return [int(i) for i in np.argsort(-self.deciding.scores.values, kind="stable")]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        examined, likely = self.suspects, self.likelihood
        kept = records.Detection(
            format=FORMAT,
            step=self.step,
            weights=self.weights,
            seed=self.seed,
            terms=self.terms,
            suspects=records.Suspects(
                name=examined.name,
                count=len(examined),
                kinds=dict(Counter(examined.kinds or ())),
                labelled=examined.anomalous is not None,
                masks=0 if examined.masks is None else int(examined.masks[1].sum()),
                notes=tuple(examined.notes),
            ),
            normal=records.Normal(**self.normal),
            false_alarms=self.false_alarms,
            draws=self.draws,
            deciding=self.deciding.name,
            beside=None if self.beside is None else self.beside.name,
            choice=self.choice,
            flagged=int(self.flagged.sum()),
            scorers=tuple(record(figures, examined) for figures in self.figures.values()),
            likelihood=None if likely is None else records.read(records.Plainness, likely),
            notes=self.notes,
            extremes={
                "most": [self._named(i) for i in self.order()[:SHOWN]],
                "least": [self._named(i) for i in self.order()[::-1][:SHOWN]],
            },
            pictures=self.pictures,
        )
        return kept.plain()

    def _named(self, number: int) -> dict[str, Any]:
        kinds = self.suspects.kinds
        return {
            "path": self.suspects.paths[number],
            "kind": None if kinds is None else kinds[number],
            "score": float(self.deciding.scores.values[number]),
            "flagged": bool(self.flagged[number]),
        }

    def to_csv(self) -> str:
        """A row an image: path, kind, label (1 an anomaly), flagged, and every score."""
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
