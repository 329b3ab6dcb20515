"""What ``samplers.json`` holds: one model's samplers, and how near its samples are to training."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from naqsh.core.measured import Caution
from naqsh.report.read import nearness
from naqsh.report.read.evaluation import features, options
from naqsh.runs import records
from naqsh.runs.results import Result, groups


@dataclass(frozen=True)
class Point:
    """One sampler in one number of steps.

    Attributes:
        sampler: its name.
        steps: of it.
        evaluations: of the network, per image.
        frechet: the distance of its samples, above 0; FID where features are Inception's.
        interval: of that, 95 %, where it has one.
        pictures_per_second: of sampling.
    """

    sampler: str
    steps: int
    evaluations: float
    frechet: float
    interval: tuple[float, float] | None
    pictures_per_second: float


@dataclass(frozen=True)
class Sampled:
    """One run's study of samplers under one set of conditions.

    Attributes:
        of: the conditions, by name.
        step: the checkpoint that was sampled.
        n: images drawn for each point.
        seed: of the samples.
        reference: the real images.
        features: by which both were measured, with the start of their fingerprint.
        sampling: options that all points share, if any.
        points: by sampler, then by steps.
        notes: what a reader must know to trust the distances.
        nearest: the look for copies, once it was made.
        distance: what the distance of its points is called by these features.
    """

    of: dict[str, Any]
    step: int
    n: int
    seed: int
    reference: str
    features: str
    sampling: str | None
    points: tuple[Point, ...]
    notes: tuple[Caution, ...]
    nearest: nearness.Nearest | None
    distance: str

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data; a distance is called what it is by these features."""
        points = [asdict(point) for point in self.points]
        for point in points:
            point[self.distance] = point.pop("frechet")
        plain = asdict(self) | {"points": points}
        del plain["distance"]
        return plain


def parse(found: Sequence[Result]) -> list[Sampled]:
    """The studies in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_study(group) for group in groups(found, ["sampler", "steps", "metric"])]


def _study(group: Sequence[Result]) -> Sampled:
    first = group[0].of
    of = records.read(records.Drawn, first)
    kept = [records.read(records.Point, r.found, "point") for r in group if "sampler" in r.of]
    points = tuple(sorted((_point(p) for p in kept), key=_order([p.sampler for p in kept])))
    if not points:
        raise ValueError("it holds no points")
    near = [nearness.parse(r.found) for r in group if r.of.get("metric") == "nearest"]
    apart = ("sampler", "steps", "metric")
    return Sampled(
        {name: value for name, value in first.items() if name not in apart},
        of.step,
        of.n,
        of.seed,
        of.reference,
        features(of),
        options(of.sampling),
        points,
        tuple(dict.fromkeys(note for point in kept for note in _distance(point).notes)),
        near[-1] if near else None,
        _distance(kept[0]).name,
    )


def _order(samplers: Sequence[str]) -> Callable[[Point], tuple[int, int]]:
    """Samplers as they came, the steps of each rising."""
    names = list(dict.fromkeys(samplers))
    return lambda point: (names.index(point.sampler), point.steps)


def _distance(point: records.Point) -> records.Measure:
    found = [m for m in point.measures if records.known(m.name, m)[0] == "frechet"]
    if len(found) != 1:
        raise ValueError("a point needs one Frechet distance")
    return found[0]


def _point(kept: records.Point) -> Point:
    distance, speed = _distance(kept), kept.pictures_per_second
    for value in (kept.evaluations, distance.value, speed):
        if value <= 0:  # they stand on logarithmic axes
            raise ValueError(f"{value} must be above 0")
    known = distance.value, distance.interval
    return Point(kept.sampler, kept.steps, kept.evaluations, *known, speed)
