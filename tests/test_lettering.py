"""Persian captions of images: letters joined, from right to left."""

import io
import unicodedata
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from PIL import Image

from naqsh.io import lettering, png

ALPHABET = "آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیئأؤ"


def plain(signs: str) -> str:
    """The letters of presentation forms."""
    return unicodedata.normalize("NFKC", signs)


@pytest.mark.parametrize(
    ("line", "signs"),
    [
        ("a red circle", "a red circle"),
        ("گل", "\ufede\ufb94"),  # final lam, initial gaf
        ("پژ", "\ufb8b\ufb58"),  # final zhe, initial pe
        ("بالا", "\ufefb\ufe8e\ufe91"),  # lam with alef alone, after an alef, which joins no next
        ("بلا", "\ufefc\ufe91"),
        ("می\u200cشود", "\ufea9\ufeee\ufeb7\ufbfd\ufee3"),  # a non-joiner parts and goes
        ("۱۲ عدد", "\ufea9\ufeaa\ufecb ۱۲"),
        ("red یعنی", "red \ufbfd\ufee8\ufecc\ufbfe"),  # begins as English does
        ("یک red", "red \ufb8f\ufbfe"),
        ("(دو)", "(\ufeed\ufea9)"),
        ("زمینهٔ", "\u0654\ufeea\ufee8\ufbff\ufee3\ufeaf"),
    ],
)
def test_signs_from_left_to_right(line: str, signs: str) -> None:
    assert lettering.drawn(line) == signs


def test_nothing_is_lost() -> None:
    line = "یک دایرهٔ قرمز کوچک بالای یک مربع آبی بزرگ روی زمینهٔ سفید، ۱۲ بار و 3.5 بار red"
    assert sorted(plain(lettering.drawn(line))) == sorted(plain(line))


def test_lines_begin_where_their_language_does() -> None:
    assert lettering.leftwards("«یک مربع»")
    assert not lettering.leftwards("12 squares یعنی مربع")
    assert not lettering.leftwards("")


def test_the_font_has_every_form_of_every_letter() -> None:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    known = FT2Font(str(folder / "DejaVuSans.ttf")).get_charmap()
    for letter in ALPHABET:
        for line in (letter, f"ب{letter}", f"{letter}ب", f"ب{letter}ب"):
            for sign in lettering.drawn(line):
                assert ord(sign) in known, (line, hex(ord(sign)))


def ink(line: str) -> tuple[int, int]:
    """Where the first and the last dark column of a caption are, of 200."""
    image = Image.open(io.BytesIO(png.to_png(np.full((40, 200, 1), 255, np.uint8), line)))
    columns = np.flatnonzero((np.asarray(image.convert("L"))[40:] < 128).any(0))
    return int(columns[0]), int(columns[-1])


def test_a_persian_caption_is_set_to_the_right() -> None:
    left, right = ink("مربع")
    assert right > 190
    assert left > 100
    left, right = ink("square")
    assert left < 10
    assert right < 100


def test_rows_of_images_have_a_caption_each() -> None:
    one, two = np.zeros((30, 100, 3), np.uint8), np.full((20, 120, 3), 7, np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(png.rows_to_png([(one, "مربع"), (two, "b")]))))
    assert sheet.shape == (30 + 26 + 20 + 26, 120, 3)
    assert (sheet[:30, :100] == 0).all()
    assert (sheet[56:76] == 7).all()
    assert (sheet[30:56] < 128).any()
    assert (sheet[76:] < 128).any()
