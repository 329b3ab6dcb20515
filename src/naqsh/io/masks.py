"""Masks of classes to look at: in colours, and over the images that they are of."""

import colorsys

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_GOLDEN = 0.6180339887498949
"""Steps of this share of a circle visit all hues evenly, however many there are."""

_GREY = 110

_SHARE = 0.6
"""Of a class's colour over an image."""


def colours(classes: int) -> Pixels:
    """A colour a class, shape (classes, 3): the first, mostly the background, is grey."""
    hues = [colorsys.hsv_to_rgb(0.58 + k * _GOLDEN, 0.8, 0.95) for k in range(classes - 1)]
    found = [(_GREY,) * 3, *(tuple(round(255 * part) for part in hue) for hue in hues)]
    return np.array(found, np.uint8)


def painted(masks: NDArray[np.integer], classes: int) -> Pixels:
    """Masks (N, H, W) as images (N, 3, H, W); what is of no class is white."""
    table = np.concatenate([colours(classes), np.full((1, 3), 255, np.uint8)])
    chosen: Pixels = table[np.minimum(masks, classes)]
    return chosen.transpose(0, 3, 1, 2)


def overlaid(images: Pixels, masks: NDArray[np.integer], classes: int) -> Pixels:
    """Images (N, C, H, W) in grey, (N, 3, H, W), under the colours of all classes but the first."""
    grey = images.mean(1, keepdims=True).repeat(3, 1)
    over = _SHARE * painted(masks, classes) + (1 - _SHARE) * grey
    seen: Pixels = np.rint(np.where(masks[:, None] == 0, grey, over)).astype(np.uint8)
    return seen
