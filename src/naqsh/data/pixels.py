"""Changing the size and the number of channels of images, as PIL does it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


JITTER = (286, 256)
"""Sides of images that training images are cut out of, and of these, unless a set has others."""


def fit(picture: Image.Image, size: int, smooth: str = "lanczos") -> Image.Image:
    """Crop the largest centred square of an image and bring it to size x size.

    Args:
        image: mode L or RGB.
        size: side in pixels.
        smooth: ``"lanczos"`` or ``"bilinear"``; both widen with the reduction, so that nothing
            aliases.
    """
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    if (side, side) != picture.size:
        picture = picture.crop((left, top, left + side, top + side))
    return picture if side == size else picture.resize((size, size), _FILTERS[smooth])


def resize(
    images: NDArray[np.uint8], size: int, smooth: Literal["lanczos", "bilinear"] = "lanczos"
) -> NDArray[np.uint8]:
    """Centre-crop and resize every image.

    Args:
        images: uint8 with shape (N, C, H, W), C 1 or 3.
        size: side in pixels.
        smooth: the filter, see :func:`fit`.

    Returns:
        uint8 with shape (N, C, size, size); `images` itself when nothing changes.
    """
    if images.shape[2:] == (size, size):
        return images
    result = np.empty((*images.shape[:2], size, size), dtype=np.uint8)
    for before, after in zip(images, result, strict=True):
        after[:] = to_array(fit(to_picture(before), size, smooth))
    return result


def recolour(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Turn grey images to three equal channels, or colour ones to their luma.

    Args:
        images: uint8 with shape (N, C, H, W), C 1 or 3.
        channels: 1 or 3.

    Returns:
        uint8 with shape (N, channels, H, W); `images` itself when nothing changes.
    """
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=1)
    # ITU-R 601-2 luma in the 16-bit fixed point of PIL's convert("L"), to the bit.
    red, green, blue = (images[:, i].astype(np.uint32) for i in range(3))
    luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return luma.astype(np.uint8)[:, None]


def converted(
    images: NDArray[np.uint8],
    size: int | None,
    channels: int | None,
    smooth: Literal["lanczos", "bilinear"] = "lanczos",
) -> NDArray[np.uint8]:
    """Images (N, C, H, W) brought to a size and number of channels; None keeps what they have."""
    if channels is not None:
        images = recolour(images, channels)
    return images if size is None else resize(images, size, smooth)


def larger(size: int, sides: tuple[int, int] = JITTER) -> int:
    """The side of the images that those of `size` pixels are cut out of; at least one more.

    Args:
        size: in pixels.
        sides: of such an image, and of what is cut out of it.
    """
    whole, kept = sides
    return max(size + 1, (size * whole + kept // 2) // kept)


def to_picture(array: NDArray[np.uint8]) -> Image.Image:
    """A PIL image of mode L or RGB from uint8 with shape (1 or 3, H, W)."""
    if array.shape[0] == 1:
        return Image.fromarray(np.ascontiguousarray(array[0]))
    return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))


def to_array(picture: Image.Image) -> NDArray[np.uint8]:
    """uint8 with shape (C, H, W) from a PIL image of mode L or RGB."""
    array = np.asarray(picture, dtype=np.uint8)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
