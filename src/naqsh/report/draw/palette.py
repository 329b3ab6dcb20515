"""The page's colours: safe for colour-blind readers, one set for light and one for dark.

Figures are drawn in the light colours, which are then replaced by the names of CSS variables, so
that one SVG serves both.

References:
    Color Universal Design (Okabe and Ito, 2008): the six hues, without black and yellow.
"""

import numpy as np

INK = "#1c1c1e"
"""What text and axes of a figure are drawn in; becomes the page's own text colour."""

FAINT = "#9b9ba3"
"""What is drawn of many things that are not told apart: grey on light and on dark."""

LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DARK = ("#4fa9e0", "#ff8f4a", "#35c79d", "#e6a0c6", "#f2bd4b", "#9ad4f8")

DASHES = ("-", "--", ":")
"""Line styles, as matplotlib writes them; each repeats all colours."""

CSS = {"-": "solid", "--": "dashed", ":": "dotted"}

TARGET = "--"
"""The line style of what a series aims at, in the series' own colour."""


def colour(number: int) -> str:
    return LIGHT[number % len(LIGHT)]


def dash(number: int) -> str:
    return DASHES[number // len(LIGHT) % len(DASHES)]


def ramp(count: int) -> list[str]:
    """Colours for `count` things in an order, from blue over purple to orange.

    All are of middling brightness, readable on light and dark.
    """
    stops = ((0x2B, 0x7F, 0xD4), (0x8F, 0x62, 0xC9), (0xD0, 0x55, 0x7F), (0xE0, 0x84, 0x10))
    places = np.linspace(0, len(stops) - 1, count)
    parts = [np.interp(places, range(len(stops)), part) for part in zip(*stops, strict=True)]
    return ["#" + bytes(colour).hex() for colour in np.rint(parts).astype(np.uint8).T]


def css(colours: str) -> str:
    """A figure's colours in a piece of SVG or CSS as the names of the page's variables."""
    for number, name in enumerate(LIGHT):
        colours = colours.replace(name, f"var(--c{number})")
    return colours.replace(INK, "currentColor")
