"""Student's t: intervals of the mean of a few values, such as those of several trainings."""

import functools
import math
import statistics
from collections.abc import Sequence

import numpy as np


@functools.cache
def student(freedom: float) -> float:
    """What |t| of so many degrees of freedom exceeds with a probability of 5 %."""
    if freedom > 1e6:
        return 1.959964
    logarithm = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    factor = math.exp(logarithm) / math.sqrt(freedom * math.pi)
    # In the angle t = sqrt(freedom) tan(angle) the density is a power of a cosine.
    low, high = 0.0, math.pi / 2
    for _ in range(50):
        middle = (low + high) / 2
        angles = np.linspace(0.0, middle, 2001)
        weights = np.where(np.arange(2001) % 2, 4.0, 2.0)
        weights[[0, -1]] = 1.0
        area = float(weights @ np.cos(angles) ** (freedom - 1)) * middle / 6000
        low, high = (low, middle) if factor * math.sqrt(freedom) * area > 0.475 else (middle, high)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def of_mean(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The mean of several independent values, at least two, and its 95 % interval."""
    mean, error = statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5
    half = student(len(values) - 1) * error
    return mean, (mean - half, mean + half)
