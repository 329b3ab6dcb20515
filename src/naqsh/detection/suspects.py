"""What is examined, and the normal pictures that it is held against."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh import data, places
from naqsh.data import defects, folders, masks, named
from naqsh.data import listing as lists
from naqsh.data import notes as data_notes
from naqsh.data.decoding import SUFFIXES
from naqsh.data.listing import Listing
from naqsh.errors import NaqshError
from naqsh.run import Run, load_data
from naqsh.runfolder import read_json
from naqsh.spec import Shape

HELD_OUT = 0.2
"""Part of the normal pictures that thresholds come from, where the run held out none."""

MOST_NORMAL = 10_000
"""Most normal pictures that baselines learn from, and a fifth of it that thresholds come from."""

MOST_NUMBERS = 1 << 27
"""Most pixels of these in all, half a GiB in float32."""


@dataclass(frozen=True)
class Suspects:
    """Pictures to examine.

    Attributes:
        name: what they are.
        images: uint8 with shape (N, C, H, W).
        paths: what each is called: its path inside the folder, or its number.
        kinds: of each, ``good`` for normal ones; None where that is not known.
        masks: true where a fault is, shape (N, H, W), and which pictures' faults are known, shape
            (N,); None where there are no masks.
        notes: what must be known of them, a sentence each.
    """

    name: str
    images: NDArray[np.uint8]
    paths: tuple[str, ...]
    kinds: tuple[str, ...] | None
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def anomalous(self) -> NDArray[np.bool_] | None:
        """Which are not good, shape (N,); None unless there are both good ones and others."""
        if self.kinds is None or len({kind == defects.GOOD for kind in self.kinds}) < 2:
            return None
        return np.array([kind != defects.GOOD for kind in self.kinds])


@dataclass(frozen=True)
class Normal:
    """Normal pictures.

    Attributes:
        name: what they are.
        fitted: what baselines learn from, uint8 with shape (N, C, H, W).
        held_out: what thresholds come from.
        origin: where these are from: ``validation``, held out by the run; ``training``, which the
            run has seen; ``given``, other pictures than the run's.
    """

    name: str
    fitted: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    origin: str


def suspects(
    source: str,
    run: Run,
    n: int | None = None,
    home: Path | str | None = None,
    good: str | None = None,
    skip_broken: bool = False,
) -> Suspects:
    """The pictures that a user names, brought to the size and channels of a run's.

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

    Raises:
        NaqshError: no such pictures, or they cannot be brought to the run's size.
    """
    shape = run.method.shape
    place = Path(home) if home else None
    if not source.strip():
        raise NaqshError(f"{source!r} names no images: give a folder, a file or a data set's name")
    path = places.expanded(source)
    if source in data.CATALOG and source != "capsule":
        _no_good(source, good)
        found = _named(source, run, n, place)
    else:
        if source == "capsule":
            path = named.inspection_folder(source, place)
        told = run.recipe.data
        options = folders.Options(range=told.range, skip_broken=skip_broken or told.skip_broken)
        found = of_path(path, source, shape, good, told.good, options)
    if found.images.shape[1:] != shape:
        given, wanted = ("x".join(map(str, s)) for s in (found.images.shape[1:], shape))
        raise NaqshError(f"{source} has pictures of {given}, the run knows {wanted}")
    return found


def of_path(
    path: Path,
    source: str,
    shape: Shape,
    good: str | None = None,
    usual: str | None = None,
    options: folders.Options | None = None,
) -> Suspects:
    """The images in a folder or file, brought to a size where that can be; see :func:`suspects`.

    Args:
        path: of the folder or file.
        source: what the user wrote for it.
        shape: (C, H, W) that they are brought to.
        good: the sub-folder of good images.
        usual: the one taken if there is such a sub-folder, and before ``good``.
        options: how files are read; size and channels are taken from `shape`.
    """
    size = shape[1] if shape[1] == shape[2] else None
    options = replace(options or folders.Options(), size=size, channels=shape[0])
    if not path.is_dir():
        _no_good(source, good)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        read = folders.stored(path.parent, Listing((path,), None, ()), "one", options, least=1)
        return Suspects(path.parent.resolve().name, read.images, (path.name,), None)
    if path.is_dir():
        return _of_folder(path, shape, good, usual, options)
    whole = data.load(source, size=size, channels=shape[0], range=options.range)
    paths = tuple(str(number) for number in range(len(whole)))
    return Suspects(whole.name, whole.images, paths, None)


def _no_good(source: str, good: str | None) -> None:
    if good is not None:
        raise NaqshError(f"--good names a sub-folder of a folder of images, which {source} is not")


def _of_folder(
    path: Path, shape: Shape, good: str | None, usual: str | None, options: folders.Options
) -> Suspects:
    """The images of a folder, `good` being asked for and `usual` taken where it is there."""
    listing = lists.files(path, "any", least=1, masks=True)
    notes: list[str] = []
    asked = [good] if good else [name for name in (usual, defects.GOOD) if name]
    matches = [lists.class_named(listing, name) for name in asked]
    named_good = next((name for name in matches if name is not None), None)
    if named_good is not None:
        listing = lists.with_good_first(path, listing, named_good, alone=False)
    elif good is not None:
        lists.with_good_first(path, listing, good, alone=False)  # raises: there is none
    elif listing.classes:
        notes.append(
            f"{path.resolve().name}: sub-folders {', '.join(listing.classes)}: none is called "
            f"{defects.GOOD}, so which images are good is not known; name it, for example --good "
            f"{listing.classes[0]}"
        )
    read = folders.stored(path, listing, "examined", options, least=1)
    files = read.listing.files
    paths = tuple(file.relative_to(path).as_posix() for file in files)
    kinds = known = None
    if named_good is not None and read.listing.labels is not None:
        kinds = tuple(_kind(listing.classes[label], named_good) for label in read.listing.labels)
        are_good = [kind == defects.GOOD for kind in kinds]
        found = masks.read(files, are_good, listing.truth, shape[1:])
        notes += (f"{path.resolve().name}: {note}" for note in found.notes)
        known = (found.faulty, found.known) if found.faulty.any() else None
    said = data_notes.say((*read.notes, *notes))
    return Suspects(path.resolve().name, read.images, paths, kinds, known, said)


def _kind(name: str, good: str) -> str:
    """The kind of images in a sub-folder: ``good`` for the good ones, whatever theirs is called."""
    if name == good:
        return defects.GOOD
    return name if name != defects.GOOD else f"{name} (folder)"


def _named(source: str, run: Run, n: int | None, home: Path | None) -> Suspects:
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
        parts.append((source, other))
    chosen = [(kind, part if n is None else part.some(n, 0)) for kind, part in parts]
    if len({part.shape for _, part in chosen}) > 1:
        raise NaqshError(f"{source} cannot be brought to the run's {shape[1]}x{shape[2]} pixels")
    return Suspects(
        f"{source} against {own}" if source != own else f"{own} test",
        np.concatenate([part.images for _, part in chosen]),
        tuple(f"{kind}/{number}" for kind, part in chosen for number in range(len(part))),
        tuple(kind for kind, part in chosen for _ in range(len(part))),
    )


def _given_normal(
    given: str, run: Run, home: Path | None, good: str | None, skip_broken: bool
) -> "data.DataSet":
    """Normal images that a user names; of a folder with good ones and others, the good ones."""
    shape, told = run.method.shape, run.recipe.data
    size = shape[1] if shape[1] == shape[2] else None
    alone = None
    if given not in data.CATALOG and places.expanded(given).is_dir() and given.strip():
        listing = lists.files(places.expanded(given), masks=True)
        names = (name for name in (good, told.good, defects.GOOD) if name)
        alone = next((own for name in names if (own := lists.class_named(listing, name))), None)
    return data.load(
        given,
        size=size,
        channels=shape[0],
        home=home,
        range=None if given in data.CATALOG else told.range,
        good=alone,
        skip_broken=skip_broken or told.skip_broken,
    )


def normal(
    run: Run,
    given: str | None,
    seed: int,
    home: Path | str | None = None,
    good: str | None = None,
    skip_broken: bool = False,
) -> tuple[Normal, list[str]]:
    """Normal pictures to fit baselines to and to take thresholds from, never the suspects.

    Args:
        run: whose training pictures they are, unless others are given.
        given: other normal pictures: a folder, a named set, an array file.
        seed: of what is held out where the run did not hold out.
        home: where data sets are looked for first.
        good: the sub-folder of good ones in a given folder.
        skip_broken: leave out what cannot be read in a given folder.

    Returns:
        the pictures, and what a reader must know of them, by name: see ``texts`` of the report.
    """
    recipe, method = run.recipe, run.method
    notes: list[str] = []
    if given is not None:
        whole = _given_normal(given, run, Path(home) if home else None, good, skip_broken)
    else:
        try:
            whole = load_data(recipe, "train", home)
        except NaqshError as error:
            raise NaqshError(f"{error}; or give normal pictures: --normal FOLDER") from error
    if whole.shape != method.shape:
        sizes = ["x".join(map(str, shape)) for shape in (whole.shape, method.shape)]
        raise NaqshError(f"normal pictures {whole.name} are {sizes[0]}, the run knows {sizes[1]}")
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


def _fingerprint(run: Run) -> str | None:
    try:
        return str(read_json(run.folder.about)["data"]["fingerprint"])
    except (NaqshError, KeyError, TypeError):
        return None


def repeated(examined: Suspects, normal: Normal) -> int:
    """How many of the pictures examined are among the normal ones, pixel for pixel."""
    known = {picture.tobytes() for part in (normal.fitted, normal.held_out) for picture in part}
    return sum(picture.tobytes() in known for picture in examined.images)
