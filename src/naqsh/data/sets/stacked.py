"""Stacked MNIST: three digits of MNIST as the three channels of an image, 1,000 modes."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from naqsh.core.seeds import derive
from naqsh.data import cache
from naqsh.data.catalog import CATALOG
from naqsh.data.conversion import brought_to
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted
from naqsh.data.sets import mnist

_PIECE = 1000


def read(wanted: Wanted) -> DataSet:
    """As many images as MNIST has in the split, each of three that are drawn from a fixed seed.

    An image that shows a in its first channel, b in its second and c in its third has the label
    100 a + 10 b + c.
    """
    entry = wanted.entry
    digits = mnist.read(replace(wanted, entry=CATALOG["mnist"], size=None, channels=None))
    assert digits.labels is not None
    chosen = rows(wanted.split, wanted.count, len(digits))
    labels = digits.labels[chosen] @ np.array([100, 10, 1])

    def pieces() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(chosen), _PIECE):
            yield digits.images[chosen[start : start + _PIECE], 0]

    def build() -> cache.Content:
        return cache.Content((len(chosen), *entry.shape), labels, pieces())

    stored = cache.pictures(cache.key(entry.name, wanted.split, digits.fingerprint), "1", build)
    whole = DataSet(entry.name, stored.images, stored.labels, entry.classes, stored.fingerprint)
    return brought_to(whole, wanted.size, wanted.channels)


def rows(split: str, count: int, among: int) -> NDArray[np.int64]:
    """Which of so many digits the channels of each image show, evenly drawn, shape (count, 3)."""
    random = np.random.Generator(np.random.Philox(derive(0, "stacked-mnist", split)))
    # By uniform numbers alone: NumPy may change how it makes others.
    drawn: NDArray[np.int64] = (random.random((count, 3)) * among).astype(np.int64)
    return drawn
