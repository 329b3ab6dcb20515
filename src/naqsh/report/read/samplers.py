"""What ``samplers.json`` holds: one model's samplers, and how near its samples are to training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naqsh.core.measured import Caution
from naqsh.report.read import nearness
from naqsh.report.read.distances import called
from naqsh.report.read.evaluation import terms
from naqsh.runs import records
from naqsh.runs.results import Result, groups

APART = ("sampler", "steps", "inner", "metric")
"""What tells the results of one study apart."""

Point = tuple[records.Point, records.Measure]
"""One sampler in one number of steps, and the Frechet distance of its samples."""

SHARES = ("precision", "recall")
"""What else samples are measured by, but for older files."""


@dataclass(frozen=True)
class Sampled:
    """One run's study of samplers under one set of conditions.

    Attributes:
        of: the conditions, by name.
        about: the same as a record.
        points: by sampler, then by steps.
        nearest: the look for copies, once it was made.
        exact: the same samplers under an exact score, where that was asked for.
    """

    of: dict[str, Any]
    about: records.Drawn
    points: list[Point]
    nearest: dict[str, Any] | None
    exact: records.Exact | None = None

    @property
    def terms(self) -> dict[str, Any]:
        """Conditions by the names of the texts."""
        return terms(self.about) | {"n": self.about.n}

    @property
    def distance(self) -> str:
        """What distances are called by these features: FID is of Inception's alone."""
        return called(self.points[0][1])

    @property
    def notes(self) -> list[Caution]:
        """What a reader must know to trust the measures."""
        shown = [[far, *shares(point).values()] for point, far in self.points]
        found = (note for measures in shown for measure in measures for note in measure.notes)
        return list(dict.fromkeys(found))

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        points = [
            {
                "sampler": point.sampler,
                "steps": point.steps,
                **({} if point.inner is None else {"inner": point.inner}),
                "evaluations": point.evaluations,
                self.distance: distance.value,
                "interval": distance.interval,
                **{name: measure.value for name, measure in shares(point).items()},
                "pictures_per_second": point.pictures_per_second,
            }
            for point, distance in self.points
        ]
        notes = [vars(note) for note in self.notes]
        return self.terms | {
            "of": self.of,
            "points": points,
            "notes": notes,
            "nearest": self.nearest,
            **({"exact": records.plain(self.exact)} if self.exact else {}),
        }


def shares(point: records.Point) -> dict[str, records.Measure]:
    """Precision and recall of a point, where it has them."""
    return {m.name: m for m in point.measures if m.name in SHARES}


def counted(point: records.Point | records.ExactPoint) -> str:
    """Its steps; of Langevin dynamics levels times steps at each, where the study chose both."""
    return f"{point.steps} × {point.inner}" if point.inner else str(point.steps)


def parse(found: Sequence[Result]) -> list[Sampled]:
    """The studies in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_study(group) for group in groups(found, APART)]


def _study(group: Sequence[Result]) -> Sampled:
    of = {name: value for name, value in group[0].of.items() if name not in APART}
    about = records.read(records.Drawn, of)
    points = [_point(result) for result in group if "sampler" in result.of]
    if not points:
        raise ValueError("it holds no points")
    names = [point.sampler for point, _ in points]
    points.sort(key=lambda known: (names.index(known[0].sampler), known[0].steps))
    near = [nearness.parse(r.found) for r in group if r.of.get("metric") == "nearest"]
    exact = [records.read(records.Exact, r.found) for r in group if r.of.get("metric") == "exact"]
    if any(point.evaluations <= 0 or point.distance <= 0 for one in exact for point in one.points):
        raise ValueError("distances and evaluations must be above 0")
    last = exact[-1] if exact else None
    return Sampled(of, about, points, near[-1] if near else None, last)


def _point(result: Result) -> Point:
    point = records.read(records.Point, result.found, "point")
    found = [m for m in point.measures if records.known(m.name, m)[0] == "frechet"]
    if len(found) != 1:
        raise ValueError("a point needs one Frechet distance")
    for value in (point.evaluations, found[0].value, point.pictures_per_second):
        if value <= 0:  # they stand on logarithmic axes
            raise ValueError(f"{value} must be above 0")
    return point, found[0]
