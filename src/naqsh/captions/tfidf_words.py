"""TF-IDF without words in a row: single words, and two of which one comes before the other.

No term names a colour and what has it, for these stand side by side. A caption of a pair that no
training caption has then differs from known ones by nothing but its words, which are known; by
words in a row it also lacks the term `red triangle`, and lies where no training caption does.
Which words stand side by side is lost, and where captions are free that says much: `blue wing, red
crown` is as good as `red wing, blue crown`.

All else is as in :mod:`naqsh.captions.tfidf`.
"""

from collections.abc import Sequence

from naqsh.captions import tfidf
from naqsh.captions.encoder import State


class TfIdfWords(tfidf.TfIdf):
    """A fitted one; see :class:`naqsh.captions.encoder.TextEncoder`."""

    kind = "tfidf-words"


def fit(size: int, texts: Sequence[Sequence[str]], images: object = None) -> tfidf.TfIdf:
    """An encoder of `size` dimensions, fitted as :func:`naqsh.captions.tfidf.fit` does.

    Raises:
        NaqshError: there are too few different captions or terms for so many dimensions.
    """
    return tfidf.fit(size, texts, images, longest=1, made=TfIdfWords)


def restore(state: State) -> tfidf.TfIdf:
    """The encoder that a state describes; raises ValueError, TypeError or LookupError."""
    return tfidf.restore(state, TfIdfWords)
