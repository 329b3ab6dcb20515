"""How near samples lie to training images, as ``evaluation.json`` and ``samplers.json`` have it."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from naqsh.runs import records

SIGNS = ("leaked", "copies", "noise")


@dataclass(frozen=True)
class Nearest:
    """Distances to the nearest training image: root mean squares of pixel differences in [0, 1].

    Attributes:
        n: samples.
        n_held_out: held-out images.
        samples: the samples' median distance.
        held_out: that of held-out images.
        nearer: samples that lie nearer than any held-out image does.
        farther: samples that lie farther than any.
        leaked: held-out images that are training images.
        signs: which of :data:`SIGNS` are beyond chance.
        image: the name of the file that shows some samples above the nearest images, if any.
    """

    n: int
    n_held_out: int
    samples: float
    held_out: float
    nearer: int
    farther: int
    leaked: int
    signs: tuple[str, ...]
    picture: str | None

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)


def parse(plain: Mapping[str, Any]) -> Nearest:
    """What a result holds; raises NaqshError where it does not fit."""
    kept = records.read(records.Nearest, plain)
    samples, held_out = kept.samples, kept.held_out
    return Nearest(
        len(samples),
        len(held_out),
        statistics.median(samples),
        statistics.median(held_out),
        sum(d < min(held_out) for d in samples),
        sum(d > max(held_out) for d in samples),
        sum(d == 0 for d in held_out),
        tuple(sign for sign in SIGNS if sign in kept.signs),
        # Only the name counts: a folder from elsewhere must not make us read other files.
        None if kept.picture is None else Path(kept.picture).name,
    )
