"""The figures of lessons: plots in the style of the reports, with their words in both languages.

Words of a plot are pairs, English and Persian::

    plot = Plot(words, x=("step t", "گام t"), y=("variance", "واریانس"))
    plot.line(steps, variances, ("linear schedule", "زمان‌بندی خطی"))
    return Figure([plot])

Whatever else matplotlib can draw goes to ``plot.axes``; legends belong to the page, so that they
wrap on a phone.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullLocator

from naqsh.io.texts import LANGUAGES
from naqsh.report.document import Key, Panel
from naqsh.report.draw import palette
from naqsh.report.draw.figures import SIZE, styled, ticks
from naqsh.report.draw.svg import svg
from naqsh.report.words import Words

Said = tuple[str, str]
"""Words in English and in Persian."""

NOTHING: Said = ("", "")

ISOLATE, END = "\N{RIGHT-TO-LEFT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


class Plot:
    """One panel of a figure.

    Attributes:
        axes: matplotlib's, for whatever has no method here.

    Args:
        words: of the language.
        x: the name of the horizontal axis.
        y: of the vertical one.
        title: above the panel; figures of one panel need none.
        log: which axes are logarithmic: "", "x", "y" or "xy".
        size: inches, width and height.
        image: whether it shows an image, without axes.
    """

    def __init__(
        self,
        words: Words,
        *,
        x: Said = NOTHING,
        y: Said = NOTHING,
        title: Said = NOTHING,
        log: str = "",
        size: tuple[float, float] = SIZE,
        image: bool = False,
    ) -> None:
        self.words, self.title, self._keys = words, self.say(title, words), list[Key]()
        figure = Canvas(figsize=size)
        figure.patch.set_visible(False)
        self.axes = figure.add_subplot()
        self.axes.patch.set_visible(False)
        self._colours = itertools.count()
        if image:
            figure.subplots_adjust(left=0.005, right=0.995, bottom=0.01, top=0.99)
            self.axes.set_axis_off()
            return
        figure.subplots_adjust(left=0.175 if any(y) else 0.145, right=0.98, bottom=0.19, top=0.97)
        for axis, which in ((self.axes.xaxis, "x"), (self.axes.yaxis, "y")):
            if which in log:
                (self.axes.set_xscale if which == "x" else self.axes.set_yscale)("log")
                axis.set_major_locator(LogLocator(numticks=6))
                axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(ticks(words))
        self.axes.set_xlabel(self._written(x))
        self.axes.set_ylabel(self._written(y))

    @staticmethod
    def say(pair: Said, words: Words) -> str:
        """The words of the language."""
        return pair[LANGUAGES.index(words.language)]

    def write(self, x: float, y: float, said: Said, **style: Any) -> None:
        """Write words into the plot, in the coordinates of the data."""
        self.axes.text(x, y, self._written(said), **{"fontsize": 8, **style})

    def _written(self, pair: Said) -> str:
        """Words in an image, whose own direction is from left to right."""
        said = self.say(pair, self.words)
        return f"{ISOLATE}{said}{END}" if self.words.leftward and said else said

    def colour(self) -> str:
        """The next colour of the palette."""
        return palette.colour(next(self._colours))

    def label(self, label: Said, colour: str, dash: str = "-") -> None:
        """Add an entry to the legend."""
        if any(label):
            key = Key(self.say(label, self.words), palette.css(colour), palette.CSS[dash])
            self._keys.append(key)

    def line(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        label: Said = NOTHING,
        *,
        dash: str = "-",
        colour: str = "",
        **style: Any,
    ) -> None:
        """Draw a line in the next colour, unless one is given; `dash` is "-", "--" or ":"."""
        colour = colour or self.colour()
        self.axes.plot(x, y, dash, color=colour, **{"linewidth": 1.5, **style})
        self.label(label, colour, dash)

    def points(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        label: Said = NOTHING,
        *,
        colour: str = "",
        **style: Any,
    ) -> None:
        """Draw dots in the next colour, unless one is given."""
        colour = colour or self.colour()
        self.axes.plot(x, y, "o", color=colour, **{"markersize": 3.5, "mew": 0, **style})
        self.label(label, colour)

    def band(self, x: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, colour: str) -> None:
        """Fill between two curves, faintly."""
        self.axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)

    def bars(
        self,
        counts: npt.ArrayLike,
        edges: npt.ArrayLike,
        label: Said = NOTHING,
        *,
        colour: str = "",
    ) -> None:
        """Draw a histogram, filled faintly, in the next colour unless one is given."""
        colour = colour or self.colour()
        self.axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
        self.axes.stairs(counts, edges, color=colour, linewidth=1.1)
        self.label(label, colour)

    def image(self, pixels: npt.ArrayLike, **how: Any) -> None:
        """Show an image: grey with shape (H, W), or colour with shape (H, W, 3)."""
        style = {"cmap": "gray", "interpolation": "nearest"}
        self.axes.imshow(pixels, **{**style, **how})

    def panel(self, name: str, spoken: str) -> Panel:
        """The panel of a page.

        Args:
            name: unique on the page, for the ids within the SVG.
            spoken: what those hear who hear the page.
        """
        drawn = svg(self.axes, name).removeprefix("<svg")
        content = Markup('<svg role="img" aria-label="{}"{}').format(spoken, Markup(drawn))
        return Panel(self.title, content, self._keys)


@dataclass(frozen=True)
class Figure:
    """What a figure's function returns: one plot or several.

    Attributes:
        plots: the panels in their order.
        columns: panels in a row where rows mean something; 0 lets the page choose.
        small: whether panels may be narrow.
    """

    plots: Sequence[Plot]
    columns: int = 0
    small: bool = False

    @styled
    def panels(self, name: str, caption: str) -> list[Panel]:
        """The panels of a page under a name that is unique there."""
        numbered = enumerate(self.plots, 1)
        return [
            plot.panel(f"{name}-{number}", f"{plot.title}. {caption}" if plot.title else caption)
            for number, plot in numbered
        ]


def drawn(make: Callable[[Words], Figure], words: Words) -> Figure:
    """A figure, made while the reports' style holds."""
    figure: Figure = styled(functools.partial(make, words))()
    return figure
