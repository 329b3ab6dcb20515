"""What ``detection.json`` holds: how well a run's scores tell anomalies from normal images."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
PICTURES = ("most", "least")
UNSOUND = ("seen", "few", "small")
"""Why normal images could not choose a score."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Quality:
    """How well one score does, where labels are known.

    Attributes:
        auroc: with its 95 % interval.
        average_precision: with its 95 % interval.
        f1: the best that any threshold gives.
        pixel_auroc: of single pixels, where there are masks.
        kinds: AUROC of each kind of anomaly against good images, its interval, its count.
        roc: false and true positive rates.
        less_pca: by how much AUROC is above that of principal components, and its interval.
    """

    auroc: tuple[float, Interval]
    average_precision: tuple[float, Interval]
    f1: float
    pixel_auroc: float | None
    kinds: dict[str, tuple[float, Interval, int]]
    roc: tuple[list[float], list[float]]
    less_pca: tuple[float, Interval] | None


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
        edges: of the histogram's bins.
        counts: of images in them by kind; ``""`` are normal ones held out, ``all`` is without
            kinds.
        quality: where labels are known.
    """

    name: str
    detail: str
    baseline: bool
    threshold: float
    largest: float
    flagged: int
    flagged_by_kind: dict[str, int]
    edges: list[float]
    counts: dict[str, list[float]]
    quality: Quality | None


@dataclass(frozen=True)
class Warnings:
    """What a likelihood may measure beside what is unusual.

    Attributes:
        complexity: rank correlation of -log p with the size as a PNG.
        brightness: rank correlation of -log p with brightness.
        grey: part of the normal images that an image of one grey is likelier than.
        normal: how many normal images these are.
    """

    complexity: float | None
    brightness: float | None
    grey: float
    normal: int


@dataclass(frozen=True)
class Choice:
    """What held-out normal images said of two scores.

    Attributes:
        first: the method's score.
        second: the baseline.
        better: the one that decides; None where both flag.
        unsound: why nothing could be said: ``seen``, ``few`` or ``small``; empty otherwise.
        images: held-out normal images that patches were pasted into.
        aurocs: of pasted against untouched images by each score.
        interval: of their difference; None where nothing could be said.
    """

    first: str
    second: str
    better: str | None
    unsound: str
    images: int
    aurocs: tuple[float, float]
    interval: Interval | None


@dataclass(frozen=True)
class Detected:
    """One run's detection.

    Attributes:
        step: the checkpoint that scored.
        suspects: what was examined.
        count: images.
        kinds: images by kind.
        normal: name of the normal images.
        fitted: how many of them baselines learnt from.
        held_out: how many of them thresholds come from.
        false_alarms: rate that thresholds were chosen for.
        draws: of noise, averaged over.
        scorers: by name, the one that decides first.
        warnings: about the likelihood, where there is one.
        notes: names of what must be known.
        images: files of the extremes, ``most`` and ``least`` anomalous.
        maps_of: the score whose heat maps they show; None where there are none.
        weights: whether the ``last`` or the ``best`` scored.
        choice: how the score was chosen, where normal images were asked.
        said: what must be known of the images examined, sentences in English.
    """

    step: int
    suspects: str
    count: int
    kinds: dict[str, int]
    normal: str
    fitted: int
    held_out: int
    false_alarms: float
    draws: int
    scorers: dict[str, Scorer]
    warnings: Warnings | None
    notes: tuple[str, ...]
    pictures: dict[str, Path]
    maps_of: str | None
    weights: str = "last"
    choice: Choice | None = None
    said: tuple[str, ...] = ()

    @property
    def deciding(self) -> Scorer:
        """The score that decides what is flagged."""
        return next(iter(self.scorers.values()))

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data, images by their names alone."""
        return asdict(self) | {"pictures": {k: path.name for k, path in self.pictures.items()}}


def parse(plain: Any, folder: Path) -> Detected:
    """The file's content; raises KeyError, TypeError or ValueError where it does not fit.

    Args:
        plain: what the file holds.
        folder: where the detection's images lie.
    """
    if plain["format"] != FORMAT:
        raise ValueError(f"format {plain['format']} is not the one this Naqsh reads, {FORMAT}")
    suspects, normal = plain["suspects"], plain["normal"]
    scorers = {str(scorer["name"]): _scorer(scorer) for scorer in plain["scorers"]}
    if not scorers:
        raise ValueError("it holds no scores")
    # Only the names count: a folder from elsewhere must not make us read other files.
    named = {name: str(plain["pictures"][name]) for name in PICTURES if name in plain["pictures"]}
    return Detected(
        int(plain["step"]),
        str(suspects["name"]),
        int(suspects["count"]),
        {str(kind): int(count) for kind, count in suspects["kinds"].items()},
        str(normal["name"]),
        int(normal["fitted"]),
        int(normal["held_out"]),
        float(plain["false_alarms"]),
        int(plain["draws"]),
        scorers,
        None if plain["likelihood"] is None else _warnings(plain["likelihood"]),
        tuple(str(note) for note in plain["notes"]),
        {name: folder / Path(file).name for name, file in named.items()},
        str(plain["pictures"]["maps_of"]) if "maps_of" in plain["pictures"] else None,
        str(plain.get("weights", "last")),
        _choice(plain["choice"]) if plain.get("choice") else None,
        tuple(str(note) for note in suspects.get("notes", ())),
    )


def _choice(plain: Any) -> Choice:
    first, second = plain["names"]
    aurocs, interval = plain["aurocs"] or (0.0, 0.0), plain["interval"]
    if plain["unsound"] not in ("", *UNSOUND):
        raise ValueError("it does not say why nothing could be said of the scores")
    return Choice(
        str(first),
        str(second),
        None if plain["better"] is None else str(plain["better"]),
        str(plain["unsound"]),
        int(plain["images"]),
        (float(aurocs[0]), float(aurocs[1])),
        None if interval is None else _interval(interval),
    )


def _scorer(plain: Any) -> Scorer:
    histogram = plain["histogram"]
    edges = [float(edge) for edge in histogram["edges"]]
    counts = {str(k): [float(c) for c in part] for k, part in histogram["counts"].items()}
    if any(len(part) + 1 != len(edges) for part in counts.values()):
        raise ValueError("a histogram needs one edge more than counts")
    return Scorer(
        str(plain["name"]),
        str(plain["detail"]),
        bool(plain["baseline"]),
        float(plain["threshold"]),
        float(plain["largest"]),
        int(plain["flagged"]),
        {str(kind): int(count) for kind, count in plain["flagged_by_kind"].items()},
        edges,
        counts,
        _quality(plain) if "auroc" in plain else None,
    )


def _quality(plain: Any) -> Quality:
    less = plain.get("less_pca")
    pixels = plain["pixel_auroc"]
    false, true = ([float(rate) for rate in plain["roc"][name]] for name in ("false", "true"))
    if len(false) != len(true):
        raise ValueError("a ROC curve needs as many false as true positive rates")
    return Quality(
        (float(plain["auroc"]), _interval(plain["auroc_interval"])),
        (float(plain["average_precision"]), _interval(plain["average_precision_interval"])),
        float(plain["f1"]["f1"]),
        None if pixels is None else float(pixels),
        {
            str(kind): (float(part["auroc"]), _interval(part["interval"]), int(part["count"]))
            for kind, part in plain["kinds"].items()
        },
        (false, true),
        None if less is None else (float(less["difference"]), _interval(less["interval"])),
    )


def _warnings(plain: Any) -> Warnings:
    complexity, brightness = plain["complexity_correlation"], plain["brightness_correlation"]
    return Warnings(
        None if complexity is None else float(complexity),
        None if brightness is None else float(brightness),
        float(plain["constants"]["grey"]["likelier_than"]),
        int(plain["normal"]),
    )


def _interval(plain: Any) -> Interval:
    return float(plain[0]), float(plain[1])
