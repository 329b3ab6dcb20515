"""What ``detection.json`` holds: how well a run's scores tell anomalies from normal images."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from naqsh.runs import records
from naqsh.runs.records import Scorer

PICTURES = ("most", "least")
ASIDE = ("terms", "extremes")
"""What a page does not embed: it would tell where images lie."""


@dataclass(frozen=True)
class Detected:
    """One run's detection.

    Attributes:
        of: what the file says.
        pictures: files of the extremes, ``most`` and ``least`` anomalous.
    """

    of: records.Detection
    pictures: dict[str, Path]

    @cached_property
    def scorers(self) -> dict[str, Scorer]:
        """By name, the one that decides first."""
        return {scorer.name: scorer for scorer in self.of.scorers}

    @property
    def deciding(self) -> Scorer:
        """The score that decides what is flagged."""
        return self.of.scorers[0]

    @property
    def maps_of(self) -> str | None:
        """The score whose heat maps the images show, if any."""
        return self.of.pictures.get("maps_of")

    def as_plain(self) -> dict[str, Any]:
        """All of it as the file has it, but images by their names alone."""
        kept = {name: value for name, value in self.of.plain().items() if name not in ASIDE}
        return kept | {"pictures": {k: path.name for k, path in self.pictures.items()}}


def parse(plain: Any, folder: Path) -> Detected:
    """The file's content; raises NaqshError, KeyError, TypeError or ValueError if it does not fit.

    Args:
        plain: what the file holds.
        folder: where the detection's images lie.
    """
    kept = records.Detection.of(plain)
    # Only the names count: a folder from elsewhere must not make us read other files.
    named = {name: kept.pictures[name] for name in PICTURES if name in kept.pictures}
    return Detected(kept, {name: folder / Path(file).name for name, file in named.items()})
