"""Real handwritten digits that are always at hand: the 1,797 that come with scikit-learn.

They are the test part of the UCI "Optical Recognition of Handwritten Digits" set: 8x8 images with
17 grey values, written by 13 people. They are enlarged to 16x16 by PIL's bilinear filter, which
keeps the strokes smooth and lets networks halve the image three times.

References:
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 16
"""To which they are enlarged where no other size is asked for."""

_TEST = 297


def read(split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The digits of one split.

    The test split is every sixth digit or so, image floor(k N / 297) for k in 0..296: no random
    generator decides it, and as the set is ordered by writer, every writer is in both splits and
    each class has 24 to 35 test digits.

    Args:
        split: ``"train"`` (1,500 digits) or ``"test"`` (297).

    Returns:
        uint8 images with shape (N, 1, 8, 8), as they were published, values 0..16 stretched to
        0..255, and int64 labels with shape (N,).
    """
    values, labels = _published()
    test = np.arange(_TEST) * len(values) // _TEST
    chosen = np.zeros(len(values), dtype=np.bool_)
    chosen[test] = True
    if split == "train":
        chosen = ~chosen
    stretched = np.rint(values[chosen] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return stretched, labels[chosen]


@functools.cache
def _published() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values (1797, 64) and labels of all digits, not to be changed: they are read once.

    They are read from scikit-learn's file: to import its readers takes a second.
    """
    file = _file()
    if file.is_file():
        table = np.loadtxt(file, delimiter=",")
        return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    return values, labels.astype(np.int64)


def _file() -> Path:
    """Where scikit-learn has them, in the versions that we know."""
    package = importlib.util.find_spec("sklearn")
    place = Path(package.origin).parent if package and package.origin else Path()
    return place / "datasets" / "data" / "digits.csv.gz"
