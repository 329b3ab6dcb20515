"""What studies of samplers and of guidance leave: ``samplers.json`` and ``guidance.json``."""

from dataclasses import dataclass, field
from typing import Any

from naqsh.io import codec
from naqsh.runs.records.measured import Measure


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
