"""What real images come to when they are measured like generated ones: the floor of a distance."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from naqsh.core.distances import kind
from naqsh.report.words import Words
from naqsh.runs import records


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
    """What ``comparison.json`` holds of it; raises NaqshError if damaged."""
    if not plain:
        return None
    kept = records.read(records.Floor, plain, "floor")
    values = {kind(measure.name): (measure.value, measure.interval) for measure in kept.measures}
    return Floor(kept.split, kept.n, values)


def said(words: Words, floor: Floor | None, generated: int, real: int) -> list[Markup]:
    """What the floor is for, beside measures of so many samples against so many real images."""
    if floor is None:
        return []
    key = "comparison.floor_fewer" if floor.n < generated else "comparison.floor"
    split = words.known(f"comparison.splits.{floor.split}", floor.split)
    counts = {"generated": words.number(generated), "real": words.number(real)}
    return [words.text(key, split=split, count=words.number(floor.n), **counts)]
