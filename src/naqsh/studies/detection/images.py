"""The test images, and the normal images that they are held against."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh import data
from naqsh.core.errors import NaqshError
from naqsh.data import defects, folders
from naqsh.data import listing as lists
from naqsh.data.inspection import good_one
from naqsh.data.sets.mvtec import inspection_folder
from naqsh.io import places
from naqsh.io.foreign import read_json
from naqsh.runs.origin import load as load_data
from naqsh.runs.trained import Trained
from naqsh.studies.detection.examined import Examined, no_good, of_path

HELD_OUT = 0.2
"""Part of the normal images that thresholds come from, where the run held out none."""

MOST_NORMAL = 10_000
"""Most normal images that baselines learn from, and a fifth of it that thresholds come from."""

MOST_NUMBERS = 1 << 27
"""Most pixels of these in all, half a GiB in float32."""


@dataclass(frozen=True)
class Normal:
    """Normal images.

    Attributes:
        name: what they are.
        fitted: what baselines learn from, uint8 with shape (N, C, H, W).
        held_out: what thresholds come from.
        origin: where these are from: ``validation``, held out by the run; ``training``, which the
            run has seen; ``given``, other images than the run's.
    """

    name: str
    fitted: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    origin: str


def under_test(
    source: str,
    run: Trained,
    n: int | None = None,
    home: Path | str | None = None,
    good: str | None = None,
    skip_broken: bool = False,
    range: tuple[float, float] | None = None,
    key: str | None = None,
) -> Examined:
    """The images that a user names, brought to the size and channels of a run's.

    * A folder with splits: its test split. Where a sub-folder is called ``good``, or as `good`
      says, kinds are the sub-folders, and masks are looked for beside the splits.
    * Another folder: likewise, all of it.
    * An image, an array file: nothing is known of them.
    * The run's own data set: its test part, all good.
    * Another named data set: its test part, none of it good, beside the test part of the run's own.

    Args:
        source: which.
        run: that will score them.
        n: take so many of each data set, at random; all by default.
        home: where data sets are looked for first.
        good: the sub-folder of the good ones; by default as the run's recipe says, else ``good``.
        skip_broken: leave out what cannot be read.
        range: the values of files that are black and white; by default as the run's recipe says.
        key: the array of an `.npz` that holds the images.

    Raises:
        NaqshError: no such images, or they cannot be brought to the run's size.
    """
    shape = run.method.shape
    place = Path(home) if home else None
    if not source.strip():
        raise NaqshError(f"{source!r} names no images: give a folder, a file or a data set's name")
    path = places.expanded(source)
    if source in data.CATALOG and data.CATALOG[source].reader != "mvtec":
        no_good(source, good)
        if range or key:
            raise NaqshError(f"range and key are of files, which {source} is not; leave them out")
        found = _named(source, run, n, place)
    else:
        if source in data.CATALOG:
            path = inspection_folder(source, place)
        told = run.recipe.data
        options = folders.Options(
            range=range or told.range, skip_broken=skip_broken or told.skip_broken
        )
        found = of_path(path, source, shape, good, told.good, options, key)
    if found.images.shape[1:] != shape:
        given, wanted = ("x".join(map(str, s)) for s in (found.images.shape[1:], shape))
        raise NaqshError(f"{source} has images of {given}, the run knows {wanted}")
    return found


def _named(source: str, run: Trained, n: int | None, home: Path | None) -> Examined:
    own = run.recipe.data.name
    shape = run.method.shape
    mine = load_data(run.recipe, "test", home)
    if mine.labels is not None and defects.GOOD in mine.classes:  # its faulty ones are not good
        good = mine.classes.index(defects.GOOD)
        mine = mine.subset(np.flatnonzero(mine.labels == good))
    parts = [(defects.GOOD, mine)]
    if source != own:
        size = shape[1] if shape[1] == shape[2] else None
        other = data.load(source, split="test", size=size, channels=shape[0], home=home)
        other = other.first_alone()
        parts.append((source, other))
    chosen = [(kind, part if n is None else part.some(n, 0)) for kind, part in parts]
    if len({part.shape for _, part in chosen}) > 1:
        raise NaqshError(f"{source} cannot be brought to the run's {shape[1]}x{shape[2]} pixels")
    return Examined(
        f"{source} against {own}" if source != own else f"{own} test",
        np.concatenate([part.images for _, part in chosen]),
        tuple(f"{kind}/{number}" for kind, part in chosen for number in range(len(part))),
        tuple(kind for kind, part in chosen for _ in range(len(part))),
    )


def _given_normal(
    given: str,
    run: Trained,
    home: Path | None,
    good: str | None,
    skip_broken: bool,
    range: tuple[float, float] | None,
    key: str | None,
) -> "data.DataSet":
    """Normal images that a user names; of a folder with good ones and others, the good ones."""
    shape, told = run.method.shape, run.recipe.data
    size = shape[1] if shape[1] == shape[2] else None
    alone = None
    if given not in data.CATALOG and places.expanded(given).is_dir() and given.strip():
        listing = lists.files(places.expanded(given), masks=True)
        named = (lists.class_named(listing, name) for name in (good, told.good) if name)
        alone = next((name for name in named if name), None) or good_one(listing.classes)
    return data.load(
        given,
        size=size,
        channels=shape[0],
        home=home,
        range=range or (None if given in data.CATALOG else told.range),
        key=key,
        good=alone,
        skip_broken=skip_broken or told.skip_broken,
    ).first_alone()


def normal(
    run: Trained,
    given: str | None,
    seed: int,
    home: Path | str | None = None,
    good: str | None = None,
    skip_broken: bool = False,
    range: tuple[float, float] | None = None,
    key: str | None = None,
) -> tuple[Normal, list[str]]:
    """Normal images to fit baselines to and to take thresholds from, never the test images.

    Args:
        run: whose training images they are, unless others are given.
        given: other normal images: a folder, a named set, an array file.
        seed: of what is held out where the run did not hold out.
        home: where data sets are looked for first.
        good: the sub-folder of good ones in a given folder.
        skip_broken: leave out what cannot be read in a given folder.
        range: the values of given files that are black and white; by default as the recipe says.
        key: the array of a given `.npz` that holds the images.

    Returns:
        the images, and what a reader must know of them, by name: see ``texts`` of the report.
    """
    recipe, method = run.recipe, run.method
    notes: list[str] = []
    if given is not None:
        place = Path(home) if home else None
        whole = _given_normal(given, run, place, good, skip_broken, range, key)
    else:
        try:
            whole = load_data(recipe, "train", home)
        except NaqshError as error:
            raise NaqshError(f"{error}; or give normal images: --normal FOLDER") from error
    if whole.shape != method.shape:
        sizes = ["x".join(map(str, shape)) for shape in (whole.shape, method.shape)]
        raise NaqshError(f"normal images {whole.name} are {sizes[0]}, the run knows {sizes[1]}")
    trained_on = _fingerprint(run)
    share = recipe.training.validation
    if whole.fingerprint != trained_on:
        if given is None:
            notes.append("other_pictures")
        origin = "given"
        fitted, held = whole.hold_out(HELD_OUT, seed)
    elif share:
        origin = "validation"
        fitted, held = whole.hold_out(share, recipe.training.seed)
    else:
        origin = "training"
        notes.append("seen")
        fitted, held = whole.hold_out(HELD_OUT, seed)
    most = min(MOST_NORMAL, max(2, MOST_NUMBERS // math.prod(whole.shape)))
    fitted, held = fitted.some(most, seed), held.some(max(1, most // 5), seed)
    return Normal(whole.name, np.array(fitted.images), np.array(held.images), origin), notes


def _fingerprint(run: Trained) -> str | None:
    try:
        return str(read_json(run.folder.about)["data"]["fingerprint"])
    except (NaqshError, KeyError, TypeError):
        return None


def repeated(examined: Examined, normal: Normal) -> int:
    """How many of the images examined are among the normal ones, pixel for pixel."""
    known = {picture.tobytes() for part in (normal.fitted, normal.held_out) for picture in part}
    return sum(picture.tobytes() in known for picture in examined.images)
