"""One image file as an array: which kinds are read, and what becomes of what 8 bits cannot hold.

What images can hold becomes 8-bit grey or RGB: transparent parts turn white, an animation or a
document of several pages gives its first one, more bits are scaled to 8, a camera's orientation is
applied. AVIF is read where Pillow was built with it, HEIC where the package `pillow-heif` is
installed.
"""

import functools
import importlib.util
import io
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from naqsh.core.errors import NaqshError
from naqsh.data import pixels

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels, of a part of an image."""

Range = tuple[float, float] | None
"""The values that are black and white; None takes the range of the file's own type."""

_HEIF = (".heic", ".heif")
_HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None
_HAS_AVIF = bool(features.check("avif"))

SUFFIXES = tuple(
    sorted(
        [
            *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm"),
            *(".ppm", ".tif", ".tiff", ".webp"),
            *([".avif"] * _HAS_AVIF),
            *(_HEIF * _HAS_HEIF),
        ]
    )
)
"""How the names of images end that can be read here."""

MISSING = ({".avif": "a Pillow built with AVIF reads them"} if not _HAS_AVIF else {}) | {
    ending: "install pillow-heif to read them" for ending in _HEIF if not _HAS_HEIF
}
"""Endings of images that could be read elsewhere, and what it takes."""

# Only these decoders are tried: a file named .png that is, say, PostScript starts no interpreter.
_FORMATS = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"] + ["AVIF"] * _HAS_AVIF
_PAGED = ("GIF", "PNG", "TIFF", "WEBP", "AVIF", "HEIF")
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_GREY = ("1", "L", "LA", "La", "F", *_DEEP)
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_NATIVE = "L" if sys.byteorder == "little" else "B"


@dataclass(frozen=True)
class Header:
    """What a file says of its image before its pixels are read.

    Attributes:
        width: in pixels, with a camera's orientation applied.
        height: likewise.
        grey: whether it has no colours.
        paged: whether there are further pages or frames, which are not read.
    """

    width: int
    height: int
    grey: bool
    paged: bool


@dataclass(frozen=True)
class Decoded:
    """An image, and how much of its type's range it uses.

    Attributes:
        pixels: uint8 with shape (C, H, W).
        least: the least value in the file.
        largest: the largest.
        top: the largest value that its type can hold.
    """

    pixels: NDArray[np.uint8]
    least: float
    largest: float
    top: float


def header(path: Path) -> Header:
    """Read a file's header; raises NaqshError as :func:`decode` does."""
    try:
        with warnings.catch_warnings():
            # _open refuses what this warns of.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with _open(path, str(path)) as picture:
                width, height = picture.size
                if _turned(picture):
                    width, height = height, width
                paged = picture.format in _PAGED and bool(getattr(picture, "is_animated", False))
                return Header(width, height, picture.mode in _GREY, paged)
    except NaqshError:
        raise
    except Exception as error:  # as in decode
        raise unreadable(str(path), error) from error


def decode(
    file: Path | IO[bytes],
    name: str,
    channels: int | None = None,
    size: int | None = None,
    range: Range = None,
    half: Literal["left", "right"] | None = None,
    box: Box | None = None,
) -> Decoded:
    """One image as an array.

    Args:
        file: where its bytes are.
        name: what to call it in an error.
        channels: 1 or 3; None keeps what it has.
        size: side to crop and resize to; None keeps its size.
        range: the values that become 0 and 255; None takes 0 and the largest of the file's type.
        half: which half of it; None takes all.
        box: the part that is kept, before it is brought to a size; None takes all.

    Raises:
        NaqshError: it cannot be read, has too many pixels or pixels of no use, or halves that are
            not equal.
    """
    try:
        with _open(file, name) as opened:
            grey = opened.mode in _GREY
            picture, *values = _eight_bits(opened, file, name, range)
            wanted = (1 if grey else 3) if channels is None else channels
            picture = _coloured(picture, wanted)
            if half is not None:
                picture = _half(picture, half, name)
            if box is not None:
                picture = picture.crop(box)
            if size is not None:
                picture = pixels.fit(picture, size)
            return Decoded(pixels.to_array(picture), *values)
    except (NaqshError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise unreadable(name, error) from error


def of_picture(picture: Image.Image, name: str, channels: int) -> NDArray[np.uint8]:
    """A PIL image as :func:`decode` gives a file's: a new uint8 array of shape (channels, H, W).

    Raises:
        NaqshError: it has values that 8 bits cannot hold.
    """
    shown, *_ = _eight_bits(picture, io.BytesIO(), name, None)
    return np.array(pixels.to_array(_coloured(shown, channels)))


def _coloured(picture: Image.Image, channels: int) -> Image.Image:
    mode = {1: "L", 3: "RGB"}[channels]
    return picture if picture.mode == mode else picture.convert(mode)


def _half(picture: Image.Image, half: Literal["left", "right"], name: str) -> Image.Image:
    width, height = picture.size
    if width % 2:
        raise NaqshError(
            f"image {name} is {width} pixels wide, so that its halves are not equal; cut it to an "
            "even width"
        )
    left = 0 if half == "left" else width // 2
    return picture.crop((left, 0, left + width // 2, height))


def upright(path: Path) -> tuple[Image.Image, bool]:
    """An image as its file holds it, upright, for values that are no colours; whether it is a JPEG.

    Raises:
        NaqshError: as :func:`decode`.
    """
    try:
        with _open(path, str(path)) as opened:
            return ImageOps.exif_transpose(opened), opened.format in ("JPEG", "MPO")
    except (NaqshError, MemoryError):
        raise
    except Exception as error:  # as in decode
        raise unreadable(str(path), error) from error


def unreadable(name: str, error: Exception) -> NaqshError:
    """The error for a file that a decoder or the system gave up on."""
    if isinstance(error, UnidentifiedImageError):
        return NaqshError(f"image {name} cannot be decoded; repair or remove it")
    why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    why = why or type(error).__name__
    return NaqshError(f"image {name} cannot be read ({why}); repair or remove it")


def _open(file: Path | IO[bytes], name: str) -> Image.Image:
    limit = Image.MAX_IMAGE_PIXELS or 1 << 62
    try:
        picture = Image.open(file, formats=_formats())
        if picture.width * picture.height <= limit:
            return picture
        picture.close()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    raise NaqshError(
        f"image {name} is refused: it claims more than {limit / 1e6:.0f} million pixels, as "
        "files made to fill the memory do; shrink or remove it"
    )


@functools.cache
def _formats() -> list[str]:
    """The decoders that are tried, whatever a file's name says: phones' HEIC is often `.jpg`."""
    if not _HAS_HEIF:
        return _FORMATS
    importlib.import_module("pillow_heif").register_heif_opener()
    return [*_FORMATS, "HEIF"]


def _turned(picture: Image.Image) -> bool:
    """Whether decoding will exchange the width and height that a file has been opened with.

    A TIFF is opened with the size that it has upright (Pillow, `TiffImageFile._setup`), all others
    with that of their pixels, which `exif_transpose` then turns.
    """
    return picture.format != "TIFF" and picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)


def _eight_bits(
    opened: Image.Image, file: Path | IO[bytes], name: str, range: Range
) -> tuple[Image.Image, float, float, float]:
    """The image in modes that 8 bits hold, upright; its least and largest value, and its type's."""
    deep_colours = _swapped(getattr(opened, "tile", []))
    top = float(2 ** _bits(opened) - 1)
    picture = ImageOps.exif_transpose(opened)
    if picture.mode in _DEEP or picture.mode == "F":
        return _scaled(np.asarray(picture), name, range, top)
    if range is not None and deep_colours and isinstance(file, Path):
        # Pillow gives the upper byte of each value; told the other order of bytes, the lower one.
        with _open(file, name) as again:
            again.tile = deep_colours  # type: ignore[attr-defined]
            low = np.asarray(ImageOps.exif_transpose(again), np.uint16)
        return _scaled(np.asarray(picture, np.uint16) * 256 + low, name, range, 65535.0)
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        below = Image.new("RGBA", above.size, "white")
        picture = Image.alpha_composite(below, above).convert("RGB")
    elif picture.mode not in ("L", "RGB"):
        picture = picture.convert("L" if picture.mode in _GREY else "RGB")
    if range is not None:
        return _scaled(np.asarray(picture), name, range, 255.0)
    extrema: Any = picture.getextrema()
    bands = [extrema] if picture.mode == "L" else extrema
    least, largest = min(low for low, _ in bands), max(high for _, high in bands)
    if deep_colours:  # of which these are the upper bytes
        return picture, least * 256.0, largest * 256.0 + 255, 65535.0
    return picture, float(least), float(largest), 255.0


def _bits(opened: Image.Image) -> int:
    """How many bits a grey value of more than 8 has; 16 unless a TIFF says, for example, 12."""
    tags = getattr(opened, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    return int(bits) if 8 < bits < 16 else 16


def _swapped(tiles: list[Any]) -> list[Any] | None:
    """The parts of an image whose colours have 16 bits, to be read in the other order of bytes."""
    other = {"RGB;16L": "RGB;16B", "RGB;16B": "RGB;16L"}
    other["RGB;16N"] = other[f"RGB;16{_NATIVE}"]
    parts = []
    for tile in tiles:
        mode, *more = [tile.args] if isinstance(tile.args, str) else list(tile.args or ("",))
        if mode not in other:
            return None
        changed = other[mode] if isinstance(tile.args, str) else (other[mode], *more)
        parts.append(tile._replace(args=changed))
    return parts or None


def _scaled(
    values: NDArray[Any], name: str, range: Range, top: float
) -> tuple[Image.Image, float, float, float]:
    """Values of any type brought to 8 bits; also their least and largest, and their type's."""
    if not np.isfinite(values).all():
        raise NaqshError(f"image {name} has values that are no numbers; repair or remove it")
    least, largest = float(values.min()), float(values.max())
    if range is None:
        if values.dtype.kind == "f":
            raise NaqshError(
                f"image {name} has floating-point pixels from {least:g} to {largest:g}; save it "
                "with 8 bits, or name black and white, for example --data.range 0,1"
            )
        if least < 0 or largest > 65535:
            raise NaqshError(
                f"image {name} has values from {least:g} to {largest:g}, more than 16 bits; save "
                f"it with 8, or name black and white, for example --data.range 0,{largest:g}"
            )
    low, high = (0.0, top) if range is None else range
    eight = np.clip((values.astype(np.float64) - low) * (255 / (high - low)), 0, 255)
    return Image.fromarray(np.floor(eight + 0.5).astype(np.uint8)), least, largest, top
