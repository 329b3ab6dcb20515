"""Run folders, read into plain facts.

What is missing or damaged is noted in :attr:`Facts.problems` and left out, so that a run that has
just begun, or that was hurt, still has a report. Only a recipe must be there: without one a folder
is no run.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from naqsh.errors import NaqshError
from naqsh.report.bounded import Bounded
from naqsh.report.bounded import parse as parse_bounded
from naqsh.report.detected import Detected
from naqsh.report.detected import parse as parse_detected
from naqsh.report.measured import Measured
from naqsh.report.measured import parse as parse_measured
from naqsh.report.sampled import Sampled
from naqsh.report.sampled import parse as parse_sampled
from naqsh.runfolder import FORMAT, RunFolder, read_json, read_lines

T = TypeVar("T")

TAIL = 0.1
"""Part of a curve's records, the last, over which its final value is averaged."""


@dataclass(frozen=True)
class Record:
    """One line of ``metrics.jsonl``."""

    step: int
    epoch: float
    seen: int
    seconds: float
    speed: float | None
    losses: dict[str, float]
    gradients: dict[str, float]


@dataclass(frozen=True)
class Histogram:
    """How a phase's weights are spread: counts between neighbouring edges."""

    edges: list[float]
    counts: list[float]


@dataclass(frozen=True)
class Stage:
    """One line of ``stages.jsonl``: the files of its samples and of what else it shows."""

    step: int
    epoch: float
    grid: Path | None
    shown: dict[str, Path]
    weights: dict[str, Histogram]


@dataclass(frozen=True)
class Note:
    """One line of ``diagnosis.jsonl``.

    Attributes:
        step: when it was said.
        epoch: the same in epochs.
        words: what was said, in English.
        rule: which rule said it; empty in runs of before rules had names.
        metric: the number that the rule watches.
        value: what that number was.
    """

    step: int
    epoch: float
    words: str
    rule: str = ""
    metric: str = ""
    value: float | None = None


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
        recipe: the recipe as nested plain data.
        recipe_text: the recipe as the YAML file has it.
        about: what ``run.json`` holds.
        networks: each phase's layers.
        records: the log, oldest first.
        stages: first, middle and last, as far as they are reached.
        notes: the diagnosis.
        checkpoint: the step of the last checkpoint.
        measured: what the run was evaluated to, once it was.
        detected: how well it tells anomalies, once it was asked.
        sampled: its samplers, once they were compared.
        bound: its variational bound by time, once it was taken.
        problems: what of the folder is missing or damaged.
    """

    label: str
    recipe: dict[str, Any]
    recipe_text: str
    about: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    checkpoint: int | None = None
    measured: Measured | None = None
    detected: Detected | None = None
    sampled: Sampled | None = None
    bound: Bounded | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """What ``run.json`` says of the data set."""
        return section(self.about, "data")

    @property
    def environment(self) -> dict[str, Any]:
        """What the run was run on."""
        return section(self.about, "environment")

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
        """Pictures trained on in a second."""
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


def tail(values: Sequence[float]) -> Sequence[float]:
    """The last tenth of a curve's values, at least one."""
    return values[-max(1, round(len(values) * TAIL)) :]


def read(folders: Sequence[Path]) -> list[Facts]:
    """The facts of each run folder, in the order given.

    Raises:
        NaqshError: a folder holds no run, or its recipe is damaged.
    """
    places = [RunFolder(folder).require() for folder in folders]
    recipes = [_recipe(place) for place in places]
    names = [place.path.resolve().name for place in places]
    labels = _labels([(str(r.get("name")), n) for r, n in zip(recipes, names, strict=True)])
    return [_facts(*found) for found in zip(places, recipes, labels, strict=True)]


def section(plain: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The named values under one name of nested plain data; none where there are none."""
    inner = plain.get(name)
    return inner if isinstance(inner, dict) else {}


def _labels(named: Sequence[tuple[str, str]]) -> list[str]:
    """A label for each (recipe, folder): the shortest that tells them apart."""
    recipes = Counter(recipe for recipe, _ in named)
    labels = [r if recipes[r] == 1 else f"{r} ({folder})" for r, folder in named]
    alike = Counter(labels)
    return [
        label if alike[label] == 1 else f"{label} #{labels[: number + 1].count(label)}"
        for number, label in enumerate(labels)
    ]


def _recipe(folder: RunFolder) -> dict[str, Any]:
    recipe = folder.read_recipe()
    for name in ("epochs", "steps"):
        value = section(recipe, "training").get(name)
        if value is not None and not isinstance(value, int | float):
            raise NaqshError(f"{folder.recipe} is damaged: training.{name} is no number")
    return recipe


def _facts(folder: RunFolder, recipe: dict[str, Any], label: str) -> Facts:
    facts = Facts(label, recipe, folder.recipe.read_text(encoding="utf-8"))
    steps = folder.steps()
    facts.checkpoint = steps[-1] if steps else None
    facts.about = _read(facts, folder.about, read_json, _about, {})
    facts.networks = _read(facts, folder.networks, read_json, _networks, {})
    facts.records = _read(facts, folder.metrics, read_lines, _each(_record), [])
    stage = _each(lambda plain: _stage(plain, folder.grids))
    facts.stages = _read(facts, folder.stages, read_lines, stage, [])
    facts.notes = _read(facts, folder.diagnosis, read_lines, _each(_note), [])
    facts.measured = _later(facts, folder.evaluation, parse_measured)
    place = folder.path
    facts.detected = _later(facts, place / "detection.json", lambda p: parse_detected(p, place))
    facts.sampled = _later(facts, folder.samplers, lambda plain: parse_sampled(plain, place))
    facts.bound = _later(facts, folder.bound, parse_bounded)
    return facts


def _later(facts: Facts, path: Path, parse: Callable[[Any], T]) -> T | None:
    """What a file holds that training does not leave; None where it is not there, or damaged."""
    return _read(facts, path, read_json, parse, None) if path.exists() else None


def _read(
    facts: Facts,
    path: Path,
    load: Callable[[Path], Any],
    parse: Callable[[Any], T],
    empty: T,
) -> T:
    """What a file holds; where it cannot be used, `empty`, and a problem is noted.

    The logs are written from the first record on, so that a missing one is no problem.
    """
    if not path.exists():
        if path.suffix == ".json":
            facts.problems.append(Problem(path.name, None))
        return empty
    try:
        return parse(load(path))
    except (NaqshError, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        # The page must not tell where on a machine the folder lies.
        reason = str(error).replace(str(path), path.name)
        facts.problems.append(Problem(path.name, reason))
        return empty


def _each(parse: Callable[[Any], T]) -> Callable[[list[Any]], list[T]]:
    return lambda lines: [parse(line) for line in lines]


def _about(plain: Any) -> dict[str, Any]:
    if plain["format"] != FORMAT:
        raise ValueError(f"format {plain['format']} is not the one this Naqsh reads, {FORMAT}")
    data, environment = plain["data"], plain["environment"]
    return {
        "format": FORMAT,
        "naqsh": str(plain["naqsh"]),
        "data": {
            "name": str(data["name"]),
            "fingerprint": str(data["fingerprint"]),
            "count": int(data["count"]),
            "shape": [int(size) for size in data["shape"]],
            "classes": [str(name) for name in data["classes"]],
        },
        "parameters": int(plain["parameters"]),
        "memory": int(plain["memory"]),
        "environment": {
            str(name): value if isinstance(value, int) else str(value)
            for name, value in environment.items()
        },
    }


def _networks(plain: Any) -> dict[str, list[dict[str, Any]]]:
    return {
        str(phase): [
            {
                "name": str(layer["name"]),
                "kind": str(layer["kind"]),
                "output": layer["output"] and [int(size) for size in layer["output"]],
                "parameters": int(layer["parameters"]),
            }
            for layer in layers
        ]
        for phase, layers in plain.items()
    }


def _record(plain: Any) -> Record:
    speed = plain.get("speed")
    return Record(
        int(plain["step"]),
        float(plain["epoch"]),
        int(plain["seen"]),
        float(plain["seconds"]),
        None if speed is None else float(speed),
        {str(name): float(value) for name, value in plain.get("losses", {}).items()},
        {str(name): float(value) for name, value in plain.get("gradients", {}).items()},
    )


def _stage(plain: Any, grids: Path) -> Stage:
    # Only the name counts: a folder from elsewhere must not make us read other files.
    grid = Path(str(plain["grid"])).name if plain.get("grid") else None
    shown = {str(kind): grids / Path(str(f)).name for kind, f in plain.get("shown", {}).items()}
    weights = {
        str(phase): Histogram(
            [float(edge) for edge in spread["edges"]],
            [float(count) for count in spread["counts"]],
        )
        for phase, spread in plain.get("weights", {}).items()
    }
    for spread in weights.values():
        if len(spread.edges) != len(spread.counts) + 1:
            raise ValueError("a histogram needs one edge more than counts")
    place = grids / grid if grid else None
    return Stage(int(plain["step"]), float(plain["epoch"]), place, shown, weights)


def _note(plain: Any) -> Note:
    said = Note(int(plain["step"]), float(plain["epoch"]), str(plain["words"]))
    if "rule" not in plain:
        return said
    rule, metric, value = str(plain["rule"]), str(plain["metric"]), float(plain["value"])
    return replace(said, rule=rule, metric=metric, value=value)


def _curves(rows: Sequence[tuple[float, Mapping[str, float | None]]]) -> dict[str, Curve]:
    found: dict[str, Curve] = {}
    for epoch, values in rows:
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                curve = found.setdefault(name, Curve([], []))
                curve.epochs.append(epoch)
                curve.values.append(value)
    return found
