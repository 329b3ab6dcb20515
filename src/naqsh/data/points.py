r"""Points in the plane: sets whose density is known, or easy to see.

========== ================================================================ ======
set        a point                                                          extent
========== ================================================================ ======
ring       one of 8 means, the k-th at angle :math:`2 \pi k / 8` on the     1.5
           circle of radius 1, plus noise with sigma 0.01
grid       one of the 25 means :math:`\{-4, -2, 0, 2, 4\}^2`, plus noise    6
           with sigma 0.05
swiss-roll :math:`t\,(\cos t, \sin t) / 10`, t uniform in                   2
           :math:`[1.5 \pi, 4.5 \pi]`, plus noise with sigma 0.05
moons      :math:`(\cos t, \sin t)` or :math:`(1 - \cos t, 1/2 - \sin t)`,  3
           t uniform in :math:`[0, \pi]`, plus noise with sigma 0.05
========== ================================================================ ======

A coordinate x is stored as :math:`v = (x / \text{extent} + 1) / 2` in [0, 1].

References:
    PacGAN: The power of two samples in generative adversarial networks (Lin et al., 2018),
    arXiv:1712.04086, section 4.1: ring and grid. Its angles are 2 pi k / 8; those of the notebook
    of Unrolled GANs (Metz et al., 2017) run from 0 to 2 pi with both ends, which is seven modes,
    one of them twice.
    Moons and the roll are those of scikit-learn (`make_moons`, `make_swiss_roll` seen from above).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.core.seeds import derive

Coordinates = NDArray[np.float64]
"""x and y of points, with shape (N, 2)."""


@dataclass(frozen=True)
class Mixture:
    """Gaussians of equal weight and width.

    Attributes:
        means: of each, (x, y) in coordinates.
        sigma: standard deviation along each axis.
    """

    means: tuple[tuple[float, float], ...]
    sigma: float


_ANGLES = [2 * np.pi * k / 8 for k in range(8)]
_SIDE = (-4.0, -2.0, 0.0, 2.0, 4.0)

MIXTURES = {
    "ring": Mixture(tuple((float(np.cos(a)), float(np.sin(a))) for a in _ANGLES), 0.01),
    "grid": Mixture(tuple((x, y) for x in _SIDE for y in _SIDE), 0.05),
}
"""The sets whose modes can be counted."""

_NOISE = 0.05


def drawn(name: str, split: str, count: int) -> tuple[Coordinates, NDArray[np.int64] | None]:
    """Points of a named set, equal on every machine but for the rounding of logarithms and cosines.

    Args:
        name: of the set.
        split: ``"train"`` or ``"test"``: streams of their own.
        count: how many.

    Returns:
        coordinates, and the number of each one's Gaussian or moon with shape (count,), or None.
    """
    random = np.random.Generator(np.random.Philox(derive(0, "points", name, split)))
    # By uniform numbers alone: NumPy may change how it makes others.
    which, place, radius, angle = random.random((4, count))
    noise = _polar(np.sqrt(-2 * np.log(1 - radius)), 2 * np.pi * angle)
    if name in MIXTURES:
        means = np.array(MIXTURES[name].means)
        labels = (which * len(means)).astype(np.int64)
        return means[labels] + MIXTURES[name].sigma * noise, labels
    if name == "swiss-roll":
        t = 1.5 * np.pi * (1 + 2 * place)
        return _polar(t / 10, t) + _NOISE * noise, None
    if name != "moons":
        raise ValueError(f"no points are called {name!r}")
    labels = (which * 2).astype(np.int64)
    upper = _polar(1.0, np.pi * place)
    moons = np.where(labels[:, None] == 0, upper, [1.0, 0.5] - upper)
    return moons + _NOISE * noise, labels


def _polar(radius: Any, angle: NDArray[np.float64]) -> Coordinates:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def stored(coordinates: NDArray[np.floating], extent: float) -> NDArray[np.float32]:
    """Coordinates as a data set stores them.

    Args:
        coordinates: within [-extent, extent], with shape (N, 2).
        extent: of the set.

    Returns:
        float32 in [0, 1] with shape (N, 2, 1, 1).
    """
    values = (np.asarray(coordinates, np.float64) / extent + 1) / 2
    return values.astype(np.float32)[:, :, None, None]


def coordinates(points: NDArray[Any], extent: float) -> Coordinates:
    """The coordinates (N, 2) of stored points or samples, in [0, 1] with shape (N, 2, 1, 1)."""
    return (2 * np.asarray(points, np.float64).reshape(-1, 2) - 1) * extent


def as_points(points: NDArray[Any]) -> NDArray[np.float32]:
    """The points, contiguous; raises ValueError where they are not what a data set stores."""
    if points.dtype != np.float32 or points.ndim != 4 or points.shape[1:] != (2, 1, 1):
        raise ValueError(f"need float32 (N, 2, 1, 1), got {points.dtype} {points.shape}")
    if not ((points >= 0) & (points <= 1)).all():  # so that NaN is refused
        raise ValueError("points lie outside [0, 1]: the extent is too small")
    return np.ascontiguousarray(points)


def only_for_images(name: str, **given: object) -> None:
    """Refuse what has no meaning for points, by the names of a recipe's `data`."""
    for option, value in given.items():
        if value:
            raise NaqshError(f"data.{option} is for images, and {name} has points; leave it out")
