"""What ``guidance.json`` holds: one model's samples by scales of guidance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naqsh.core.measured import Caution
from naqsh.report.read.distances import called
from naqsh.report.read.evaluation import terms
from naqsh.runs import records
from naqsh.runs.results import Result, groups

MEASURED = ("frechet", "precision", "recall")
"""Kinds of the measures that every scale has."""

Scale = tuple[records.Scale, dict[str, records.Measure]]
"""The samples under one scale, and their measures by kind."""


@dataclass(frozen=True)
class Guided:
    """One run's study of guidance under one set of conditions.

    Attributes:
        of: the conditions, by name.
        about: the same as a record.
        scales: rising.
    """

    of: dict[str, Any]
    about: records.Drawn
    scales: list[Scale]

    @property
    def terms(self) -> dict[str, Any]:
        """Conditions by the names of the texts."""
        return terms(self.about) | {"n": self.about.n}

    @property
    def distance(self) -> str:
        """What distances are called by these features: FID is of Inception's alone."""
        return called(self.scales[0][1]["frechet"])

    @property
    def notes(self) -> list[Caution]:
        """What a reader must know to trust the distances."""
        found = (note for _, measures in self.scales for note in measures["frechet"].notes)
        return list(dict.fromkeys(found))

    @property
    def comparable(self) -> tuple[Any, ...]:
        """What is equal where distances may stand on one axis."""
        about = self.about
        return about.n, about.features, about.fingerprint, about.reference

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        scales = [
            {"guidance": scale.guidance, "evaluations": scale.evaluations}
            | {kind: measures[kind].value for kind in MEASURED}
            for scale, measures in self.scales
        ]
        return self.terms | {"of": self.of, "scales": scales}


def parse(found: Sequence[Result]) -> list[Guided]:
    """The studies in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_study(group) for group in groups(found, ("guidance",))]


def _study(group: Sequence[Result]) -> Guided:
    of = {name: value for name, value in group[0].of.items() if name != "guidance"}
    scales = sorted(map(_scale, group), key=lambda known: known[0].guidance)
    return Guided(of, records.read(records.Drawn, of), scales)


def _scale(result: Result) -> Scale:
    scale = records.read(records.Scale, result.found, "scale")
    measures = {records.known(m.name, m)[0]: m for m in scale.measures}
    if missing := set(MEASURED) - set(measures):
        raise ValueError(f"a scale of guidance has no {min(missing)}")
    return scale, measures
