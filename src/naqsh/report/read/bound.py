"""What ``bound.json`` holds: a run's variational bound, by time."""

from collections.abc import Sequence
from typing import Any

from naqsh.report.read.study import Study
from naqsh.runs import records
from naqsh.runs.results import Result

PARTS = ("prior", "steps", "last", "total")

DIGITS = 6
"""Significant digits of an embedded curve."""


class Bounded(Study[records.BoundOf, records.Bound]):
    """One study of the bound."""

    def shares(self) -> tuple[float, float]:
        """What the first tenth of the times has of all bits, and of the errors."""
        found, first = self.found, max(1, len(self.found.times) // 10)
        bits = sum(found.terms[:first]) / found.total.value
        return bits, sum(found.errors[:first]) / sum(found.errors)

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        found, flow = self.found, self.found.flow
        curves = {"times": found.times, "terms": found.terms, "errors": found.errors}
        parts = {name: getattr(found, name) for name in PARTS}
        return {
            "of": self.of,
            "step": self.about.step,
            "n": self.about.n,
            "reference": self.about.reference,
            "kind": found.kind,
            "parts": {name: (mean.value, mean.error) for name, mean in parts.items()},
            "flow": flow and (flow.value, flow.error),
            "flow_kind": flow.kind if flow else "",
        } | {name: [float(f"{v:.{DIGITS}g}") for v in curve] for name, curve in curves.items()}


def parse(found: Sequence[Result]) -> list[Bounded]:
    """The studies in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_study(result) for result in found]


def _study(result: Result) -> Bounded:
    study = Bounded.read(result, records.BoundOf, records.Bound)
    if study.found.total.value <= 0 or sum(study.found.errors) <= 0:
        raise ValueError("the total and the errors must be above 0")
    return study
