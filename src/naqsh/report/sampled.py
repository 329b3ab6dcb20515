"""What ``samplers.json`` holds: one model's samplers, and how near its samples are to training."""

import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from naqsh.report.measured import Caution, caution, options


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
    """

    n: int
    samples: float
    held_out: float
    closer: float


@dataclass(frozen=True)
class Sampled:
    """One run's study of samplers.

    Attributes:
        step: the checkpoint that was sampled.
        n: pictures drawn for each point.
        seed: of the samples.
        reference: the real pictures.
        features: by which both were measured, with the start of their fingerprint.
        sampling: options that all points share, if any.
        points: by sampler, then by steps.
        notes: what a reader must know to trust the distances.
        nearest: the look for copies, once it was made.
        picture: its file.
    """

    step: int
    n: int
    seed: int
    reference: str
    features: str
    sampling: str | None
    points: tuple[Point, ...]
    notes: tuple[Caution, ...]
    nearest: Nearest | None
    picture: Path

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data, the picture by its name alone."""
        return asdict(self) | {"picture": self.picture.name}


def parse(plain: Any, folder: Path) -> Sampled:
    """The file's content; raises KeyError, TypeError or ValueError where it does not fit.

    Args:
        plain: what the file holds.
        folder: of the run.
    """
    points = tuple(_point(point) for point in plain["points"])
    if not points:
        raise ValueError("it holds no points")
    measures = [_fid(point) for point in plain["points"]]
    return Sampled(
        int(plain["step"]),
        int(plain["n"]),
        int(plain["seed"]),
        str(plain["reference"]),
        f"{plain['features']} ({plain['fingerprint'][:8]})",
        options(plain),
        points,
        tuple(dict.fromkeys(caution(note) for measure in measures for note in measure["notes"])),
        None if plain["nearest"] is None else _nearest(plain["nearest"]),
        folder / "nearest.png",
    )


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


def _nearest(plain: Any) -> Nearest:
    samples, held_out = ([float(d) for d in plain[name]] for name in ("samples", "held_out"))
    if not len(samples) == len(held_out) == int(plain["n"]):
        raise ValueError("nearest needs n distances of samples and as many of held-out pictures")
    closer = float(plain["closer_than_any_held_out"])
    if not 0 <= closer <= 1:
        raise ValueError(f"closer_than_any_held_out must lie in [0, 1], got {closer}")
    return Nearest(len(samples), statistics.median(samples), statistics.median(held_out), closer)
