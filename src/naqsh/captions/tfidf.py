"""TF-IDF of words, of words in a row and of words in order, reduced by a truncated SVD.

Terms are single words, two or three in a row, and two of which one comes somewhere before the
other. By the last kind a sentence tells which of two things is red, also where no training caption
had that thing in red: `red … above` is known then, `red triangle` is not.

A sentence's term counts are weighted by how few training captions have the term, brought to length
1 and projected on the first right singular vectors (latent semantic analysis). Each dimension is
then centred and scaled to deviation 1 over the training captions: the rarer directions, in which
the order of words lies, would otherwise be too small for a network to see. It is quick, and needs
no GPU.

References:
    Indexing by Latent Semantic Analysis (Deerwester et al., 1990), JASIS 41(6).
    scikit-learn's `TfidfVectorizer` and `TruncatedSVD`, by which it is fitted.
"""

import functools
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from naqsh.captions import sentences
from naqsh.captions.encoder import State
from naqsh.core.errors import NaqshError

LONGEST = 3
"""Words in a row that are a term, at most."""

REACH = 24
"""From a word to a later one with which it is a term, at most."""

TERMS, PAIRS = 10_000, 5_000
"""Terms that are kept, the most frequent ones: of words in a row, and of words apart."""

APART = " … "
"""Between two words of a term that have others between them."""

SENTENCES = 20_000
"""Different captions that it is fitted on; of more, as many are taken evenly."""

_LEAST = 1e-6

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


class TfIdf:
    """A fitted one; see :class:`naqsh.captions.encoder.TextEncoder`.

    Args:
        terms: as :func:`terms_of` has them, V in all.
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
        words = sorted({word for term in terms for word in _words(term)})
        self._word = {word: number for number, word in enumerate(words, start=1)}
        self._base = len(words) + 1
        if self._base**LONGEST > 1 << 62:
            raise ValueError(f"{len(words)} words are too many")
        keys = np.array([self._key(term) for term in terms], np.int64)
        self._order = np.argsort(keys)
        self._keys = keys[self._order]
        self._reach = REACH if any(APART in term for term in terms) else 0

    def _key(self, term: str) -> int:
        key = 0
        for word in _words(term):
            key = key * self._base + self._word[word]
        return -key if APART in term else key

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
        that many words, those of words apart below 0; all captions at once.
        """
        told = [[self._word.get(word, 0) for word in sentences.words(text)] for text in texts]
        lengths = np.array([len(one) for one in told], np.int64)
        flat = np.array([word for one in told for word in one], np.int64)
        row = np.repeat(np.arange(len(texts)), lengths)
        found = []

        def look(keys: Indices, known: NDArray[np.bool_]) -> None:
            here = np.searchsorted(self._keys, keys)
            here[here == len(self._keys)] = 0
            good = known & (self._keys[here] == keys)
            found.append((row[: len(keys)][good], self._order[here[good]]))

        keys, known = np.zeros(len(flat), np.int64), np.ones(len(flat), np.bool_)
        for more in range(min(LONGEST, len(flat))):
            count = len(flat) - more
            keys = keys[:count] * self._base + flat[more:]
            known = known[:count] & (flat[more:] > 0) & (row[:count] == row[more:])
            look(keys, known)
        for more in range(2, min(self._reach, len(flat))):
            first, second = flat[:-more], flat[more:]
            known = (first > 0) & (second > 0) & (row[:-more] == row[more:])
            look(-(first * self._base + second), known)
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


def terms_of(text: str, longest: int = LONGEST) -> list[str]:
    """The words of a sentence, up to `longest` in a row, and two with others between them."""
    words = sentences.words(text)
    in_a_row = [
        " ".join(words[start : start + length])
        for length in range(1, longest + 1)
        for start in range(len(words) + 1 - length)
    ]
    apart = [
        first + APART + second
        for place, first in enumerate(words)
        for second in words[place + 2 : place + REACH]
    ]
    return in_a_row + apart


def _words(term: str) -> list[str]:
    """The words of a term."""
    return term.replace(APART, " ").split(" ")


def _kept(texts: Sequence[str], longest: int) -> list[str]:
    """The terms of sentences that are kept, in order."""
    counts = Counter(term for text in texts for term in terms_of(text, longest))
    kept: list[str] = []
    for apart, most in ((False, TERMS), (True, PAIRS)):
        some = [(-count, term) for term, count in counts.items() if (APART in term) is apart]
        kept += [term for _, term in sorted(some)[:most]]
    return sorted(kept)


def fit(
    size: int,
    texts: Sequence[Sequence[str]],
    images: object = None,
    longest: int = LONGEST,
    made: type[TfIdf] = TfIdf,
) -> TfIdf:
    """An encoder of `size` dimensions, fitted on the different ones among the captions.

    Args:
        size: numbers in an embedding.
        texts: the captions of each image.
        images: of these it knows nothing.
        longest: words in a row that are a term, at most.
        made: what is made of it.

    Raises:
        NaqshError: there are too few different captions or terms for so many dimensions.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    different = list(dict.fromkeys(text for several in texts for text in several))
    different = different[:: len(different) // SENTENCES + 1]
    terms, most = _kept(different, longest), len(different)
    analyzer = functools.partial(terms_of, longest=longest)
    vectorizer = TfidfVectorizer(analyzer=analyzer, vocabulary=terms, dtype=np.float32)
    if terms:
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
    return made(
        list(map(str, vectorizer.get_feature_names_out())),
        np.asarray(vectorizer.idf_, np.float32),
        np.ascontiguousarray(svd.components_.T, np.float32),
        np.asarray(rows.mean(axis=0), np.float32),
        np.where(scale < _LEAST, 1, scale).astype(np.float32),
    )


def restore(state: State, made: type[TfIdf] = TfIdf) -> TfIdf:
    """The encoder that a state describes; raises ValueError, TypeError or LookupError."""
    arrays, terms = dict(state.arrays), state.plain["terms"]
    if not all(isinstance(term, str) for term in terms) or len(set(terms)) != len(terms):
        raise ValueError("its terms are not different words")
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise ValueError("its numbers are not float32")
    if arrays["components"].ndim != 2:
        raise ValueError("its components are no table")
    names = ("idf", "components", "mean", "scale")
    return made(terms, *(arrays[name] for name in names))
