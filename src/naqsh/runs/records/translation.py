"""What measuring a method that translates leaves: ``translation.json``, a result a direction."""

import math
from dataclasses import dataclass, field

from naqsh.io import codec
from naqsh.runs.records.measured import Floor, Mean, Measure

NOTICED = 0.02
"""The sigma whose effect on the way back is told: that of noise which is hardly seen."""

OF_NOISE = math.sqrt(2 / math.pi)
"""The mean of |z| of a standard normal z: how far noise of sigma 1 moves a pixel, in the mean."""

HIDDEN = 3.0
"""A rise above which the way back reads what nobody sees: it enlarges fine detail so many times."""


def rise(before: float, after: float) -> float:
    """How much noise of sigma :data:`NOTICED` in a translation worsens the way back.

    Args:
        before: error of the way back without noise.
        after: and with it.

    Returns:
        a multiple of what such noise itself moves a pixel. Where the way back leaves things as they
        are that is 1, where it doubles contrasts 2.
    """
    return (after - before) / (OF_NOISE * NOTICED)


@dataclass(frozen=True)
class TranslationOf:
    """What a measured direction of translation is of.

    Attributes:
        to: the domain that is translated to, ``A`` or ``B``.
        n: images that were translated.
        n_real: images of the target domain that they were compared with.
        source: what was translated, in words.
        reference: the images of the target domain, in words.
        reference_fingerprint: of the set that both are of, by content.
        features: by which distances were taken.
        fingerprint: of the features.
        step: the checkpoint that was measured.
        weights: its last or best.
        seed: of the choice of images and of the noise.
    """

    to: str
    n: int
    n_real: int
    source: str
    reference: str
    reference_fingerprint: str
    features: str
    fingerprint: str
    step: int
    weights: str
    seed: int


@dataclass(frozen=True)
class Disturbed:
    """What noise in the translation does to the way back.

    Attributes:
        sigma: standard deviation of the noise that was added, pixels lying in [0, 1].
        cycle: mean absolute difference of the image from what came back, in [0, 1].
    """

    sigma: float
    cycle: Mean


@dataclass(frozen=True)
class Translation:
    """What was found of one direction.

    Attributes:
        measures: of the translations against the target's test images.
        copies: the same of the source's images as they are: what doing nothing comes to.
        floor: the same of the target's training images, where there are any.
        cycle: mean absolute difference in [0, 1] of an image from what comes back by the other
            direction; None where there is none.
        disturbed: the same where noise is added to the translation, by rising sigma from 0 on.
        n_disturbed: images that this was taken of.
        l1: mean absolute difference in [0, 1] from each image's partner, of a set of pairs.
        psnr: its peak signal-to-noise ratio in decibels.
        remarks: what must be known of images and features, sentences in English.
    """

    measures: tuple[Measure, ...]
    copies: tuple[Measure, ...]
    floor: Floor | None = None
    cycle: Mean | None = None
    disturbed: tuple[Disturbed, ...] = ()
    n_disturbed: int = 0
    l1: Mean | None = None
    psnr: Mean | None = None
    remarks: tuple[str, ...] = field(default=(), metadata=codec.SPARSE)

    def __post_init__(self) -> None:
        if not self.measures or len(self.measures) != len(self.copies):
            raise ValueError("it needs measures, and as many of copies")
        if self.disturbed and self.cycle is None:
            raise ValueError("noise disturbs a way back, and there is none")
