"""What a comparison is to do, how far it is, and the file in which both stand.

``comparison.json`` is read to learn how far a comparison is. What it is made of (names, folders)
follows from the plan that the user gives, never from the file: a stranger's file leads nowhere.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from naqsh import recipes
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.printable import short
from naqsh.io.files import write_json
from naqsh.io.foreign import plain_name, read_json
from naqsh.io.values import MISFIT
from naqsh.recipes.recipe import Recipe
from naqsh.runs.trained import open_trained
from naqsh.training.launch import resolve

FILE = "comparison.json"

FAMILIES = ("vae", "gan", "wgan-gp", "maf", "ddpm")
"""The recipes that are compared unless others are named, one of each family: their first words."""

N = 2000
"""Images drawn of each run, unless it is said otherwise or taken runs were measured otherwise."""

Reference = Literal["test", "train"]

OPEN = ("data", "n", "features")
"""What a plan may leave open; it is settled when the comparison begins."""

State = Literal["planned", "done", "failed"]


@dataclass(frozen=True)
class Entry:
    """One run of a comparison.

    Attributes:
        name: of its recipe.
        folder: of the run, as seen from the comparison's folder.
        seed: of its training and its samples.
        state: how far it is.
        steps: how long it is trained; None until its speed is known, and for a run that is taken.
        taken: whether it was trained before, elsewhere.
        error: why it failed, in one line.
        evaluation: what it was measured to be is of this, once it is.
    """

    name: str
    folder: str
    seed: int = 0
    state: State = "planned"
    steps: int | None = None
    taken: bool = False
    error: str | None = None
    evaluation: dict[str, Any] | None = None


@dataclass(frozen=True)
class Plan:
    """What a comparison is to do; a folder resumes only with an equal plan.

    Attributes:
        data: the data set's name, a folder or a file; None takes that of the first taken run, else
            the digits.
        recipes: names of recipes, or paths of recipe.yaml files.
        runs: folders of trained runs that are taken as they are.
        minutes: of training, for all recipes together.
        images: that each recipe sees, instead of minutes.
        n: images drawn of each to measure it; None takes what the taken runs were measured with,
            else 2,000.
        features: by which all are measured; None takes those of the data set, if they can be had.
        seed: of trainings and samples; the first of them.
        seeds: how many trainings of each recipe; from 2 on they are the unit of the statistics.
        reference: the real images, ``test`` or ``train``. Where a set has no test split, a tenth of
            its images is held out by seed.
    """

    data: str | None = None
    recipes: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    minutes: float = 3.5
    pictures: int | None = None
    n: int | None = None
    features: str | None = None
    seed: int = 0
    seeds: int = 1
    reference: Reference = "test"

    def __post_init__(self) -> None:
        if not self.minutes > 0 or (self.pictures is not None and self.pictures < 1):
            raise NaqshError("a comparison needs a budget above 0 of minutes or images")
        if self.seeds < 1:
            raise NaqshError(f"each recipe needs at least 1 seed, got {self.seeds}")
        if self.n is not None and self.n < LEAST:
            raise NaqshError(f"measuring needs at least {LEAST} images, got n {self.n}")
        if self.reference not in get_args(Reference):
            raise one_of("reference", self.reference, get_args(Reference))


LEAST = 6
"""Images on either side below which some measures cannot be taken."""


@dataclass(frozen=True)
class Member:
    """What an entry stands for.

    Attributes:
        entry: how far it is.
        recipe: of the training, or of the run that is taken.
        run: the folder of a taken run.
    """

    entry: Entry
    recipe: Recipe
    run: str | None = None


def members(plan: Plan, folder: Path) -> list[Member]:
    """What a plan comes to, nothing of it done.

    Raises:
        NaqshError: an unknown recipe or run, or one that is named twice.
    """
    taken = [(path, open_trained(path).recipe) for path in plan.runs]
    data = plan.data or (taken[0][1].data.name if taken else "digits")
    names = plan.recipes or (() if plan.runs else families(data))
    found = []
    for name in names:
        for seed in range(plan.seed, plan.seed + plan.seeds):
            recipe = _recipe(name, data, seed)
            own = plain_name(recipe.name, "the recipe's name")
            place = own if plan.seeds == 1 else f"{own}-seed-{seed}"
            found.append(Member(Entry(recipe.name, place, seed), recipe))
    for path, recipe in taken:
        place = os.path.relpath(path, folder)
        entry = Entry(recipe.name, place, recipe.training.seed, taken=True)
        found.append(Member(entry, recipe, path))
    folders = [member.entry.folder for member in found]
    if len(set(folders)) != len(folders):
        raise NaqshError("a recipe or run is named twice; name each once")
    return found


def families(name: str) -> list[str]:
    """One recipe of each family for a data set: its own, or MNIST's."""
    known = recipes.all_recipes()
    return [
        own if (own := f"{family}-{name}") in known else f"{family}-mnist" for family in FAMILIES
    ]


def _recipe(name: str, data: str, seed: int) -> Recipe:
    wanted = resolve(name)
    changes: dict[str, Any] = {"training.seed": seed}
    if wanted.data.name != data:
        changes["data.name"] = data
    return wanted.override(changes)


def read(folder: Path, plan: Plan) -> tuple[Plan, dict[str, Entry]] | None:
    """The plan of the comparison in a folder, and its entries by their folders; None if it is new.

    Raises:
        NaqshError: the folder holds a comparison of another plan or other files, or the file is
            damaged.
    """
    file = folder / FILE
    if not file.exists():
        if any(path.name[0] != "." for path in folder.iterdir()):
            raise NaqshError(f"{folder} holds other files; give an empty or new --out")
        return None
    there = read_json(file)
    try:
        before = dict(there["plan"])
        entries = [_entry(plain) for plain in there["entries"]]
        # What was left open is as it was settled when the comparison began.
        settled = replace(plan, **{name: plan.__dict__[name] or before[name] for name in OPEN})
    except MISFIT as error:
        raise NaqshError(f"{file} is damaged: it names no plan and entries") from error
    for key, value in plain(plan, folder).items():
        if before.get(key) != value and (value is not None or key not in OPEN):
            raise NaqshError(
                f"{folder} holds a comparison with {key} {short(before.get(key))}, not {value}; "
                "give another --out to start a new one"
            )
    return settled, {entry.folder: entry for entry in entries}


def _entry(plain: Any) -> Entry:
    entry = Entry(**plain)
    if entry.steps is not None and (type(entry.steps) is not int or entry.steps < 1):
        raise ValueError("steps are no number")
    return entry


def write(folder: Path, plan: Plan, entries: Sequence[Entry], about: dict[str, Any]) -> None:
    """Write ``comparison.json``.

    Args:
        folder: of the comparison.
        plan: settled.
        entries: how far each run is.
        about: what else a reader of the comparison has to know.
    """
    kept = {"plan": plain(plan, folder), "entries": [asdict(entry) for entry in entries], **about}
    write_json(folder / FILE, kept)


def plain(plan: Plan, folder: Path) -> dict[str, Any]:
    """The plan as JSON gives it back, with runs as seen from the comparison's folder."""
    runs = [os.path.relpath(run, folder) for run in plan.runs]
    return asdict(plan) | {"recipes": list(plan.recipes), "runs": runs}
