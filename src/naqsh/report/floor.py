"""What real images come to when they are measured like generated ones: the floor of a distance."""

from dataclasses import dataclass
from typing import Any

from naqsh.distances import kind


@dataclass(frozen=True)
class Floor:
    """Images of the split that is not the reference, measured against it.

    Attributes:
        split: ``train`` or ``test``.
        n: how many images.
        values: each measure by its kind, with its 95 % interval where it has one.
    """

    split: str
    n: int
    values: dict[str, tuple[float, tuple[float, float] | None]]


def parse(plain: Any) -> Floor | None:
    """What ``comparison.json`` holds of it; raises KeyError, TypeError or ValueError if damaged."""
    if not plain:
        return None
    values = {}
    for measure in plain["measures"]:
        bounds = measure["interval"]
        interval = None if bounds is None else (float(bounds[0]), float(bounds[1]))
        values[kind(str(measure["name"]))] = float(measure["value"]), interval
    return Floor(str(plain["split"]), int(plain["n"]), values)
