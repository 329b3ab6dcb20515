"""What ``segmentation.json`` holds: how well a run's features segment, a result a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naqsh.runs import records
from naqsh.runs.results import Result

SHARED = ("n", "levels")
"""What mostly does not tell two studies apart."""


@dataclass(frozen=True)
class Segmented:
    """One study.

    Attributes:
        of: the conditions that tell it from others, by name.
        about: all conditions.
        found: what was found.
    """

    of: dict[str, Any]
    about: records.SegmentationOf
    found: records.Segmentation

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"of": records.plain(self.about), "found": records.plain(self.found)}


def parse(found: Sequence[Result]) -> list[Segmented]:
    """The studies in a file's results, the latest last; raises NaqshError where they do not fit."""
    return [_study(result) for result in found]


def _study(result: Result) -> Segmented:
    about = records.read(records.SegmentationOf, result.of)
    found = records.read(records.Segmentation, result.found)
    # Only the name counts: a folder from elsewhere must not make us read other files.
    if Path(found.picture).name != found.picture:
        raise ValueError("its picture lies elsewhere")
    of = {name: value for name, value in result.of.items() if name not in SHARED}
    return Segmented(of, about, found)
