r"""Feature matching: the generator is to give the critic's features their mean over real images.

.. math:: \lVert E\,f(x) - E\,f(G(z)) \rVert_2^2

in the place of its adversarial loss. The critic goes on telling real images from generated ones,
and so finds features that differ.

References:
    Improved Techniques for Training GANs (Salimans et al., 2016), arXiv:1606.03498, section 3.1.
"""

from torch import Tensor

from naqsh.core import ranks


def apart(real: Tensor, fake: Tensor) -> Tensor:
    """The squared distance of two means of features, each over the batch of all ranks, a scalar.

    Args:
        real: features of real images with shape (N, F).
        fake: of generated ones, likewise.
    """
    gap = real.float().mean(0) - fake.float().mean(0)
    return (ranks.total(gap) / ranks.count()).square().sum()
