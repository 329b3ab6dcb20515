"""A folder of pictures as a data set, decoded once.

Sub-folders are classes; a folder without sub-folders has no labels. If there are sub-folders
`train` and `test`, they are the splits. Files whose names end like no picture are passed over, as
is all that begins with a dot. What pictures can hold becomes 8-bit grey or RGB: transparent parts
turn white, an animation gives its first frame, 16 bits are scaled to 8, a camera's orientation is
applied.

The decoded pictures are kept in the cache under the folder's path and the name, size and time of
change of every file. That costs no reading of the files; the price is that a file replaced by one
of equal size and time (`cp -p` can do it) goes unnoticed.
"""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from naqsh.data import cache, pixels
from naqsh.data.holdout import no_test_split
from naqsh.data.progress import progress
from naqsh.errors import NaqshError

SUFFIXES = (
    ".bmp .gif .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()  # noqa: SIM905
)
# Only these decoders are tried: a file named .png that is, say, PostScript starts no interpreter.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_GREY = ("1", "L", "LA", "La", *_SIXTEEN_BIT)
_ORIENTATION = 0x0112
_CHUNK = 256


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder, sorted by class and name.

    Attributes:
        files: their paths.
        labels: the class of each, or None where there are no sub-folders.
        classes: names of the sub-folders that hold pictures, sorted.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]


def read(
    folder: Path, split: str, size: int | None, channels: int | None
) -> tuple[cache.Stored, tuple[str, ...]]:
    """The pictures of a folder, from the cache when they are there.

    Args:
        folder: where they are.
        split: ``"train"`` or ``"test"``; the latter only where both are sub-folders.
        size: side to which every picture is cropped and resized; None keeps them, if all are equal.
        channels: 1 or 3; None gives grey when all pictures are grey, otherwise colour.

    Returns:
        the stored pictures, in the order of :func:`files`, and the names of their classes.

    Raises:
        NaqshError: no such split, fewer than two pictures, one that cannot be read, unequal sizes
            without `size`, or a cache that cannot be written.
    """
    listing = files(folder, split)
    return stored(folder, listing, split, size, channels), listing.classes


def stored(
    folder: Path, listing: Listing, name: str, size: int | None, channels: int | None
) -> cache.Stored:
    """The pictures of a listing, from the cache when they are there; see :func:`read`.

    Args:
        folder: above all of them.
        listing: which ones.
        name: tells this listing from others of the same folder.
        size: as for :func:`read`.
        channels: as for :func:`read`.
    """
    state = []
    for file in listing.files:
        try:
            stat = file.stat()
        except OSError as error:  # a link to nowhere
            raise _unreadable(str(file), error) from error
        state.append((str(file.relative_to(folder)), stat.st_size, stat.st_mtime_ns))
    place = cache.key("folder", str(folder.resolve()), name, size, channels)

    def build() -> cache.Content:
        shape = _common_shape(listing.files, size, channels)
        chunks = _decoded(folder, listing.files, shape[0], size)
        return cache.Content((len(listing.files), *shape), listing.labels, chunks)

    return cache.pictures(place, cache.key(1, state), build)


def has_test(folder: Path) -> bool:
    """Whether a folder has a test split of its own."""
    return (folder / "train").is_dir() and (folder / "test").is_dir()


def files(folder: Path, split: str = "train", least: int = 2) -> Listing:
    """List the pictures of a folder without opening them.

    Args:
        folder: where they are.
        split: see :func:`read`.
        least: pictures that there must be.

    Raises:
        NaqshError: no such split, too few pictures, or pictures beside sub-folders of them.
    """
    top = folder
    if has_test(folder):
        top = folder / split
    elif split != "train":
        raise no_test_split(str(folder))
    flat, classes = [], {}
    for entry in sorted(_visible(top)):
        if entry.is_dir():
            if inside := _below(entry):
                classes[entry.name] = inside
        elif entry.suffix.lower() in SUFFIXES:
            flat.append(entry)
    if flat and classes:
        raise NaqshError(
            f"{top} has both pictures ({flat[0].name}) and sub-folders of pictures "
            f"({next(iter(classes))}); move the loose pictures into a sub-folder, or away"
        )
    found = tuple(flat or (file for inside in classes.values() for file in inside))
    if len(found) < least:
        raise NaqshError(
            f"{top} has {len(found) or 'no'} picture{'s' * (not found)}; a data set needs at least "
            f"{least} (files ending in {' '.join(SUFFIXES)})"
        )
    if flat:
        return Listing(found, None, ())
    counts = [len(inside) for inside in classes.values()]
    return Listing(found, np.repeat(np.arange(len(counts)), counts), tuple(classes))


def decode(
    file: Path | IO[bytes], name: str, channels: int | None = None, size: int | None = None
) -> NDArray[np.uint8]:
    """One picture as an array.

    Args:
        file: where its bytes are.
        name: what to call it in an error.
        channels: 1 or 3; None keeps what it has.
        size: side to crop and resize to; None keeps its size.

    Returns:
        uint8 with shape (C, H, W).

    Raises:
        NaqshError: it cannot be read, or has too many pixels or pixels of no use.
    """
    try:
        with _open(file, name) as opened:
            grey = opened.mode in _GREY
            picture = _flatten(ImageOps.exif_transpose(opened), name)
            wanted = ("L" if grey else "RGB") if channels is None else {1: "L", 3: "RGB"}[channels]
            if picture.mode != wanted:
                picture = picture.convert(wanted)
            if size is not None:
                picture = pixels.fit(picture, size)
            return pixels.to_array(picture)
    except (NaqshError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise _unreadable(name, error) from error


def _visible(folder: Path) -> Iterator[Path]:
    try:
        yield from (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise NaqshError(f"{folder} cannot be read ({error.strerror})") from error


def _below(folder: Path) -> list[Path]:
    found = []
    for where, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        found += [
            Path(where, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(found)


def _common_shape(
    paths: tuple[Path, ...], size: int | None, channels: int | None
) -> tuple[int, int, int]:
    """The (C, H, W) that all pictures get, from their headers alone."""
    first: tuple[int, int] | None = None
    grey = True
    for path in paths:
        *extent, is_grey = _header(path)
        grey = grey and bool(is_grey)
        first = first or (extent[0], extent[1])
        if size is None and tuple(extent) != first:
            raise NaqshError(
                f"pictures differ in size: {paths[0]} has {first[0]}x{first[1]}, {path} has "
                f"{extent[0]}x{extent[1]}; give one size for all, for example "
                f"{min(*first, *extent)}"
            )
    assert first is not None  # there are at least two pictures
    width, height = first if size is None else (size, size)
    return channels or (1 if grey else 3), height, width


def extent(path: Path) -> tuple[int, int]:
    """Width and height of a picture, from its header; raises NaqshError as :func:`decode` does."""
    return _header(path)[:2]


def _header(path: Path) -> tuple[int, int, bool]:
    """Width, height and whether it is grey."""
    try:
        with warnings.catch_warnings():
            # _open refuses what this warns of.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with _open(path, str(path)) as picture:
                width, height = picture.size
                if picture.getexif().get(_ORIENTATION, 1) >= 5:
                    width, height = height, width
                return width, height, picture.mode in _GREY
    except NaqshError:
        raise
    except Exception as error:  # as in decode
        raise _unreadable(str(path), error) from error


def _decoded(
    folder: Path, paths: tuple[Path, ...], channels: int, size: int | None
) -> Iterator[NDArray[np.uint8]]:
    # PIL lets go of the interpreter while it decodes, so threads are enough to use all cores.
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress(f"decoding {folder}", len(paths), "pictures") as advance,
    ):
        for start in range(0, len(paths), _CHUNK):
            part = paths[start : start + _CHUNK]
            advance(len(part))
            yield np.stack(
                list(pool.map(lambda path: decode(path, str(path), channels, size), part))
            )


def _open(file: Path | IO[bytes], name: str) -> Image.Image:
    limit = Image.MAX_IMAGE_PIXELS or 1 << 62
    try:
        picture = Image.open(file, formats=_FORMATS)
        if picture.width * picture.height <= limit:
            return picture
        picture.close()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    raise NaqshError(
        f"picture {name} is refused: it claims more than {limit / 1e6:.0f} million pixels, as "
        "files made to fill the memory do; shrink or remove it"
    )


def _flatten(picture: Image.Image, name: str) -> Image.Image:
    """Take away what L and RGB cannot hold: more bits, transparency."""
    if picture.mode in _SIXTEEN_BIT:
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise NaqshError(
                f"picture {name} has values from {values.min()} to {values.max()}, more than 16 "
                "bits; save it with 8"
            )
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if picture.mode == "F":
        raise NaqshError(f"picture {name} has floating-point pixels; save it with 8 bits")
    if picture.has_transparency_data:
        above = picture.convert("RGBA")
        below = Image.new("RGBA", above.size, "white")
        return Image.alpha_composite(below, above)
    return picture


def _unreadable(name: str, error: Exception) -> NaqshError:
    if isinstance(error, UnidentifiedImageError):
        return NaqshError(f"picture {name} is no picture inside; repair or remove it")
    why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    why = why or type(error).__name__
    return NaqshError(f"picture {name} cannot be read ({why}); repair or remove it")
