"""What a search goes through: numbers of a recipe, between bounds or out of a list."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from naqsh.core.errors import NaqshError
from naqsh.io import codec
from naqsh.io.files import flat
from naqsh.recipes.recipe import Recipe

if TYPE_CHECKING:
    from optuna import Trial


@dataclass(frozen=True)
class Range:
    """One number to search over: between two bounds, or out of a list.

    Attributes:
        name: the dotted name of a recipe's number.
        low: smallest value.
        high: largest value.
        log: search evenly in the logarithm.
        choices: the values themselves, instead of bounds.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def ends(self, whole: bool) -> list[codec.Text]:
        """Every value of a list, or both bounds, as they would be typed."""
        bounds = [int(end) if whole and end == int(end) else end for end in (self.low, self.high)]
        return [typed(value) for value in self.choices or bounds]

    def propose(self, trial: "Trial", whole: bool) -> None:
        """Let the search choose a value for this trial."""
        if self.choices:
            trial.suggest_categorical(self.name, self.choices)
        elif whole:
            trial.suggest_int(self.name, round(self.low), round(self.high), log=self.log)
        else:
            trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def __str__(self) -> str:
        """As it was typed."""
        if self.choices:
            return ",".join(self.choices)
        return f"{self.low!r}:{self.high!r}" + (":log" if self.log else "")


def typed(value: Any) -> codec.Text:
    """A proposed value as it would be typed."""
    return codec.Text(value if isinstance(value, str) else repr(value))


def parse(text: str) -> Range:
    """A range as typed: ``NAME=LOW:HIGH``, ``NAME=LOW:HIGH:log`` or ``NAME=A,B,C``.

    Raises:
        NaqshError: the text is none of these.
    """
    name, _, values = text.partition("=")
    wrong = NaqshError(f"--search {text}: write NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C")
    if not name or not values:
        raise wrong
    if ":" not in values:
        choices = tuple(values.split(","))
        if len(set(choices)) != len(choices):
            raise NaqshError(f"--search {text}: it names a value twice; name each once")
        return Range(name, choices=choices)
    low, high, *log = values.split(":")
    try:
        found = Range(name, float(low), float(high), log=log == ["log"])
    except ValueError:
        raise wrong from None
    if not math.isfinite(found.high - found.low):
        raise wrong
    if log not in ([], ["log"]) or not found.low < found.high or (found.log and found.low <= 0):
        raise wrong
    return found


def default_space(recipe: Recipe) -> list[Range]:
    """Every learning rate of the method, a decade down and up, and the batch."""
    rates = [
        Range(f"method.{name}.lr", value["lr"] / 10, value["lr"] * 10, log=True)
        for name, value in recipe.to_dict()["method"].items()
        if isinstance(value, Mapping) and "lr" in value
    ]
    return [*rates, Range("training.batch", choices=("32", "64", "128"))]


def is_whole(recipe: Recipe, name: str) -> bool:
    """Whether a recipe's number is a whole one."""
    value = flat(recipe.to_dict()).get(name)
    return isinstance(value, int) and not isinstance(value, bool)
