"""What ``bound.json`` holds: a run's variational bound, by time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from naqsh.runs import records
from naqsh.runs.results import Result

PARTS = ("prior", "steps", "last", "total")

DIGITS = 6
"""Significant digits of an embedded curve."""


@dataclass(frozen=True)
class Bounded:
    """One run's bound in bits per dimension; of each part the mean and its standard error.

    Attributes:
        of: the conditions, by name.
        step: the checkpoint that was measured.
        n: images.
        reference: which images.
        kind: of the bound as a figure of likelihood.
        parts: ``prior``, ``steps``, ``last`` and their sum, the ``total``.
        flow: the estimate by the probability-flow equation, where it was taken.
        flow_kind: what that is as a figure of likelihood; empty where it was not taken.
        times: rising.
        terms: at each time.
        errors: of the noise that the network sees, at each time, without weights.
    """

    of: dict[str, Any]
    step: int
    n: int
    reference: str
    kind: str
    parts: dict[str, tuple[float, float]]
    flow: tuple[float, float] | None
    flow_kind: str
    times: list[float]
    terms: list[float]
    errors: list[float]

    def shares(self) -> tuple[float, float]:
        """What the first tenth of the times has of all bits, and of the errors."""
        first = max(1, len(self.times) // 10)
        bits = sum(self.terms[:first]) / self.parts["total"][0]
        return bits, sum(self.errors[:first]) / sum(self.errors)

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        curves = {name: getattr(self, name) for name in ("times", "terms", "errors")}
        short = {k: [float(f"{v:.{DIGITS}g}") for v in curve] for k, curve in curves.items()}
        return asdict(self) | short


def parse(found: Sequence[Result]) -> list[Bounded]:
    """The studies in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_study(result) for result in found]


def _study(result: Result) -> Bounded:
    of, kept = records.read(records.BoundOf, result.of), records.read(records.Bound, result.found)
    if kept.total.value <= 0 or sum(kept.errors) <= 0:
        raise ValueError("the total and the errors must be above 0")
    return Bounded(
        dict(result.of),
        of.step,
        of.n,
        of.reference,
        kept.kind,
        {name: _mean(getattr(kept, name)) for name in PARTS},
        None if kept.flow is None else _mean(kept.flow),
        "" if kept.flow is None else kept.flow.kind,
        list(kept.times),
        list(kept.terms),
        list(kept.errors),
    )


def _mean(mean: records.Mean) -> tuple[float, float]:
    return mean.value, mean.error
