"""Images as files: grids of many in one, with a caption, and folders of PNGs."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from naqsh.core.errors import NaqshError
from naqsh.io import inline, lettering
from naqsh.io.files import make_folder, write_bytes

Pixels = npt.NDArray[np.uint8]

GAP = 2
"""Pixels between two images of a grid, before enlarging."""

EFFORT = 4
"""Of zlib, 0 to 9: a grid of digits has 21.9 kB after 2 ms, with 9 it has 21.3 kB after 16 ms."""


class Grid:
    """Images that a notebook shows as one grid; in Python it is the images and how to lay them.

    Args:
        images: a tensor or array (N, C, H, W) or (N, H, W), float in [0, 1] or uint8.
        caption: a line below them.
        columns: images in a row; by default as square as can be.

    Raises:
        NaqshError: they have another shape.
    """

    def __init__(self, images: Any, caption: str = "", columns: int | None = None) -> None:
        array = np.asarray(images)
        array = array[:, None] if array.ndim == 3 else array
        if array.ndim != 4 or array.shape[1] not in (1, 3) or not len(array):
            raise NaqshError(
                f"a grid needs images of shape (N, 1 or 3, H, W) or (N, H, W), got {array.shape}"
            )
        if columns is not None and columns < 1:
            raise NaqshError(f"a grid needs at least 1 column, got {columns}")
        whole = array.dtype == np.uint8
        self.pixels: Pixels = array if whole else to_pixels(array.astype(np.float32))
        self.caption, self.columns = caption, columns

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        return f"<{len(self)} images{': ' if self.caption else ''}{self.caption}>"

    def _repr_png_(self) -> bytes:
        return to_png(grid(self.pixels, self.columns), self.caption)

    def _repr_html_(self) -> str:
        return inline.image(self._repr_png_(), self.caption or f"{len(self)} images")

    def save(self, path: Path | str) -> Path:
        """Write the grid as a PNG file; returns where it is."""
        save_grid(Path(path), self.pixels, self.caption, self.columns)
        return Path(path)


def to_pixels(images: npt.NDArray[np.float32]) -> Pixels:
    """Float images in [0, 1] to the nearest of 256 levels, same shape; not a number is black."""
    pixels: Pixels = np.rint(np.clip(np.nan_to_num(images), 0, 1) * 255).astype(np.uint8)
    return pixels


def grid(pixels: Pixels, columns: int | None = None, background: int = 255) -> Pixels:
    """Many images in one, row by row.

    Args:
        pixels: uint8 with shape (N, C, H, W), C 1 or 3.
        columns: images in a row; by default as square as can be.
        background: grey level between the images.

    Returns:
        uint8 with shape (height, width, C); small images are enlarged by a whole factor.
    """
    count, channels, height, width = pixels.shape
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    sheet = np.full(
        (rows, columns, channels, height + GAP, width + GAP), background, dtype=np.uint8
    )
    for number in range(count):
        sheet[number // columns, number % columns, :, :height, :width] = pixels[number]
    flat = sheet.transpose(0, 3, 1, 4, 2).reshape(rows * (height + GAP), -1, channels)
    flat = flat[:-GAP, :-GAP]
    factor = max(1, 480 // max(flat.shape[:2]))
    return flat.repeat(factor, axis=0).repeat(factor, axis=1)


def to_png(pixels: Pixels, caption: str = "") -> bytes:
    """An image (height, width, C) as PNG, with a caption under it."""
    return _encoded(_captioned(pixels, caption))


def rows_to_png(rows: Sequence[tuple[Pixels, str]]) -> bytes:
    """Images (height, width, C) one below the other as PNG, each with a caption under it."""
    images = [_captioned(pixels, caption) for pixels, caption in rows]
    size = max(image.width for image in images), sum(image.height for image in images)
    sheet, top = Image.new("RGB", size, "white"), 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    return _encoded(sheet)


def _encoded(image: Image.Image) -> bytes:
    about = PngInfo()
    about.add_text("Software", "Naqsh")  # so that we know which files are ours to replace
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=EFFORT, pnginfo=about)
    return buffer.getvalue()


def _captioned(pixels: Pixels, caption: str) -> Image.Image:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if not caption:
        return image
    font = lettering.font(caption, 14)
    lines = _wrapped(caption, font, image.width - 8)
    taller = Image.new(image.mode, (image.width, image.height + 20 * len(lines) + 6), "white")
    taller.paste(image)
    draw = ImageDraw.Draw(taller)
    for number, line in enumerate(lines):
        signs = lettering.drawn(line)
        start = image.width - 4 - font.getlength(signs) if lettering.leftwards(caption) else 4
        draw.text((start, image.height + 4 + 20 * number), signs, fill="black", font=font)
    return taller


def _wrapped(text: str, font: lettering.Font, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(lettering.drawn(longer)) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def save_grid(path: Path, pixels: Pixels, caption: str = "", columns: int | None = None) -> None:
    """Write a grid of images (N, C, H, W) as one PNG, whole or not at all."""
    make_folder(path.absolute().parent)
    write_bytes(path, to_png(grid(pixels, columns), caption))


def save_each(place: Path, pixels: Pixels, first: int = 0) -> None:
    """Write each image (N, C, H, W) as a PNG of its own, named by its number from `first` on.

    Args:
        place: what :func:`naqsh.io.outputs.image_folder` gives; no file is synced by itself.
        pixels: uint8 with shape (N, C, H, W).
        first: the number of the first one.
    """
    for number, image in enumerate(pixels, start=first):
        (place / f"{number:06d}.png").write_bytes(to_png(image.transpose(1, 2, 0)))
