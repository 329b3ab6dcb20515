"""What a comparison is to do, how far it is, and the file in which both stand.

``comparison.json`` is read to learn how far a comparison is. What it is made of (names, folders)
follows from the plan that the user gives, never from the file: a stranger's file leads nowhere.
"""

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from naqsh import recipes
from naqsh.core.errors import NaqshError
from naqsh.core.printable import short
from naqsh.io.codec import Text
from naqsh.io.files import write_json
from naqsh.io.foreign import plain_name, read_json
from naqsh.recipes.recipe import Recipe
from naqsh.runs import records
from naqsh.runs.records import Entry, Plan
from naqsh.runs.records.comparison import under
from naqsh.runs.trained import open_trained
from naqsh.studies.measure import POINTS
from naqsh.training.asked import resolve

FILE = "comparison.json"

FAMILIES = (
    ("vae",),
    ("gan-r1", "gan"),
    ("wgan-gp",),
    ("tarflow", "maf"),
    ("ddpm-min-snr", "ddpm"),
)
"""The recipes that are compared unless others are named, one of each family, by their first words.

Where a family has several, the first that a data set has one of: points have no patches for
TarFlow.
"""

N = 2000
"""Images drawn of each run, unless it is said otherwise or taken runs were measured otherwise."""

OPEN = ("data", "n", "features")
"""What a plan may leave open; it is settled when the comparison begins."""


@dataclass(frozen=True)
class Member:
    """What an entry stands for.

    Attributes:
        entry: how far it is.
        recipe: of the training, or of the run that is taken.
        run: the folder of a taken run.
        base: the name of the recipe that it is a variant or another seed of; all these are trained
            for as many steps under one budget.
    """

    entry: Entry
    recipe: Recipe
    run: str | None = None
    base: str = ""


def members(plan: Plan, folder: Path) -> list[Member]:
    """What a plan comes to, nothing of it done.

    Raises:
        NaqshError: an unknown recipe or run, or one that is named twice.
    """
    taken = [(path, open_trained(path).recipe) for path in plan.runs]
    data = plan.data or (taken[0][1].data.name if taken else _shared(plan.recipes))
    names = plan.recipes or (() if plan.runs else families(data))
    seeds, found = range(plan.seed, plan.seed + plan.seeds), []
    budgets = plan.budgets if len(plan.budgets) > 1 else (None,)
    each = itertools.product(budgets, names, ({}, *plan.variants), seeds)
    for minutes, name, changes, seed in each:
        recipe = _recipe(name, data, seed, plan.reading)
        base = plain_name(recipe.name, "the recipe's name")
        recipe = _under(minutes, _variant(recipe, changes))
        place = recipe.name if plan.seeds == 1 else f"{recipe.name}-seed-{seed}"
        entry = Entry(recipe.name, place, seed, minutes=minutes)
        found.append(Member(entry, recipe, base=base))
    for path, recipe in taken:
        place = os.path.relpath(path, folder)
        entry = Entry(recipe.name, place, recipe.training.seed, taken=True)
        found.append(Member(entry, recipe, path))
    folders = [member.entry.folder for member in found]
    if len(set(folders)) != len(folders):
        raise NaqshError("a recipe or run is named twice; name each once")
    return found


def families(name: str) -> list[str]:
    """One recipe of each family for a data set: its own, or MNIST's; of points another set's."""
    known = recipes.all_recipes()
    others = POINTS if name in POINTS else ["mnist"]
    made = [[f"{word}-{of}" for of in (name, *others) for word in words] for words in FAMILIES]
    return [own for names in made if (own := next((n for n in names if n in known), None))]


def _recipe(name: str, data: str, seed: int, reading: Mapping[str, str]) -> Recipe:
    wanted = resolve(name)
    changes: dict[str, Any] = {"training.seed": seed}
    if wanted.data.name != data:
        changes["data.name"] = data
    return wanted.override(changes | {name: Text(value) for name, value in reading.items()})


def _shared(names: Sequence[str]) -> str:
    """The data set that all recipes are of, else the digits."""
    data = {resolve(name).data.name for name in names}
    return data.pop() if len(data) == 1 else "digits"


def _variant(recipe: Recipe, changes: Mapping[str, str]) -> Recipe:
    """The recipe with changes, by which it is then called: ``cyclegan-digits-identity-0``."""
    if not changes:
        return recipe
    made = recipe.override({name: Text(value) for name, value in changes.items()})
    said = (f"{name.rpartition('.')[2]}-{value}" for name, value in changes.items())
    return replace(made, name=re.sub(r"[^\w.-]+", "-", "-".join([recipe.name, *said])))


def _under(minutes: float | None, recipe: Recipe) -> Recipe:
    """The recipe as it is called under one of several budgets: ``ddpm-mnist-15-minutes``."""
    return recipe if minutes is None else replace(recipe, name=recipe.name + under(minutes))


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
    there = records.Comparison.of(read_json(file), file)
    # What was left open is as it was settled when the comparison began.
    left = {name: getattr(plan, name) or getattr(there.plan, name) for name in OPEN}
    before = records.plain(there.plan)
    for key, value in records.plain(_seen_from(folder, replace(plan, **left))).items():
        if before[key] != value:
            raise NaqshError(
                f"{folder} holds a comparison with {key} {short(before[key])}, not {value}; "
                "give another --out to start a new one"
            )
    return replace(plan, **left), {entry.folder: entry for entry in there.entries}


def write(folder: Path, plan: Plan, entries: Sequence[Entry], floor: records.Floor | None) -> None:
    """Write ``comparison.json``.

    Args:
        folder: of the comparison.
        plan: settled.
        entries: how far each run is.
        floor: what real images come to, where that is known.
    """
    kept = records.Comparison(_seen_from(folder, plan), tuple(entries), floor)
    write_json(folder / FILE, records.plain(kept))


def _seen_from(folder: Path, plan: Plan) -> Plan:
    """The plan with runs as seen from the comparison's folder."""
    return replace(plan, runs=tuple(os.path.relpath(run, folder) for run in plan.runs))
