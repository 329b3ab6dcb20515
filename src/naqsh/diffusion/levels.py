r"""Which levels of noise, and which steps, a score network of given images should have.

NCSNv2's answers, from the images and their number of values D alone. With sigma_1 the most noise:

1. :math:`\sigma_1` is the largest distance of two images (:func:`largest_distance`): a chain can
   then come from any image to any other.
2. The levels fall by a ratio :math:`\gamma` (:func:`ratio`) at which the radii of neighbours still
   overlap: with :math:`a = \sqrt{2D}`,

   .. math:: \Phi(a(\gamma - 1) + 3\gamma) - \Phi(a(\gamma - 1) - 3\gamma) \approx 0.5.

4. A level's T steps of size :math:`r \sigma_i^2` bring the standard deviation of a chain that comes
   from the level before as near :math:`\sigma_i` as they can (:func:`step_size`): r makes

   .. math:: (1 - r)^{2T} \left(\gamma^2 - \frac{2}{2 - r}\right) + \frac{2}{2 - r}

   least, for it is always above 1. The paper's :math:`\epsilon` is :math:`r \sigma_L^2`.

(3 and 5 are the network's: it predicts the noise, of which the score is -1/sigma; and weights are
averaged.) All of it but the distance is without unit, so images in [-1, 1] have the same levels as
in [0, 1], with twice the sigmas.

The paper's own levels do not quite follow its equation: the five sets of it have an overlap of
0.567 (CIFAR-10 232 levels, where 0.5 would give 220).

References:
    Improved Techniques for Training Score-Based Generative Models (Song and Ermon, 2020),
    arXiv:2006.09011, techniques 1, 2 and 4, and table 3.
"""

import math

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.diffusion.geometric import Geometric

ROWS = 512
"""Images whose distances are computed at once."""


def chosen(images: Tensor, least: float = 0.02) -> Geometric:
    """The levels of noise for given images.

    Args:
        images: in [-1, 1] with shape (N, C, H, W).
        least: sigma of the least noise; 0.02 is the paper's 0.01 in [0, 1].

    Raises:
        NaqshError: images of so few numbers that the ratio is open, or all of which are alike.
    """
    most = largest_distance(images)
    if most <= least:
        raise NaqshError(f"no two images are farther apart than {least}: no noise is needed")
    between = math.log(most / least) / math.log(ratio(images[0].numel()))
    return Geometric(most, least, 1 + math.ceil(between))


def largest_distance(images: Tensor) -> float:
    """The largest Euclidean distance of two images, with shape (N, ...); in their unit.

    Two images are at most as far apart as their distances to the mean together, which rules out
    most pairs.
    """
    x = images.flatten(1).float()
    radii = (x - x.mean(0)).norm(dim=1)
    radii, order = radii.sort(descending=True)
    x, best = x[order], 0.0
    for i in range(0, len(x), ROWS):
        near = int((radii[i] + radii > best).sum())
        if near <= i:
            break
        best = max(best, float(torch.cdist(x[i : i + ROWS], x[i:near]).max()))
    return best


def ratio(dimensions: int, overlap: float = 0.5) -> float:
    """The noise of a level over that of the next less, technique 2.

    Args:
        dimensions: numbers of an image.
        overlap: the share of a level's radii that the next one has too.

    Raises:
        NaqshError: fewer than five dimensions, where no ratio parts two levels.
    """
    if dimensions < 5:
        raise NaqshError(
            f"levels of noise in {dimensions} dimensions overlap at any ratio; choose them by hand"
        )
    low, high = 1.0, 2.0
    while shared(dimensions, high) > overlap:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if shared(dimensions, middle) > overlap else (low, middle)
    return high


def shared(dimensions: int, ratio: float) -> float:
    """The share of a level's radii that the next one has too, the left side of technique 2."""
    away = math.sqrt(2 * dimensions) * (ratio - 1)
    return _below(away + 3 * ratio) - _below(away - 3 * ratio)


def step_size(ratio: float, inner: int) -> float:
    """A Langevin step over sigma squared, technique 4.

    Args:
        ratio: the noise of the level before over this one's, above 1.
        inner: steps at each level.
    """
    low, high = 0.0, 1.0
    # The variance falls to its least and rises from there: a golden section finds it.
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if variance_after(left, ratio, inner) < variance_after(right, ratio, inner):
            high = right
        else:
            low = left
    return (low + high) / 2


def variance_after(size: float, ratio: float, inner: int) -> float:
    """Variance over the level's after `inner` steps from the level before, of a single image."""
    rest = 2 / (2 - size)
    return (1 - size) ** (2 * inner) * (ratio**2 - rest) + rest


def _below(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
