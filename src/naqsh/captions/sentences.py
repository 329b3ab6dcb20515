"""Sentences that somebody typed or that a file holds: what may be a caption, and its words."""

import functools
import re
import unicodedata
from collections.abc import Iterable

from naqsh.core.errors import NaqshError
from naqsh.core.printable import short, whole

LONGEST = 1000
"""Characters of a caption; those of CUB-200-2011 have up to 400."""

_ALIKE = str.maketrans("يىك", "ییک")
"""Letters of Arabic keyboards, and the Persian ones that are meant."""

_HALVES = re.compile("[\ud800-\udfff]")


def checked(caption: str) -> str:
    """A caption with one space between its words; bytes of UTF-8 are read as that.

    Raises:
        NaqshError: it is empty, too long, not UTF-8, or has control characters.
    """
    if not isinstance(caption, str):
        raise NaqshError(f"a caption is a sentence, not {short(caption)}")
    text = whole(caption)
    if len(text) > LONGEST:
        raise NaqshError(
            f"a caption has at most {LONGEST:,} characters, and {short(text)} has {len(text):,}"
        )
    if _HALVES.search(text):
        raise NaqshError(f"the caption {short(text)} is no text in UTF-8; type or save it as UTF-8")
    text = " ".join(text.split())
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise NaqshError(f"the caption {short(text)} has control characters; leave them out")
    if not words(text):
        raise NaqshError("a caption is empty: it needs at least one word")
    return text


def words(text: str) -> list[str]:
    """The words of a sentence, as encoders compare them.

    In small letters, without accents and vowel marks; Arabic forms of ye and kaf are the Persian
    ones; what is joined by a zero-width non-joiner are two words.
    """
    return [word for piece in text.split() for word in _words(piece)]


@functools.lru_cache(maxsize=1 << 16)
def _words(piece: str) -> list[str]:
    """The words of what stands between two spaces: one as a rule, and the same ones again."""
    apart = unicodedata.normalize("NFKD", piece.translate(_ALIKE))
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return re.findall(r"\w+", bare.casefold())


def unknown(caption: str, known: Iterable[str]) -> tuple[str, ...]:
    """The words of a caption that are not among those that are known, each once, in order."""
    there = set(known)
    return tuple(dict.fromkeys(word for word in words(caption) if word not in there))
