"""Captions of rendered scenes in English and Persian, and the scene that such a caption tells.

Every caption says every factor of its scene, so that it can be read back: what a model made of it
is then compared with what was asked for. A scene of two objects may be told from either.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from naqsh.data.scenes import (
    BACKGROUNDS,
    COLOURS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
)

LANGUAGES = ("en", "fa")

EACH = 2
"""Captions of an image in each language."""

NUMBERS = 8
"""Uniform numbers that a caption is made of."""

_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        **{name: (name,) for name in (*SHAPES, *COLOURS, *BACKGROUNDS)},
        "small": ("small", "little"),
        "large": ("large", "big"),
        "centre": ("in the centre", "in the middle"),
        "top": ("at the top", "in the upper part"),
        "bottom": ("at the bottom", "in the lower part"),
        "left": ("on the left", "at the left edge"),
        "right": ("on the right", "at the right edge"),
        "above": ("above", "over"),
        "below": ("below", "under"),
        "left of": ("left of", "to the left of"),
        "right of": ("right of", "to the right of"),
    },
    "fa": {
        "circle": ("دایرهٔ",),
        "square": ("مربع",),
        "triangle": ("مثلث",),
        "star": ("ستارهٔ",),
        "cross": ("صلیب",),
        "red": ("قرمز", "سرخ"),
        "orange": ("نارنجی",),
        "yellow": ("زرد",),
        "green": ("سبز",),
        "blue": ("آبی",),
        "purple": ("بنفش",),
        "black": ("سیاه",),
        "white": ("سفید",),
        "grey": ("خاکستری",),
        "small": ("کوچک",),
        "large": ("بزرگ",),
        "centre": ("در وسط", "در مرکز"),
        "top": ("در بالا", "در بخش بالایی"),
        "bottom": ("در پایین", "در بخش پایینی"),
        "left": ("در سمت چپ", "در طرف چپ"),
        "right": ("در سمت راست", "در طرف راست"),
        "above": ("بالای",),
        "below": ("پایین", "زیر"),
        "left of": ("سمت چپ", "طرف چپ"),
        "right of": ("سمت راست", "طرف راست"),
    },
}

_THING = {"en": "a {size} {colour} {shape}", "fa": "یک {shape} {colour} {size}"}
_WHOLE = {
    "en": (
        "{scene} on a {background} background",
        "there is {scene}, and the background is {background}",
        "on a {background} background, {scene}",
    ),
    "fa": (
        "{scene} روی زمینهٔ {background}",
        "روی زمینهٔ {background} {scene}",
        "{scene}، زمینه {background} است",
    ),
}


def captions(scene: Scene, chance: NDArray[np.float64]) -> tuple[str, ...]:
    """Captions of a scene: `EACH` in each language, the English ones first.

    Args:
        scene: what is told.
        chance: uniform numbers in [0, 1), `NUMBERS` of each caption.
    """
    dice = iter(chance)
    return tuple(_said(scene, language, dice) for language in LANGUAGES for _ in range(EACH))


def _said(scene: Scene, language: str, dice: Iterator[float]) -> str:
    mine = list(itertools.islice(dice, NUMBERS))
    words = iter(mine[2:])

    def word(name: str) -> str:
        among = _WORDS[language][name]
        return among[int(next(words) * len(among))]

    def thing(it: Thing) -> str:
        said = {"size": word(it.size), "colour": word(it.colour), "shape": it.shape}
        return _THING[language].format(**said | {"shape": _WORDS[language][it.shape][0]})

    told = scene if mine[0] < 0.5 else scene.turned()
    parts = [thing(told.first), word(told.where)]
    if told.second is not None:
        parts.append(thing(told.second))
    among = _WHOLE[language]
    background = _WORDS[language][told.background][0]
    whole = among[int(mine[1] * len(among))]
    return whole.format(scene=" ".join(parts), background=background)


class Told(NamedTuple):
    """What a caption says, and in which language."""

    scene: Scene
    language: str


def read(caption: str) -> Told | None:
    """The scene that a caption of this grammar tells; None for another sentence."""
    plain = _plain(caption)
    for language in LANGUAGES:
        for pattern in _PATTERNS[language]:
            if found := pattern.fullmatch(plain):
                return Told(_scene(found, language), language)
    return None


def _scene(found: re.Match[str], language: str) -> Scene:
    names: dict[str, Any] = {
        key: None if value is None else _NAMES[language][key.rstrip("12")][value]
        for key, value in found.groupdict().items()
    }
    first = Thing(names["shape1"], names["colour1"], names["size1"])
    if names["shape2"] is None:
        return Scene(first, names["place"], None, names["background"])
    second = Thing(names["shape2"], names["colour2"], names["size2"])
    return Scene(first, names["relation"], second, names["background"])


def _plain(text: str) -> str:
    """Words with one space between them, in small letters, without marks."""
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFC", bare).casefold()))


_FACTORS = {
    "shape": SHAPES,
    "colour": COLOURS,
    "size": SIZES,
    "background": BACKGROUNDS,
    "place": PLACES,
    "relation": RELATIONS,
}
_NAMES = {
    language: {
        factor: {_plain(word): name for name in names for word in _WORDS[language][name]}
        for factor, names in _FACTORS.items()
    }
    for language in LANGUAGES
}


def _patterns(language: str) -> list[re.Pattern[str]]:
    """The grammar turned round: one pattern for each way to tell a whole scene."""

    def group(found: re.Match[str]) -> str:
        among = sorted(map(re.escape, _NAMES[language][found[1]]), key=len, reverse=True)
        return f"(?P<{found[1]}{found[2]}>{'|'.join(among)})"

    def thing(number: int) -> str:
        return _THING[language].format(
            shape=f"xshape{number}", colour=f"xcolour{number}", size=f"xsize{number}"
        )

    two = f"(?:xplace|xrelation {_plain(thing(2))})"
    forms = (
        _plain(whole.format(scene=f"{thing(1)} xwhere", background="xbackground"))
        for whole in _WHOLE[language]
    )
    return [
        re.compile(re.sub(r"\bx([a-z]+)([12]?)\b", group, form.replace("xwhere", two)))
        for form in forms
    ]


_PATTERNS = {language: _patterns(language) for language in LANGUAGES}
