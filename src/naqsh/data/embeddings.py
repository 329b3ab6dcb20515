"""Embeddings of a set's captions, by an encoder that knows its training captions alone."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from naqsh.captions import encoder as encoders
from naqsh.captions.encoder import TextEncoder
from naqsh.core.errors import NaqshError
from naqsh.data.dataset import DataSet


@dataclass(frozen=True)
class Embedding:
    """How captions become embeddings; the fields are arguments of :func:`naqsh.data.load`."""

    text: str
    text_size: int
    encoder: TextEncoder | None = None

    def of(self, found: DataSet, split: str, training: Callable[[], DataSet]) -> DataSet:
        """A split with the embeddings of its captions.

        Args:
            found: the split.
            split: which one it is.
            training: reads the training images, where these are not.

        Raises:
            NaqshError: it has no captions, or those of training are of no use for the encoder.
        """
        if not found.texts:
            raise NaqshError(
                f"data.text is for images with captions, and {found.name} has none; leave it out"
            )
        if self.encoder is not None:
            return found.encoded(self.encoder)
        whole = found if split == "train" else training()
        return found.encoded(_fitted(self.text, self.text_size, whole.texts))


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
