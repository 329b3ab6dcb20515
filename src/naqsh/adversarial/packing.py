"""Packing: the critic sees m images at once and says whether all of them are real.

A pack of one image over and over looks like no pack of real ones. Images are put together along
channels, m by m in the order of the batch: each is in one pack, so a batch of N images has N / m
packs and as many scores. As published, every image of a pack is drawn from the data by itself, so
that one image may be twice in a pack or in several packs; here the images of a pack are different
ones, as neighbours of an epoch's order are.

References:
    PacGAN: The power of two samples in generative adversarial networks (Lin et al., 2018),
    arXiv:1712.04086, section 3.
"""

from torch import Tensor


def packed(images: Tensor, count: int) -> Tensor:
    """Images with shape (N, C, H, W) to packs with shape (N / count, count * C, H, W)."""
    if count == 1:  # a view would change the order of sums in gradients
        return images
    return images.reshape(-1, count * images.shape[1], *images.shape[2:])
