"""What panels show, as inline SVG: the same to the byte whenever the numbers are the same.

Legends and titles are the page's, not the image's, so that they wrap on a phone. What is drawn
knows its entry of the legend. Every function takes what to draw, what the axes are called (names in
the texts' ``axes``), the language, and a `name`, unique on the page, for the SVG's ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from naqsh.report.document import Key
from naqsh.report.draw import palette
from naqsh.report.draw.curves import envelope, evenly, running_mean, window
from naqsh.report.draw.svg import svg
from naqsh.report.read.facts import Curve
from naqsh.report.words import Words
from naqsh.runs.records import Histogram

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
styled = matplotlib.style.context(["default", STYLE])

Interval = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A curve, and how it is drawn.

    Attributes:
        dash: its style, as matplotlib writes it.
        label: what a legend calls it.
        faint: whether it is one of many that are not told apart.
        intervals: of the values, drawn by :func:`joined` as thin bars, where they are known.
    """

    curve: Curve
    colour: str
    dash: str = "-"
    label: str = ""
    faint: bool = False
    intervals: Sequence[Interval | None] = ()

    @property
    def key(self) -> Key:
        return Key(self.label, palette.css(self.colour), palette.CSS[self.dash])


@dataclass(frozen=True)
class Spread:
    """A histogram, its colour, and what it is called."""

    histogram: Histogram
    colour: str
    label: str = ""

    @property
    def key(self) -> Key:
        return Key(self.label, palette.css(self.colour))


@dataclass(frozen=True)
class Point:
    """A thing in the plane of two measures.

    Attributes:
        sign: what stands at it and in the legend, such as a number.
        area: of its circle, in square points.
        interval: of `y`, drawn as a bar.
    """

    x: float
    y: float
    colour: str
    label: str
    sign: str
    area: float = 150.0
    interval: Interval | None = None

    @property
    def key(self) -> Key:
        return Key(self.label, palette.css(self.colour), sign=self.sign)


@styled
def lines(
    series: Sequence[Line],
    axis: str,
    *,
    words: Words,
    name: str,
    log: bool = False,
    raw: bool = True,
    y_range: Interval | None = None,
) -> str:
    """Curves over training, smoothed where they are long.

    Args:
        log: a logarithmic vertical axis; values that are not above 0 are left out.
        raw: draw the logged values faintly behind their running mean.
        y_range: the vertical axis, where several panels share it.
    """
    axes = _axes(words, axis)
    points = max(60, min(POINTS, 6000 // max(len(series), 1)))
    for line in series:
        _draw(axes, line, points, raw=raw, log=log)
    if log and any(value > 0 for line in series for value in line.curve.values):
        _logarithmic(axes, "y", words)
    if y_range:
        axes.set_ylim(y_range)
    axes.margins(x=0.02)
    axes.set_xlim(left=0)
    return svg(axes, name)


def _draw(axes: Axes, line: Line, points: int, *, raw: bool, log: bool) -> None:
    x, y = np.array(line.curve.epochs), np.array(line.curve.values)
    if log:
        x, y = x[y > 0], y[y > 0]
    width = window(len(y))
    mean = evenly(x, running_mean(y, width), points)
    if line.faint:
        axes.plot(*mean, color=line.colour, linewidth=0.6)
    elif width == 1:
        # A few values are shown as they are; the dots say that there is nothing between them.
        marker = "o" if len(y) <= points // 4 else None
        _plot(axes, envelope(x, y, points), line, linewidth=1.4, marker=marker, markersize=2.5)
    else:
        if raw:  # below the means of all series, not only of its own
            faint = replace(line, dash="-")
            _plot(axes, envelope(x, y, points), faint, linewidth=0.8, alpha=0.3, zorder=1.5)
        _plot(axes, mean, line, linewidth=1.7)


@styled
def joined(
    series: Sequence[Line],
    x: str,
    y: str,
    *,
    words: Words,
    name: str,
    log_x: bool = False,
    log_y: bool = True,
    level: Line | None = None,
) -> str:
    """Lines in a plane; few points have dots.

    Args:
        level: a single value, drawn all across.
    """
    axes = _axes(words, x, y)
    known = [value for line in series for value in line.curve.values]
    ends = [end for line in series for interval in line.intervals for end in interval or ()]
    least = min((end for end in known + ends if end > 0), default=0) if log_y else -np.inf
    if level:
        known += level.curve.values
        axes.axhline(*level.curve.values, color=level.colour, linestyle=level.dash, linewidth=0.9)
    # Whole lines below: through the gaps of the others a hidden one is seen.
    for line in sorted(series, key=lambda line: line.dash != "-"):
        right, up = np.array(line.curve.epochs), np.array(line.curve.values)
        for place, interval in zip(right, line.intervals, strict=False):
            if interval:
                # An end at 0 or below has no place on a logarithmic axis: the bar ends lowest.
                bar = max(interval[0], least), interval[1]
                axes.plot([place] * 2, bar, color=line.colour, linewidth=0.8, alpha=0.6)
        seen = up > (0 if log_y else -np.inf)
        shown = right[seen], up[seen]
        marker = "o" if len(shown[0]) <= POINTS // 10 else None
        _plot(axes, evenly(*shown, POINTS), line, linewidth=1.4, marker=marker, markersize=3)
    if log_y:
        _logarithmic(axes, "y", words, [value for value in known if value > 0])
    if log_x:
        _logarithmic(axes, "x", words, [v for line in series for v in line.curve.epochs])
    return svg(axes, name)


@styled
def roc(series: Sequence[Line], x: str, y: str, *, words: Words, name: str) -> str:
    """Curves of one rate over another, both from 0 to 1, and the diagonal of chance."""
    axes = _axes(words, x, y, left=LEFT)
    axes.plot([0, 1], [0, 1], ":", color=palette.INK, linewidth=0.8)
    for line in series:
        _plot(axes, (line.curve.epochs, line.curve.values), line, linewidth=1.4)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    return svg(axes, name)


@styled
def points(
    series: Sequence[Point], x: str, y: str, *, words: Words, name: str, log_x: bool = False
) -> str:
    """Circles in a plane."""
    axes = _axes(words, x, y)
    # Large circles first, so that they hide none.
    for p in sorted(series, key=lambda point: -point.area):
        if p.interval:
            axes.plot([p.x] * 2, p.interval, color=p.colour, linewidth=1.6, zorder=2)
        axes.scatter([p.x], [p.y], p.area, p.colour, alpha=0.3, linewidths=0, zorder=2)
        axes.scatter([p.x], [p.y], p.area, "none", edgecolors=p.colour, zorder=3)
        # A bar would strike its number through.
        aside = (9, 9) if p.interval else (0, 0)
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.5, "zorder": 4}
        axes.annotate(p.sign, (p.x, p.y), aside, textcoords="offset points", **style)
    if log_x:
        _logarithmic(axes, "x", words, [point.x for point in series])
    axes.margins(x=0.12, y=0.16)
    return svg(axes, name)


@styled
def histograms(spreads: Sequence[Spread], axis: str, *, words: Words, name: str) -> str:
    """Outlines of histograms as densities on a logarithmic axis."""
    axes = _axes(words, axis)
    lowest: list[float] = []
    for spread in spreads:
        edges, counts = np.array(spread.histogram.edges), np.array(spread.histogram.counts)
        density = counts / max(counts.sum(), 1) / np.diff(edges)
        axes.stairs(density, edges, baseline=None, color=spread.colour, linewidth=1.3)
        lowest += density[density > 0].tolist()
    if lowest:
        _logarithmic(axes, "y", words)
        axes.set_ylim(bottom=min(lowest) / 2)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return svg(axes, name)


@styled
def ridges(
    spreads: Sequence[Spread], axis: str, *, words: Words, name: str, mark: float | None = None
) -> str:
    """Histograms one above the other, each as high as its largest part; a line stands at `mark`."""
    axes = _axes(words, axis, left=0.29, height=max(SIZE[1], 0.5 + 0.33 * len(spreads)))
    places = range(len(spreads) - 1, -1, -1)
    for place, spread in zip(places, spreads, strict=True):
        edges, counts = spread.histogram.edges, np.array(spread.histogram.counts)
        heights = place + 0.85 * counts / max(counts.max(), 1)
        how: dict[str, Any] = {"baseline": place, "color": spread.colour}
        axes.stairs(heights, edges, fill=True, alpha=0.35, **how)
        axes.stairs(heights, edges, linewidth=1.1, **how)
    if mark is not None:
        axes.axvline(mark, color=palette.INK, linestyle="--", linewidth=0.9)
    axes.set_yticks(list(places), [spread.label for spread in spreads])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.1, len(spreads))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return svg(axes, name)


LEFT = 0.145
"""Where a panel's axes begin, as a part of its width: seven digits fit."""


def _axes(words: Words, x: str, y: str = "", left: float = 0, height: float = SIZE[1]) -> Axes:
    """Empty axes with their names, in a figure of their own."""
    figure = Figure(figsize=(SIZE[0], height))
    # Fixed margins: a layout engine would draw every figure twice more.
    left = left or (0.175 if y else LEFT)
    figure.subplots_adjust(left=left, right=0.98, bottom=0.19, top=0.97)
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticks(words))
    axes.set_xlabel(words.plain(f"axes.{x}"))
    axes.set_ylabel(words.plain(f"axes.{y}") if y else "")
    return axes


def _plot(axes: Axes, at: tuple[Any, Any], line: Line, **style: Any) -> None:
    axes.plot(*at, line.dash, color=line.colour, **style)


def _logarithmic(
    axes: Axes, which: Literal["x", "y"], words: Words, values: Sequence[float] = ()
) -> None:
    """Make an axis logarithmic, with few ticks, but enough where `values` span few decades."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log", nonpositive="mask")
    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(ticks(words))
    axis.set_minor_locator(NullLocator())
    span = max(values) / min(values) if values else 100
    if span < 4:
        axis.set_major_locator(MaxNLocator(4))
    elif span < 100:
        axis.set_major_locator(LogLocator(subs=(1, 3), numticks=8))


def ticks(words: Words) -> FuncFormatter:
    """How an axis writes its numbers."""
    return FuncFormatter(lambda value, position: words.tick(value))
