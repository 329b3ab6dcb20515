"""What ``translation.json`` holds: a run's translations, a study a direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naqsh.runs import records
from naqsh.runs.results import Result

SHARED = ("n", "n_real", "source", "reference")
"""What follows from the direction, and so does not tell two studies apart."""


@dataclass(frozen=True)
class Translated:
    """One measured direction.

    Attributes:
        of: the conditions that tell it from others, by name.
        about: all conditions.
        found: what was found.
    """

    of: dict[str, Any]
    about: records.TranslationOf
    found: records.Translation

    @property
    def covered(self) -> float | None:
        """How much of the way from the source as it is to real images the translations went.

        By the first measure; None where these two are not apart.
        """
        own, copy = self.found.measures[0].value, self.found.copies[0].value
        real = self.found.floor.measures[0].value if self.found.floor else 0.0
        return (copy - own) / (copy - real) if copy > real else None

    @property
    def disturbed(self) -> tuple[float, float, float] | None:
        """Errors of the way back without noise and with that of `NOTICED`, and the rise.

        None where that was not taken.
        """
        errors = {level.sigma: level.cycle.value for level in self.found.disturbed}
        if not {0.0, records.NOTICED} <= errors.keys():
            return None
        before, after = errors[0.0], errors[records.NOTICED]
        return before, after, records.rise(before, after)

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"of": records.plain(self.about), "found": records.plain(self.found)}


def parse(found: Sequence[Result]) -> list[Translated]:
    """The studies in a file's results, the latest last; raises NaqshError where they do not fit."""
    return [_study(result) for result in found]


def _study(result: Result) -> Translated:
    about = records.read(records.TranslationOf, result.of)
    found = records.read(records.Translation, result.found)
    if found.floor and not found.floor.measures:
        raise ValueError("a floor needs measures")
    apart = {name: value for name, value in result.of.items() if name not in SHARED}
    return Translated(apart, about, found)
