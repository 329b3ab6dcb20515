"""dSprites: one orientation, or all of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from naqsh.data import cache, sprites
from naqsh.data.conversion import brought_to
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted


def read(wanted: Wanted) -> DataSet:
    """The published images where they are here, else rendered ones."""
    entry, split = wanted.entry, wanted.split
    orientations = sprites.ORIENTATIONS if entry.name == "dsprites-full" else 1
    names = (sprites.OFFICIAL, sprites.REDUCED) if orientations == 1 else (sprites.OFFICIAL,)
    path = wanted.found(*names)
    chosen = sprites.split(split, orientations)
    labels = sprites.labels(orientations)[chosen]

    def chunks() -> Iterator[NDArray[np.uint8]]:
        done = 0
        for block in sprites.read(path, orientations) if path else sprites.render(orientations):
            first, last = np.searchsorted(chosen, (done, done + len(block)))
            yield block[chosen[first:last] - done]
            done += len(block)

    def build() -> cache.Content:
        return cache.Content((len(chosen), *entry.shape), labels, chunks())

    kept = 2  # raised when the renderer or the reader gives other images than before
    name = f"{entry.name} (rendered)" if path is None else entry.name
    if path is None and orientations == 1:
        whole = DataSet.of(name, np.concatenate(list(chunks())), labels, entry.classes)
    else:
        place, version = cache.key(entry.name, split), cache.key(kept)
        if path is not None:
            stat = path.stat()
            place = cache.key(entry.name, split, str(path.resolve()))
            version = cache.key(kept, stat.st_size, stat.st_mtime_ns)
        stored = cache.pictures(place, version, build)
        whole = DataSet(name, stored.images, stored.labels, entry.classes, stored.fingerprint)
    return brought_to(whole, wanted.size, wanted.channels)
