r"""How each image moves a measure: what the error of a difference between two runs is made of.

To first order a measure of n generated against m real images differs from its expected value by

.. math:: \frac1n \sum_j g(y_j) + \frac1m \sum_i r(x_i),

where g and r have mean 0: the influences of the generated and of the real images (the infinitesimal
jackknife). Two runs A and B that are measured against the same real images share the second sum's
images, so the standard error of the difference of their values is

.. math:: \Bigl( \frac{\operatorname{var} g_A}{n_A} + \frac{\operatorname{var} g_B}{n_B}
          + \frac{\operatorname{var} (r_A - r_B)}{m} \Bigr)^{1/2}.

What both have in common, such as a real image that is far from everything, cancels: that is why the
difference is better known than either value. It covers other samples of the same weights and other
real images of the same source, and not other trainings.

*Frechet and kernel distance*: exact to first order, on both sides. *Coverage, recall*: shares of
real images, each of which counts by itself; of a generated image it counts how many real ones it
alone covers. *Precision, density*: means over generated images; how real images act through the
radii of their neighbours is left out, so these errors are for the given reference.

References:
    The Jackknife, the Bootstrap and Other Resampling Plans (Efron, 1982), chapters 3 and 6.
    A Class of Statistics with Asymptotically Normal Distribution (Hoeffding, 1948), Annals of
    Mathematical Statistics 19: the projection of a U-statistic, which the kernel distance is.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from naqsh.metrics._arrays import Array, as_pair
from naqsh.metrics.kernel import mean_kernels
from naqsh.metrics.manifold import hit_counts
from naqsh.metrics.uncertainty import frechet_influence


class Influence(NamedTuple):
    """The influences on one measure.

    Attributes:
        generated: variance of the value over draws of the generated images, var g / n.
        real: r of each real image, float64 with shape (m,) and mean 0.
    """

    generated: float
    real: Tensor


def influences(real: Array, generated: Array, k: int = 5) -> dict[str, Influence]:
    """The influences of all images on each measure, by its name.

    Args:
        real: features with shape (m, d), m > k.
        generated: features with shape (n, d), n > k.
        k: neighbours of precision, recall, density and coverage.

    Raises:
        NaqshError: too few rows, different columns, or numbers that are not finite.
    """
    real, generated = as_pair(real, generated, at_least=k + 1)
    distance = frechet_influence(real, generated), frechet_influence(generated, real)
    within_g, within_r = (mean_kernels(x, x, apart=True) for x in (generated, real))
    across_g, across_r = mean_kernels(generated, real), mean_kernels(real, generated)
    counts = hit_counts(real, generated, k)
    n = len(generated)
    none = torch.zeros(len(real), dtype=torch.float64)
    return {
        "fid": _of(*distance),
        "kid": _of(2 * (within_g - across_g), 2 * (within_r - across_r)),
        "precision": _of((counts.real_balls > 0).double(), none),
        "recall": _of(n * counts.alone_recalled / len(real), counts.recalled.double()),
        "density": _of(counts.real_balls / k, none),
        "coverage": _of(n * counts.alone_covered / len(real), counts.covered.double()),
    }


def _of(generated: Tensor, real: Tensor) -> Influence:
    real = real.double().cpu()
    return Influence(float(generated.double().var() / len(generated)), real - real.mean())


def error_of_difference(a: Influence, b: Influence) -> float:
    """The standard error of the difference of two values that share their real images."""
    shared = float((a.real - b.real).var()) / len(a.real)
    return float((a.generated + b.generated + shared) ** 0.5)
