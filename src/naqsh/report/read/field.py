"""What ``field.json`` holds: how far the score of a model of points is from the exact one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from naqsh.report.read.study import Study
from naqsh.runs import records
from naqsh.runs.results import Result


class Fielded(Study[records.FieldOf, records.Field]):
    """One drawing of a run's score."""

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"of": self.of, **records.plain(self.found)}


def parse(found: Sequence[Result]) -> list[Fielded]:
    """The drawings in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_drawing(result) for result in found]


def _drawing(result: Result) -> Fielded:
    drawing = Fielded.read(result, records.FieldOf, records.Field)
    found = drawing.found
    # Only the name counts: a folder from elsewhere must not make us read other files.
    levels = tuple(replace(level, picture=Path(level.picture).name) for level in found.levels)
    return Fielded(drawing.of, drawing.about, replace(found, levels=levels))
