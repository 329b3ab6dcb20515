"""Good parts and faulty ones: folders in the layout of MVTec AD, with masks of the faults.

::

    train/good/000.png              what a model of the normal is trained on
    test/good/000.png               normal ones that it has not seen
    test/<kind>/000.png             faulty ones, by kind of fault
    ground_truth/<kind>/000_mask.png  white where the fault is; good ones have none

The class of a good picture is the first, so that training and test part have the same classes.

References:
    MVTec AD - A Comprehensive Real-World Dataset for Unsupervised Anomaly Detection (Bergmann et
    al., 2019), CVPR.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh.data import folders
from naqsh.data.folders import Listing
from naqsh.errors import NaqshError

GOOD = "good"
"""The class of what is as it should be."""

COVERED = 128
"""A pixel of a mask counts as faulty from here on, half white: half of its area is faulty."""


def laid_out(folder: Path) -> bool:
    """Whether a folder has good pictures to train on and pictures to test, as MVTec AD has."""
    return (folder / "train" / GOOD).is_dir() and (folder / "test").is_dir()


def listing(folder: Path, split: str) -> Listing:
    """The pictures of one part: good ones alone for training, all kinds for the test.

    Args:
        folder: in the layout above.
        split: ``"train"`` or ``"test"``.

    Returns:
        the pictures, whose class 0 is ``good``, the others being the kinds of faults, sorted.

    Raises:
        NaqshError: a part without pictures, or good ones missing where they are trained on.
    """
    test = folders.files(folder, "test", least=1)
    if test.labels is None:
        raise NaqshError(f"{folder / 'test'} has pictures but no sub-folders; sort them by kind")
    classes = (GOOD, *(kind for kind in test.classes if kind != GOOD))
    if split == "train":
        good = folders.files(folder / "train" / GOOD)
        return Listing(good.files, np.zeros(len(good.files), np.int64), classes)
    number = np.array([classes.index(kind) for kind in test.classes])
    return replace(test, labels=number[test.labels], classes=classes)


def mask_of(picture: Path) -> Path | None:
    """Where the mask of ``…/test/<kind>/<name>.png`` lies; None where there is none."""
    kind = picture.parent
    truth = kind.parent.parent / "ground_truth" / kind.name
    found = (truth / f"{picture.stem}{ending}" for ending in ("_mask.png", ".png"))
    return next((path for path in found if path.is_file()), None)


def masks(
    pictures: Sequence[Path], good: Sequence[bool], size: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the faults of pictures are, cropped and resized as the pictures are.

    Args:
        pictures: their files, in the layout above.
        good: which of them have no fault, and so need no mask.
        size: height and width that the pictures are brought to.

    Returns:
        true where at least half of a pixel is faulty, shape (N, height, width); and which pictures
        have a mask or need none, shape (N,).

    Raises:
        NaqshError: a mask that cannot be read or has another size than its picture.
    """
    found = np.zeros((len(pictures), *size), np.bool_)
    known = np.array(good, np.bool_)
    for number, picture in enumerate(pictures):
        path = None if good[number] else mask_of(picture)
        if path is None:
            continue
        if folders.extent(path) != folders.extent(picture):
            sizes = ["x".join(map(str, folders.extent(file))) for file in (path, picture)]
            raise NaqshError(f"mask {path} is {sizes[0]}, its picture {picture.name} {sizes[1]}")
        side = None if folders.extent(path) == size[::-1] else size[0]
        found[number] = folders.decode(path, str(path), 1, side)[0] >= COVERED
        known[number] = True
    return found, known
