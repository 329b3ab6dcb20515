"""What a detection leaves: ``detection.json``, the figures of each score and what they are of."""

from dataclasses import dataclass, field
from typing import Any, Literal

from naqsh.io import codec
from naqsh.runs.records import schema
from naqsh.runs.records.measured import Interval

FORMAT = 1


@dataclass(frozen=True)
class Suspects:
    """The images that were examined.

    Attributes:
        name: of the collection.
        count: images.
        kinds: images by kind, where kinds are known.
        labelled: whether it is known which are anomalies.
        masks: images whose faults are known by pixel.
        notes: what must be known of the images, sentences in English.
    """

    name: str
    count: int
    kinds: dict[str, int]
    labelled: bool = False
    masks: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Normal:
    """The normal images.

    Attributes:
        name: of the set.
        fitted: how many of them baselines learnt from.
        held_out: how many of them thresholds come from.
        origin: whence the latter were taken.
    """

    name: str
    fitted: int
    held_out: int
    origin: str = ""


@dataclass(frozen=True)
class Choice:
    """What held-out normal images said of two scores.

    Attributes:
        names: the method's score and the baseline.
        unsound: why nothing could be said; empty where something could.
        images: how many were pasted.
        aurocs: of pasted against untouched images, for each of `names`.
        difference: of the first AUROC less the second.
        interval: of it, 95 %, paired; None where nothing could be said.
        better: the score that decides; None where both flag.
    """

    names: tuple[str, str]
    unsound: Literal["", "seen", "few", "small"] = ""
    images: int = 0
    aurocs: tuple[float, float] | None = None
    difference: float = 0.0
    interval: Interval | None = None
    better: str | None = None

    def __post_init__(self) -> None:
        if (self.aurocs is None) != (self.interval is None):
            raise ValueError("it needs both AUROCs and the interval of their difference, or none")


@dataclass(frozen=True)
class Constant:
    """An image of one colour: its score in nats, and the part of normal images less likely."""

    nats: float
    likelier_than: float


@dataclass(frozen=True)
class Plainness:
    """What a likelihood may measure beside what is unusual.

    Attributes:
        complexity_correlation: rank correlation of -log p with the size as a PNG.
        brightness_correlation: rank correlation of -log p with brightness.
        constants: images of one colour, ``grey`` among them.
        normal: how many normal images these were held against.
    """

    complexity_correlation: float | None
    brightness_correlation: float | None
    constants: dict[str, Constant]
    normal: int

    def __post_init__(self) -> None:
        if "grey" not in self.constants:
            raise ValueError("it needs the grey image among its constants")


@dataclass(frozen=True)
class Best:
    """The best F1 that any threshold gives, and what it comes to there."""

    f1: float
    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Kind:
    """One kind of anomaly against good images: its count, the AUROC and its 95 % interval."""

    count: int
    auroc: float
    interval: Interval


@dataclass(frozen=True)
class Roc:
    """False and true positive rates."""

    false: tuple[float, ...]
    true: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.false) != len(self.true):
            raise ValueError("it needs as many false as true positive rates")


@dataclass(frozen=True)
class Less:
    """By how much an AUROC is above another's on the same images, with a paired interval."""

    difference: float
    interval: Interval


@dataclass(frozen=True)
class Quality:
    """How well one score does, where labels are known; intervals are 95 %.

    Attributes:
        auroc: of all anomalies against good images.
        auroc_interval: of that.
        average_precision: likewise.
        average_precision_interval: of that.
        f1: the best of any threshold.
        pixel_auroc: of single pixels, where there are masks.
        kinds: each kind of anomaly.
        roc: the curve.
        less_pca: by how much AUROC is above that of principal components; None of a baseline.
    """

    auroc: float
    auroc_interval: Interval
    average_precision: float
    average_precision_interval: Interval
    f1: Best
    pixel_auroc: float | None
    kinds: dict[str, Kind]
    roc: Roc
    less_pca: Less | None = field(default=None, metadata=codec.SPARSE)


@dataclass(frozen=True)
class Spread:
    """A histogram of scores.

    Attributes:
        edges: of its bins.
        counts: of images in them by kind; ``""`` are normal ones held out, ``all`` is without
            kinds.
    """

    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        if any(len(part) + 1 != len(self.edges) for part in self.counts.values()):
            raise ValueError("it needs one edge more than counts")


@dataclass(frozen=True)
class Scorer:
    """One score.

    Attributes:
        name: by which texts know it.
        detail: what it is, in English.
        baseline: whether any model has to beat it.
        threshold: what scores above it is flagged.
        largest: of the images examined.
        flagged: images.
        flagged_by_kind: the same by kind, where kinds are known.
        histogram: of its scores.
        quality: where labels are known; in the file its values stand among the others.
    """

    name: str
    detail: str
    baseline: bool
    threshold: float
    largest: float
    flagged: int
    flagged_by_kind: dict[str, int]
    histogram: Spread
    quality: Quality | None = None


@dataclass(frozen=True)
class Detection:
    """All of the file.

    Attributes:
        format: of the file.
        step: the checkpoint that scored.
        suspects: what was examined.
        normal: what it was held against.
        false_alarms: rate that thresholds were chosen for.
        draws: of noise, averaged over.
        scorers: at least one; the one that decides stands first.
        likelihood: what it may measure beside, where there is one.
        notes: names of what must be known, or sentences in English.
        pictures: files of the extremes, ``most`` and ``least`` anomalous; ``maps_of`` is the score
            whose heat maps they show.
        weights: whether the ``last`` or the ``best`` scored.
        seed: of noise and choices.
        terms: what else it depends on: names, fingerprints of images.
        deciding: name of the score that decides.
        beside: name of the one that flags too, if any.
        choice: how the score was chosen, where normal images were asked.
        flagged: images.
        extremes: the most and the least anomalous, by path.
    """

    format: int
    step: int
    suspects: Suspects
    normal: Normal
    false_alarms: float
    draws: int
    scorers: tuple[Scorer, ...]
    likelihood: Plainness | None
    notes: tuple[str, ...]
    pictures: dict[str, str]
    weights: str = "last"
    seed: int = 0
    terms: dict[str, Any] = field(default_factory=dict)
    deciding: str = ""
    beside: str | None = None
    choice: Choice | None = None
    flagged: int = 0
    extremes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.scorers:
            raise ValueError("it holds no scores")

    @classmethod
    def of(cls, plain: Any) -> "Detection":
        """The file's content; raises NaqshError, or what `naqsh.io.values.MISFIT` names."""
        schema.require_format(plain, FORMAT)
        scorers = [s | ({"quality": s} if "auroc" in s else {}) for s in plain["scorers"]]
        return schema.read(cls, plain | {"scorers": scorers})

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = schema.plain(self)
        plain["scorers"] = [(s.pop("quality") or {}) | s for s in plain["scorers"]]
        return plain
