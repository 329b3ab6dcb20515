"""Grids of images as data URIs."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.io.foreign import read_bytes

LIMIT, PIXELS = 256 << 20, 80_000_000
"""The most bytes and pixels of a grid that is shown; Pillow warns of larger ones."""


@dataclass(frozen=True)
class Inline:
    """An image inside the page; `reduced` if compressed with loss or made smaller to fit."""

    uri: str
    width: int
    height: int
    reduced: bool


def inline(path: Path, budget: int) -> Inline | None:
    """The image in a PNG file, None where there is none; beyond the bytes of `budget` a JPEG."""
    try:
        data = read_bytes(path, LIMIT)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as file:
            if file.width * file.height > PIXELS:
                return None
            image = file.convert("RGB")
    except (NaqshError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # Pillow raises SyntaxError on a broken PNG chunk
    if len(data) <= budget:
        return _as("png", data, image, reduced=False)
    data = _jpeg(image)
    while len(data) > budget and min(image.size) > 64:
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.BOX)
        data = _jpeg(image)
    return _as("jpeg", data, image, reduced=True)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _as(kind: str, data: bytes, image: Image.Image, *, reduced: bool) -> Inline:
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Inline(uri, *image.size, reduced)
