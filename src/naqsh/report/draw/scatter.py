"""Things in the plane of two measures, and lines through it, as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.style
import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

from naqsh.report.draw.curves import evenly
from naqsh.report.draw.figures import POINTS, STYLE, log_axis, panel
from naqsh.report.draw.svg import svg
from naqsh.report.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


@dataclass(frozen=True)
class Point:
    """A thing in the plane of two measures.

    Attributes:
        x: to the right.
        y: upwards.
        sign: what stands at it, such as its number in the legend.
        colour: of its circle.
        area: of its circle, in square points.
        interval: of `y`, drawn as a bar.
    """

    x: float
    y: float
    sign: str
    colour: str
    area: float = 150.0
    interval: tuple[float, float] | None = None


def points(
    series: Sequence[Point], x: str, y: str, *, words: Words, name: str, log_x: bool = False
) -> str:
    """Circles in a plane.

    Args:
        series: what to draw, the first below.
        x: what the horizontal axis is called, a name in the texts' ``axes``.
        y: the same of the vertical axis.
        words: the language of numbers and names.
        name: unique on the page; the ids inside the SVG begin with it.
        log_x: a logarithmic horizontal axis.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure, axes = panel(words)
        figure.subplots_adjust(left=0.175)
        # Large circles first, so that they hide none.
        for point in sorted(series, key=lambda point: -point.area):
            if point.interval:
                low, high = point.interval
                axes.plot([point.x] * 2, [low, high], color=point.colour, linewidth=1.6, zorder=2)
            axes.scatter(
                [point.x], [point.y], point.area, point.colour, alpha=0.3, linewidths=0, zorder=2
            )
            axes.scatter(
                [point.x], [point.y], point.area, "none", edgecolors=point.colour, zorder=3
            )
            # A bar would strike its number through.
            aside = (9, 9) if point.interval else (0, 0)
            axes.annotate(
                point.sign,
                (point.x, point.y),
                aside,
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=7.5,
                zorder=4,
            )
        if log_x:
            log_axis(axes, words, "x")
            _few_decades(axes.xaxis, [point.x for point in series])
        axes.margins(x=0.12, y=0.16)
        axes.set_xlabel(words.plain(f"axes.{x}"))
        axes.set_ylabel(words.plain(f"axes.{y}"))
        return svg(figure, name)


@dataclass(frozen=True)
class Line:
    """Points joined by a line.

    Attributes:
        x: to the right, rising.
        y: upwards; on the logarithmic axis what is not above 0 is left out.
        colour: of the line.
        dash: its style.
        intervals: of `y`, drawn as thin bars, where they are known.
    """

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = "-"
    intervals: Sequence[tuple[float, float] | None] = ()


def lines(
    series: Sequence[Line], x: str, y: str, *, words: Words, name: str, log_x: bool = False
) -> str:
    """Lines in a plane whose vertical axis is logarithmic; few points have dots.

    Args:
        series: what to draw.
        x: what the horizontal axis is called, a name in the texts' ``axes``.
        y: the same of the vertical axis.
        words: the language of numbers and names.
        name: unique on the page; the ids inside the SVG begin with it.
        log_x: a logarithmic horizontal axis.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure, axes = panel(words)
        figure.subplots_adjust(left=0.175)
        # Whole lines below: through the gaps of the others a hidden one is seen.
        for line in sorted(series, key=lambda line: line.dash != "-"):
            _draw(axes, line)
        log_axis(axes, words)
        shown = [value for line in series for value in line.y if value > 0]
        _few_decades(axes.yaxis, shown)
        if log_x:
            log_axis(axes, words, "x")
            _few_decades(axes.xaxis, [value for line in series for value in line.x])
        axes.set_xlabel(words.plain(f"axes.{x}"))
        axes.set_ylabel(words.plain(f"axes.{y}"))
        return svg(figure, name)


def _draw(axes: "Axes", line: Line) -> None:
    x, y = np.array(line.x), np.array(line.y)
    for place, between in zip(line.x, line.intervals, strict=False):
        if between:
            axes.plot([place] * 2, between, color=line.colour, linewidth=0.8, alpha=0.6)
    x, y = x[y > 0], y[y > 0]
    marker = "o" if len(y) <= POINTS // 10 else None
    axes.plot(
        *evenly(x, y, POINTS), line.dash, color=line.colour, linewidth=1.4, marker=marker, ms=3
    )


def _few_decades(axis: "Axis", values: Sequence[float]) -> None:
    """Enough ticks on a logarithmic axis that spans less than two decades."""
    if not values:
        return
    span = max(values) / min(values)
    if span < 4:
        axis.set_major_locator(MaxNLocator(4))
    elif span < 100:
        axis.set_major_locator(LogLocator(subs=(1, 3), numticks=8))
