"""What ``evaluation.json`` holds: measures, all that they depend on, and the speed of sampling."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from naqsh.core.measured import Caution, Speed
from naqsh.core.measured import Likelihood as Likely
from naqsh.report.read import nearness
from naqsh.runs import kept, records
from naqsh.runs.results import Result, groups

Values = dict[str, tuple[float, records.Interval | None]]
"""Measures with their 95 % intervals, by kind (``frechet`` also where it is called FID)."""

OTHERS = ("likelihood", "speed", "nearest", "floor", "captions")
"""Results of an evaluation that are no measures of samples against real images."""


@dataclass(frozen=True)
class Likelihood(Likely):
    """How likely real images are to a run's method, and the checkpoint that was measured."""

    step: int


@dataclass(frozen=True)
class Following:
    """How well samples follow captions, under one set of conditions.

    Attributes:
        of: the conditions, by name.
        found: what was read off the samples.
    """

    of: dict[str, Any]
    found: records.Followed

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"of": self.of, "found": records.plain(self.found)}


class Parsed(NamedTuple):
    """What a file of evaluations holds, the latest last."""

    evaluations: list["Measured"]
    likelihoods: list[Likelihood]
    followings: list[Following]


@dataclass(frozen=True)
class Measured:
    """One run's evaluation under one set of conditions.

    Attributes:
        of: the conditions, by name.
        about: the same as a record.
        speed: of sampling.
        values: what was found.
        names: what each metric is called by these features: FID is of Inception's alone.
        better: which way is better, of the metrics that comparisons rank by.
        notes: what a reader must know to trust the numbers, with the metrics it is about.
        remarks: on the real images, in English.
        likelihood: of real images, where the method has one.
        nearest: how near samples lie to training images, where that was looked at.
        floor: what real images come to when they are measured alike, where that is known.
        followed: how well samples follow captions, where that can be read off them.
    """

    of: dict[str, Any]
    about: records.Conditions
    speed: Speed
    values: Values
    names: dict[str, str]
    better: dict[str, records.Better]
    notes: dict[Caution, list[str]]
    remarks: list[str]
    likelihood: Likelihood | None
    nearest: dict[str, Any] | None
    floor: records.Floor | None
    followed: records.Followed | None = None

    @property
    def alike(self) -> tuple[Any, ...]:
        """What two evaluations must share to be compared."""
        about = self.about
        return about.features, about.fingerprint, about.reference, about.n, about.n_real

    @property
    def terms(self) -> dict[str, Any]:
        """Conditions and cost, by the names of the texts."""
        cost = {
            "pictures_per_second": self.speed.pictures_per_second,
            "evaluations": self.speed.evaluations_per_picture,
            "memory": self.speed.peak_memory,
        }
        about = self.about
        counts = {"generated": about.n, "real": about.n_real, "weights": about.weights}
        return terms(about) | counts | cost

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return self.terms | {
            "of": self.of,
            "values": {self.called(name): value for name, value in self.values.items()},
            "notes": [vars(note) | {"metrics": names} for note, names in self.notes.items()],
            "remarks": self.remarks,
            "likelihood": self.likelihood and vars(self.likelihood),
            "nearest": self.nearest,
            "floor": plain_floor(self.floor),
            "captions": self.followed and records.plain(self.followed),
        }

    def called(self, name: str) -> str:
        """What a metric is called by the features of this evaluation."""
        return self.names.get(name, name)


def parse(found: Sequence[Result]) -> Parsed:
    """What a file's results hold.

    Raises KeyError, TypeError or ValueError where they do not fit.
    """
    others = {kind: [r for r in found if r.of.get("metric") == kind] for kind in OTHERS}
    likely = [(r, _likelihood(r)) for r in others["likelihood"]]
    measures = [r for r in found if r.of.get("metric") not in OTHERS]
    made = [_evaluation(g, others, likely) for g in groups(measures, ["metric"])]
    followings = [
        Following(_without_metric(r), records.read(records.Followed, r.found, "captions"))
        for r in others["captions"]
    ]
    return Parsed(made, [likelihood for _, likelihood in likely], followings)


def common(runs: Sequence[Sequence[Measured]]) -> list[Measured | None]:
    """Of each run's evaluations the one that compares with the most others, else its latest."""
    counts = Counter(kind for found in runs for kind in {m.alike for m in found})
    # Of equals, `max` takes the first.
    return [max(reversed(found), key=lambda m: counts[m.alike], default=None) for found in runs]


def by_kind(measures: Iterable[records.Measure]) -> Values:
    return {records.known(m.name, m)[0]: (m.value, m.interval) for m in measures}


def plain_floor(floor: records.Floor | None) -> dict[str, Any] | None:
    if floor is None:
        return None
    return {"split": floor.split, "n": floor.n, "values": by_kind(floor.measures)}


def terms(about: records.Conditions | records.Drawn) -> dict[str, Any]:
    """What samples of both kinds are of, in words: options where they are not the recipe's."""
    return {
        "step": about.step,
        "seed": about.seed,
        "reference": about.reference,
        "features": f"{about.features} ({about.fingerprint[:8]})",
        "sampling": ", ".join(f"{k} {value}" for k, value in about.sampling.items()) or None,
    }


def _evaluation(
    group: Sequence[Result],
    others: dict[str, list[Result]],
    likely: Sequence[tuple[Result, Likelihood]],
) -> Measured:
    of = _without_metric(group[0])
    about = records.read(records.Conditions, of)
    drawn = {name: of[name] for name in ("sampling", "weights", "step")}
    weights = {name: of[name] for name in ("weights", "step")}
    alike = {name: of[name] for name in kept.MEASURE if name in of}
    names = [str(result.of["metric"]) for result in group]
    found = {
        name: records.read(records.Found, result.found, name)
        for name, result in zip(names, group, strict=True)
    }
    known = {name: records.known(name, one) for name, one in found.items()}
    notes: dict[Caution, list[str]] = {}
    for name, one in found.items():
        for note in one.notes:
            notes.setdefault(note, []).append(name)
    speeds = [records.read(Speed, r.found) for r in others["speed"] if r.fits(**drawn)]
    if not speeds:
        raise ValueError("it has measures without the speed of sampling")
    near = [nearness.parse(r.found) for r in others["nearest"] if r.fits(**drawn)]
    floors = [records.read(records.Floor, r.found) for r in others["floor"] if r.fits(**alike)]
    followed = [
        records.read(records.Followed, r.found) for r in others["captions"] if r.fits(**drawn)
    ]
    return Measured(
        of,
        about,
        speeds[-1],
        {known[name][0]: (one.value, one.interval) for name, one in found.items()},
        {kind: name for name, (kind, _) in known.items()},
        {kind: better for kind, better in known.values() if better},
        notes,
        list(dict.fromkeys(said for one in found.values() for said in one.remarks)),
        next((likelihood for r, likelihood in reversed(likely) if r.fits(**weights)), None),
        near[-1] if near else None,
        floors[-1] if floors else None,
        followed[-1] if followed else None,
    )


def _without_metric(result: Result) -> dict[str, Any]:
    """The conditions of a result, whatever was measured under them."""
    return {name: value for name, value in result.of.items() if name != "metric"}


def _likelihood(result: Result) -> Likelihood:
    known = records.read(Likely, result.found, "likelihood")
    return Likelihood(**vars(known), step=records.read(records.Step, result.of).step)
