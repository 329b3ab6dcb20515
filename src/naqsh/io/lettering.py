"""Lines of text as Pillow's plain layout draws them: Persian letters joined, from right to left.

Pillow joins letters only where a library of the system is found beside it. What is needed of
Unicode is in Python itself: the presentation forms say what each letter looks like alone and
beside others, and the classes of the bidirectional algorithm which way it runs. This is that
algorithm for one line without nested directions, which captions have.

References:
    The Unicode Standard, section 9.2: joining. Unicode Standard Annex 9: rules W, N, L2 to L4.
"""

import functools
import itertools
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_FORMS = ("<isolated>", "<final>", "<initial>", "<medial>")
_PAIRS = "\u0644"
"""Lam, which with alef is one sign."""

_SAME = str.maketrans({"ي": "ی", "ك": "ک", "\u200d": None})
_NOT_JOINED = "\u200c"
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


class _Sign(NamedTuple):
    """A letter, or two that are one sign, with the marks on it."""

    letter: str
    marks: str


def font(text: str, size: int) -> Font:
    """A font that has the letters of a text: Pillow's own for English, Matplotlib's for others."""
    if text.isascii():
        return ImageFont.load_default(size)
    import matplotlib

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)


def leftwards(text: str) -> bool:
    """Whether a line begins at the right: its first letter with a direction is of such a script."""
    strong = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind for kind in strong if kind in ("L", "R", "AL")), "L") != "L"


def drawn(text: str) -> str:
    """A line's signs from left to right, each in the form that its neighbours ask for."""
    if text.isascii():
        return text
    signs = _joined(_signs(text))
    backwards = leftwards(text)
    ways = _ways([sign.letter for sign in signs], backwards)
    runs = []
    for way, run in itertools.groupby(zip(ways, signs, strict=True), lambda pair: pair[0]):
        own = [sign for _, sign in run]
        if way:  # the font's Arabic marks stand over the letter that is drawn next
            parts = [s.marks + s.letter.translate(_MIRRORED) for s in reversed(own)]
        else:
            parts = [s.letter + s.marks for s in own]
        runs.append("".join(parts))
    return "".join(reversed(runs) if backwards else runs)


@functools.cache
def _shapes() -> dict[str, dict[str, str]]:
    """Of each letter, and of lam with alef, its forms."""
    found: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFC00), *range(0xFE70, 0xFF00)):
        kind, _, codes = unicodedata.decomposition(chr(code)).partition(" ")
        letters = "".join(chr(int(one, 16)) for one in codes.split()) if kind in _FORMS else ""
        if len(letters) == 1 or (len(letters) == 2 and letters[0] == _PAIRS):
            found.setdefault(letters, {})[kind] = chr(code)
    return found


def _signs(text: str) -> list[_Sign]:
    signs: list[_Sign] = []
    for letter in text.translate(_SAME):
        before = signs[-1] if signs else _Sign("", "")
        if signs and unicodedata.combining(letter):
            signs[-1] = _Sign(before.letter, before.marks + letter)
        elif before.letter == _PAIRS and before.letter + letter in _shapes():
            signs[-1] = _Sign(before.letter + letter, before.marks)
        else:
            signs.append(_Sign(letter, ""))
    return signs


def _joined(signs: Sequence[_Sign]) -> list[_Sign]:
    """Every sign in the form that its neighbours ask for; what only parts letters has gone."""
    shapes = [_shapes().get(sign.letter, {}) for sign in signs]
    found = []
    for place, (sign, own) in enumerate(zip(signs, shapes, strict=True)):
        before = shapes[place - 1] if place else {}
        after = shapes[place + 1] if place + 1 < len(signs) else {}
        right = "<initial>" in before and "<final>" in own
        left = "<initial>" in own and "<final>" in after
        form = _FORMS[2 * left + right]
        if sign.letter != _NOT_JOINED:
            found.append(_Sign(own.get(form, sign.letter), sign.marks))
    return found


def _ways(letters: Sequence[str], backwards: bool) -> list[bool]:
    """Whether each sign runs to the left: digits never do, spaces as both of their neighbours."""
    kinds = [unicodedata.bidirectional(letter[0]) for letter in letters]
    given = [
        True if kind in ("R", "AL") else False if kind in ("L", "EN", "AN") else None
        for kind in kinds
    ]
    found = []
    for place, way in enumerate(given):
        if way is None:
            before = next((w for w in reversed(given[:place]) if w is not None), backwards)
            after = next((w for w in given[place:] if w is not None), backwards)
            way = before if before == after else backwards
        found.append(way)
    return found
