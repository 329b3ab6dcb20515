"""Series and histograms as inline SVG, the same to the byte whenever the numbers are the same.

Legends and titles are the page's, not the image's, so that they wrap on a phone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from naqsh.report.draw import palette
from naqsh.report.draw.curves import envelope, evenly, running_mean, window
from naqsh.report.draw.svg import svg
from naqsh.report.read.facts import Curve, Histogram
from naqsh.report.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.2, 2.5)
"""Inches of one panel: two fit beside each other on a screen, one is as wide as a phone."""

POINTS = 600
"""Most points of one drawn line."""

STYLE = {
    "svg.hashsalt": "naqsh",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": palette.INK,
    "axes.labelcolor": palette.INK,
    "axes.edgecolor": palette.INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": palette.INK,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "xtick.color": palette.INK,
    "ytick.color": palette.INK,
    "lines.solid_joinstyle": "round",
}


@dataclass(frozen=True)
class Line:
    """A curve and how it is drawn; a faint one is one of many that are not told apart."""

    curve: Curve
    colour: str
    dash: str = "-"
    faint: bool = False


def lines(
    series: Sequence[Line],
    axis: str,
    *,
    words: Words,
    name: str,
    log: bool = False,
    raw: bool = True,
    y_range: tuple[float, float] | None = None,
) -> str:
    """Curves over epochs.

    Args:
        series: what to draw.
        axis: what the horizontal axis is called, a name in the texts' ``axes``.
        words: the language of numbers and names.
        name: unique on the page; the ids inside the SVG begin with it.
        log: a logarithmic vertical axis; values that are not above 0 are left out.
        raw: draw the logged values faintly behind their running mean.
        y_range: the vertical axis, where several panels share it.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure, axes = panel(words)
        points = max(60, min(POINTS, 6000 // max(len(series), 1)))
        for line in series:
            _draw(axes, line, points, raw=raw, log=log)
        if log and any(value > 0 for line in series for value in line.curve.values):
            log_axis(axes, words)
        if y_range:
            axes.set_ylim(y_range)
        axes.set_xlabel(words.plain(f"axes.{axis}"))
        axes.margins(x=0.02)
        axes.set_xlim(left=0)
        return svg(figure, name)


def histograms(
    spreads: Sequence[tuple[Histogram, str]], axis: str, *, words: Words, name: str
) -> str:
    """Outlines of histograms as densities on a logarithmic axis, each with its colour."""
    with matplotlib.style.context(["default", STYLE]):
        figure, axes = panel(words)
        lowest: list[float] = []
        for spread, colour in spreads:
            edges, counts = np.array(spread.edges), np.array(spread.counts)
            density = counts / max(counts.sum(), 1) / np.diff(edges)
            axes.stairs(density, edges, baseline=None, color=colour, linewidth=1.3)
            lowest += density[density > 0].tolist()
        if lowest:
            log_axis(axes, words)
            axes.set_ylim(bottom=min(lowest) / 2)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(words.plain(f"axes.{axis}"))
        return svg(figure, name)


def ridges(
    spreads: Sequence[tuple[str, Histogram, str]],
    axis: str,
    *,
    words: Words,
    name: str,
    mark: float | None = None,
) -> str:
    """Histograms one above the other, each as high as its largest part, on one axis.

    Args:
        spreads: what each is called, its parts and its colour, from the top.
        axis: what the horizontal axis is called, a name in the texts' ``axes``.
        words: the language of numbers and names.
        name: unique on the page; the ids inside the SVG begin with it.
        mark: a value where a line stands.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure, axes = panel(words)
        figure.set_size_inches(SIZE[0], max(SIZE[1], 0.5 + 0.33 * len(spreads)))
        figure.subplots_adjust(left=0.29)
        places = range(len(spreads) - 1, -1, -1)
        for place, (_, spread, colour) in zip(places, spreads, strict=True):
            counts = np.array(spread.counts)
            heights = place + 0.85 * counts / max(counts.max(), 1)
            axes.stairs(heights, spread.edges, baseline=place, color=colour, fill=True, alpha=0.35)
            axes.stairs(heights, spread.edges, baseline=place, color=colour, linewidth=1.1)
        if mark is not None:
            axes.axvline(mark, color=palette.INK, linestyle="--", linewidth=0.9)
        axes.set_yticks(list(places), [label for label, _, _ in spreads])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.1, len(spreads))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(words.plain(f"axes.{axis}"))
        return svg(figure, name)


def roc(series: Sequence[Line], x: str, y: str, *, words: Words, name: str) -> str:
    """Curves of one rate over another, both from 0 to 1, and the diagonal of chance.

    Args:
        series: what to draw; nothing is smoothed.
        x: what the horizontal axis is called, a name in the texts' ``axes``.
        y: the same of the vertical axis.
        words: the language of numbers and names.
        name: unique on the page; the ids inside the SVG begin with it.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure, axes = panel(words)
        axes.plot([0, 1], [0, 1], ":", color=palette.INK, linewidth=0.8)
        for line in series:
            axes.plot(
                line.curve.epochs, line.curve.values, line.dash, color=line.colour, linewidth=1.4
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.01)
        axes.set_xlabel(words.plain(f"axes.{x}"))
        axes.set_ylabel(words.plain(f"axes.{y}"))
        return svg(figure, name)


def panel(words: Words) -> tuple[Figure, "Axes"]:
    """An empty figure with its axes."""
    figure = Figure(figsize=SIZE)
    # Fixed margins: a layout engine would draw every figure twice more. Seven digits fit.
    figure.subplots_adjust(left=0.145, right=0.98, bottom=0.19, top=0.97)
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_ticks(words))
    return figure, axes


def _draw(axes: "Axes", line: Line, points: int, *, raw: bool, log: bool) -> None:
    x, y = np.array(line.curve.epochs), np.array(line.curve.values)
    if log:
        x, y = x[y > 0], y[y > 0]
    width = window(len(y))
    if line.faint:
        mean = running_mean(y, width)
        axes.plot(*evenly(x, mean, points), color=line.colour, linewidth=0.6)
        return
    if width == 1:
        # A few values are shown as they are; the dots say that there is nothing between them.
        marker = "o" if len(y) <= points // 4 else None
        axes.plot(
            *envelope(x, y, points),
            line.dash,
            color=line.colour,
            linewidth=1.4,
            marker=marker,
            markersize=2.5,
        )
        return
    if raw:
        # Below the means of all series, not only of its own.
        axes.plot(*envelope(x, y, points), color=line.colour, linewidth=0.8, alpha=0.3, zorder=1.5)
    mean = running_mean(y, width)
    axes.plot(*evenly(x, mean, points), line.dash, color=line.colour, linewidth=1.7)


def log_axis(axes: "Axes", words: Words, which: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic, with few ticks."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log", nonpositive="mask")
    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(_ticks(words))
    axis.set_minor_locator(NullLocator())


def _ticks(words: Words) -> FuncFormatter:
    return FuncFormatter(lambda value, position: words.tick(value))
