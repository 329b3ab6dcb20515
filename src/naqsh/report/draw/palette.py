"""The page's colours: safe for colour-blind readers, one set for light and one for dark.

Figures are drawn in the light colours, which are then replaced by the names of CSS variables, so
that one SVG serves both.

References:
    Color Universal Design (Okabe and Ito, 2008): the six hues, without black and yellow.
"""

INK = "#1c1c1e"
"""What text and axes of a figure are drawn in; becomes the page's own text colour."""

FAINT = "#9b9ba3"
"""What is drawn of many things that are not told apart: grey on light and on dark."""

LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DARK = ("#4fa9e0", "#ff8f4a", "#35c79d", "#e6a0c6", "#f2bd4b", "#9ad4f8")

DASHES = (("-", "solid"), ("--", "dashed"), (":", "dotted"))
"""Line styles, by matplotlib's name and CSS's; each repeats all colours."""

TARGET = ("--", "dashed")
"""The line style of what a series aims at, in the series' own colour."""


def colour(number: int) -> str:
    """The colour of the `number`-th series."""
    return LIGHT[number % len(LIGHT)]


def dash(number: int) -> tuple[str, str]:
    """The line style of the `number`-th series, by matplotlib's name and CSS's."""
    return DASHES[number // len(LIGHT) % len(DASHES)]


def ramp(count: int) -> list[str]:
    """Colours for `count` things in an order, from blue over purple to orange.

    All are of middling brightness, readable on light and dark.
    """
    stops = ((0x2B, 0x7F, 0xD4), (0x8F, 0x62, 0xC9), (0xD0, 0x55, 0x7F), (0xE0, 0x84, 0x10))
    colours = []
    for number in range(count):
        place = (len(stops) - 1) * number / max(count - 1, 1)
        first = min(int(place), len(stops) - 2)
        pairs = zip(stops[first], stops[first + 1], strict=True)
        colours.append(
            "#" + "".join(f"{round(a + (b - a) * (place - first)):02x}" for a, b in pairs)
        )
    return colours


def css(colours: str) -> str:
    """A figure's colours in a piece of SVG or CSS as the names of the page's variables."""
    for number, name in enumerate(LIGHT):
        colours = colours.replace(name, f"var(--c{number})")
    return colours.replace(INK, "currentColor")
