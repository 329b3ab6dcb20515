"""``field.json``: the score that a model of points has learnt, beside the exact one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldOf:
    """What a drawing of a score is of.

    Attributes:
        n: noisy training points over which errors are means.
        step: the checkpoint whose score it is.
        seed: of the points, their noise and the chains.
        reference: the points, in words.
        reference_fingerprint: of them by content.
        weights: last or best.
    """

    n: int
    step: int
    seed: int
    reference: str
    reference_fingerprint: str
    weights: str


@dataclass(frozen=True)
class Level:
    """One level of noise.

    Attributes:
        sigma: of the noise.
        error: relative squared error of the learnt score.
        picture: the exact field, the learnt one and their difference, beside the file.
        time: of the schedule.
        alpha: the signal that is kept.
    """

    sigma: float
    error: float
    picture: str
    time: float = 0.0
    alpha: float = 1.0


@dataclass(frozen=True)
class Field:
    """What was found.

    Attributes:
        levels: the most noise first.
        kernels: training points that the exact score is of; None where it is that of the mixture
            which they were drawn from.
    """

    levels: tuple[Level, ...]
    kernels: int | None = None

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("it holds no levels")
