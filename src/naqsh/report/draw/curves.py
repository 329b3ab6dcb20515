"""Running means, and long series made short without hiding their spikes."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PART = 20
"""The running mean is over one of this many parts of a run."""


def window(count: int) -> int:
    """Over how many of `count` records the running mean goes; 1 where there are too few."""
    return count // PART if count >= 3 * PART else 1


def running_mean(values: Array, width: int) -> Array:
    """Mean over `width` neighbours around each of N values; at both ends, over those there are.

    An even `width` counts as the next odd one, so that the mean is centred.
    """
    half = width // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    number = np.arange(len(values))
    low, high = np.maximum(number - half, 0), np.minimum(number + half + 1, len(values))
    mean: Array = (sums[high] - sums[low]) / (high - low)
    return mean


def evenly(x: Array, y: Array, points: int) -> tuple[Array, Array]:
    """At most `points` of a smooth series, evenly spaced, the first and last among them."""
    if len(x) <= points:
        return x, y
    kept = np.linspace(0, len(x) - 1, points).round().astype(int)
    return x[kept], y[kept]


def envelope(x: Array, y: Array, points: int) -> tuple[Array, Array]:
    """At most `points` of a rough series: the least and the largest value of each stretch."""
    if len(x) <= points:
        return x, y
    kept: list[int] = []
    for part in np.array_split(np.arange(len(x)), points // 2):
        kept += sorted({int(part[y[part].argmin()]), int(part[y[part].argmax()])})
    return x[kept], y[kept]
