"""Generators of digits that fail as GANs do: a few digits alone, or inputs cut too near to 0.

The experiments of the lesson on the line of GANs.
"""

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.metrics.manifold import PrecisionRecall, precision_recall

Numbers = NDArray[np.float64]


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """Digits of 8x8 pixels in [0, 1], (1797, 1, 8, 8), and which digit each is."""
    loaded = load_digits()
    return torch.from_numpy(loaded.images)[:, None] / 16, torch.from_numpy(loaded.target)


@functools.cache
def spreads() -> dict[str, Numbers]:
    """The number of minibatch standard deviation of 500 batches of 16, of three generators."""
    images, labels = digits()
    every, one = torch.arange(len(images)), torch.nonzero(labels == 3)[:, 0]
    found = {}
    for seed, (name, from_one) in enumerate((("real", 0), ("half", 8), ("one", 16))):
        noise, count = Noise(10 + seed, 500), len(one)
        rows = every[noise.integers(len(images), 16)]
        rows[:, :from_one] = one[noise.integers(count, 16)][:, :from_one]
        deviation = (images[rows].var(1, correction=0) + 1e-8).sqrt()
        found[name] = deviation.flatten(1).mean(1).numpy()
    return found


def truncated(bound: float, seed: int, count: int, size: int) -> Tensor:
    """Standard normal numbers on the condition that they lie in [-bound, bound], (count, size)."""
    inside = math.erf(bound / math.sqrt(2))
    share = Noise(seed, count).uniform(size).double()
    drawn: Tensor = torch.special.ndtri((1 - inside) / 2 + inside * share)
    return drawn


def truncated_variance(bound: float) -> float:
    """Their variance."""
    inside = math.erf(bound / math.sqrt(2))
    return 1 - 2 * bound * math.exp(-(bound**2) / 2) / math.sqrt(2 * math.pi) / inside


BOUNDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)


@functools.cache
def made_digits(bound: float, count: int = 600) -> Tensor:
    """Digits of a linear generator, their mean and 20 principal components, (count, 64)."""
    real = digits()[0].flatten(1)
    mean = real.mean(0)
    _, sizes, ways = torch.linalg.svd(real - mean, full_matrices=False)
    deviations = sizes[:20] / math.sqrt(len(real))
    made: Tensor = mean + truncated(bound, 16, count, 20) * deviations @ ways[:20]
    return made


@functools.cache
def traded() -> list[PrecisionRecall]:
    """Precision and recall of the linear generator's digits for each bound."""
    real = digits()[0].flatten(1)[::3]
    return [precision_recall(real, made_digits(bound)) for bound in BOUNDS]
