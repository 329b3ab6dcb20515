"""Edges of images as white lines on black, one pixel wide: what a translation can begin with.

References:
    A Computational Approach to Edge Detection (Canny, 1986), IEEE TPAMI 8(6).
"""

import numpy as np
from numpy.typing import NDArray

from naqsh.data import pixels

Pixels = NDArray[np.uint8]
_Numbers = NDArray[np.float32]

_STRONGEST = 0.2
"""Share of an image's pixels whose slope makes an edge by itself."""

_WEAK = 0.4
"""Share of that slope at which an edge goes on."""

_LEAST = 5.0
"""Slope in grey levels a pixel below which there is no edge: flat images have none."""

_AROUND = ((0, 1), (1, 1), (1, 0), (1, -1))
"""The neighbour that lies along a slope, for each eighth of a turn."""


def of(images: Pixels) -> Pixels:
    """The edges of images, each by itself.

    Args:
        images: uint8 with shape (N, C, H, W), C 1 or 3.

    Returns:
        0 and 255, of that shape; all channels are equal.
    """
    from scipy import ndimage

    grey = pixels.recolour(images, 1)[:, 0].astype(np.float32)
    width = max(0.7, min(grey.shape[1:]) / 128)
    # (Sobel's filter would smooth over the images too.)
    down, right = (
        ndimage.gaussian_filter(grey, (0, width, width), order=order, mode="nearest")
        for order in ((0, 1, 0), (0, 0, 1))
    )
    steep = np.hypot(down, right)
    ridge = _ridges(steep, down, right)
    strong = np.quantile(steep, 1 - _STRONGEST, axis=(1, 2), keepdims=True).clip(_LEAST)
    found = _connected(ridge & (steep >= _WEAK * strong), ridge & (steep >= strong))
    return np.repeat(np.where(found, np.uint8(255), np.uint8(0))[:, None], images.shape[1], axis=1)


def _ridges(steep: _Numbers, down: _Numbers, right: _Numbers) -> NDArray[np.bool_]:
    """Where an image is steeper than on both sides, along its slope."""
    eighth = np.floor(np.arctan2(down, right) * (4 / np.pi) + 0.5).astype(int) % 4
    padded = np.pad(steep, ((0, 0), (1, 1), (1, 1)))
    height, width = steep.shape[1:]
    kept = np.zeros(steep.shape, np.bool_)
    for number, (y, x) in enumerate(_AROUND):
        after = padded[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width]
        before = padded[:, 1 - y : 1 - y + height, 1 - x : 1 - x + width]
        # Of two that are equally steep, one.
        kept |= (eighth == number) & (steep >= before) & (steep > after)
    return kept


def _connected(weak: NDArray[np.bool_], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those weak pixels that hang together with a strong one of the same image."""
    from scipy import ndimage

    beside = np.zeros((3, 3, 3), np.bool_)
    beside[1] = True
    numbers, count = ndimage.label(weak, beside)
    held = np.zeros(count + 1, np.bool_)
    held[np.unique(numbers[strong])] = True
    held[0] = False
    found: NDArray[np.bool_] = held[numbers]
    return found
