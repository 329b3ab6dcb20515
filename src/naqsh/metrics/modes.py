r"""Which modes of a known mixture samples find, and how evenly.

A sample is good where it lies within 3 sigma of the nearest mean, and counts for that mean's mode;
any other counts for none. Of Gaussians in the plane a share :math:`1 - e^{-9/2} = 0.989` of the
data itself is good. Of digits in three channels every sample counts for the mode that a classifier
reads, so that none is bad. With :math:`c_k` of n samples in mode k of K, G of them in any:

============ ==================================================================
modes        the number of k with :math:`c_k \ge 1`
modes_twenty the number of k with :math:`c_k \ge 20`
good         :math:`G / n`
reverse_kl   :math:`\sum_k \frac{c_k}{G} \log \frac{K c_k}{G}`, in nats: 0 where
             good samples are spread evenly, :math:`\log K` where all are in one
============ ==================================================================

Samples that are in no mode are left out of the histogram, as in PacGAN's program. Of even data too
reverse_kl is not 0 but about :math:`(K - 1) / 2G` on average, and with few samples for many modes
some stay empty by chance: both are to be read beside what real ones come to. The interval of
reverse_kl is to first order, which vanishes at the even histogram: near 0 it is too narrow.

References:
    VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning (Srivastava et al.,
    2017), arXiv:1705.07761, section 5.1: modes and the share of samples within 3 sigma.
    PacGAN: The power of two samples in generative adversarial networks (Lin et al., 2018),
    arXiv:1712.04086, section 4: the reverse KL, 2,500 samples, 26,000 of stacked MNIST.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.metrics.influence import Influence
from naqsh.metrics.registry import Tables, Value, declare

GOOD = 3.0
"""Standard deviations from the nearest mean within which a sample is good."""

TWENTY = 20
"""Samples that a mode must have, by the stricter count."""


class Gaussians:
    """The modes of a mixture of Gaussians.

    Args:
        means: in coordinates, shape (K, d).
        sigma: standard deviation along each axis.
    """

    samples = 2500
    may_miss = True

    def __init__(self, means: Tensor, sigma: float) -> None:
        self.means, self.sigma = means.double(), sigma
        self.count = len(means)

    def of(self, features: Tensor) -> Tensor:
        """The nearest mean of each point (N, d), -1 where it is farther than 3 sigma."""
        means = self.means.to(features.device)
        # By differences: a product of matrices would lose the digits that 3 sigma needs.
        far = (features.double()[:, None] - means).norm(dim=2)
        nearest = far.argmin(dim=1)
        return torch.where(far.amin(dim=1) < GOOD * self.sigma, nearest, -1)


def _counts(tables: Tables) -> NDArray[np.int64]:
    """How many samples each mode has, shape (K,)."""
    found = _found(tables)
    assert tables.modes is not None
    return np.bincount(found[found >= 0], minlength=tables.modes.count)


def _found(tables: Tables) -> NDArray[np.int64]:
    """The mode of each sample, -1 for none."""
    assert tables.modes is not None
    found: NDArray[np.int64] = tables.modes.of(tables.generated).cpu().numpy()
    return found


@declare("modes", better="higher", title="modes found", needs="modes", nonnegative=True)
def modes(tables: Tables) -> Value:
    """How many modes have at least one good sample."""
    return Value(float((tables.once(_counts) >= 1).sum()))


@declare(
    "modes_twenty",
    better="higher",
    title="modes with 20 samples",
    metric="modes",
    needs="modes",
    nonnegative=True,
)
def modes_twenty(tables: Tables) -> Value:
    """How many modes have at least 20 good samples."""
    return Value(float((tables.once(_counts) >= TWENTY).sum()))


@declare(
    "good",
    better="higher",
    title="good samples",
    metric="modes",
    needs="modes",
    share_of="n_generated",
)
def good(tables: Tables) -> Value | None:
    """The share of samples within 3 sigma of the nearest mean; None where all are in some mode."""
    assert tables.modes is not None
    if not tables.modes.may_miss:
        return None
    each = (tables.once(_found) >= 0).astype(np.float64)
    return Value(float(each.mean()), _of_samples(tables, each - each.mean()))


@declare(
    "reverse_kl",
    better="lower",
    title="reverse KL of the modes",
    metric="modes",
    needs="modes",
    nonnegative=True,
    caution="equal_n",
)
def reverse_kl(tables: Tables) -> Value | None:
    r"""The histogram's divergence from the even one, in nats; None where no sample is good.

    A sample in mode k moves it by :math:`\frac n G (\log \frac{K c_k}{G} - \text{KL})`, one in none
    not at all.
    """
    counts, found = tables.once(_counts), tables.once(_found)
    total = int(counts.sum())
    if not total:
        return None
    excess = np.log(np.where(counts > 0, counts * len(counts) / total, 1.0))
    value = float((counts / total) @ excess)
    moved = np.where(found >= 0, excess[found] - value, 0.0) * (len(found) / total)
    return Value(max(0.0, value), _of_samples(tables, moved), cautious=_few(counts))


def _few(counts: NDArray[np.int64]) -> bool:
    """Whether the even histogram itself would come to 0.01 nats or more, for want of samples."""
    return (len(counts) - 1) / (2 * int(counts.sum())) >= 0.01


def _of_samples(tables: Tables, moved: NDArray[np.float64]) -> Influence:
    """The influence of a measure in which real images have no part."""
    return Influence(np.zeros(len(tables.real)), moved)
