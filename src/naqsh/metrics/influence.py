r"""What each image does to a measure, and the standard errors and paired differences of that.

A measure of n generated images :math:`y_j` against m real ones :math:`x_i` changes, to first order,
by the mean of an influence over the images of a side that is drawn anew (the infinitesimal
jackknife). So with the influences :math:`h(y_j)` and :math:`g(x_i)`:

- its standard error over the generated images, *this reference held fixed*, is
  :math:`\operatorname{std} h / \sqrt n`. An interval of it is one of the expected value of the
  measure of n images against this very reference. It is none of the distance between the
  distributions: with few images a Frechet distance is too large by many such errors.
- the difference of two generators A and B that share the reference has the variance

.. math:: \frac{\operatorname{var} h_A}{n_A} + \frac{\operatorname{var} h_B}{n_B} +
          \frac{\operatorname{var}(g_A - g_B)}{m},

  in which most of what the reference does to both falls out. It is over images of the *trained*
  models: it says nothing of training again.

References:
    The Jackknife, the Bootstrap and Other Resampling Plans (Efron, 1982), chapter 6.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError

Z = 1.959964
"""Of a 95 % interval of the normal distribution."""


class Influence(NamedTuple):
    """What each image does to a measure, each side with mean 0.

    Attributes:
        real: of the reference, shape (m,).
        generated: shape (n,).
    """

    real: NDArray[np.float64]
    generated: NDArray[np.float64]

    @property
    def standard_error(self) -> float:
        """Over draws of the generated images, the reference held fixed."""
        return math.sqrt(_variance_of_mean(self.generated))

    @property
    def error(self) -> float:
        """Over the side that a measure is a mean over: of recall and coverage the real images."""
        side = self.generated if self.generated.any() else self.real
        return float(side.std(ddof=1) / math.sqrt(len(side)))


class Difference(NamedTuple):
    """A difference of two generators' measures against one reference.

    Attributes:
        value: a - b.
        standard_error: over draws of both generators' images and of the reference they share.
    """

    value: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        return self.value - Z * self.standard_error, self.value + Z * self.standard_error


def difference(value_a: float, a: Influence, value_b: float, b: Influence) -> Difference:
    """The paired difference of two measures of one kind that share their real images.

    Args:
        value_a: of the first generator.
        a: its influences.
        value_b: of the second one.
        b: its influences, on the same real images in the same order.

    Raises:
        NaqshError: the references have different numbers of images.
    """
    if len(a.real) != len(b.real):
        raise NaqshError(
            f"measures against {len(a.real)} and {len(b.real)} real images share no reference"
        )
    variance = _variance_of_mean(a.generated) + _variance_of_mean(b.generated)
    shared = _variance_of_mean(a.real - b.real)
    return Difference(value_a - value_b, math.sqrt(variance + shared))


def _variance_of_mean(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def wilson(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share of n independent draws (Wilson, 1927, JASA 22)."""
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
