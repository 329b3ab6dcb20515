"""Images to examine, as a folder or file has them: with kinds and masks where these are known."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh import data
from naqsh.core.errors import NaqshError
from naqsh.core.printable import whole
from naqsh.core.spec import Shape
from naqsh.data import defects, folders, masks
from naqsh.data import listing as lists
from naqsh.data import notes as data_notes
from naqsh.data.decoding import SUFFIXES
from naqsh.data.inspection import good_one
from naqsh.data.listing import Listing


@dataclass(frozen=True)
class Examined:
    """Test images: what a detection examines.

    Attributes:
        name: what they are.
        images: uint8 with shape (N, C, H, W).
        paths: what each is called: its path inside the folder, or its number.
        kinds: of each, ``good`` for normal ones; None where that is not known.
        masks: true where a fault is, shape (N, H, W), and which images' faults are known, shape
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

    def truth(self) -> str | None:
        """16 digits of what is known of the images: kinds and masks; None where nothing is."""
        if self.kinds is None:
            return None
        digest = hashlib.sha256("\n".join(self.kinds).encode(errors="surrogateescape"))
        for part in self.masks or ():
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()[:16]


def of_path(
    path: Path,
    source: str,
    shape: Shape,
    good: str | None = None,
    usual: str | None = None,
    options: folders.Options | None = None,
    key: str | None = None,
) -> Examined:
    """The images in a folder or file, brought to a size where that can be.

    See :func:`naqsh.studies.detection.images.under_test`.

    Args:
        path: of the folder or file.
        source: what the user wrote for it.
        shape: (C, H, W) that they are brought to.
        good: the sub-folder of good images.
        usual: the one taken if there is such a sub-folder, and before ``good``.
        options: how files are read; size and channels are taken from `shape`.
        key: the array of an `.npz` that holds the images.
    """
    size = shape[1] if shape[1] == shape[2] else None
    options = replace(options or folders.Options(), size=size, channels=shape[0])
    if not path.is_dir():
        no_good(source, good)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        read = folders.stored(path.parent, Listing((path,), None, ()), "one", options, least=1)
        return Examined(whole(path.parent.resolve().name), read.images, (whole(path.name),), None)
    if path.is_dir():
        return _of_folder(path, shape, good, usual, options)
    found = data.load(source, size=size, channels=shape[0], range=options.range, key=key)
    paths = tuple(str(number) for number in range(len(found)))
    return Examined(found.name, found.images, paths, None)


def no_good(source: str, good: str | None) -> None:
    """Refuse the name of a sub-folder where there is no folder."""
    if good is not None:
        raise NaqshError(f"--good names a sub-folder of a folder of images, which {source} is not")


def _of_folder(
    path: Path, shape: Shape, good: str | None, usual: str | None, options: folders.Options
) -> Examined:
    """The images of a folder, `good` being asked for and `usual` taken where it is there."""
    listing = lists.files(path, "any", least=1, masks=True)
    named_good, notes = _good_class(path, listing, good, usual)
    if named_good is not None:
        listing = lists.with_good_first(path, listing, named_good, alone=False)
    read = folders.stored(path, listing, "examined", options, least=1)
    files, labels = read.listing.files, read.listing.labels
    paths = tuple(whole(file.relative_to(path).as_posix()) for file in files)
    kinds: tuple[str, ...] | None = None
    if named_good is not None and labels is not None:
        kinds = tuple(_kind(listing.classes[label], named_good) for label in labels)
    elif listing.truth:
        kinds, note = _by_masks(path, files, listing.truth)
        notes = notes if notes and kinds is None else [note]
    known = None
    if kinds is not None:
        are_good = [kind == defects.GOOD for kind in kinds]
        found = masks.read(files, are_good, listing.truth, shape[1:])
        notes += (f"{path.resolve().name}: {note}" for note in found.notes)
        known = (found.faulty, found.known) if found.faulty.any() else None
    said = data_notes.say((*read.notes, *notes))
    return Examined(whole(path.resolve().name), read.images, paths, kinds, known, said)


def _good_class(
    path: Path, listing: Listing, good: str | None, usual: str | None
) -> tuple[str | None, list[str]]:
    """The class of the good images, and what must be said of it."""
    if good is not None:
        lists.with_good_first(path, listing, good, alone=False)  # raises where there is none
        return lists.class_named(listing, good), []
    if usual and (found := lists.class_named(listing, usual)):
        return found, []
    name = path.resolve().name
    if found := good_one(listing.classes):
        plain = found.casefold() == defects.GOOD
        note = f"{name}: {found} is taken for the good images; --good names others"
        return found, [] if plain else [note]
    if not listing.classes:
        return None, []
    return None, [
        f"{name}: sub-folders {', '.join(listing.classes)}: none is called {defects.GOOD}, so "
        "which images are good is not known; name it, for example --good "
        f"{shlex.quote(listing.classes[0])}"
    ]


def _by_masks(
    path: Path, files: Sequence[Path], truth: Sequence[Path]
) -> tuple[tuple[str, ...] | None, str]:
    """Kinds of images that only masks tell: good where that of an image is empty. And a note."""
    name, faulty = path.resolve().name, "faulty"
    told = masks.tell_good(files, truth)
    if told is None:
        return None, (
            f"{name}: no sub-folder is called {defects.GOOD} and not every image has a mask, so "
            "which images are good is not known; give good ones empty masks, or sort the images "
            f"into {defects.GOOD} and {faulty}"
        )
    kinds = tuple(defects.GOOD if is_good else faulty for is_good in told)
    return kinds, f"{name}: {sum(told)} of {len(told)} images are good, as their masks are empty"


def _kind(name: str, good: str) -> str:
    """The kind of images in a sub-folder: ``good`` for the good ones, whatever theirs is called."""
    if name == good:
        return defects.GOOD
    return name if name != defects.GOOD else f"{name} (folder)"
