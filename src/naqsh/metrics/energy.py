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

import torch
from torch import Tensor

from naqsh.metrics._arrays import Array
from naqsh.metrics.influence import Influence
from naqsh.metrics.kernel import Kernel, kernel_influence


def _distance(a: Tensor, b: Tensor) -> Tensor:
    # By differences: by products, points that are near would come out at 1e-8 of their length.
    return -torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


DISTANCE = Kernel(_distance, lambda a: torch.zeros_like(a[:, 0]))
"""Less the distance of two points."""


def energy_influence(real: Array, generated: Array) -> tuple[float, Influence]:
    """The energy distance, and what each point does to it.

    Args:
        real: coordinates with shape (n, d), n >= 4.
        generated: coordinates with shape (m, d), m >= 4.

    Raises:
        NaqshError: too few rows, different columns, or numbers that are not finite.
    """
    return kernel_influence(real, generated, DISTANCE)
