"""Vector fields in the plane as an image: arrows and paths over a density, in rows of panels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from naqsh.io import lettering
from naqsh.io.png import Pixels

SIDE = 300
"""Pixels across a panel."""

TITLE = 18
"""Pixels of the line above it."""

ARROW, PATH, DENSE = (31, 92, 184), (196, 78, 22), (120, 120, 120)
"""Colours of arrows, of paths, and of the highest density, which fades to white."""

_FINER = 2


@dataclass(frozen=True)
class Panel:
    """One field.

    Attributes:
        title: the line above; none where it is empty.
        density: in [0, 1] with shape (S, S), the first row above.
        places: where arrows begin, coordinates with shape (M, 2).
        arrows: what they add to it, same shape.
        paths: coordinates with shape (K, T, 2), each of which begins in a dot.
    """

    title: str
    density: NDArray[Any]
    places: NDArray[Any]
    arrows: NDArray[Any]
    paths: NDArray[Any]


def sheet(rows: Sequence[Sequence[Panel]], extent: float) -> Pixels:
    """Panels in rows, of as many each.

    Args:
        rows: of the panels.
        extent: both axes of each reach from -extent to extent.

    Returns:
        uint8 with shape (height, width, 3).
    """
    return np.concatenate([np.concatenate([_drawn(p, extent) for p in row], 1) for row in rows])


def _drawn(panel: Panel, extent: float) -> Pixels:
    side = SIDE * _FINER
    shade = 255 - panel.density[:, :, None] * (255 - np.array(DENSE))
    plot = Image.fromarray(np.rint(shade).astype(np.uint8)).resize((side, side))
    draw = ImageDraw.Draw(plot)

    def pixels(coordinates: NDArray[Any]) -> list[tuple[float, float]]:
        # What runs far out of the panel needs no more than its direction.
        x, y = np.clip(coordinates.T, -3 * extent, 3 * extent)
        scale = (side - 1) / (2 * extent)
        return list(
            zip(((x + extent) * scale).tolist(), ((extent - y) * scale).tolist(), strict=True)
        )

    for path in panel.paths:
        draw.line(pixels(path), fill=PATH, width=_FINER)
        x, y = pixels(path[:1])[0]
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=PATH)
    for place, arrow in zip(panel.places, panel.arrows, strict=True):
        turned = np.array([-arrow[1], arrow[0]])
        tip = place + arrow
        head = [tip - 0.35 * arrow + 0.2 * turned, tip, tip - 0.35 * arrow - 0.2 * turned]
        draw.line(pixels(np.stack([place, tip])), fill=ARROW, width=_FINER)
        draw.line(pixels(np.stack(head)), fill=ARROW, width=_FINER)
    draw.rectangle((0, 0, side - 1, side - 1), outline=DENSE, width=_FINER)
    above = TITLE if panel.title else 4
    framed = Image.new("RGB", (SIDE + 8, SIDE + above + 4), "white")
    framed.paste(plot.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (4, above))
    font = lettering.font(panel.title, 12)
    ImageDraw.Draw(framed).text((6, TITLE - 4), panel.title, fill="black", font=font, anchor="ls")
    return np.asarray(framed)
