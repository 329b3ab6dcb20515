"""Images to be edited and the masks of what is to be filled, brought to a run's size."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.spec import Shape
from naqsh.data import pixels
from naqsh.io import png
from naqsh.runs import given

SIDES = ("left", "right", "top", "bottom", "centre")
"""Parts of an image that a mask may be called by."""

WHITE = 128
"""Grey level from which on a mask says that a pixel is to be filled."""

Pixels = NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True)
class Editable:
    """Images in the size and channels of a run.

    Attributes:
        images: uint8 with shape (N, C, H, W).
        unknown: True where they are to be filled, shape (N, H, W); None without a mask.
        notes: what was done to them, sentences.
    """

    images: Pixels
    unknown: NDArray[np.bool_] | None
    notes: tuple[str, ...]


def editable(images: Any, shape: Shape, mask: Any = None) -> Editable:
    """Images as a run takes them, and what of each is to be filled.

    Args:
        images: what :func:`naqsh.runs.given.tensors` takes; of another size they are cut to their
            centred square and resized.
        shape: (C, H, W) of the run's images.
        mask: one image for all, white where they are to be filled and black where they are kept, in
            the size of the images as they are given, or of the run's; or out of :data:`SIDES`.

    Raises:
        NaqshError: no images, sizes that do not fit, or a mask that fills nothing.
    """
    found = [_levels(image) for image in given.tensors(images, shape[0])]
    sizes = [image.shape[1:] for image in found]
    resized = sum(size != shape[1:] for size in sizes)
    fitted = np.stack([_fitted(image, shape) for image in found])
    side = f"{shape[1]}x{shape[2]}"
    notes: tuple[str, ...] = ()
    if resized:
        which = "the image was" if len(found) == 1 else f"{resized} of {len(found)} images were"
        notes = (f"{which} brought to {side} pixels, which the run was trained on",)
    return Editable(fitted, None if mask is None else _unknown(mask, sizes, shape), notes)


def _levels(image: Tensor) -> Pixels:
    """An image as uint8."""
    array = image.numpy()
    return array if array.dtype == np.uint8 else png.to_pixels(array)


def _fitted(image: Pixels, shape: Shape) -> Pixels:
    """An image, or a mask, in the height and width of `shape`."""
    if image.shape[1:] == shape[1:]:
        return image
    if shape[1] != shape[2]:
        here, there = ("x".join(map(str, size)) for size in (image.shape[1:], shape[1:]))
        raise NaqshError(
            f"an image is {here}, and the run's are {there}, which are no squares: resize it to "
            "that first"
        )
    return pixels.to_array(pixels.fit(pixels.to_picture(image), shape[1]))


def _unknown(mask: Any, sizes: list[Size], shape: Shape) -> NDArray[np.bool_]:
    """What of each image is to be filled, shape (N, H, W)."""
    if isinstance(mask, str) and mask in SIDES and not Path(mask).exists():
        return np.repeat(_side(mask, shape[1:])[None], len(sizes), 0)
    called = f"the mask {os.fspath(mask)}" if isinstance(mask, str | os.PathLike) else "the mask"
    masks = given.tensors(mask, 1)
    if len(masks) != 1:
        raise NaqshError(f"one mask is for all images, got {len(masks)}")
    level = _levels(masks[0])
    if not (level >= WHITE).any():
        raise NaqshError(
            f"{called} is black: white is what is filled, black what is kept; paint some of it "
            f"white, or name a part: {', '.join(SIDES)}"
        )
    for size in sizes:
        if level.shape[1:] not in (size, shape[1:]):
            of_mask, of_image, of_run = (
                f"{height}x{width}" for height, width in (level.shape[1:], size, shape[1:])
            )
            raise NaqshError(
                f"{called} is {of_mask} and an image {of_image}: a mask has the size of its image, "
                f"or of the run's images, {of_run}"
            )
    unknown = _fitted(level, shape)[0] >= WHITE
    if not unknown.any():
        raise NaqshError(
            f"{called} has too little white to be seen in {shape[1]}x{shape[2]} pixels"
        )
    return np.repeat(unknown[None], len(sizes), 0)


def _side(name: str, size: Size) -> NDArray[np.bool_]:
    """A part of an image by its name."""
    height, width = size
    unknown = np.zeros(size, np.bool_)
    rows, columns = {
        "left": (slice(None), slice(None, width // 2)),
        "right": (slice(None), slice(width // 2, None)),
        "top": (slice(None, height // 2), slice(None)),
        "bottom": (slice(height // 2, None), slice(None)),
        "centre": (slice(height // 4, -(height // 4)), slice(width // 4, -(width // 4))),
    }[name]
    unknown[rows, columns] = True
    return unknown
