"""Measuring one collection of images against another: folders, files and data sets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from naqsh import data, metrics
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.data.dataset import Split
from naqsh.data.holdout import NoTestSplit
from naqsh.data.points import MIXTURES
from naqsh.io import places
from naqsh.methods.classifier import Classifier
from naqsh.metrics import COVERS, ClassifierFeatures, FeatureExtractor, Measure
from naqsh.metrics.registry import get, title
from naqsh.runs.trained import open_trained
from naqsh.studies.beforehand import require_counts, require_fit
from naqsh.studies.floor import Floor

SPLITS = {"train": "training", "test": "test"}
"""In words."""

READ_WITH = {"range": (".npy", ".npz"), "key": (".npz",)}
"""The files that an option of reading is for, if there are any."""

POINTS = [name for name, entry in data.CATALOG.items() if entry.extent]
"""Sets of points, whose coordinates are features of the set's name."""

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """How images are read that belong to no run.

    Attributes:
        size: resize them to `size` x `size`.
        channels: bring them to 1 (grey) or 3 (colour).
        range: the values in files that are black and white; None takes those of the type.
        key: the array of an `.npz` that holds the images, where its name does not tell.
        skip_broken: leave out images of a folder that cannot be read.
        home: where data sets are looked for first.
    """

    size: int | None = None
    channels: int | None = None
    range: tuple[float, float] | None = None
    key: str | None = None
    skip_broken: bool = False
    home: Path | None = None


def features_for(name: str) -> str:
    """The features that images of a data set are measured by unless others are asked for."""
    return name if name in (*metrics.SHIPPED, *POINTS) else "inception"


def extractor(name: str, device: str = "cpu") -> FeatureExtractor:
    """A feature extractor by name, or of a classifier that the user trained: ``classifier:RUN``.

    The coordinates of points have the name of their set, whose modes they know.

    Raises:
        NaqshError: an unknown name, weights that cannot be had, or a run of something else.
    """
    kind, colon, path = name.partition(":")
    if name in POINTS:
        known = MIXTURES.get(name)
        modes = metrics.Gaussians(torch.tensor(known.means), known.sigma) if known else None
        return metrics.Coordinates(name, data.CATALOG[name].extent, modes)
    if kind != "classifier" or not colon:
        return metrics.by_name(name, device)
    method = open_trained(path).method
    if not isinstance(method, Classifier):
        raise NaqshError(f"{path} is no classifier; train one: naqsh train classifier-mnist")
    return ClassifierFeatures(method.network, name, device)


def measure(
    names: Iterable[str],
    real: str,
    generated: str,
    machine: Machine = Machine(),
    *,
    features: str | None = None,
    n: int | None = None,
    size: int | None = None,
    channels: int | None = None,
    ranges: Sequence[tuple[float, float] | None] = (),
    keys: Sequence[str | None] = (),
    skip_broken: bool = False,
) -> list[Measure]:
    """Measure one collection of images against another.

    Args:
        names: out of ``frechet kernel pr dc``, or ``all``.
        real: a folder, a .npz or .npy file, or a data set's name; with ``:test`` its test split.
        generated: likewise.
        machine: where features are taken; its seed is of the choice and of standard errors.
        features: by which features; by default those of the data set `real`, else ``inception``.
        n: take so many images of each, at random; all by default.
        size: resize both to `size` x `size`.
        channels: bring both to 1 (grey) or 3 (colour).
        ranges: the values that are black and white: one pair for files of arrays (where there are
            none, for folders), or one for each collection, of which None takes those of the type.
        keys: the arrays of `.npz` files that hold the images: one name, or one for each collection.
        skip_broken: leave out images of a folder that cannot be read, with a note of their number.

    Raises:
        NaqshError: images that cannot be had or do not fit together.
    """
    names = metrics.named(names)
    require_counts(n=n, batch=machine.batch)
    if n is not None:
        metrics.require_enough(names, None, n)
    if channels not in (None, 1, 3):
        raise NaqshError(f"images have 1 or 3 channels, not {channels}")
    chosen = features or features_for(real.partition(":")[0])
    home = Path(machine.data_home) if machine.data_home else None
    common = Reading(size, channels, skip_broken=skip_broken, home=home)
    sources = (real, generated)
    limits = for_each("range", ranges, sources)
    names_of_arrays = for_each("key", keys, sources)
    sides = [
        images_of(source, replace(common, range=limit, key=key))
        for source, limit, key in zip(sources, limits, names_of_arrays, strict=True)
    ]
    if sides[0].shape != sides[1].shape and chosen != "inception":
        raise NaqshError(_of_two_shapes(real, generated, sides[0].shape, sides[1].shape))
    sides = [_some(side, n, machine.seed) for side in sides]
    called = sides[0].name + _split_of(real)[1]
    metrics.require_enough(names, len(sides[0]), len(sides[1]), called)
    measured_by = extractor(chosen, machine.device)  # last: its weights may have to be downloaded
    require_fit(measured_by, *(side.shape for side in sides))
    tables = [
        metrics.extract(
            measured_by,
            side.images,
            batch=machine.batch,
            progress=partial(machine.progress, what),
            cache=n is None,
        )
        for what, side in zip(("real", "generated"), sides, strict=True)
    ]
    return metrics.measure(
        names,
        *tables,
        **metrics.described(measured_by),
        reference=called,
        seed=machine.seed,
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


def for_each(what: str, given: Sequence[T | None], sources: Sequence[str]) -> list[T | None]:
    """What is given for one or all of some sources, for each of them.

    One alone is for the files with such endings; where neither is one, for all but named sets. So
    the range of an array of floats is not taken for the bytes of a folder beside it.

    Args:
        what: a key of :data:`READ_WITH`.
        given: at most one for each source.
        sources: as the user wrote them.
    """
    if len(given) > len(sources):
        each = ", or one for each of the two" if len(sources) == 2 else ""
        raise NaqshError(f"{what}: {len(given)} are given; give one{each}")
    if len(given) == len(sources):
        return list(given)
    one = given[0] if given else None
    bare = [_split_of(source)[0] for source in sources]
    meant = [name.lower().endswith(READ_WITH[what]) for name in bare]
    if not any(meant):
        own = [name not in data.CATALOG for name in bare]
        meant = own if any(own) else [True] * len(sources)
    return [one if is_meant else None for is_meant in meant]


def images_of(source: str, how: Reading) -> "data.DataSet":
    """The images of a folder, a .npz or .npy file, or a data set by its name.

    Args:
        source: which; with ``:test`` or ``:train`` at its end, that split of it.
        how: they are read.

    Raises:
        NaqshError: they cannot be had.
    """
    name, said = _split_of(source)
    split: Split = "test" if said == ":test" else "train"
    try:
        return data.load(
            name,
            split=split,
            size=how.size,
            channels=how.channels,
            home=how.home,
            key=how.key,
            range=how.range,
            skip_broken=how.skip_broken,
        ).first_alone()
    except NoTestSplit as error:
        raise NoTestSplit(
            f"{name} has no test split; leave {said} out to take all of it"
        ) from error


def _split_of(source: str) -> tuple[str, str]:
    """A source without the split at its end, and that: ``:test``, ``:train`` or nothing."""
    name, colon, part = source.rpartition(":")
    if not name or part not in ("train", "test") or places.is_there(source):
        return source, ""
    return name, colon + part


def _some(side: "data.DataSet", n: int | None, seed: int) -> "data.DataSet":
    if n is None:
        return side
    if n > len(side):
        raise NaqshError(f"n {n}: {side.name} has {len(side):,} images; take 2 to that many")
    return side.some(n, seed)


def table(measures: Sequence[Measure], floor: Floor | None = None) -> str:
    """Measures of one pair of collections as lines: what they share once, then a row each.

    Args:
        measures: at least one.
        floor: what real images come to when they are measured alike.
    """
    first = measures[0]
    real = {measure.name: measure.value for measure in floor.measures} if floor else {}
    lines = [
        f"{first.n_generated:,} generated against {first.n_real:,} of {first.reference}; "
        f"features {first.features} ({first.fingerprint[:8]})"
    ]
    for measure in measures:
        low_high = (
            "" if measure.interval is None else "95 % {:.4g} to {:.4g}".format(*measure.interval)
        )
        words = title(measure.name)
        below = f"floor {real[measure.name]:.4g}" if measure.name in real else ""
        lines.append(f"  {words:<24} {measure.value:<10.4g} {low_high:<26} {below}".rstrip())
    notes = {
        note: [title(m.name) for m in measures if note in m.notes]
        for m in measures
        for note in m.notes
    }
    if any(measure.interval for measure in measures):
        lines.append(COVERS)
    if floor:
        lines.append(
            f"floor: {floor.n:,} images of the {SPLITS[floor.split]} split, measured alike; a "
            "distance is to be read against theirs, not against 0"
        )
    return "\n".join([*lines, *(f"note on {', '.join(n)}: {note}" for note, n in notes.items())])


def renamed(asked: Iterable[str], measures: Iterable[Measure]) -> list[str]:
    """What to say to who asked for FID or KID of features that do not give them."""
    words = {name.lower() for name in asked}
    return [
        f"by features {measure.features} this is a {title(measure.name)}; "
        f"{known.published[1]} is by Inception's alone"
        for measure in measures
        if (known := get(measure.name)) and known.published and measure.name == known.name
        if known.published[0] in words
    ]
