"""How different the images of a batch are, without comparing all of them."""

from torch import Tensor


def variance(images: Tensor) -> Tensor:
    """The variance of images, summed over pixels: half of what neighbours differ by, squared.

    An average over pairs, which is that of a whole batch however it is shared out; the last of an
    odd number has no partner. 0 for a single image.
    """
    pairs = images[: len(images) // 2 * 2].flatten(1).float().unflatten(0, (-1, 2))
    squares: Tensor = (pairs[:, 0] - pairs[:, 1]).square().sum()
    return squares / (2 * max(1, len(pairs)))
