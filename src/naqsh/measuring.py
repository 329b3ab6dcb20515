"""Measuring one collection of pictures against another: folders, files and data sets."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor

from naqsh import data, metrics
from naqsh.distances import PUBLISHED, title
from naqsh.errors import NaqshError
from naqsh.methods.classifier import Classifier
from naqsh.metrics import COVERS, ClassifierFeatures, FeatureExtractor, Measure
from naqsh.run import open as open_run

Progress = Callable[[str, int, int], None]
"""Told what is going on, how much is done, and of how much."""


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody is told of."""


def features_for(name: str) -> str:
    """The features that pictures of a data set are measured by unless others are asked for."""
    return name if name in ("digits", "mnist") else "inception"


def extractor(name: str, device: str = "cpu") -> FeatureExtractor:
    """A feature extractor by name, or of a classifier that the user trained: ``classifier:RUN``.

    Raises:
        NaqshError: an unknown name, weights that cannot be had, or a run of something else.
    """
    kind, colon, path = name.partition(":")
    if kind != "classifier" or not colon:
        return metrics.by_name(name, device)
    method = open_run(path).method
    if not isinstance(method, Classifier):
        raise NaqshError(f"{path} is no classifier; train one: naqsh train classifier-mnist")
    return ClassifierFeatures(method.network, name, device)


def measure(
    names: Iterable[str],
    real: str,
    generated: str,
    *,
    features: str | None = None,
    n: int | None = None,
    size: int | None = None,
    channels: int | None = None,
    seed: int = 0,
    batch: int = 250,
    device: str = "cpu",
    data_home: Path | str | None = None,
    progress: Progress | None = None,
) -> list[Measure]:
    """Measure one collection of pictures against another.

    Args:
        names: out of ``frechet kernel pr dc``, or ``all``.
        real: a folder, a .npz or .npy file, or a data set's name, with ``:test`` for its test part.
        generated: likewise.
        features: by which features; by default those of the data set `real`, else ``inception``.
        n: take so many pictures of each, at random; all by default.
        size: resize both to `size` x `size`.
        channels: bring both to 1 (grey) or 3 (colour).
        seed: of the choice and of standard errors.
        batch: pictures at a time.
        device: where features are taken.
        data_home: where data sets are looked for first.
        progress: told how far it is.

    Raises:
        NaqshError: pictures that cannot be had or do not fit together.
    """
    told = progress or silent
    names = metrics.named(names)
    if channels not in (None, 1, 3):
        raise NaqshError(f"images have 1 or 3 channels, not {channels}")
    chosen = features or features_for(real.partition(":")[0])
    sides = [images_of(source, size, channels, data_home) for source in (real, generated)]
    if sides[0].shape != sides[1].shape and chosen != "inception":
        raise NaqshError(_of_two_shapes(real, generated, sides[0].shape, sides[1].shape))
    measured_by = extractor(chosen, device)  # last: its weights may have to be downloaded
    tables = [
        _features(measured_by, side, n, seed, batch, partial(told, what))
        for what, side in zip(("real", "generated"), sides, strict=True)
    ]
    return metrics.measure(
        names,
        *tables,
        features=measured_by.name,
        fingerprint=measured_by.fingerprint,
        reference=real if ":" in real else sides[0].name,
        seed=seed,
    )


def _of_two_shapes(
    real: str, generated: str, first: tuple[int, int, int], second: tuple[int, int, int]
) -> str:
    """What is wrong with images of two shapes, and which options bring them to one."""
    shapes = [f"{height}x{width}x{channels}" for channels, height, width in (first, second)]
    cures = ["--size"] * (first[1:] != second[1:]) + ["--channels"] * (first[0] != second[0])
    return (
        f"{real} has images of {shapes[0]} and {generated} of {shapes[1]}; give "
        f"{' and '.join(cures)} to bring them to one shape"
    )


def images_of(
    source: str, size: int | None, channels: int | None, home: Path | str | None
) -> "data.DataSet":
    """The images of a folder, a .npz or .npy file, or a data set by its name, with ``:test``."""
    name, _, part = source.rpartition(":")
    place = Path(home) if home else None
    if name in data.CATALOG and part in ("train", "test"):
        split: Literal["train", "test"] = "test" if part == "test" else "train"
        return data.load(name, split=split, size=size, channels=channels, home=place)
    return data.load(source, size=size, channels=channels, home=place)


def _features(
    measured_by: FeatureExtractor,
    side: "data.DataSet",
    n: int | None,
    seed: int,
    batch: int,
    told: Callable[[int, int], None],
) -> Tensor:
    if n is not None:
        if not 2 <= n <= len(side):
            raise NaqshError(f"n {n}: {side.name} has {len(side):,} pictures; take 2 to that many")
        side = side.some(n, seed)
    return metrics.extract(measured_by, side.images, batch=batch, progress=told, cache=n is None)


def table(measures: Sequence[Measure]) -> str:
    """Measures of one pair of collections as lines: what they share once, then a row each."""
    first = measures[0]
    lines = [
        f"{first.n_generated:,} generated against {first.n_real:,} of {first.reference}; "
        f"features {first.features} ({first.fingerprint[:8]})"
    ]
    for measure in measures:
        low_high = (
            "" if measure.interval is None else "95 % {:.4g} to {:.4g}".format(*measure.interval)
        )
        words = title(measure.name)
        lines.append(f"  {words:<24} {measure.value:<10.4g} {low_high}".rstrip())
    notes = {
        note: [title(m.name) for m in measures if note in m.notes]
        for m in measures
        for note in m.notes
    }
    if any(measure.interval for measure in measures):
        lines.append(COVERS)
    return "\n".join([*lines, *(f"note on {', '.join(n)}: {note}" for note, n in notes.items())])


def renamed(asked: Iterable[str], measures: Iterable[Measure]) -> list[str]:
    """What to say to who asked for FID or KID of features that do not give them."""
    words = {name.lower() for name in asked}
    return [
        f"by features {measure.features} this is a {title(measure.name)}; "
        f"{title(PUBLISHED[measure.name])} is by Inception's alone"
        for measure in measures
        if measure.name in ("frechet", "kernel") and PUBLISHED[measure.name] in words
    ]
