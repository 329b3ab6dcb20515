r"""Differentiable augmentation: the critic sees changed images only, real and generated alike.

A critic of few images soon knows them by heart. Where real images alone are changed, a generator
learns to make changed ones. So both players see :math:`D(T(x))` and :math:`D(T(G(z)))`, with a T
drawn anew each time, whose gradient reaches the generator:

- ``colour``: brightness by -0.5 to 0.5, then saturation by a factor of 0 to 2 about the mean over
  channels, then contrast by a factor of 0.5 to 1.5 about the mean of the image;
- ``translation``: by up to an eighth of each side, with 0, the middle grey, where nothing was;
- ``cutout``: 0 in a rectangle of half of each side, which may lie partly outside.

What is drawn belongs to an image (:mod:`naqsh.core.noise`), whatever batch or rank it is in.

References:
    Differentiable Augmentation for Data-Efficient GAN Training (Zhao et al., 2020),
    arXiv:2006.10738, equations 3 to 5, and the released code for the ranges.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from naqsh.core.noise import Noise


def recoloured(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Images with shape (N, C, H, W) of other colours, each by its numbers of shape (N,).

    Args:
        images: what is changed.
        brightness: added; 0 changes nothing.
        saturation: factor of what channels differ by from their mean; 1 changes nothing.
        contrast: factor of what values differ by from the image's mean; 1 changes nothing.
    """
    added, colour, spread = (n.view(-1, 1, 1, 1) for n in (brightness, saturation, contrast))
    images = images + added
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * colour
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * spread


def shifted(images: Tensor, steps: Tensor, dimension: int) -> Tensor:
    """Images with shape (N, C, H, W), each moved, with 0 where nothing was.

    Args:
        images: what is moved.
        steps: by how many pixels towards higher indices, int64 with shape (N,).
        dimension: 2 for rows, 3 for columns.
    """
    side = images.shape[dimension]
    shape = [-1, 1, 1, 1]
    shape[dimension] = side
    source = torch.arange(side, device=images.device) - steps[:, None]
    inside = (source >= 0) & (source < side)
    index = source.clamp(0, side - 1).view(shape).expand_as(images)
    return images.gather(dimension, index) * inside.view(shape)


def cut(images: Tensor, row: Tensor, column: Tensor, height: int, width: int) -> Tensor:
    """Images with shape (N, C, H, W) with 0 in a rectangle each.

    Args:
        images: what is cut.
        row: its first one, which may lie outside, int64 with shape (N,).
        column: likewise.
        height: of the rectangles; 0 changes nothing.
        width: likewise.
    """

    def within(first: Tensor, size: int, side: int) -> Tensor:
        place = torch.arange(side, device=images.device) - first[:, None]
        return (place >= 0) & (place < size)

    rows = within(row, height, images.shape[2])[:, None, :, None]
    columns = within(column, width, images.shape[3])[:, None, None, :]
    return images * ~(rows & columns)


def _colour(images: Tensor, noise: Noise) -> Tensor:
    brightness, saturation, contrast = noise.uniform(3).unbind(1)
    return recoloured(images, brightness - 0.5, saturation * 2, contrast + 0.5)


def _translation(images: Tensor, noise: Noise) -> Tensor:
    for dimension in (2, 3):
        most = (images.shape[dimension] + 4) // 8  # an eighth, rounded
        steps = noise.integers(2 * most + 1, 1).squeeze(1) - most
        images = shifted(images, steps, dimension)
    return images


def _cutout(images: Tensor, noise: Noise) -> Tensor:
    def place(side: int) -> tuple[Tensor, int]:
        size = (side + 1) // 2
        # The middle may be any pixel; an even size has two, and its middle lies between pixels.
        middle = noise.integers(side + 1 - size % 2, 1).squeeze(1)
        return middle - size // 2, size

    (row, height), (column, width) = (place(side) for side in images.shape[2:])
    return cut(images, row, column, height, width)


AUGMENTATIONS: dict[str, Callable[[Tensor, Noise], Tensor]] = {
    "colour": _colour,
    "translation": _translation,
    "cutout": _cutout,
}


def named(names: str) -> tuple[str, ...]:
    """The augmentations in a list of names between commas; none in an empty text.

    Raises:
        ValueError: one that is not known, or is named twice.
    """
    found = tuple(name.strip() for name in names.split(",")) if names else ()
    for name in found:
        if name not in AUGMENTATIONS:
            known = ", ".join(AUGMENTATIONS)
            raise ValueError(f"no augmentation named {name!r}; known: {known}")
    if len(set(found)) < len(found):
        raise ValueError(f"augmentations are named once each, got {names}")
    return found


def augmented(images: Tensor, names: tuple[str, ...], noise: Noise) -> Tensor:
    """Images in [-1, 1] with shape (N, C, H, W), each changed by the named ones in their order.

    Args:
        images: real or generated ones.
        names: of what is done, as :func:`named` gives them.
        noise: of these N images; each augmentation takes the next draws.
    """
    for name in names:
        images = AUGMENTATIONS[name](images, noise)
    return images
