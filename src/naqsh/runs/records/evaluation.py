"""What evaluating a run leaves: ``evaluation.json``, a result a metric."""

from dataclasses import dataclass, field
from typing import Any

from naqsh.io import codec


@dataclass(frozen=True)
class Step:
    """The checkpoint that something is of."""

    step: int


@dataclass(frozen=True)
class Conditions:
    """What all measures of one evaluation are of, beside the metric.

    Attributes:
        n: images drawn.
        n_real: images they were compared with.
        features: by which both were measured.
        fingerprint: of the features.
        reference: the real images in words.
        step: the checkpoint that was measured.
        seed: of the samples.
        weights: its last or best; None where an older file does not tell.
        sampling: options that the images were drawn with, where they are not the recipe's.
        reference_fingerprint: of the real images by content, where it is known.
    """

    n: int
    n_real: int
    features: str
    fingerprint: str
    reference: str
    step: int
    seed: int
    weights: str | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    reference_fingerprint: str | None = None


@dataclass(frozen=True)
class Nearest:
    """Distances to the nearest training image: root mean squares of pixel differences in [0, 1].

    Attributes:
        n: samples.
        samples: of each sample.
        held_out: of each held-out image.
        space: what the differences are of.
        n_held_out: held-out images.
        training: training images that were looked through.
        training_images: the number of the nearest one to each sample.
        nearer_than_any_held_out: samples that lie nearer than any held-out image does.
        farther_than_any_held_out: samples that lie farther than any.
        signs: what of ``leaked``, ``copies`` and ``noise`` is beyond chance.
        picture: the name of the file that shows some samples above the nearest images, if any.
    """

    n: int
    samples: tuple[float, ...]
    held_out: tuple[float, ...]
    space: str = "pixels"
    n_held_out: int | None = None
    training: int | None = None
    training_images: tuple[int, ...] | None = None
    nearer_than_any_held_out: int | None = None
    farther_than_any_held_out: int | None = None
    signs: tuple[str, ...] = ()
    picture: str | None = field(default=None, metadata=codec.SPARSE)

    def __post_init__(self) -> None:
        if len(self.samples) != self.n or not self.samples or not self.held_out:
            raise ValueError("it needs n distances of samples, and some of held-out images")


@dataclass(frozen=True)
class Shares:
    """The share of images that are as their caption says, of each factor and of all together.

    Attributes:
        n: images.
        shape: of all objects.
        colour: likewise.
        size: likewise.
        where: the place of one object, the relation of two.
        background: its colour.
        all: all of these at once.
    """

    n: int
    shape: float
    colour: float
    size: float
    where: float
    background: float
    all: float


@dataclass(frozen=True)
class Followed:
    """How well samples follow their captions.

    Attributes:
        n: samples, each of a caption of a test image.
        whole: of all of them.
        seen: of those whose pairs of a colour and a shape were trained on; None without any.
        held_out: of those with a pair that no training image has.
        ceiling: of real images under their own captions.
        shuffled: of samples under each other's captions.
        chance: of guesses.
        precision: samples whose own caption is likelier than 99 others.
        precision_hard: likelier than all that differ in one factor.
        precision_ceiling: the first of real images.
        precision_hard_ceiling: the second.
    """

    n: int
    whole: Shares
    seen: Shares | None
    held_out: Shares | None
    ceiling: Shares
    shuffled: Shares
    chance: Shares
    precision: float | None
    precision_hard: float
    precision_ceiling: float | None
    precision_hard_ceiling: float
