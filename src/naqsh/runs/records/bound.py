"""What a study of the variational bound leaves: ``bound.json``."""

from dataclasses import dataclass

from naqsh.runs.records.measured import Mean


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
