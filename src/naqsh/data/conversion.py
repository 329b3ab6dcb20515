"""Bringing arrays to 8 bits, a layout, a size and a number of channels: a piece at a time.

What comes out small is made in memory. What is larger than `IN_MEMORY` is written to the cache
while it is made, and mapped: no set has to fit the memory.
"""

from collections.abc import Callable, Iterator
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.data import cache, pixels
from naqsh.data.dataset import DataSet
from naqsh.data.fingerprint import Fingerprint
from naqsh.io.progress import progress

IN_MEMORY = 256 << 20
"""Bytes of images that a set may take up in memory before it is mapped instead."""

Pieces = Iterator[NDArray[np.uint8]]
_PIECE = 32 << 20


def stored(
    what: str,
    shape: tuple[int, int, int, int],
    labels: NDArray[np.int64] | None,
    pieces: Callable[[], Pieces],
    place: str,
    version: str,
) -> cache.Stored:
    """Images that come in pieces, gathered in memory or in the cache.

    Args:
        what: what is told while it lasts.
        shape: (N, C, H, W) of all of them.
        labels: int64 with shape (N,), or None.
        pieces: makes them: uint8 with shape (n, C, H, W).
        place: of the cache's entry, see :func:`naqsh.data.cache.pictures`.
        version: likewise.

    Raises:
        NaqshError: what `pieces` raises, or a cache that has no room.
    """
    if prod(shape) > IN_MEMORY:
        chunks = _told(what, shape[0], pieces)
        return cache.pictures(place, version, lambda: cache.Content(shape, labels, chunks))
    images = np.empty(shape, np.uint8)
    digest, done = Fingerprint(shape), 0
    for piece in pieces():
        digest.add(piece)
        images[done : done + len(piece)] = piece
        done += len(piece)
    if done != shape[0]:
        raise ValueError(f"{shape[0]} images announced, {done} came")
    return cache.Stored(images, labels, digest.close(labels))


def brought_to(
    data: DataSet,
    size: int | None,
    channels: int | None,
    smooth: Literal["lanczos", "bilinear"] = "lanczos",
) -> DataSet:
    """A data set at another size or number of channels; itself where neither changes.

    A second domain is brought to them too.

    Args:
        data: with 1 or 3 channels.
        size: side in pixels, or None.
        channels: 1, 3 or None.
        smooth: the filter, see :func:`naqsh.data.pixels.fit`.
    """
    shape = target(data.shape, size, channels)
    second = data.second
    others = () if second is None else second.shape[1:]
    if shape == data.shape and (
        second is None or target(second.shape[1:], size, channels) == others
    ):
        return data

    def made(images: NDArray[np.uint8], labels: NDArray[np.int64] | None, of: str) -> cache.Stored:
        own = target(images.shape[1:], size, channels)

        def pieces() -> Pieces:
            rows = max(1, _PIECE // max(prod(images.shape[1:]), prod(own)))
            for start in range(0, len(images), rows):
                yield pixels.converted(images[start : start + rows], size, channels, smooth)

        place = cache.key("brought", of, own, smooth)
        return stored(f"resizing {data.name}", (len(images), *own), labels, pieces, place, "1")

    first = made(data.images, data.labels, data.fingerprint)
    plain = DataSet(
        data.name, first.images, data.labels, data.classes, first.fingerprint, data.notes
    )
    if second is not None:
        second = made(second, None, f"{data.fingerprint} second").images
    return plain.with_columns(
        second, data.paired, data.captions, data.texts, data.domains, data.encoder
    )


def target(
    shape: tuple[int, int, int], size: int | None, channels: int | None
) -> tuple[int, int, int]:
    """The (C, H, W) that images of such a shape get."""
    height, width = shape[1:] if size is None else (size, size)
    return channels or shape[0], height, width


def to_levels(values: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """Numbers to 256 levels: `low` becomes 0, `high` 255, between them the nearest.

    Raises:
        NaqshError: a number that is not finite, or lies further outside than half a level, which
            rounding can do.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        levels = (values.astype(np.float64) - low) * (255 / (high - low))
    outside = ~((levels >= -0.5) & (levels <= 255.5))  # so that NaN is outside
    if outside.any():
        wrong = values[outside][0]
        raise NaqshError(f"there is a value {wrong} outside data.range {low:g} to {high:g}")
    return np.rint(levels).clip(0, 255).astype(np.uint8)


def _told(what: str, count: int, pieces: Callable[[], Pieces]) -> Pieces:
    with progress(what, count, "images") as advance:
        for piece in pieces():
            advance(len(piece))
            yield piece
