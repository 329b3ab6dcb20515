"""What a comparison leaves: ``comparison.json``, its plan and how far each of its runs is."""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from naqsh.core.errors import NaqshError, one_of
from naqsh.core.printable import short
from naqsh.io import codec
from naqsh.runs.records import schema
from naqsh.runs.records.measured import Floor

LEAST = 6
"""Images on either side below which some measures cannot be taken."""

Reference = Literal["test", "train"]

State = Literal["planned", "done", "failed"]


@dataclass(frozen=True)
class Plan:
    """What a comparison is to do; a folder resumes only with an equal plan.

    Attributes:
        data: the data set's name, a folder or a file; None takes that of the first taken run, else
            that which all recipes are of, else the digits.
        recipes: names of recipes, or paths of recipe.yaml files.
        runs: folders of trained runs that are taken as they are.
        minutes: of training, for all recipes together; several, such as ``(5, 15, 45)``, are as
            many budgets, under each of which every recipe is trained once.
        images: that each recipe sees, instead of minutes.
        n: images drawn of each to measure it; None takes what the taken runs were measured with,
            else 2,000.
        features: by which all are measured; None takes those of the data set, if they can be had.
        seed: of trainings and samples; the first of them.
        seeds: how many trainings of each recipe; from 2 on they are the unit of the statistics.
        reference: the real images, ``test`` or ``train``. Where a set has no test split, a tenth of
            its images is held out by seed.
        reading: how the data are read for every recipe, by dotted name, as they are typed:
            ``{"data.range": "0,1"}``.
        variants: each recipe is also trained with these changes, by dotted name, as they are typed:
            ``({"method.identity": "0"}, {"method.pool": "0"})`` makes three of one.
    """

    data: str | None = None
    recipes: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    minutes: tuple[float, ...] | float = 3.5
    pictures: int | None = None
    n: int | None = None
    features: str | None = None
    seed: int = 0
    seeds: int = 1
    reference: Reference = "test"
    reading: dict[str, str] = field(default_factory=dict)
    variants: tuple[dict[str, str], ...] = ()

    def __post_init__(self) -> None:
        # One budget is written as it was before there could be several; their order says nothing.
        object.__setattr__(self, "minutes", _minutes(self.minutes))
        if self.pictures is not None and self.pictures < 1:
            raise NaqshError(f"{ABOVE}, got {self.pictures} images")
        if self.pictures is not None and len(self.budgets) > 1:
            raise NaqshError("give budgets of minutes or a number of images, not both")
        if self.seeds < 1:
            raise NaqshError(f"each recipe needs at least 1 seed, got {self.seeds}")
        if self.n is not None and self.n < LEAST:
            raise NaqshError(f"measuring needs at least {LEAST} images, got n {self.n}")
        if self.reference not in get_args(Reference):
            raise one_of("reference", self.reference, get_args(Reference))

    @property
    def budgets(self) -> tuple[float, ...]:
        """The budgets of time in minutes, the least first."""
        return self.minutes if isinstance(self.minutes, tuple) else (self.minutes,)


ABOVE = "a comparison needs a budget above 0 of minutes or images"


def _minutes(given: Any) -> tuple[float, ...] | float:
    """One budget of time, or several in their order."""
    several = isinstance(given, Sequence) and not isinstance(given, str)
    budgets = list(given) if several else [given]
    for budget in budgets:
        if not isinstance(budget, numbers.Real) or not 0 < float(budget) < math.inf:
            raise NaqshError(f"{ABOVE}, got {short(budget)} minutes")
    found = sorted({float(budget) for budget in budgets})
    if not found:
        raise NaqshError(f"{ABOVE}, got none")
    if len(found) < len(budgets):
        raise NaqshError("a budget of minutes is named twice; name each once")
    return tuple(found) if len(found) > 1 else found[0]


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
        minutes: the budget that it is trained under, where the plan has several.
    """

    name: str
    folder: str
    seed: int = 0
    state: State = "planned"
    steps: int | None = None
    taken: bool = False
    error: str | None = None
    evaluation: dict[str, Any] | None = None
    minutes: float | None = field(default=None, metadata=codec.SPARSE)

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be above 0, got {self.steps}")

    @property
    def family(self) -> str:
        """The name without its budget, which trainings of a recipe under other budgets share."""
        return self.name if self.minutes is None else self.name.removesuffix(under(self.minutes))


def under(minutes: float) -> str:
    """What the name of a recipe ends with under one of several budgets: ``-15-minutes``."""
    whole = int(minutes) if minutes.is_integer() else minutes
    return f"-{whole}-minutes"


@dataclass(frozen=True)
class Comparison:
    """All of the file.

    Attributes:
        plan: what was to be done, with all that was left open settled.
        entries: how far each run is.
        floor: what real images come to; None where the set has no other split.
    """

    plan: Plan
    entries: tuple[Entry, ...]
    floor: Floor | None = None

    @classmethod
    def of(cls, plain: Any, file: Path) -> "Comparison":
        """The content of `file`; NaqshError where it does not fit."""
        if isinstance(plain, dict) and not plain.get("floor"):
            plain = plain | {"floor": None}  # it was {} where there is none
        try:
            return schema.read(cls, plain)
        except NaqshError as error:
            raise NaqshError(f"{file} is damaged: {error}") from error
