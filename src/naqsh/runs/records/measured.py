"""A measure and a mean with what they are of, which several files of results share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from naqsh.core.measured import Caution
from naqsh.io import codec

Interval = tuple[float, float]

Better = Literal["lower", "higher"]

OLDER: Mapping[str, tuple[str, Better | None]] = {
    "frechet": ("frechet", "lower"),
    "frechet_infinity": ("frechet_infinity", None),
    "kernel": ("kernel", "lower"),
    "fid": ("frechet", "lower"),
    "fid_infinity": ("frechet_infinity", None),
    "kid": ("kernel", "lower"),
    "precision": ("precision", "higher"),
    "recall": ("recall", "higher"),
    "density": ("density", "higher"),
    "coverage": ("coverage", "higher"),
}
"""Kind and better way of what files held when they did not say them. No measure is added here."""


@dataclass(frozen=True)
class Measure:
    """A measure with all that it depends on beside it; `naqsh.metrics.Measure` says what that is.

    Of files of before only its name, its value and the interval of that are sure.
    """

    name: str
    value: float
    n_real: int | None = None
    n_generated: int | None = None
    features: str | None = None
    fingerprint: str | None = None
    reference: str | None = None
    standard_error: float | None = None
    notes: tuple[Caution, ...] = ()
    reference_fingerprint: str | None = None
    interval: Interval | None = None
    kind: str = field(default="", metadata=codec.SPARSE)
    better: Better | None = field(default=None, metadata=codec.SPARSE)


@dataclass(frozen=True)
class Found:
    """What was found of a metric.

    Attributes:
        value: the number.
        interval: of it, 95 %, where it has one.
        notes: what few images do to it.
        standard_error: of the value, where it has one.
        remarks: what must be known of the real images, in English.
        kind: its name, whatever the features: ``frechet`` for ``fid``; empty in files of before.
        better: which way is better, where comparisons rank by it.
    """

    value: float
    interval: Interval | None
    notes: tuple[Caution, ...]
    standard_error: float | None = None
    remarks: tuple[str, ...] = field(default=(), metadata=codec.SPARSE)
    kind: str = field(default="", metadata=codec.SPARSE)
    better: Better | None = field(default=None, metadata=codec.SPARSE)


def known(name: str, found: Found | Measure) -> tuple[str, Better | None]:
    """Kind and better way of a measure, also where an older file does not say them."""
    return (found.kind, found.better) if found.kind else OLDER.get(name, (name, None))


@dataclass(frozen=True)
class Floor:
    """What real images of the split that is not the reference come to.

    Attributes:
        split: ``train`` or ``test``.
        n: how many images.
        measures: of them.
    """

    split: str
    n: int
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Mean:
    """A mean over images with its standard error, and what it is a figure of where that is said."""

    value: float
    error: float
    kind: str = field(default="", metadata=codec.SPARSE)
