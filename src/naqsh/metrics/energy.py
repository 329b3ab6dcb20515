r"""The energy distance of points, whose modes need not be known.

.. math:: 2\, E \lVert X - Y \rVert - E \lVert X - X' \rVert - E \lVert Y - Y' \rVert,

0 where both have one distribution and only there; in units of the coordinates. It is the kernel
distance under :math:`k(x, y) = -\lVert x - y \rVert`, estimated without bias from all pairs of
different points, so that it may come out a little below 0 (`naqsh.metrics.kernel`, from which its
standard error is too).

References:
    Energy statistics: A class of statistics based on distances (Szekely and Rizzo, 2013), Journal
    of Statistical Planning and Inference 143; Equivalence of distance-based and RKHS-based
    statistics in hypothesis testing (Sejdinovic et al., 2013), Annals of Statistics 41.
"""

import numpy as np
import torch
from torch import Tensor

from naqsh.core.thinning import evenly
from naqsh.metrics._arrays import Array, as_pair
from naqsh.metrics.influence import Influence
from naqsh.metrics.kernel import Kernel, kernel_influence


def _distance(a: Tensor, b: Tensor) -> Tensor:
    # By differences: by products, points that are near would come out at 1e-8 of their length.
    return -torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


LARGEST = 10_000
"""Real points, at most: all pairs of them are taken, of 100,000 for minutes."""

DISTANCE = Kernel(_distance, lambda a: torch.zeros_like(a[:, 0]))
"""Less the distance of two points."""


def energy_influence(real: Array, generated: Array) -> tuple[float, Influence]:
    """The energy distance, and what each point does to it.

    Args:
        real: coordinates with shape (n, d), n >= 4; of more than :data:`LARGEST` an even choice.
        generated: coordinates with shape (m, d), m >= 4.

    Raises:
        NaqshError: too few rows, different columns, or numbers that are not finite.
    """
    real, generated = as_pair(real, generated, 4)
    count = len(real)
    rows = evenly(count, min(count, LARGEST))
    value, (of_real, of_generated) = kernel_influence(
        real[torch.from_numpy(rows)], generated, DISTANCE
    )
    every = np.zeros(count)
    # The mean over all of them, most of which have no part, is the mean over those that have.
    every[rows] = of_real * (count / len(rows))
    return value, Influence(every, of_generated)
