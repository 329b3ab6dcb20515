r"""dSprites: one white shape on black, 64x64 and binary, from five known factors.

The set is made by a program, so its factors are known exactly: shape (square, ellipse, heart),
scale (6 values from 0.5 to 1), orientation (40 values from 0 to :math:`2 \pi`, both ends in, so the
first and the last look the same), and 32 positions across and down. Images are in the order of
the published file: shape slowest, then scale, orientation, x, and y fastest. `dsprites` is the part
with orientation 0, `dsprites-full` is all of it. The set has no test images of its own: 5,000 of
either, drawn once, are held out of training here.

The published files are read where they lie in the data home. Elsewhere the images are rendered
here: the same factors, sizes of our own choice. A pixel is white when its centre lies in the shape,
:math:`(u, v) = R(-\theta)\,(p - c) / s` being the point in the shape's own frame:

======= =================================================
square  :math:`\max(|u|, |v|) \le 10.5` pixels
ellipse :math:`(u / 7.3)^2 + (v / 11.3)^2 \le 1`
heart   :math:`(a^2 + b^2 - 1)^3 \le a^2 b^3` with :math:`(a, b) = (u, -v) / 9.7`
======= =================================================

Centres lie at 16.5, 17.5, ... 47.5, on pixel centres, so a step in position moves the image by
just one pixel and the largest shape stays inside at every angle.

References:
    dSprites: Disentanglement testing Sprites dataset (Matthey et al., 2017),
    https://github.com/google-deepmind/dsprites-dataset
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.data import npy
from naqsh.data.npy import Array

SHAPES = ("square", "ellipse", "heart")
SCALES = 0.5 + 0.1 * np.arange(6)
ORIENTATIONS = 40
POSITIONS = 32
SIDE = 64
TEST = 5000

OFFICIAL = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
REDUCED = "sh3_sc6_y32_x32_imgs.npz"

_BLOCK = POSITIONS * POSITIONS
_REACH = 16
_HALF_SQUARE, _ELLIPSE, _HEART = 10.5, (7.3, 11.3), 9.7


def count(orientations: int) -> int:
    """Number of images: 18,432 with one orientation, 737,280 with all 40."""
    return len(SHAPES) * len(SCALES) * orientations * _BLOCK


def factors(indices: NDArray[np.int64], orientations: int = 1) -> NDArray[np.int64]:
    """The factors that image number k is made of.

    Args:
        indices: numbers of images, shape (M,).
        orientations: 1 for `dsprites`, 40 for `dsprites-full`.

    Returns:
        int64 with shape (M, 5): the numbers of shape, scale, orientation, x and y, each from 0.
    """
    sizes = (len(SHAPES), len(SCALES), orientations, POSITIONS, POSITIONS)
    return np.stack(np.unravel_index(indices, sizes), axis=1).astype(np.int64)


def labels(orientations: int) -> NDArray[np.int64]:
    """The shape of every image, int64 with shape (N,)."""
    return factors(np.arange(count(orientations)), orientations)[:, 0]


def split(name: str, orientations: int) -> NDArray[np.int64]:
    """Which images of the grid are in a split, in ascending order: the same for all, drawn once.

    Args:
        name: ``"train"``, or ``"test"`` for the 5,000 that are held out of it.
        orientations: 1 for `dsprites`, 40 for `dsprites-full`.
    """
    random = np.random.Generator(np.random.Philox(0))
    held_out = np.zeros(count(orientations), np.bool_)
    held_out[random.choice(count(orientations), TEST, replace=False)] = True
    return np.flatnonzero(held_out if name == "test" else ~held_out)


def render(orientations: int) -> Iterator[NDArray[np.uint8]]:
    """Draw the set, 1,024 images at a time: all positions of one shape, scale and orientation.

    Args:
        orientations: 1 for orientation 0 alone, 40 for all.

    Yields:
        uint8 of values 0 and 255 with shape (1024, 1, 64, 64).
    """
    angles = np.linspace(0, 2 * np.pi, ORIENTATIONS)[:orientations]
    for shape, scale, angle in itertools.product(SHAPES, SCALES, angles):
        # One mask in the middle of a wide black field: each position is a window of the field.
        field = np.zeros((SIDE + POSITIONS - 1,) * 2, dtype=np.uint8)
        middle = slice(POSITIONS - 1, POSITIONS + 2 * _REACH)
        field[middle, middle] = mask(shape, scale, angle)
        windows = np.lib.stride_tricks.sliding_window_view(field, (SIDE, SIDE))[::-1, ::-1]
        yield windows.swapaxes(0, 1).reshape(_BLOCK, 1, SIDE, SIDE)


def mask(shape: str, scale: float, angle: float) -> NDArray[np.uint8]:
    """One shape about the centre of a 33x33 image: uint8, 255 inside and 0 outside.

    Args:
        shape: one of `SHAPES`.
        scale: factor on its size.
        angle: by how much it is turned, in radians; clockwise, as rows go down.
    """
    rows, columns = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1] / scale
    # Rounded, so that a full turn gives the very same points as none.
    cosine, sine = np.round((np.cos(angle), np.sin(angle)), 12)
    u, v = cosine * columns + sine * rows, cosine * rows - sine * columns
    if shape == "square":
        inside = np.maximum(np.abs(u), np.abs(v)) <= _HALF_SQUARE
    elif shape == "ellipse":
        inside = (u / _ELLIPSE[0]) ** 2 + (v / _ELLIPSE[1]) ** 2 <= 1
    else:
        across, up = u / _HEART, -v / _HEART
        inside = (across**2 + up**2 - 1) ** 3 <= across**2 * up**3
    return np.where(inside, 255, 0).astype(np.uint8)


def read(path: Path, orientations: int) -> Iterator[NDArray[np.uint8]]:
    """The images of a published file, a block at a time and in the order of :func:`render`.

    The official file also holds a pickle (`metadata`), which is never opened.

    Args:
        path: the official file, or the reduced one, which has orientation 0 alone.
        orientations: 1 for orientation 0 alone, 40 for all.

    Yields:
        uint8 of values 0 and 255 with shape (1024, 1, 64, 64).

    Raises:
        NaqshError: the file is damaged or does not hold what it should.
    """
    try:
        held = npy.arrays(path)
        images = _images(held)
        if path.name == REDUCED:
            yield from _reduced(images)
        else:
            if images.shape != (count(ORIENTATIONS), SIDE, SIDE):
                raise ValueError(f"its imgs have shape {images.shape}")
            _check_factors(held)
            # Orientation is the slowest factor but two, so its value 0 is every 40th block.
            yield from itertools.islice(_blocks(images), 0, None, ORIENTATIONS // orientations)
    except (ValueError, npy.Refused) as error:
        why = error.why if isinstance(error, npy.Refused) else error
        raise NaqshError(
            f"{path} is refused ({why}); fetch the published file again, or remove it to have the "
            "images rendered"
        ) from error


def _images(held: Mapping[str, Array | str]) -> Array:
    """The array of images; raises ValueError where it is missing or not rows of bytes."""
    found = held.get("imgs", "it holds no imgs")
    if isinstance(found, str):
        raise ValueError(found)
    if found.by_columns or found.dtype not in (np.uint8, np.bool_):
        raise ValueError(f"its imgs are of type {found.dtype}, not rows of uint8")
    return found


def _check_factors(held: Mapping[str, Array | str]) -> None:
    """Raise ValueError unless the factors are there and in the published order."""
    tables = []
    for key in ("latents_values", "latents_classes"):
        table = held.get(key, f"it holds {', '.join(held)}, but no {key}")
        if isinstance(table, str):
            raise ValueError(table)
        if table.shape != (count(ORIENTATIONS), 6) or table.dtype.kind not in "iuf":
            raise ValueError(f"factors of type {table.dtype} and shape {table.shape}")
        tables.append(table.whole())
    values, classes = tables
    whole = count(ORIENTATIONS)
    if not np.array_equal(classes[:, 1:], factors(np.arange(whole), ORIENTATIONS)):
        raise ValueError("its factors are not in the published order")
    if not np.allclose(values[:, 2], SCALES[classes[:, 2].astype(np.int64)]):
        raise ValueError("its scales are not 0.5 to 1")


def _reduced(images: Array) -> Iterator[NDArray[np.uint8]]:
    """The reduced file, in which x may be the fastest factor, as its name says."""
    flat = (count(1), SIDE, SIDE)
    grid = (len(SHAPES), len(SCALES), POSITIONS, POSITIONS, SIDE, SIDE)
    if images.shape not in (flat, grid):
        raise ValueError(f"its imgs have shape {images.shape}, not {flat}")
    for block in _blocks(replace(images, shape=flat)):
        places = block.reshape(POSITIONS, POSITIONS, SIDE, SIDE)
        rows = [int(places[place].any(axis=1).argmax()) for place in ((0, 0), (0, -1))]
        down_fastest = rows[0] != rows[1]
        ordered = places if down_fastest else places.swapaxes(0, 1)
        yield ordered.reshape(block.shape)


def _blocks(images: Array) -> Iterator[NDArray[np.uint8]]:
    """The images, 1,024 at a time: the official 3 GB need not fit the memory."""
    for block in images.pieces(_BLOCK):
        top = block.max()
        if top not in (1, 255) or not np.all((block == 0) | (block == top)):
            raise ValueError("its images are not of two values, 0 and 1")
        yield np.where(block > 0, np.uint8(255), np.uint8(0)).reshape(_BLOCK, 1, SIDE, SIDE)
