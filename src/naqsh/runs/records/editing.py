"""What editing with a run leaves: ``editing.json``, a result an edit, and a grid beside it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from naqsh.runs.records.measured import Mean

EditKind = Literal["fill", "vary", "blend"]


@dataclass(frozen=True)
class EditOf:
    """What an edit is of.

    Attributes:
        kind: ``fill`` of a mask, ``vary`` from a noise level on, ``blend`` of two.
        given: digest of the images and masks by content.
        images: that were edited.
        n: images made of each.
        step: the checkpoint that did it.
        weights: its last or best.
        seed: of the noise.
        strength: share of the way into noise; None where it was not asked for.
        jump: steps gone back at a time, of a fill.
        resamples: how often each was taken, of a fill.
        sampling: options of sampling.
    """

    kind: EditKind
    given: str
    images: int
    n: int
    step: int
    weights: str
    seed: int
    strength: float | None = None
    jump: int | None = None
    resamples: int | None = None
    sampling: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edit:
    """What came of it.

    Attributes:
        picture: the file of the grid: a row an image, as it was given, of a fill also what of it
            was kept, then what was made.
        shown: how many images it has a row of.
        change: mean absolute difference in [0, 1] of what was made from what was given: of a fill
            where it was filled, of a blend of its two ends, which are to be those given.
        evaluations: of the network, for each image made.
        pictures_per_second: of all of it.
        device: where.
        kept: the largest difference of a known pixel in levels of 8 bits, of a fill.
        filled: share of the pixels that were filled.
        notes: what was done to the images before, sentences in English.
    """

    picture: str
    shown: int
    change: Mean
    evaluations: float
    pictures_per_second: float
    device: str
    kept: int | None = None
    filled: float | None = None
    notes: tuple[str, ...] = ()
