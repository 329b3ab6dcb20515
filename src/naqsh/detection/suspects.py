"""What is examined, and the normal pictures that it is held against."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh import data, places
from naqsh.data import defects, folders, named
from naqsh.data.folders import Listing
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
    """

    name: str
    images: NDArray[np.uint8]
    paths: tuple[str, ...]
    kinds: tuple[str, ...] | None
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None

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
    source: str, run: Run, n: int | None = None, home: Path | str | None = None
) -> Suspects:
    """The pictures that a user names, brought to the size and channels of a run's.

    * A folder in MVTec's layout: its test part, with kinds and masks.
    * A folder with a sub-folder ``good``: kinds are the sub-folders.
    * Another folder, a picture, an array file: nothing is known of them.
    * The run's own data set: its test part, all good.
    * Another named data set: its test part, none of it good, beside the test part of the run's own.

    Args:
        source: which.
        run: that will score them.
        n: take so many of each data set, at random; all by default.
        home: where data sets are looked for first.

    Raises:
        NaqshError: no such pictures, or they cannot be brought to the run's size.
    """
    shape = run.method.shape
    place = Path(home) if home else None
    path = places.expanded(source)
    if source in data.CATALOG and source != "capsule":
        found = _named(source, run, n, place)
    else:
        if source == "capsule":
            path = named.inspection_folder(source, place)
        found = of_path(path, source, shape)
    if found.images.shape[1:] != shape:
        given, wanted = ("x".join(map(str, s)) for s in (found.images.shape[1:], shape))
        raise NaqshError(f"{source} has pictures of {given}, the run knows {wanted}")
    return found


def of_path(path: Path, source: str, shape: Shape) -> Suspects:
    """The images in a folder or file, brought to a size where that can be; see :func:`suspects`."""
    size = shape[1] if shape[1] == shape[2] else None
    if path.is_file() and path.suffix.lower() in folders.SUFFIXES:
        return _listed(path.parent, Listing((path,), None, ()), "one", size, shape, None)
    if path.is_dir() and defects.laid_out(path):
        found = _listed(
            path, defects.listing(path, "test"), "inspection test", size, shape, defects.GOOD
        )
        files = [path / name for name in found.paths]
        assert found.kinds is not None
        good = [kind == defects.GOOD for kind in found.kinds]
        if not (path / "ground_truth").is_dir():
            return found
        return replace(found, masks=defects.masks(files, good, shape[1:]))
    if path.is_dir():
        return _listed(path, folders.files(path, least=1), "suspects", size, shape, defects.GOOD)
    whole = data.load(source, size=size, channels=shape[0])
    paths = tuple(str(number) for number in range(len(whole)))
    return Suspects(whole.name, whole.images, paths, None)


def _listed(
    folder: Path, listing: Listing, name: str, size: int | None, shape: Shape, good: str | None
) -> Suspects:
    stored = folders.stored(folder, listing, name, size, shape[0])
    paths = tuple(file.relative_to(folder).as_posix() for file in listing.files)
    kinds = None
    if listing.labels is not None and good in listing.classes:
        kinds = tuple(listing.classes[label] for label in listing.labels)
    return Suspects(folder.resolve().name, stored.images, paths, kinds)


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


def normal(
    run: Run, given: str | None, seed: int, home: Path | str | None = None
) -> tuple[Normal, list[str]]:
    """Normal pictures to fit baselines to and to take thresholds from, never the suspects.

    Args:
        run: whose training pictures they are, unless others are given.
        given: other normal pictures: a folder, a named set, an array file.
        seed: of what is held out where the run did not hold out.
        home: where data sets are looked for first.

    Returns:
        the pictures, and what a reader must know of them, by name: see ``texts`` of the report.
    """
    recipe, method = run.recipe, run.method
    notes: list[str] = []
    if given:
        size = method.shape[1] if method.shape[1] == method.shape[2] else None
        place = Path(home) if home else None
        whole = data.load(given, size=size, channels=method.shape[0], home=place)
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
        if not given:
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
