"""Every family on one data set under one budget: trained, measured alike, and laid side by side.

The budget is time or pictures seen, the same for every recipe. Time is turned into a number of
steps before a recipe is trained, by a short trial of its speed on this machine: so a comparison
that is stopped goes on as it began, and each of its runs can be trained again from its recipe.

What a comparison did stands in ``comparison.json`` of its folder; the runs are folders beside it.
"""

import contextlib
import os
import statistics
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from naqsh import evaluation, kept, recipes, report
from naqsh.errors import Interrupted, NaqshError
from naqsh.launch import resolve, train
from naqsh.measuring import features_for
from naqsh.recipe import Recipe
from naqsh.run import Run, load_data
from naqsh.run import open as open_run
from naqsh.runfolder import RunFolder, make_folder, read_json, read_lines, write_json, write_text
from naqsh.training.distributed import join
from naqsh.training.log import Counter

FAMILIES = ("vae", "gan", "wgan-gp", "maf", "ddpm")
"""The recipes that are compared unless others are named, one of each family: their first words."""

TRIAL_STEPS = 150
"""Steps by which a recipe's speed is found: three records, of which the fastest counts. A cold
start slows the first, pictures drawn at a stage another."""

TRIAL_PART = 0.05
"""Part of a recipe's time that a second trial takes, where that is much longer: the first seconds
may be the fastest (vae-mnist began at 5,140 pictures a second and went on at 3,800). Here the
median record counts."""

MEASURES = {"fid", "kid", "precision", "recall", "density", "coverage"}
"""What an evaluation must hold to be taken for one of a comparison."""

State = Literal["planned", "done", "failed"]


@dataclass(frozen=True)
class Entry:
    """One run of a comparison.

    Attributes:
        name: of its recipe.
        folder: of the run, as seen from the comparison's folder.
        state: how far it is.
        steps: how long it is trained; None until its speed is known, and for a run that is taken.
        taken: whether it was trained before, elsewhere.
        error: why it failed, in one line.
    """

    name: str
    folder: str
    state: State = "planned"
    steps: int | None = None
    taken: bool = False
    error: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a comparison is to do; the same folder goes on only with an equal plan.

    Attributes:
        data: the data set's name, a folder or a file.
        recipes: names of recipes, or paths of recipe.yaml files.
        runs: folders of trained runs that are taken as they are.
        minutes: of training, for all recipes together.
        pictures: that each recipe sees, instead of minutes.
        n: pictures drawn of each to measure it.
        features: by which all are measured; None takes those of the data set.
        seed: of trainings and samples.
    """

    data: str = "digits"
    recipes: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    minutes: float = 3.5
    pictures: int | None = None
    n: int = 2000
    features: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.minutes > 0 or (self.pictures is not None and self.pictures < 1):
            raise NaqshError("a comparison needs a budget above 0 of minutes or pictures")


def compare(
    plan: Plan,
    out: Path | str = "runs/compare",
    *,
    device: str = "auto",
    data_home: Path | str | None = None,
    language: str = "en",
    quiet: bool = False,
) -> Path:
    """Train what is not trained, measure what is not measured, and write the report.

    A run that fails is reported and does not stop the others.

    Args:
        plan: what is compared, and under which budget.
        out: the comparison's folder; an unfinished one of the same plan goes on.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        data_home: where data sets are looked for first.
        language: of the report.
        quiet: show no progress.

    Returns:
        the report's file.

    Raises:
        NaqshError: the plan cannot be, the folder holds another one, or every run failed.
        naqsh.errors.Interrupted: a signal came; the same call goes on.
    """
    folder = Path(out)
    make_folder(folder)
    home = Path(data_home) if data_home else None
    with RunFolder(folder).locked():
        entries = _begin(plan, folder, home)
        for number, entry in enumerate(entries):
            if entry.state in ("done", "failed"):
                continue
            _say(f"{entry.name} ({number + 1} of {len(entries)})", quiet)
            entries[number] = _advance(plan, entries, number, folder, device, home, quiet)
            _save(plan, folder, entries)
        failed = [entry for entry in entries if entry.state == "failed"]
        for entry in failed:
            _say(f"{entry.name} failed: {entry.error}", quiet)
        if len(failed) == len(entries):
            raise NaqshError(f"every run failed; the first: {failed[0].name}: {failed[0].error}")
        page = folder / "report.html"
        report.write_comparison(folder, page, language=language)
    return page


def _begin(plan: Plan, folder: Path, home: Path | None) -> list[Entry]:
    """The entries of the comparison in `folder`, or those of a new one."""
    kept = folder / "comparison.json"
    if kept.exists():
        there = read_json(kept)
        try:
            before, entries = dict(there["plan"]), [Entry(**entry) for entry in there["entries"]]
        except (TypeError, KeyError, ValueError) as error:
            raise NaqshError(f"{kept} is damaged: it names no plan and entries") from error
        for key, value in _plain(plan, folder).items():
            if before.get(key) != value:
                raise NaqshError(
                    f"{folder} holds a comparison with {key} {before.get(key)}, not {value}; "
                    "give another --out to start a new one"
                )
        # What failed is tried once more: the reason may be gone.
        return [
            replace(entry, state="planned", error=None) if entry.state == "failed" else entry
            for entry in entries
        ]
    names = plan.recipes or (() if plan.runs else _families(plan.data))
    wanted = [_recipe(name, plan) for name in names]
    entries = [Entry(recipe.name, recipe.name) for recipe in wanted]
    for path in plan.runs:
        recipe = open_run(path).recipe
        if recipe.data.name != plan.data:
            raise NaqshError(
                f"{path} was trained on {recipe.data.name}, not on {plan.data}; a comparison is "
                "of one data set"
            )
        wanted.append(recipe)
        entries.append(Entry(recipe.name, os.path.relpath(path, folder), taken=True))
    if len({entry.folder for entry in entries}) != len(entries):
        raise NaqshError("a recipe or run is named twice; name each once")
    load_data(wanted[0], "train", home)  # a name that is wrong is told before anything is trained
    _save(plan, folder, entries)
    return entries


def _families(name: str) -> list[str]:
    """One recipe of each family for a data set: its own, or MNIST's."""
    known = recipes.all_recipes()
    return [
        own if (own := f"{family}-{name}") in known else f"{family}-mnist" for family in FAMILIES
    ]


def _recipe(name: str, plan: Plan) -> Recipe:
    wanted = resolve(name)
    changes: dict[str, Any] = {"training.seed": plan.seed}
    if wanted.data.name != plan.data:
        changes["data.name"] = plan.data
    return wanted.override(changes)


def _advance(
    plan: Plan,
    entries: list[Entry],
    number: int,
    folder: Path,
    device: str,
    home: Path | None,
    quiet: bool,
) -> Entry:
    """Bring one entry to its end, or to where it fails."""
    entry = entries[number]
    try:
        if not entry.taken:
            recipe = _recipe(_source(plan, entry), plan)
            if entry.steps is None:
                share = plan.minutes * 60 / sum(not other.taken for other in entries)
                steps = _steps(recipe, plan, share, device, home)
                entry = entries[number] = replace(entry, steps=steps)
                _save(plan, folder, entries)
            train(
                recipe,
                out=folder / entry.folder,
                overrides={"training.steps": entry.steps},
                device=device,
                data_home=home,
                quiet=quiet,
            )
        _measure(_opened(folder / entry.folder), plan, device, home, quiet)
    except Interrupted:
        raise
    except Exception as error:  # whatever it is, the other runs are to be had
        write_text(folder / f"{entry.name}.error.txt", traceback.format_exc())
        words = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, NaqshError):
            words = f"{type(error).__name__}: {words}"
        return replace(entry, state="failed", error=words)
    return replace(entry, state="done")


def _opened(folder: Path) -> Run:
    """A run with its best weights, where pictures were held out to tell: time may be too much."""
    return open_run(folder, "best" if RunFolder(folder).best.exists() else "last")


def _source(plan: Plan, entry: Entry) -> str:
    """The name or file that an entry's recipe came from."""
    named = {resolve(name).name: name for name in plan.recipes}
    return named.get(entry.name, entry.name)


def _steps(recipe: Recipe, plan: Plan, share: float, device: str, home: Path | None) -> int:
    """How many steps a recipe takes in `share` seconds, or for the pictures it is to see."""

    def trial(steps: int) -> tuple[float, list[float]]:
        """Pictures in a step, and the speed of each record."""
        changes = {"training.steps": steps}
        with tempfile.TemporaryDirectory() as aside:
            made = train(
                recipe, out=aside, overrides=changes, device=device, data_home=home, quiet=True
            )
            records = read_lines(made.folder.metrics)
        seen = float(records[-1]["seen"] / records[-1]["step"])
        # Records of held-out pictures stand among the others, and know no speed.
        return seen, [float(record["speed"]) for record in records if "speed" in record]

    if plan.pictures is not None:
        return max(1, round(plan.pictures / trial(1)[0]))
    seen, speeds = trial(TRIAL_STEPS)
    speed = max(speeds)
    longer = round(TRIAL_PART * share * speed / seen)
    if longer > 2 * TRIAL_STEPS:
        speed = statistics.median(trial(longer)[1])
    return max(1, round(share * speed / seen))


def _measure(trained: Run, plan: Plan, device: str, home: Path | None, quiet: bool) -> None:
    """Measure a run, unless it is measured so already."""
    features = plan.features or features_for(plan.data)
    if _is_measured(trained, features, plan):
        return
    with join(device) as world, contextlib.ExitStack() as stack:
        counter = None if quiet else stack.enter_context(Counter())
        evaluation.evaluate(
            trained,
            features=features,
            n=plan.n,
            seed=plan.seed,
            device=str(world.device),
            data_home=home,
            progress=counter.update if counter else None,
        )


def _is_measured(run: Run, features: str, plan: Plan) -> bool:
    wanted = {"n": plan.n, "features": features, "seed": plan.seed, "sampling": {}}
    wanted |= {"step": run.step}
    there = kept.evaluations(run.folder).find(**wanted)
    return {result.of["metric"] for result in there} >= MEASURES


def _plain(plan: Plan, folder: Path) -> dict[str, Any]:
    """The plan as JSON gives it back, with runs as seen from the comparison's folder."""
    runs = [os.path.relpath(run, folder) for run in plan.runs]
    return asdict(plan) | {"recipes": list(plan.recipes), "runs": runs}


def _save(plan: Plan, folder: Path, entries: Sequence[Entry]) -> None:
    kept = {"plan": _plain(plan, folder), "entries": [asdict(entry) for entry in entries]}
    write_json(folder / "comparison.json", kept)


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        print(line, file=sys.stderr, flush=True)
