"""The plane: where samples lie in it at several moments, and the paths of two numbers."""

from collections.abc import Sequence
from typing import Any

import matplotlib.colors
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from naqsh.report.draw import palette
from naqsh.report.draw.figures import SIZE, styled, ticks
from naqsh.report.draw.svg import svg
from naqsh.report.words import Words
from naqsh.runs.records import Density

HEIGHT = 1.02
"""Inches of a strip, for five squares and the numbers above them."""


@styled
def strip(
    series: Sequence[tuple[int, Density]],
    means: Sequence[tuple[float, float]],
    extent: float,
    *,
    words: Words,
    name: str,
) -> str:
    """One density after each of some steps; faint circles stand around the modes."""
    figure = Figure(figsize=(SIZE[0], HEIGHT))
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.02, top=0.83, wspace=0.05)
    figure.patch.set_visible(False)
    colour = np.array(matplotlib.colors.to_rgb(palette.LIGHT[0]))
    for place, (step, density) in enumerate(series, 1):
        axes = figure.add_subplot(1, len(series), place)
        axes.patch.set_visible(False)
        axes.grid(False)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(words.tick(step), fontsize=7.5, pad=2.5)
        # One sample is to be seen beside a hundred: the square root, and not too faint.
        strength = np.sqrt(density.counts / max(density.counts.max(), 1))
        alpha = np.where(density.counts > 0, 0.25 + 0.75 * strength, 0.0)
        shape = (*alpha.shape, 3)
        image = np.concatenate([np.broadcast_to(colour, shape), alpha[..., None]], 2)
        side = (-extent, extent)
        how: dict[str, Any] = {"origin": "lower", "interpolation": "nearest"}
        axes.imshow(image, extent=(*side, *side), **how)
        xs, ys = zip(*means, strict=True)
        axes.scatter(xs, ys, 16, "none", edgecolors=palette.LIGHT[1], linewidths=0.4)
        axes.set(xlim=side, ylim=side)
    return svg(figure.axes[0], name)


@styled
def path(series: Sequence[tuple[float, float]], x: str, y: str, *, words: Words, name: str) -> str:
    """A path around (0, 0), which has a cross; a dot is where it begins."""
    figure = Figure(figsize=(2.5, 2.3))
    figure.subplots_adjust(left=0.25, right=0.97, bottom=0.2, top=0.97)
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticks(words))
        axis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(words.plain(f"axes.{x}"))
    axes.set_ylabel(words.plain(f"axes.{y}"))
    axes.plot(*zip(*series, strict=True), color=palette.LIGHT[0], linewidth=0.9)
    axes.plot(*series[0], "o", color=palette.LIGHT[1], markersize=4)
    axes.plot(0, 0, "+", color=palette.INK, markersize=7)
    axes.set_aspect("equal", "datalim")
    return svg(axes, name)
