"""What measuring a run leaves: its evaluation, its samplers, guidance and the bound, each a file.

A file of results (`naqsh.runs.results`) is a list of conditions and of what was found under them;
here stand the types of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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
        image: the name of the file that shows some samples above the nearest images, if any.
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


@dataclass(frozen=True)
class Point:
    """One sampler in one number of steps, as ``samplers.json`` has it.

    Attributes:
        sampler: its name.
        steps: of it.
        evaluations: of the network, per image.
        measures: of its samples; one of them is a Frechet distance.
        pictures_per_second: of sampling.
        seconds: of all of it.
        device: where.
        inner: of Langevin dynamics, steps at each level, where the study chose them.
    """

    sampler: str
    steps: int
    evaluations: float
    measures: tuple[Measure, ...]
    pictures_per_second: float
    seconds: float | None = None
    device: str | None = None
    inner: int | None = field(default=None, metadata=codec.SPARSE)


@dataclass(frozen=True)
class ExactPoint:
    """One sampler under an exact score.

    Attributes:
        sampler: its name.
        steps: of it.
        evaluations: of the denoiser, per image.
        distance: of its numbers from those that the score is of.
        share: of its numbers at the lesser mode.
        inner: as that of :class:`Point`.
    """

    sampler: str
    steps: int
    evaluations: float
    distance: float
    share: float
    inner: int | None = field(default=None, metadata=codec.SPARSE)


@dataclass(frozen=True)
class Exact:
    """Samplers under the exact score of a mixture, as ``samplers.json`` has it.

    Attributes:
        n: numbers that each drew.
        floor: the distance of as many exact draws, on average.
        share: of the lesser mode.
        points: one a sampler and number of steps.
    """

    n: int
    floor: float
    share: float
    points: tuple[ExactPoint, ...]


@dataclass(frozen=True)
class Scale:
    """Samples under one scale of guidance, as ``guidance.json`` has them.

    Attributes:
        guidance: the scale; 1 is no guidance.
        evaluations: of the network, per image.
        measures: of the samples: a Frechet distance, precision and recall.
        pictures_per_second: of sampling.
        seconds: of all of it.
        device: where.
    """

    guidance: float
    evaluations: float
    measures: tuple[Measure, ...]
    pictures_per_second: float
    seconds: float
    device: str


@dataclass(frozen=True)
class Drawn:
    """What all points of one study of samplers, or of guidance, are of.

    Attributes:
        step: the checkpoint that was sampled.
        n: images drawn for each point.
        seed: of the samples.
        features: by which both were measured.
        fingerprint: of the features.
        reference: the real images in words.
        reference_fingerprint: of them by content, where it is known.
        sampling: options that all points share.
        weights: last or best; None where an older file does not tell.
    """

    step: int
    n: int
    seed: int
    features: str
    fingerprint: str
    reference: str
    reference_fingerprint: str | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True)
class Mean:
    """A mean over images with its standard error, and what it is a figure of where that is said."""

    value: float
    error: float
    kind: str = field(default="", metadata=codec.SPARSE)


@dataclass(frozen=True)
class BoundOf:
    """What a study of the bound is of.

    Attributes:
        n: images.
        reference: which, in words.
        step: the checkpoint that was measured.
        seed: of the choice of images and of the noise.
        reference_fingerprint: of all of the reference by content, where it is known.
        weights: last or best; None where an older file does not tell.
    """

    n: int
    reference: str
    step: int
    seed: int
    reference_fingerprint: str | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Bound:
    """A variational bound in bits per dimension, by time.

    Attributes:
        kind: of the bound as a figure of likelihood.
        prior: what the start of sampling costs.
        steps: the sum of the steps between.
        last: the step into the image.
        total: of all three.
        times: rising.
        terms: at each time.
        errors: of the noise that the network sees, at each time, without weights.
        flow: the estimate by the probability-flow equation, where it was taken.
    """

    kind: str
    prior: Mean
    steps: Mean
    last: Mean
    total: Mean
    times: tuple[float, ...]
    terms: tuple[float, ...]
    errors: tuple[float, ...]
    flow: Mean | None

    def __post_init__(self) -> None:
        if not len(self.times) == len(self.terms) == len(self.errors) > 0:
            raise ValueError("it needs a term and an error for each time")
