"""Embeddings of a set's captions, by an encoder that knows its training captions alone."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from naqsh.captions import encoder as encoders
from naqsh.captions import pretrained
from naqsh.captions.encoder import TextEncoder
from naqsh.core.errors import NaqshError
from naqsh.data import cache, pixels
from naqsh.data.dataset import DataSet, Split
from naqsh.io import places

_KEPT = {"char-cnn-rnn": 2}
"""Raised from 1 when an encoder of a kind fits otherwise than before."""

PUBLISHED = "published"
"""Embeddings that come with a set, which no encoder of ours makes."""


@dataclass(frozen=True)
class Embedding:
    """How captions become embeddings; the fields are arguments of :func:`naqsh.data.load`."""

    text: str
    text_size: int
    encoder: TextEncoder | None = None
    model: str = ""


def with_captions(how: Embedding | None, split: Split, read: Callable[[Split], DataSet]) -> DataSet:
    """A split of a set, with embeddings of its captions where they are asked for.

    Args:
        how: they are made; None makes none.
        split: the one that is wanted.
        read: reads a split. The training split is read too where an encoder has to be fitted.

    Raises:
        NaqshError: it has no captions, or those of training are of no use for the encoder.
    """
    found = read(split)
    if how is None:
        return found
    if how.text == PUBLISHED:
        if found.captions is None:
            raise NaqshError(f"there are no published embeddings of the captions of {found.name}")
        return found
    if not found.texts:
        raise NaqshError(
            f"data.text is for images with captions, and {found.name} has none; leave it out"
        )
    if how.encoder is not None:
        return found.encoded(how.encoder)
    whole = found if split == "train" else read("train")
    return found.encoded(_fitted(how, whole))


def _fitted(how: Embedding, whole: DataSet) -> TextEncoder:
    """An encoder fitted on a training split; once it is, the cache has it.

    Raises:
        NaqshError: the captions are of no use for it, or the cache cannot be written.
    """
    model: tuple[str, ...] = ()
    if how.model:  # what a folder holds may change, and the same may lie in another
        place = places.expanded(how.model).absolute()
        model = (str(place), pretrained.digest(place)) if place.is_dir() else ()
    key = cache.key(how.text, how.text_size, whole.fingerprint, *model, _KEPT.get(how.text, 1))
    file = places.cache() / "encoders" / f"{key}.safetensors"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            if file.exists():
                with contextlib.suppress(NaqshError):  # damaged: it is made again
                    return encoders.read(file)
            small = functools.partial(_small, whole.images)
            made = encoders.fit(how.text, how.text_size, whole.texts, small, how.model)
            encoders.write(file, made)
            return made
    except OSError as error:
        raise NaqshError(
            f"the cache {file.parent} cannot be written ({error.strerror or error}); set "
            "NAQSH_CACHE to a folder that can"
        ) from error


def _small(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images as encoders learn from them, in colour and of 32x32."""
    return pixels.resize(pixels.recolour(images, 3), 32)
