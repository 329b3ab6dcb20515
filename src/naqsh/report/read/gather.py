"""Run folders, read into plain facts.

Texts are made printable as they are read, so that nothing behind has to think of it.

What is missing or damaged is noted in :attr:`Facts.problems` and left out, so that a run that has
just begun, or that was hurt, still has a report. Only a recipe must be there: without one a folder
is no run.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from naqsh.core.errors import NaqshError
from naqsh.core.printable import legible, shown
from naqsh.io.foreign import read_json, read_lines
from naqsh.io.values import MISFIT
from naqsh.report.read import evaluation as measured
from naqsh.report.read.bound import parse as parse_bounded
from naqsh.report.read.detection import Detected
from naqsh.report.read.detection import parse as parse_detected
from naqsh.report.read.editing import parse as parse_edited
from naqsh.report.read.facts import Facts, Problem, apart, section
from naqsh.report.read.field import parse as parse_fielded
from naqsh.report.read.guidance import parse as parse_guided
from naqsh.report.read.samplers import parse as parse_sampled
from naqsh.report.read.segmentation import parse as parse_segmented
from naqsh.report.read.translation import parse as parse_translated
from naqsh.runs import kept, packed, records
from naqsh.runs.folder import FORMAT, RunFolder
from naqsh.runs.records import schema
from naqsh.runs.results import Result, Store

T = TypeVar("T")

LONGEST = 300
"""Characters of what is said of a damaged file."""


def read(folders: Sequence[Path]) -> list[Facts]:
    """The facts of each run folder, in the order given.

    Raises:
        NaqshError: a folder holds no run, or its recipe is damaged.
    """
    places = [packed.folder(folder) for folder in folders]
    recipes = [_recipe(place) for place in places]
    names = [legible(place.named.resolve().name) for place in places]
    labels = _labels([str(recipe.get("name")) for recipe in recipes], names)
    return [_facts(*found) for found in zip(places, recipes, labels, strict=True)]


def _labels(recipes: Sequence[str], folders: Sequence[str]) -> list[str]:
    """A label for each run: the shortest that tells them apart."""
    count = Counter(recipes)
    named = zip(recipes, folders, strict=True)
    return apart([recipe if count[recipe] == 1 else f"{recipe} ({f})" for recipe, f in named])


def _recipe(folder: RunFolder) -> dict[str, Any]:
    recipe: dict[str, Any] = legible(folder.read_recipe())
    for name in ("epochs", "steps"):
        value = section(recipe, "training").get(name)
        if value is not None and not isinstance(value, int | float):
            raise NaqshError(f"{folder.recipe} is damaged: training.{name} is no number")
    return recipe


def _facts(folder: RunFolder, recipe: dict[str, Any], label: str) -> Facts:
    text = "\n".join(legible(folder.recipe_text().split("\n")))
    facts = Facts(label, recipe, text, folder.path)
    steps = folder.steps()
    facts.checkpoint = steps[-1] if steps else None
    facts.about = _read(facts, folder.about, read_json, _about, {})
    facts.networks = _read(facts, folder.networks, read_json, _networks, {})
    facts.records = _read(facts, folder.metrics, read_lines, _each(_record), [])
    facts.stages = _read(facts, folder.stages, read_lines, _each(_stage), [])
    facts.notes = _read(facts, folder.diagnosis, read_lines, _each(_note), [])
    nothing = measured.Parsed([], [], [])
    evaluated = _stored(facts, kept.evaluations(folder), measured.parse, nothing)
    facts.evaluations, facts.likelihoods, facts.followings = evaluated
    facts.measured = facts.evaluations[-1] if facts.evaluations else None
    facts.detected = _detections(facts, folder)
    facts.sampled = _stored(facts, kept.samplers(folder), parse_sampled, [])
    facts.guided = _stored(facts, kept.guidance(folder), parse_guided, [])
    facts.edited = _stored(facts, kept.editing(folder), parse_edited, [])
    facts.bound = _stored(facts, kept.bounds(folder), parse_bounded, [])
    facts.fielded = _stored(facts, kept.fields(folder), parse_fielded, [])
    facts.translated = _stored(facts, kept.translations(folder), parse_translated, [])
    facts.segmented = _stored(facts, kept.segmentations(folder), parse_segmented, [])
    return facts


def _detections(facts: Facts, folder: RunFolder) -> list[Detected]:
    """Every detection that the run keeps; an old run has one, beside its other files."""
    places = {folder.path / "detection.json": folder.path / "detection"}
    if folder.detections.is_dir():
        kept = sorted(entry for entry in folder.detections.iterdir() if entry.name[0] != ".")
        places |= {entry / "detection.json": entry for entry in kept}
    found = [
        _later(facts, file, partial(parse_detected, folder=place)) for file, place in places.items()
    ]
    return [detected for detected in found if detected]


def _stored(facts: Facts, store: Store, parse: Callable[[list[Result]], T], empty: T) -> T:
    """What a file of results holds; `empty` where it is not there, or damaged."""
    if not store.path.exists():
        return empty

    def read(_: Path) -> list[Result]:
        return [Result(legible(r.of), legible(r.found)) for r in store.read()]

    return _read(facts, store.path, read, parse, empty)


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
        return parse(legible(load(path)))
    except (NaqshError, OSError, *MISFIT) as error:
        # The page must not tell where on a machine the folder lies.
        reason = shown(error).replace(shown(path), shown(path.name))[:LONGEST]
        facts.problems.append(Problem(path.name, reason))
        return empty


def _each(parse: Callable[[Any], T]) -> Callable[[list[Any]], list[T]]:
    return lambda lines: [parse(line) for line in lines]


_record, _note = partial(records.read, records.Record), partial(records.read, records.Note)


def _about(plain: Any) -> dict[str, Any]:
    """What ``run.json`` says, but not where images lie, nor what it was run on before."""
    schema.require_format(plain, FORMAT)
    kept = records.plain(records.read(records.About, plain))
    del kept["recipe"], kept["history"], kept["data"]["place"]
    return kept


def _networks(plain: Any) -> dict[str, list[dict[str, Any]]]:
    return {
        phase: [records.plain(records.read(records.Layer, layer)) for layer in layers]
        for phase, layers in plain.items()
    }


def _stage(plain: Any) -> records.Stage:
    kept = records.read(records.Stage, plain)
    # Only the name counts: a folder from elsewhere must not make us read other files.
    files = {name: Path(file).name for name, file in (kept.shown or {}).items()}
    rows = {
        kind: tuple(replace(row, file=Path(row.file).name) for row in several)
        for kind, several in (kept.captions or {}).items()
    }
    grid = Path(kept.grid).name if kept.grid else None
    return replace(kept, grid=grid, shown=files, captions=rows)
