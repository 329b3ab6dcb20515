"""Textured shapes: rendered scenes whose masks are known, see :mod:`naqsh.data.textured`."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from naqsh.data import cache, textured
from naqsh.data.conversion import brought_to, stored
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted
from naqsh.data.scenes import SIDE

_KEPT = 1
"""Raised when the renderer gives others than before."""


def read(wanted: Wanted) -> DataSet:
    """Scenes rendered at the size asked for."""
    entry, split = wanted.entry, wanted.split
    side = wanted.size or SIDE
    chance = textured.chances(split, wanted.count)

    def pieces() -> Iterator[NDArray[np.uint8]]:
        return (piece.images for piece in textured.render(chance, side))

    place = cache.key(entry.name, split, side)
    shape = (wanted.count, 3, side, side)
    made = stored(f"rendering {entry.name}", shape, None, pieces, place, cache.key(_KEPT))
    plain = DataSet(entry.name, made.images, None, (), made.fingerprint)
    return replace(brought_to(plain, None, wanted.channels), name=entry.name)
