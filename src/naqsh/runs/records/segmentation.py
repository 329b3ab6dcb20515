"""What `naqsh segment` leaves: ``segmentation.json``, a result a study."""

from dataclasses import dataclass, field

from naqsh.core.student import of_mean
from naqsh.io import codec
from naqsh.runs.records.measured import Interval

FEATURES = "features"
"""The approach that a study is about; others stand beside it."""


@dataclass(frozen=True)
class SegmentationOf:
    """What a study of segmentation is of.

    Attributes:
        data: the labelled images, in words.
        data_fingerprint: of those to choose from and those tested on, by content.
        labelled: images that each classifier was trained on.
        draws: how often these were drawn anew.
        n: images that it was tested on.
        levels: noise over signal at which the network looked.
        members: of the ensemble.
        step: the checkpoint.
        weights: its last or best.
        seed: of the draws, noise and weights.
    """

    data: str
    data_fingerprint: str
    labelled: int
    draws: int
    n: int
    levels: tuple[float, ...]
    members: int
    step: int
    weights: str
    seed: int


@dataclass(frozen=True)
class Classified:
    """One way to classify pixels, measured.

    Attributes:
        name: ``features``, or what stands beside: ``pixels``, ``places``, ``untrained``,
            ``scratch``.
        mean_iou: of each draw, in [0, 1].
        accuracy: share of pixels that were right, of each draw.
        iou: of each class, the mean over draws; None for a class that the test images have not.
    """

    name: str
    mean_iou: tuple[float, ...]
    accuracy: tuple[float, ...]
    iou: tuple[float | None, ...]

    def over_draws(self, name: str = "mean_iou") -> tuple[float, Interval | None]:
        """The mean of a measure over draws, with its 95 % interval where there are several."""
        return _mean(getattr(self, name))


@dataclass(frozen=True)
class Segmentation:
    """What was found.

    Attributes:
        classes: names of the classes.
        approaches: that of features first.
        pool: images that the labelled ones were drawn from.
        uncertain: the share of the wrong pixels of the first draw's features that lie among the
            tenth of the pixels of which the ensemble is least sure; None where none is wrong.
        picture: the file with images, masks, predictions and disagreement.
        remarks: what must be known of the images, sentences in English.
    """

    classes: tuple[str, ...]
    approaches: tuple[Classified, ...]
    pool: int
    uncertain: float | None
    picture: str
    remarks: tuple[str, ...] = field(default=(), metadata=codec.SPARSE)

    def __post_init__(self) -> None:
        if not self.approaches or self.approaches[0].name != FEATURES:
            raise ValueError(f"its first approach must be {FEATURES}")
        if {len(found.mean_iou) for found in self.approaches} != {len(self.approaches[0].accuracy)}:
            raise ValueError("its approaches have unlike numbers of draws")
        if any(len(found.iou) != len(self.classes) for found in self.approaches):
            raise ValueError("it needs an IoU of each class")
        if not self.approaches[0].mean_iou:
            raise ValueError("it has no draws")

    def above(self, name: str) -> tuple[float, Interval | None]:
        """How much higher the mean IoU of features is than another approach's, draw by draw.

        Both saw the same labelled images in each draw, so their differences are what is averaged.
        """
        other = next(found for found in self.approaches if found.name == name)
        pairs = zip(self.approaches[0].mean_iou, other.mean_iou, strict=True)
        return _mean([own - theirs for own, theirs in pairs])


def _mean(values: tuple[float, ...] | list[float]) -> tuple[float, Interval | None]:
    return of_mean(values) if len(values) > 1 else (values[0], None)
