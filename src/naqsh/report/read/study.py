"""A result of a study, read: its conditions by name and as a record, and what was found."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from naqsh.runs import records
from naqsh.runs.results import Result

About = TypeVar("About")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Study(Generic[About, Found]):
    """One study.

    Attributes:
        of: the conditions that tell it from others, by name.
        about: all conditions.
        found: what was found.
    """

    of: dict[str, Any]
    about: About
    found: Found

    @classmethod
    def read(
        cls, result: Result, about: type[About], found: type[Found], shared: Collection[str] = ()
    ) -> Self:
        """One out of a file; raises NaqshError where a record does not fit.

        Args:
            result: of the study.
            about, found: the records that it is.
            shared: conditions that mostly do not tell two studies apart.
        """
        of = {name: value for name, value in result.of.items() if name not in shared}
        return cls(of, records.read(about, result.of), records.read(found, result.found))

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"of": records.plain(self.about), "found": records.plain(self.found)}


def require_beside(picture: str) -> None:
    """Refuse a file that is not in the run's folder: one from elsewhere leads us nowhere."""
    if Path(picture).name != picture:
        raise ValueError(f"{picture} is no file of the run's folder")
