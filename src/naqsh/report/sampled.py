"""What ``samplers.json`` holds: one model's samplers, and how near its samples are to training."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from naqsh.report.measured import Caution, caution, options
from naqsh.results import Result, groups


@dataclass(frozen=True)
class Point:
    """One sampler in one number of steps.

    Attributes:
        sampler: its name.
        steps: of it.
        evaluations: of the network, per picture.
        fid: of its samples, above 0.
        interval: of that, 95 %, where it has one.
        pictures_per_second: of sampling.
    """

    sampler: str
    steps: int
    evaluations: float
    fid: float
    interval: tuple[float, float] | None
    pictures_per_second: float


@dataclass(frozen=True)
class Nearest:
    """How near training pictures lie, by the root mean square difference of pixels in [0, 1].

    Attributes:
        n: samples, and as many held-out pictures.
        samples: the samples' median distance.
        held_out: that of held-out pictures.
        closer: part of the samples that lie nearer than any held-out picture does.
        picture: the file that shows some samples above the nearest images.
    """

    n: int
    samples: float
    held_out: float
    closer: float
    picture: Path


@dataclass(frozen=True)
class Sampled:
    """One run's study of samplers under one set of conditions.

    Attributes:
        of: the conditions, by name.
        step: the checkpoint that was sampled.
        n: pictures drawn for each point.
        seed: of the samples.
        reference: the real pictures.
        features: by which both were measured, with the start of their fingerprint.
        sampling: options that all points share, if any.
        points: by sampler, then by steps.
        notes: what a reader must know to trust the distances.
        nearest: the look for copies, once it was made.
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
    nearest: Nearest | None

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data, the picture by its name alone."""
        near = self.nearest and asdict(self.nearest) | {"picture": self.nearest.picture.name}
        return asdict(self) | {"nearest": near}


def parse(found: Sequence[Result], folder: Path) -> list[Sampled]:
    """The studies in a file's results, the latest last.

    Args:
        found: what the file holds.
        folder: of the run.

    Raises KeyError, TypeError or ValueError where they do not fit.
    """
    return [_study(group, folder) for group in groups(found, ["sampler", "steps", "metric"])]


def _study(group: Sequence[Result], folder: Path) -> Sampled:
    first = group[0].of
    plain = [result.found for result in group if "sampler" in result.of]
    points = tuple(sorted((_point(p) for p in plain), key=_order([p["sampler"] for p in plain])))
    if not points:
        raise ValueError("it holds no points")
    measures = [_fid(point) for point in plain]
    near = [_nearest(r.found, folder) for r in group if r.of.get("metric") == "nearest"]
    apart = ("sampler", "steps", "metric")
    return Sampled(
        {name: value for name, value in first.items() if name not in apart},
        int(first["step"]),
        int(first["n"]),
        int(first["seed"]),
        str(first["reference"]),
        f"{first['features']} ({first['fingerprint'][:8]})",
        options(first),
        points,
        tuple(dict.fromkeys(caution(note) for measure in measures for note in measure["notes"])),
        near[-1] if near else None,
    )


def _order(samplers: Sequence[str]) -> Callable[[Point], tuple[int, int]]:
    """Samplers as they came, the steps of each rising."""
    names = list(dict.fromkeys(samplers))
    return lambda point: (names.index(point.sampler), point.steps)


def _fid(plain: Any) -> Any:
    found = [measure for measure in plain["measures"] if measure["name"] == "fid"]
    if len(found) != 1:
        raise ValueError("a point needs one fid")
    return found[0]


def _point(plain: Any) -> Point:
    fid = _fid(plain)
    interval = fid["interval"]
    point = Point(
        str(plain["sampler"]),
        int(plain["steps"]),
        float(plain["evaluations"]),
        float(fid["value"]),
        None if interval is None else (float(interval[0]), float(interval[1])),
        float(plain["pictures_per_second"]),
    )
    for value in (point.evaluations, point.fid, point.pictures_per_second):
        if not 0 < value < math.inf:  # they stand on logarithmic axes
            raise ValueError(f"{value} must be above 0 and finite")
    return point


def _nearest(plain: Any, folder: Path) -> Nearest:
    samples, held_out = ([float(d) for d in plain[name]] for name in ("samples", "held_out"))
    if not len(samples) == len(held_out) == int(plain["n"]):
        raise ValueError("nearest needs n distances of samples and as many of held-out pictures")
    closer = float(plain["closer_than_any_held_out"])
    if not 0 <= closer <= 1:
        raise ValueError(f"closer_than_any_held_out must lie in [0, 1], got {closer}")
    # Only the name counts: a folder from elsewhere must not make us read other files.
    picture = folder / Path(str(plain.get("picture", "nearest.png"))).name
    medians = statistics.median(samples), statistics.median(held_out)
    return Nearest(len(samples), *medians, closer, picture)
