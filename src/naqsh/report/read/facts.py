"""What a report knows of a run: plain facts, and the few figures that follow from them."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from naqsh.report.read.bound import Bounded
from naqsh.report.read.detection import Detected
from naqsh.report.read.editing import Edited
from naqsh.report.read.evaluation import Following, Likelihood, Measured
from naqsh.report.read.field import Fielded
from naqsh.report.read.guidance import Guided
from naqsh.report.read.samplers import Sampled
from naqsh.report.read.segmentation import Segmented
from naqsh.report.read.translation import Translated
from naqsh.runs.influences import Influenced
from naqsh.runs.records import Note, Record, Stage
from naqsh.runs.results import differences

TAIL = 0.1
"""Part of a curve's records, the last, over which its final value is averaged."""


@dataclass(frozen=True)
class Curve:
    """One number over training: its value at each epoch where it was logged."""

    epochs: list[float]
    values: list[float]


@dataclass(frozen=True)
class Problem:
    """A file of the run folder that could not be used, and why; None where it is missing."""

    file: str
    reason: str | None


@dataclass
class Facts:
    """All that a report says about one run.

    Attributes:
        label: what the run is called in legends and table heads; no two runs share one.
        about: what ``run.json`` holds.
        stages: first, middle and last, as far as they are reached; files by their names.
        checkpoint: the step of the last checkpoint.
        measured: the evaluation that stands for the run beside others: the latest, or on a page
            of comparison the one that compares.
        evaluations: each under other conditions, the latest last, as the studies that follow.
        problems: what of the folder is missing or damaged.
        influences: what moves each measure, for differences from other runs.
        trainings: of the same recipe with other seeds, where this stands for all of them; its
            measures are then their means.
    """

    label: str
    recipe: dict[str, Any]
    recipe_text: str
    path: Path = Path()
    about: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    checkpoint: int | None = None
    measured: Measured | None = None
    evaluations: list[Measured] = field(default_factory=list)
    likelihoods: list[Likelihood] = field(default_factory=list)
    followings: list[Following] = field(default_factory=list)
    detected: list[Detected] = field(default_factory=list)
    sampled: list[Sampled] = field(default_factory=list)
    guided: list[Guided] = field(default_factory=list)
    edited: list[Edited] = field(default_factory=list)
    bound: list[Bounded] = field(default_factory=list)
    fielded: list[Fielded] = field(default_factory=list)
    translated: list[Translated] = field(default_factory=list)
    segmented: list[Segmented] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    influences: dict[str, Influenced] = field(default_factory=dict)
    trainings: list["Facts"] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """What ``run.json`` says of the data set."""
        return section(self.about, "data")

    @property
    def of_points(self) -> bool:
        """Whether it was trained on points in the plane."""
        return list(self.data.get("shape") or ()) == [2, 1, 1]

    @property
    def environment(self) -> dict[str, Any]:
        """What the run was run on."""
        return section(self.about, "environment")

    def grid(self, name: str) -> Path:
        """The file of a stage's images."""
        return self.path / "grids" / name

    @property
    def finished(self) -> bool:
        """Whether training reached the recipe's end and its last checkpoint is saved."""
        if not self.records or self.checkpoint is None:
            return False
        training = section(self.recipe, "training")
        last = self.records[-1]
        steps, epochs = training.get("steps"), training.get("epochs") or math.inf
        reached = last.step >= steps if steps else last.epoch >= epochs - 1e-9
        return reached and self.checkpoint >= last.step

    def lost(self, file: str) -> bool:
        """Whether a file of the run folder is there and could not be used."""
        return any(p.file == file and p.reason is not None for p in self.problems)

    def losses(self) -> dict[str, Curve]:
        """Every logged term, by the name ``phase.term``."""
        return _curves([(record.epoch, record.losses) for record in self.records])

    def gradients(self) -> dict[str, Curve]:
        """The gradient norm of every weight, by the name ``phase.layer.weight``."""
        return _curves([(record.epoch, record.gradients) for record in self.records])

    def speed(self) -> Curve:
        """Images trained on in a second."""
        rows = [(record.epoch, {"speed": record.speed}) for record in self.records]
        return _curves(rows).get("speed", Curve([], []))

    def summary(self) -> dict[str, Any]:
        """The run at a glance; None stands for what is not known yet."""
        last = self.records[-1] if self.records else None
        speeds = self.speed().values
        training = section(self.recipe, "training")
        return {
            "method": section(self.recipe, "method").get("kind"),
            "data": self.data.get("name", section(self.recipe, "data").get("name")),
            "count": self.data.get("count"),
            "second": self.data.get("second"),
            "shape": self.data.get("shape"),
            "planned": None if training.get("steps") else training.get("epochs"),
            "planned_steps": training.get("steps"),
            "epochs": last and last.epoch,
            "seen": last and last.seen,
            "steps": last and last.step,
            "checkpoint": self.checkpoint,
            "seconds": last and last.seconds,
            "speed": statistics.median(speeds) if speeds else None,
            "parameters": self.about.get("parameters"),
            "memory": self.about.get("memory"),
        }

    def results(self) -> dict[str, dict[str, float]]:
        """Each term at the end: mean and deviation over the last tenth of its records."""
        found = {}
        for name, curve in self.losses().items():
            last = tail(curve.values)
            found[name] = {
                "mean": statistics.fmean(last),
                "deviation": statistics.pstdev(last),
                "records": len(last),
            }
        return found


class Conditioned(Protocol):
    """What was measured under conditions that have names."""

    @property
    def of(self) -> Mapping[str, Any]:
        """The conditions."""


Study = TypeVar("Study", bound=Conditioned)


def studies(run: Facts, found: Sequence[Study]) -> list[tuple[Facts, Study]]:
    """Each study of a run beside the run, whose label says in what the studies differ."""
    apart = map(_words, differences([study.of for study in found]))
    return [
        (replace(run, label=f"{run.label} ({condition})") if condition else run, study)
        for study, condition in zip(found, apart, strict=True)
    ]


def _words(named: Mapping[str, Any]) -> str:
    """Conditions in a few words; fingerprints by their start, options by themselves."""
    said = []
    for name, value in named.items():
        if isinstance(value, Mapping):
            said += [f"{key} {inner}" for key, inner in value.items()] or [f"default {name}"]
        elif value is not None:
            short = str(value)[:8] if name.endswith("fingerprint") else value
            said.append(f"{name.removesuffix('_fingerprint')} {short}")
    return ", ".join(said)


def apart(labels: Sequence[str]) -> list[str]:
    """The labels; those that are alike get numbers."""
    return [
        label if labels.count(label) == 1 else f"{label} #{labels[: number + 1].count(label)}"
        for number, label in enumerate(labels)
    ]


def tail(values: Sequence[float]) -> Sequence[float]:
    """The last tenth of a curve's values, at least one."""
    return values[-max(1, round(len(values) * TAIL)) :]


def section(plain: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The named values under one name of nested plain data; none where there are none."""
    inner = plain.get(name)
    return inner if isinstance(inner, dict) else {}


def _curves(rows: Sequence[tuple[float, Mapping[str, float | None]]]) -> dict[str, Curve]:
    found: dict[str, Curve] = {}
    for epoch, values in rows:
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                curve = found.setdefault(name, Curve([], []))
                curve.epochs.append(epoch)
                curve.values.append(value)
    return found
