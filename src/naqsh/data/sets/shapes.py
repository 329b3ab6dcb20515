"""Shapes: rendered scenes of known factors, with captions in English and Persian."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from naqsh.data import cache, scenes, sentences
from naqsh.data.conversion import brought_to, stored
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted

_KEPT = 1
"""Raised when scenes, captions or the renderer give others than before."""


def read(wanted: Wanted) -> DataSet:
    """Scenes rendered at the size asked for, and what they are called."""
    entry, split = wanted.entry, wanted.split
    side = wanted.size or scenes.SIDE
    chance = scenes.numbers("scenes", split, wanted.count, scenes.NUMBERS)
    shown = scenes.scenes(split, chance)
    each = len(sentences.LANGUAGES) * sentences.EACH * sentences.NUMBERS
    words = scenes.numbers("captions", split, wanted.count, each)
    told = [sentences.captions(scene, row) for scene, row in zip(shown, words, strict=True)]

    def pieces() -> Iterator[NDArray[np.uint8]]:
        return scenes.render(shown, chance, side)

    place = cache.key(entry.name, split, side)
    shape = (wanted.count, 3, side, side)
    made = stored(f"rendering {entry.name}", shape, None, pieces, place, cache.key(_KEPT))
    plain = DataSet(entry.name, made.images, None, (), made.fingerprint)
    # Grey is what is seen then, and colours are still told of.
    return replace(brought_to(plain, None, wanted.channels), name=entry.name).with_columns(
        texts=told
    )
