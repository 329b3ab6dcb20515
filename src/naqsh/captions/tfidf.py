"""TF-IDF of up to three words in a row, reduced by a truncated SVD: quick, and needs no GPU.

A sentence's term counts are weighted by how few training captions have the term, brought to length
1 and projected on the first right singular vectors (latent semantic analysis). Each dimension is
then centred and scaled to deviation 1 over the training captions: the rarer directions, in which
the order of words lies, would otherwise be too small for a network to see.

References:
    Indexing by Latent Semantic Analysis (Deerwester et al., 1990), JASIS 41(6).
    scikit-learn's `TfidfVectorizer` and `TruncatedSVD`, by which it is fitted.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from naqsh.captions import sentences
from naqsh.captions.encoder import State
from naqsh.core.errors import NaqshError

LONGEST = 3
"""Words in a term, at most: `red circle above` says which of two is above, single words do not."""

TERMS = 10_000
"""Terms that are kept, the most frequent ones."""

SENTENCES = 20_000
"""Different captions that it is fitted on; of more, as many are taken evenly."""

_LEAST = 1e-6

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


class TfIdf:
    """A fitted one; see :class:`naqsh.captions.encoder.TextEncoder`.

    Args:
        terms: words, pairs and triples of words, V in all.
        idf: the weight of each, shape (V,).
        components: shape (V, size).
        mean: of each dimension over the training captions, shape (size,).
        scale: the deviation of each, likewise.
    """

    kind = "tfidf"

    def __init__(
        self, terms: Sequence[str], idf: Floats, components: Floats, mean: Floats, scale: Floats
    ) -> None:
        self.size = components.shape[1]
        self._place = {term: place for place, term in enumerate(terms)}
        count = len(self._place)
        outlines = (idf.shape, components.shape, mean.shape, scale.shape)
        if outlines != ((count,), (count, self.size), (self.size,), (self.size,)):
            raise ValueError(f"{count} terms, but arrays of shapes {outlines}")
        if (scale <= 0).any():
            raise ValueError("a deviation is not above 0")
        self._idf, self._components, self._mean, self._scale = idf, components, mean, scale
        words = sorted({word for term in terms for word in term.split(" ")})
        self._word = {word: number for number, word in enumerate(words, start=1)}
        self._base = len(words) + 1
        if self._base**LONGEST > 1 << 62:
            raise ValueError(f"{len(words)} words are too many")
        keys = np.array([self._key(term) for term in terms], np.int64)
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def _key(self, term: str) -> int:
        key = 0
        for word in term.split(" "):
            key = key * self._base + self._word[word]
        return key

    def encode(self, texts: Sequence[str]) -> Floats:
        """The embeddings of sentences, shape (N, size)."""
        encoded: Floats = (self.projected(texts) - self._mean) / self._scale
        return encoded.astype(np.float32)

    def projected(self, texts: Sequence[str]) -> Floats:
        """What the SVD gives, before it is centred and scaled; shape (N, size)."""
        from scipy.sparse import coo_array

        rows, places = self._found(texts)
        shape = (len(texts), len(self._place))
        table = coo_array((self._idf[places], (rows, places)), shape).tocsr()  # sums equal places
        length = np.sqrt(np.asarray(table.power(2).sum(axis=1)).ravel())
        found: Floats = table @ self._components
        found /= np.maximum(length, _LEAST)[:, None].astype(np.float32)
        return found

    def _found(self, texts: Sequence[str]) -> tuple[Indices, Indices]:
        """Every term in every sentence: the numbers of the sentence and of the term.

        Words are numbered, and terms looked up as numbers of up to three digits to the base of
        that many words, all at once: a hundred thousand captions take a second.
        """
        told = [[self._word.get(word, 0) for word in sentences.words(text)] for text in texts]
        lengths = np.array([len(one) for one in told], np.int64)
        flat = np.array([word for one in told for word in one], np.int64)
        row = np.repeat(np.arange(len(texts)), lengths)
        found = []
        keys, known = np.zeros(len(flat), np.int64), np.ones(len(flat), np.bool_)
        for more in range(min(LONGEST, len(flat))):
            count = len(flat) - more
            keys = keys[:count] * self._base + flat[more:]
            known = known[:count] & (flat[more:] > 0) & (row[:count] == row[more:])
            here = np.searchsorted(self._keys, keys)
            here[here == len(self._keys)] = 0
            good = known & (self._keys[here] == keys)
            found.append((row[:count][good], self._order[here[good]]))
        return (
            np.concatenate([rows for rows, _ in found] or [flat]),
            np.concatenate([places for _, places in found] or [flat]),
        )

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a sentence that are no term."""
        return sentences.unknown(text, self._place)

    def state(self) -> State:
        """What :func:`restore` makes an equal one of."""
        arrays = {
            "idf": self._idf,
            "components": self._components,
            "mean": self._mean,
            "scale": self._scale,
        }
        return State(arrays, {"terms": list(self._place)})


def terms_of(text: str) -> list[str]:
    """The words of a sentence, its pairs and triples of neighbouring words."""
    words = sentences.words(text)
    return [
        " ".join(words[start : start + length])
        for length in range(1, LONGEST + 1)
        for start in range(len(words) + 1 - length)
    ]


def fit(size: int, texts: Sequence[Sequence[str]], images: object = None) -> TfIdf:
    """An encoder of `size` dimensions, fitted on the different ones among the captions.

    Of images it knows nothing.

    Raises:
        NaqshError: there are too few different captions or terms for so many dimensions.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    different = list(dict.fromkeys(text for several in texts for text in several))
    different = different[:: len(different) // SENTENCES + 1]
    vectorizer = TfidfVectorizer(analyzer=terms_of, max_features=TERMS, dtype=np.float32)
    most = len(different)
    if any(map(sentences.words, different)):
        table = vectorizer.fit_transform(different)
        most = min(table.shape)
    if size >= most:
        raise NaqshError(
            f"{len(different)} different captions are too few for data.text_size {size}: it must "
            f"be below {most}"
        )
    svd = TruncatedSVD(size, n_iter=7, random_state=0).fit(table)
    rows = table @ svd.components_.T
    scale = rows.std(axis=0)
    return TfIdf(
        list(map(str, vectorizer.get_feature_names_out())),
        np.asarray(vectorizer.idf_, np.float32),
        np.ascontiguousarray(svd.components_.T, np.float32),
        np.asarray(rows.mean(axis=0), np.float32),
        np.where(scale < _LEAST, 1, scale).astype(np.float32),
    )


def restore(state: State) -> TfIdf:
    """The encoder that a state describes; raises ValueError, TypeError or LookupError."""
    arrays, terms = dict(state.arrays), state.plain["terms"]
    if not all(isinstance(term, str) for term in terms) or len(set(terms)) != len(terms):
        raise ValueError("its terms are not different words")
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise ValueError("its numbers are not float32")
    if arrays["components"].ndim != 2:
        raise ValueError("its components are no table")
    names = ("idf", "components", "mean", "scale")
    return TfIdf(terms, *(arrays[name] for name in names))
