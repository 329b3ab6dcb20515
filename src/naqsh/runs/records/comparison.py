"""What a comparison leaves: ``comparison.json``, its plan and how far each of its runs is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from naqsh.core.errors import NaqshError, one_of
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
        minutes: of training, for all recipes together.
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
    minutes: float = 3.5
    pictures: int | None = None
    n: int | None = None
    features: str | None = None
    seed: int = 0
    seeds: int = 1
    reference: Reference = "test"
    reading: dict[str, str] = field(default_factory=dict)
    variants: tuple[dict[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.minutes > 0 or (self.pictures is not None and self.pictures < 1):
            raise NaqshError("a comparison needs a budget above 0 of minutes or images")
        if self.seeds < 1:
            raise NaqshError(f"each recipe needs at least 1 seed, got {self.seeds}")
        if self.n is not None and self.n < LEAST:
            raise NaqshError(f"measuring needs at least {LEAST} images, got n {self.n}")
        if self.reference not in get_args(Reference):
            raise one_of("reference", self.reference, get_args(Reference))


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

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be above 0, got {self.steps}")


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
