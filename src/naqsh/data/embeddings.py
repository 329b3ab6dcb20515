"""Embeddings of a set's captions, by an encoder that knows its training captions alone."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from naqsh.captions import encoder as encoders
from naqsh.captions.encoder import TextEncoder
from naqsh.core.errors import NaqshError
from naqsh.data.dataset import DataSet, Split

PUBLISHED = "published"
"""Embeddings that come with a set, which no encoder of ours makes."""


@dataclass(frozen=True)
class Embedding:
    """How captions become embeddings; the fields are arguments of :func:`naqsh.data.load`."""

    text: str
    text_size: int
    encoder: TextEncoder | None = None


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
    return found.encoded(_fitted(how.text, how.text_size, whole.texts))


def _fitted(kind: str, size: int, texts: Sequence[Sequence[str]]) -> TextEncoder:
    """An encoder fitted on captions; the last one of this process is remembered."""
    digest = hashlib.sha256(repr((kind, size, texts)).encode("utf-8", "backslashreplace"))
    key = digest.hexdigest()
    if key not in _REMEMBERED:
        made = encoders.fit(kind, size, texts)
        _REMEMBERED.clear()
        _REMEMBERED[key] = made
    return _REMEMBERED[key]


_REMEMBERED: dict[str, TextEncoder] = {}
