"""What ``field.json`` holds: how far the score of a model of points is from the exact one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from naqsh.runs import records
from naqsh.runs.results import Result


@dataclass(frozen=True)
class Fielded:
    """One drawing of a run's score: its conditions by name and as a record, and what was found."""

    of: dict[str, Any]
    about: records.FieldOf
    found: records.Field

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"of": self.of, **records.plain(self.found)}


def parse(found: Sequence[Result]) -> list[Fielded]:
    """The drawings in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_drawing(result) for result in found]


def _drawing(result: Result) -> Fielded:
    found = records.read(records.Field, result.found)
    # Only the name counts: a folder from elsewhere must not make us read other files.
    levels = tuple(replace(level, picture=Path(level.picture).name) for level in found.levels)
    about = records.read(records.FieldOf, result.of)
    return Fielded(dict(result.of), about, replace(found, levels=levels))
