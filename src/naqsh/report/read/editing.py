"""What ``editing.json`` holds: edits by one run, each with its grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naqsh.runs import records
from naqsh.runs.results import Result


@dataclass(frozen=True)
class Edited:
    """One edit.

    Attributes:
        about: what it is of.
        found: what came of it; its file by name alone.
    """

    about: records.EditOf
    found: records.Edit

    @property
    def sampling(self) -> str | None:
        """Its options of sampling in words, if there were any."""
        named = self.about.sampling.items()
        return ", ".join(f"{name} {value}" for name, value in named) or None

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"of": records.plain(self.about), "found": records.plain(self.found)}


def parse(found: Sequence[Result]) -> list[Edited]:
    """The edits in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_edit(result) for result in found]


def _edit(result: Result) -> Edited:
    found = records.read(records.Edit, result.found, "edit")
    if Path(found.picture).name != found.picture:  # a file from elsewhere leads us nowhere
        raise ValueError(f"{found.picture} is no file of the run's folder")
    return Edited(records.read(records.EditOf, result.of), found)
