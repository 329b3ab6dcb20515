"""What ``evaluation.json`` holds: measures, all that they depend on, and the speed of sampling."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from naqsh.core.measured import Caution, Speed
from naqsh.core.measured import Likelihood as Likely
from naqsh.report.read import nearness
from naqsh.report.read.floor import Floor, by_kind
from naqsh.runs import kept, records
from naqsh.runs.results import Result, groups


@dataclass(frozen=True)
class Likelihood(Likely):
    """How likely real images are to a run's method, and the checkpoint that was measured."""

    step: int


@dataclass(frozen=True)
class Measured:
    """One run's evaluation under one set of conditions.

    Attributes:
        of: what all its measures are of, by name.
        step: the checkpoint that was measured.
        weights: its last or best; None where an older file does not tell.
        seed: of the samples.
        generated: images drawn.
        real: images they were compared with.
        reference: what these are.
        features: by which both were measured, with the start of their fingerprint.
        values: each metric, by its kind (``frechet`` also where it is called FID), with the 95 %
            interval, where it has one.
        names: what each metric is called by these features: FID is of Inception's alone.
        better: which way is better, of the metrics that comparisons rank by.
        notes: what a reader must know to trust the numbers, with the metrics it is about.
        pictures_per_second: of sampling.
        evaluations: of the network, per image.
        memory: the largest while sampling, in bytes, where it is known.
        likelihood: of real images, where the method has one.
        sampling: options that the images were drawn with, if any.
        nearest: how near samples lie to training images, where that was looked at.
        remarks: on the real images, in English.
        floor: what real images come to when they are measured alike, where that is known.
    """

    of: dict[str, Any]
    step: int
    weights: str | None
    seed: int
    generated: int
    real: int
    reference: str
    features: str
    values: dict[str, tuple[float, tuple[float, float] | None]]
    names: dict[str, str]
    better: dict[str, records.Better]
    notes: dict[Caution, tuple[str, ...]]
    pictures_per_second: float
    evaluations: float
    memory: int | None
    likelihood: Likelihood | None
    sampling: str | None
    nearest: nearness.Nearest | None
    remarks: tuple[str, ...]
    floor: Floor | None = None

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        notes = [vars(note) | {"metrics": names} for note, names in self.notes.items()]
        values = {self.called(name): value for name, value in self.values.items()}
        plain = asdict(replace(self, notes={})) | {"notes": notes, "values": values}
        return {name: value for name, value in plain.items() if name not in ("names", "better")}

    def called(self, name: str) -> str:
        """What a metric is called by the features of this evaluation."""
        return self.names.get(name, name)


OTHERS = ("likelihood", "speed", "nearest", "floor")
"""Results of an evaluation that are no measures of samples against real images."""

Results = Sequence[Result]


Evaluated = tuple[list[Measured], list[Likelihood]]
NONE: Evaluated = ([], [])


def parse(found: Results) -> Evaluated:
    """The evaluations and the likelihoods in a file's results, the latest last.

    Raises KeyError, TypeError or ValueError where they do not fit.
    """
    others: dict[str, Results] = {
        kind: [r for r in found if r.of.get("metric") == kind] for kind in OTHERS
    }
    likely = [(r, _likelihood(r)) for r in others["likelihood"]]
    measures = [r for r in found if r.of.get("metric") not in OTHERS]
    made = [_evaluation(g, others, likely) for g in groups(measures, ["metric"])]
    return made, [likelihood for _, likelihood in likely]


def common(runs: Sequence[Sequence[Measured]]) -> list[Measured | None]:
    """Of each run's evaluations the one that compares with the most others, else its latest."""

    def key(measured: Measured) -> tuple[Any, ...]:
        return measured.features, measured.reference, measured.generated, measured.real

    counts = Counter(kind for found in runs for kind in {key(m) for m in found})
    return [max(found, key=lambda m: counts[key(m)], default=None) for found in map(_latest, runs)]


def _latest(found: Sequence[Measured]) -> list[Measured]:
    return list(reversed(found))  # of equals, `max` takes the first


def _evaluation(
    group: Results, others: dict[str, Results], likely: Sequence[tuple[Result, Likelihood]]
) -> Measured:
    first = group[0].of
    of = records.read(records.Conditions, first)
    drawn = {name: first[name] for name in ("sampling", "weights", "step")}
    weights = {name: first[name] for name in ("weights", "step")}
    found = [
        (str(r.of["metric"]), records.read(records.Found, r.found, str(r.of["metric"])))
        for r in group
    ]
    known = [(*records.known(name, one), name, one) for name, one in found]
    named = [(note, name) for name, one in found for note in one.notes]
    speeds = [records.read(Speed, r.found) for r in others["speed"] if r.fits(**drawn)]
    near = [nearness.parse(r.found) for r in others["nearest"] if r.fits(**drawn)]
    alike = {name: first[name] for name in kept.MEASURE if name in first and name != "metric"}
    floors = [
        by_kind(records.read(records.Floor, r.found)) for r in others["floor"] if r.fits(**alike)
    ]
    if not speeds:
        raise ValueError("it has measures without the speed of sampling")
    return Measured(
        {name: value for name, value in first.items() if name != "metric"},
        of.step,
        of.weights,
        of.seed,
        of.n,
        of.n_real,
        of.reference,
        features(of),
        {kind: (one.value, one.interval) for kind, _, _, one in known},
        {kind: name for kind, _, name, _ in known},
        {kind: better for kind, better, _, _ in known if better},
        {note: tuple(n for same, n in named if same == note) for note, _ in named},
        speeds[-1].pictures_per_second,
        speeds[-1].evaluations_per_picture,
        speeds[-1].peak_memory,
        next((found for r, found in reversed(likely) if r.fits(**weights)), None),
        options(of.sampling),
        near[-1] if near else None,
        tuple(dict.fromkeys(said for _, one in found for said in one.remarks)),
        floors[-1] if floors else None,
    )


def features(of: records.Conditions | records.Drawn) -> str:
    """By which was measured, with the start of their fingerprint."""
    return f"{of.features} ({of.fingerprint[:8]})"


def options(sampling: Mapping[str, Any]) -> str | None:
    """How images were drawn, where it is not the recipe's way."""
    return ", ".join(f"{name} {value}" for name, value in sampling.items()) or None


def _likelihood(result: Result) -> Likelihood:
    known = records.read(Likely, result.found, "likelihood")
    return Likelihood(**vars(known), step=records.read(records.Step, result.of).step)
