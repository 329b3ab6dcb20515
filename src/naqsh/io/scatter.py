"""Points in the plane as an image: real ones grey below, samples coloured on top, equal axes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from naqsh.io import inline
from naqsh.io.files import make_folder, write_bytes
from naqsh.io.png import Pixels, to_png

SIDE = 480
"""Pixels across the plot."""

MARGIN = 34
"""Pixels beside and below it for the numbers on the axes."""

SAMPLE, REAL = (31, 92, 184), (150, 150, 150)
"""Colours of the dots."""

_OPAQUE = 0.5
_RADIUS = 2


class Scatter:
    """Points that a notebook shows as a scatter plot; the arguments are those of :func:`scatter`.

    Args:
        samples: coordinates with shape (N, 2).
        extent: both axes reach from -extent to extent.
        real: coordinates (M, 2) of real points, drawn below.
        caption: a line below the plot.
    """

    def __init__(
        self,
        samples: NDArray[Any],
        extent: float,
        real: NDArray[Any] | None = None,
        caption: str = "",
    ) -> None:
        self.samples, self.extent, self.real, self.caption = samples, extent, real, caption

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"<{len(self)} points{': ' if self.caption else ''}{self.caption}>"

    def _repr_png_(self) -> bytes:
        return to_png(scatter(self.samples, self.extent, self.real), self.caption)

    def _repr_html_(self) -> str:
        return inline.image(self._repr_png_(), self.caption or f"{len(self)} points")

    def save(self, path: Path | str) -> Path:
        """Write the plot as a PNG file; returns where it is."""
        save_scatter(Path(path), self.samples, self.extent, self.real, self.caption)
        return Path(path)


def scatter(
    samples: NDArray[Any], extent: float, real: NDArray[Any] | None = None, side: int = SIDE
) -> Pixels:
    """A scatter plot of all coordinates within an extent; dots upon one another are darker.

    Args:
        samples: coordinates with shape (N, 2).
        extent: both axes reach from -extent to extent.
        real: coordinates (M, 2) of real points, drawn below.
        side: pixels across the plot, without the numbers beside it.

    Returns:
        uint8 with shape (side + margin, side + margin, 3).
    """
    plot = np.full((side, side, 3), 255.0)
    for places, colour in ((real, REAL), (samples, SAMPLE)):
        if places is not None:
            cover = 1 - (1 - _OPAQUE) ** _dots(places, extent, side)[:, :, None]
            plot += cover * (np.array(colour) - plot)
    sheet = np.full((side + MARGIN, side + MARGIN, 3), 255, np.uint8)
    sheet[:side, MARGIN:] = np.rint(plot)
    return _with_axes(sheet, extent, side)


def save_scatter(
    path: Path,
    samples: NDArray[Any],
    extent: float,
    real: NDArray[Any] | None = None,
    caption: str = "",
) -> None:
    """Write a scatter plot as a PNG, whole or not at all; see :func:`scatter`."""
    make_folder(path.absolute().parent)
    write_bytes(path, to_png(scatter(samples, extent, real), caption))


def _dots(places: NDArray[Any], extent: float, side: int) -> NDArray[np.int64]:
    """How many dots cover each pixel; what lies outside, or is not a number, is left out."""
    cover = np.zeros((side + 2 * _RADIUS, side + 2 * _RADIUS), np.int64)
    x, y = places[:, 0], -places[:, 1]
    inside = (abs(x) <= extent) & (abs(y) <= extent)
    scale = (side - 1) / (2 * extent)
    column, row = (np.rint((axis[inside] + extent) * scale).astype(int) for axis in (x, y))
    for down in range(-_RADIUS, _RADIUS + 1):
        for right in range(-_RADIUS, _RADIUS + 1):
            if down**2 + right**2 <= _RADIUS**2 + 1:
                np.add.at(cover, (row + _RADIUS + down, column + _RADIUS + right), 1)
    return cover[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def _with_axes(sheet: Pixels, extent: float, side: int) -> Pixels:
    image = Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=11)
    draw.rectangle((MARGIN, 0, MARGIN + side - 1, side - 1), outline=(120, 120, 120))
    for part in (-1.0, -0.5, 0.0, 0.5, 1.0):
        text = f"{part * extent:g}"
        along = (part + 1) / 2 * (side - 1)
        edge = {-1.0: 6, 1.0: -6}.get(part, 0)
        draw.text((MARGIN + along + edge, side + 4), text, fill="black", font=font, anchor="mt")
        draw.text((MARGIN - 5, side - 1 - along - edge), text, fill="black", font=font, anchor="rm")
        draw.line((MARGIN + along, side - 5, MARGIN + along, side - 1), fill=(120, 120, 120))
        draw.line((MARGIN, side - 1 - along, MARGIN + 4, side - 1 - along), fill=(120, 120, 120))
    return np.asarray(image)
