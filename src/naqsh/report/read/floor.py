"""What real images come to when they are measured like generated ones: the floor of a distance."""

from dataclasses import dataclass

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


def by_kind(kept: records.Floor | None) -> Floor | None:
    """What a record holds, each measure by its kind."""
    if kept is None:
        return None
    values = {records.known(m.name, m)[0]: (m.value, m.interval) for m in kept.measures}
    return Floor(kept.split, kept.n, values)
