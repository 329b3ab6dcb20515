"""What a cycle leaves open: turns inside of a Gaussian, a hidden message; and what a pool shows.

The experiments with numbers of the lesson on CycleGAN.
"""

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.datasets import load_digits

from naqsh.core.noise import Noise
from naqsh.metrics.frechet import frechet_distance
from naqsh.networks.pool import Pool

Points = NDArray[np.float64]


def gaussians() -> tuple[Points, Points, Points, Points]:
    """Means and Cholesky factors of two Gaussians in the plane, of domain A and of B."""
    first, second = np.array([[1.0, 0.0], [0.6, 0.5]]), np.array([[0.4, 0.0], [-0.3, 1.2]])
    return np.array([0.0, 1.0]), first, np.array([2.0, -0.5]), second


def turning(angle: float, mirrored: bool = False) -> Points:
    """A rotation of the plane, or a reflection."""
    c, s = math.cos(angle), math.sin(angle)
    sign = -1.0 if mirrored else 1.0
    return np.array([[c, -s * sign], [s, c * sign]])


SIGMA = 0.02
"""Of what is added to a translation: about three of the 256 steps of an image file."""


def return_error(epsilon: float, sigma: float = SIGMA) -> float:
    """The least mean square of what is lost, if it is hidden with size epsilon under noise."""
    return sigma**2 / (epsilon**2 + sigma**2)


def trade(epsilon: float, weight: float) -> float:
    """Frechet distance of images with the message to those without, and the cycle's part."""
    none, size = np.zeros(1), np.array([[epsilon**2]])
    return frechet_distance(none, size, none, np.zeros((1, 1))) + weight * return_error(epsilon)


@functools.cache
def least_moved() -> tuple[float, float, float]:
    """E|G(a) - a|^2 of the best and of the worst turn inside of G, and the Frechet distance."""
    mean_a, factor_a, mean_b, factor_b = gaussians()

    def moved(angle: float, mirrored: bool, sign: float = 1.0) -> float:
        linear = factor_b @ turning(angle, mirrored) @ np.linalg.inv(factor_a) - np.eye(2)
        spread = float(((linear @ factor_a) ** 2).sum())
        return sign * (float(((mean_b - mean_a) ** 2).sum()) + spread)

    found = []
    for sign in (1.0, -1.0):
        # Over a whole turn it is a cosine, and a constant: one dip in each half turn's window.
        turns = [
            minimize_scalar(
                moved, bounds=(low, low + math.pi), args=(m, sign), method="bounded"
            ).fun
            for m in (False, True)
            for low in (-math.pi, -math.pi / 2, 0.0, math.pi / 2)
        ]
        found.append(sign * min(turns))
    ours = frechet_distance(mean_a, factor_a @ factor_a.T, mean_b, factor_b @ factor_b.T)
    return found[0], found[1], ours


POOL = 50


@functools.cache
def ages(queries: int = 6000) -> Points:
    """How many images ago each image was made that Naqsh's pool gave back, once it was in use."""
    pool, numbers = Pool(POOL, (1, 1, 1)), torch.arange(float(queries))
    given = pool(numbers.view(-1, 1, 1, 1), Noise(9, queries)).flatten()
    past: Points = (numbers - given)[1000:].double().numpy()
    return past


def growth(memory: float) -> float:
    """How fast a linear game grows whose critic half sees the newest fake, half past ones.

    The fake is theta, the critic's slope psi, the average m with a memory of so much time:
    theta' = -psi, psi' = (theta + m) / 2, m' = (theta - m) / memory.
    """
    field = np.array([[0, -1, 0], [0.5, 0, 0.5], [1 / memory, 0, -1 / memory]])
    return float(np.linalg.eigvals(field).real.max())


@functools.cache
def digits() -> tuple[Points, float]:
    """L1 of digits moved by 0 to 4 pixels, and of an image of medians in the place of each."""
    images = np.pad(load_digits().images / 16, ((0, 0), (0, 0), (4, 4)))
    moved = [np.abs(np.roll(images, d, 2) - images).mean() for d in range(5)]
    return np.array(moved), float(np.abs(images - np.median(images, 0)).mean())
