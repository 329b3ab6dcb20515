"""A lesson: identities that are checked, figures that are drawn, and a text in two languages.

A module of this room, named like its lesson with underscores, makes one::

    LESSON = Lesson("forward-diffusion", number=12, questions=("closed-form", "limits"))

    @LESSON.check
    def closed_form() -> Check:
        ...
        return Check(left, right, tolerance)

    @LESSON.numbers
    def numbers() -> dict[str, float]: ...

    @LESSON.figure
    def paths(words: Words) -> Figure: ...

Its texts are ``texts/NAME.en.md`` and ``texts/NAME.fa.md``; :mod:`naqsh.lessons.text` says what may
stand in them. Every number that a text shows comes from these functions.
"""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from naqsh.core.errors import one_of
from naqsh.lessons.plots import Figure, drawn
from naqsh.report.words import Words

__all__ = ["Check", "Figure", "Lesson", "Words"]

ERRORS = 4.0
"""Standard errors that a mean may be off: chance exceeds them once in 16,000."""

_VALUE = re.compile(r"([a-z_]\w*)\.(\w+)(?:\[(\d+)\])?")


@dataclass(frozen=True)
class Check:
    """An identity computed in two independent ways.

    Attributes:
        left: a number, or an array of any shape.
        right: a number, or an array that broadcasts with `left`.
        tolerance: the largest allowed difference, from arithmetic or from the standard error: a
            number, or one for each of `left`.
    """

    left: Any
    right: Any
    tolerance: Any

    @classmethod
    def of_mean(cls, samples: npt.ArrayLike, right: Any) -> "Check":
        """The mean of independent samples, shape (N, ...), against what it should be.

        Four standard errors are allowed, each taken from the samples.
        """
        drawn = np.asarray(samples, dtype=np.float64)
        error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
        return cls(drawn.mean(axis=0), right, ERRORS * error)

    @property
    def gap(self) -> npt.NDArray[np.float64]:
        """The differences, without sign."""
        left, right = (np.asarray(side, dtype=np.float64) for side in (self.left, self.right))
        return np.abs(left - right)

    @property
    def worst(self) -> tuple[float, float]:
        """The difference that comes nearest to what is allowed there, or exceeds it most."""
        gap = self.gap
        allowed = np.broadcast_to(np.asarray(self.tolerance, dtype=np.float64), gap.shape)
        place = int(np.argmax(gap - allowed))
        return float(gap.reshape(-1)[place]), float(allowed.reshape(-1)[place])

    @property
    def holds(self) -> bool:
        """Whether no difference exceeds what is allowed; false where one is not a number."""
        return bool(np.all(self.gap <= self.tolerance))

    def __repr__(self) -> str:
        gap, allowed = self.worst
        sides = "" if self.gap.ndim else f"{float(self.left):.6g} = {float(self.right):.6g}, "
        count = f"{self.gap.size:,} numbers, " if self.gap.ndim else ""
        said = "holds" if self.holds else "does not hold"
        return f"{sides}{count}largest difference {gap:.2g}, allowed {allowed:.2g}: {said}"


Checking = Callable[[], Check]
Numbering = Callable[[], Mapping[str, float]]
Drawing = Callable[[Words], Figure]


class Lesson:
    """A lesson; decorators of its module's functions say what they are.

    Attributes:
        name: as a user types it, with hyphens.
        number: its place in the course, from 1.
        questions: the ids of the sections that answer the course's questions, in order.
    """

    def __init__(self, name: str, *, number: int, questions: tuple[str, ...]) -> None:
        self.name, self.number, self.questions = name, number, questions
        self._checks: dict[str, Checking] = {}
        self._figures: dict[str, Drawing] = {}
        self._numbers: Numbering = dict

    def __repr__(self) -> str:
        return f"lesson {self.number}, {self.name}"

    def check(self, function: Checking) -> Checking:
        """Register an identity; the function stays as it is."""
        self._checks[function.__name__] = function
        return function

    def numbers(self, function: Numbering) -> Numbering:
        """Register the function of further numbers that the text shows."""
        self._numbers = function
        return function

    def figure(self, function: Drawing) -> Drawing:
        """Register a figure."""
        self._figures[function.__name__] = function
        return function

    @functools.cached_property
    def checks(self) -> dict[str, Check]:
        """Every identity, computed once."""
        return {name: function() for name, function in self._checks.items()}

    @functools.cached_property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures."""
        return tuple(self._figures)

    @functools.cached_property
    def values(self) -> dict[str, float]:
        """The further numbers, computed once."""
        return {name: float(value) for name, value in self._numbers().items()}

    def value(self, path: str) -> float:
        """The number that a text names, for example ``closed_form.left`` or ``numbers.kept``.

        An element of a check's array has its flat place in brackets: ``closed_form.left[3]``.

        Raises:
            NaqshError: there is no such number.
        """
        parts = _VALUE.fullmatch(path)
        owner, name, place = parts.groups() if parts else (path, "", None)
        if owner == "numbers":
            if name not in self.values:
                raise one_of(f"number of lesson {self.name}", name, self.values)
            return self.values[name]
        if owner not in self._checks:
            raise one_of(f"check of lesson {self.name}", owner, [*self._checks, "numbers"])
        sides = ("left", "right", "tolerance", "gap")
        if name not in sides:
            raise one_of(f"side of a check in lesson {self.name}", name, sides)
        found = np.asarray(getattr(self.checks[owner], name), dtype=np.float64)
        if place is not None:
            return float(found.reshape(-1)[int(place)])
        return float(found) if name in ("left", "right") else float(found.max())

    def draw(self, figure: str, words: Words) -> Figure:
        """A figure in a language; raises NaqshError where there is none of that name."""
        if figure not in self._figures:
            raise one_of(f"figure of lesson {self.name}", figure, self._figures)
        return drawn(self._figures[figure], words)

    def source(self, check: str) -> str:
        """The code of a check, without its decorator."""
        if check not in self._checks:
            raise one_of(f"check of lesson {self.name}", check, self._checks)
        return inspect.getsource(self._checks[check]).partition("\n")[2]
