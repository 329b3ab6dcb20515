"""A comparison as it lies in its folder: which runs, how measured, what failed, and the floor."""

import os
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from naqsh.core.errors import NaqshError
from naqsh.core.printable import legible
from naqsh.core.student import of_mean
from naqsh.io.foreign import plain_name, read_json, require_inside
from naqsh.report.read import gather
from naqsh.report.read.evaluation import common
from naqsh.report.read.facts import Facts
from naqsh.runs import influences, records
from naqsh.runs.records import Entry

FILE = "comparison.json"

OUTSIDE = (
    "it lies outside of this folder, so `naqsh report` does not follow the name; the command that "
    "compared it, given once more, shows it"
)
"""Why a run that was taken from elsewhere is not shown."""


@dataclass(frozen=True)
class Budget:
    """One of several budgets of time, in minutes, and the runs under it by their families."""

    minutes: float
    families: dict[str, Facts]


@dataclass(frozen=True)
class Comparison:
    """What a comparison's page shows.

    Attributes:
        runs: those that can be shown.
        failures: the names of those that cannot, with the reason in one line.
        plan: the budget and how all were measured; None of run folders alone.
        floor: what real images come to.
        seconds: of training, of each run that was trained for this comparison.
        budgets: of time, where there are several, the least first.
    """

    runs: list[Facts]
    failures: list[tuple[str, str]] = field(default_factory=list)
    plan: records.Plan | None = None
    floor: records.Floor | None = None
    seconds: list[float] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)

    @property
    def groups(self) -> list[list[Facts]]:
        """The runs that stand side by side: those of a budget, runs that were taken at the last."""
        if not self.budgets:
            return [self.runs]
        grouped = [list(budget.families.values()) for budget in self.budgets]
        own = {id(run) for group in grouped for run in group}
        grouped[-1] += [run for run in self.runs if id(run) not in own]
        return grouped


def read(folders: Path | Sequence[Path], taken: Collection[str] = ()) -> Comparison:
    """The comparison in a folder that holds ``comparison.json``, or that of run folders.

    Args:
        folders: a comparison's folder, or run folders.
        taken: run folders outside of it that may be read. The file alone does not lead out of its
            folder: someone else may have written it.

    Raises:
        NaqshError: there is no run to show, or a file is damaged.
    """
    if not isinstance(folders, Path):
        return Comparison(_comparable(list(folders)))
    file = folders / FILE
    kept = records.Comparison.of(legible(read_json(file)), file)
    outside = {os.path.relpath(path, folders) for path in taken}
    done, failures = list[Entry](), list[tuple[str, str]]()
    for entry in kept.entries:
        if entry.state == "failed":
            failures.append((entry.folder, entry.error or ""))
        elif entry.state == "done" and entry.taken and entry.folder not in outside:
            failures.append((entry.folder, OUTSIDE))
        elif entry.state == "done":
            done.append(entry)
    if not done:
        raise NaqshError(f"{folders} has no finished run to compare")
    places = [_place(folders, entry) for entry in done]
    runs = _comparable(places, [entry.evaluation for entry in done])
    own = [run for run, entry in zip(runs, done, strict=True) if not entry.taken and run.records]
    seconds = [run.records[-1].seconds for run in own]
    named = _by_recipe(runs, done)
    shown = [run for run, _ in named]
    return Comparison(shown, failures, kept.plan, kept.floor, seconds, _budgets(named))


def _place(folder: Path, entry: Entry) -> Path:
    if entry.taken:
        return folder / entry.folder
    place = folder / plain_name(entry.folder, "a run's folder")
    require_inside(place, folder)
    return place


def _comparable(
    places: Sequence[Path], wanted: Sequence[Mapping[str, Any] | None] = ()
) -> list[Facts]:
    """Runs of which each stands by the evaluation wanted, else by the one that compares."""
    runs = gather.read(places)
    chosen = common([run.evaluations for run in runs])
    for n, run in enumerate(runs):
        of = wanted[n] if n < len(wanted) else None
        run.measured = next((m for m in run.evaluations if of and m.of == of), chosen[n])
        run.influences = influences.read(run.path, run.measured.of) if run.measured else {}
    return runs


def _by_recipe(runs: Sequence[Facts], entries: Sequence[Entry]) -> list[tuple[Facts, Entry]]:
    """Trainings of one recipe with several seeds stand as one run, with the means of theirs.

    Returns:
        each run with the first of its entries.
    """
    grouped: dict[str, list[tuple[Facts, Entry]]] = {}
    for run, entry in zip(runs, entries, strict=True):
        grouped.setdefault(entry.folder if entry.taken else entry.name, []).append((run, entry))
    return [
        group[0] if len(group) == 1 else (_mean([run for run, _ in group]), group[0][1])
        for group in grouped.values()
    ]


def _budgets(named: Sequence[tuple[Facts, Entry]]) -> list[Budget]:
    """The budgets that runs were trained under, where the plan had several."""
    found: dict[float, dict[str, Facts]] = {}
    for run, entry in named:
        if entry.minutes is not None:
            found.setdefault(entry.minutes, {})[entry.family] = run
    return [Budget(minutes, found[minutes]) for minutes in sorted(found)]


def trained_for(run: Facts) -> float | None:
    """Seconds of training, as the run recorded them; of several trainings their mean."""
    each = [one.records[-1].seconds for one in run.trainings or [run] if one.records]
    return statistics.fmean(each) if each else None


def _mean(group: list[Facts]) -> Facts:
    first = group[0]
    label = f"{first.recipe.get('name')} ×{len(group)}"
    measured = [run.measured for run in group if run.measured]
    alike = [m for m in measured if m.alike == measured[0].alike]
    if len(alike) < len(group):
        return replace(first, label=label, measured=None, trainings=group)
    values = {
        name: of_mean([m.values[name][0] for m in alike])
        for name in alike[0].values
        if all(name in m.values for m in alike)
    }
    # How captions are followed is of one training alone.
    mean = replace(alike[0], values=dict(values), followed=None)
    return replace(first, label=label, measured=mean, trainings=group)


def alike(runs: Sequence[Facts]) -> list[Facts]:
    """The runs that were measured as most of them were."""
    counts = Counter(run.measured.alike for run in runs if run.measured)
    most = max(counts, key=lambda key: counts[key], default=None)
    return [run for run in runs if run.measured and run.measured.alike == most]
