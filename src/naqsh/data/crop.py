"""Training images cut at a random place out of larger ones, as CycleGAN and pix2pix do it.

An image of 128 px is cut out of the same image of 143: 286 to 256. Birds of 64 px are cut out of
76, as StackGAN's released code has them. The larger ones are made once, from the files as they are,
so that nothing is enlarged that has more pixels; a batch is then cut where it lies. Validation and
test images are never cut: they are whole, at the size, and show a little more around the middle.

References:
    Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017), CVPR,
    arXiv:1611.07004, section 6.2: random jitter by resizing to 286x286 and cropping to 256x256.
"""

import torch
from torch import Tensor

from naqsh.core.noise import Noise


def cut(images: Tensor, height: int, width: int, chance: Noise) -> Tensor:
    """Each image cut to a size at a place of its own.

    Args:
        images: any type, with shape (N, C, H, W), H >= height and W >= width.
        height: of what is cut out.
        width: likewise.
        chance: of these N images, on their device: one place each, all being as likely.

    Returns:
        the same type with shape (N, C, height, width).
    """
    top, left = (
        chance.integers(side - kept + 1)
        for side, kept in zip(images.shape[2:], (height, width), strict=True)
    )
    # A view of all that could be cut out; only what is taken is copied.
    every = images.unfold(2, height, 1).unfold(3, width, 1)
    return every[torch.arange(len(images), device=images.device), :, top, left]
