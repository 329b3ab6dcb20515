"""Texts that may come from outside, made safe to be shown.

Names of files, of classes and of runs reach terminals and pages. Control characters, among them the
one that begins a terminal's commands, and characters that turn the direction of writing are written
as Python would write them.
"""

import re
import reprlib
from typing import Any

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BYTES = re.compile("[\udc80-\udcff]+")
_HALVES = re.compile("[\ud800-\udfff]")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 3


def whole(text: str) -> str:
    """A text whose bytes are read as UTF-8 where they are that.

    Where the locale is not UTF-8 (``LC_ALL=C``), Python keeps every byte of a Persian name as half
    of a character. Bytes that are no UTF-8 either stay as they are, so that the name can be opened.
    """
    return _BYTES.sub(
        lambda found: (
            found[0].encode("ascii", "surrogateescape").decode("utf-8", "surrogateescape")
        ),
        text,
    )


def legible(value: Any) -> Any:
    """Plain values whose texts are :func:`whole` and :func:`shown`; halves of characters replaced.

    For pages and figures, which no half can be written into and which no name may disturb.
    """
    if isinstance(value, str):
        return shown(_HALVES.sub("\ufffd", whole(value)))
    if isinstance(value, list):
        return [legible(item) for item in value]
    if isinstance(value, dict):
        return {legible(name): legible(item) for name, item in value.items()}
    return value


def shown(text: object) -> str:
    """A text that may come from outside, safe to print on a terminal.

    Control characters, among them the one that begins a terminal's commands, characters that turn
    the direction of writing and halves of characters (a name that is not UTF-8 has them) are
    written as Python would: ``\\x1b``.
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], whole(str(text)))


def short(value: object) -> str:
    """A value that may come from outside, for a message: as Python writes it, but short."""
    try:
        return shown(_SHORT.repr(value))
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a whole number of thousands of digits"


def shown_lines(text: str) -> str:
    """A text of several lines as :func:`shown` has it, but that line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(r"[^\n\t]+", lambda found: shown(found[0]), text)


def is_text(text: str) -> bool:
    """Whether a text has no control characters, and can be a path.

    Bytes that are not UTF-8, as paths may have them, are let pass: Python keeps them as halves of
    characters.
    """
    return all("\udc80" <= unseen <= "\udcff" for unseen in _UNSEEN.findall(text))
