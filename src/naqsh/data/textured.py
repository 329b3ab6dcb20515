"""Rendered scenes of textured shapes with the mask of every object: images to segment.

A scene has two to four objects of :data:`naqsh.data.scenes.SHAPES`, each in a quarter of the image
of its own, before a textured ground. Ground and objects are covered alike by stripes, checks or
dots of two colours, drawn independently from one palette, at any angle. So neither the colour of a
pixel nor its texture tells what it belongs to: only the outline does, and that is larger than a
pixel's neighbourhood.

The mask of an object is where it covers at least half of a pixel and no later object does.
Scene i of a split is a function of the split and i alone, as for `shapes`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from naqsh.data.scenes import SHAPES, SIDE, distance, numbers

CLASSES = ("background", *SHAPES)
"""What the numbers of a mask mean."""

TEXTURES = ("stripes", "checks", "dots")

_PALETTE = np.array(
    [
        *[(225, 30, 35), (250, 135, 15), (245, 225, 40), (35, 165, 60), (35, 75, 220)],
        *[(150, 45, 185), (20, 20, 20), (235, 235, 235), (128, 128, 128)],
    ],
    np.float32,
)
_MOST = 4
_GROUND = 6
_EACH = 5 + _GROUND
_NUMBERS = 5 + _GROUND + _MOST * _EACH
"""Uniform numbers of a scene: how many objects, an order of quarters, a ground, four objects."""

_ROWS = 256

Floats = NDArray[np.float32]


class Rendered(NamedTuple):
    """Images and what their pixels belong to.

    Attributes:
        images: uint8 with shape (n, 3, side, side).
        masks: uint8 with shape (n, side, side), numbers of :data:`CLASSES`.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def chances(split: str, count: int) -> NDArray[np.float64]:
    """What the first scenes of a split are made of, shape (count, numbers of a scene)."""
    return numbers("textured scenes", split, count, _NUMBERS)


def render(chance: NDArray[np.float64], side: int = SIDE) -> Iterator[Rendered]:
    """Scenes, some at a time.

    Args:
        chance: rows of :func:`chances`.
        side: pixels across.
    """
    rows = max(1, _ROWS * SIDE**2 // side**2)
    for start in range(0, len(chance), rows):
        yield _rendered(chance[start : start + rows], side)


def _rendered(chance: NDArray[np.float64], side: int) -> Rendered:
    line: Floats = ((np.arange(side) + 0.5) / side).astype(np.float32)
    x, y = line[None, None, :], line[None, :, None]
    image = _texture(chance[:, 5 : 5 + _GROUND], x, y)
    masks = np.zeros((len(chance), side, side), np.uint8)
    objects = 2 + (chance[:, 0] * (_MOST - 1)).astype(np.int64)
    quarters = np.argsort(chance[:, 1:5], axis=1)
    for place in range(_MOST):
        rows = np.flatnonzero(objects > place)
        first = 5 + _GROUND + place * _EACH
        dice = chance[rows, first : first + _EACH]
        kinds = (dice[:, 0] * len(SHAPES)).astype(np.int64)
        covered = _covered(dice, kinds, quarters[rows, place], x, y)
        paint = _texture(dice[:, 5:], x, y)
        image[rows] += covered[:, None] * (paint - image[rows])
        masks[rows] = np.where(covered >= 0.5, 1 + kinds[:, None, None], masks[rows])
    return Rendered(np.rint(image).astype(np.uint8), masks)


def _covered(
    dice: NDArray[np.float64],
    kinds: NDArray[np.int64],
    quarters: NDArray[np.int64],
    x: Floats,
    y: Floats,
) -> Floats:
    """The share of each pixel that one object of each image covers, shape (n, side, side)."""
    side = x.shape[-1]
    spread = (2 * dice[:, 1:5] - 1).astype(np.float32)[:, :, None, None]
    radius = 0.2 * (1 + 0.15 * spread[:, 2])
    right = (x - (0.25 + 0.5 * (quarters % 2)[:, None, None] + 0.04 * spread[:, 0])) / radius
    down = (y - (0.25 + 0.5 * (quarters // 2)[:, None, None] + 0.04 * spread[:, 1])) / radius
    angle = np.float32(np.pi / 9) * spread[:, 3]
    cosine, sine = np.cos(angle), np.sin(angle)
    far = np.empty((len(dice), side, side), np.float32)
    for kind, shape in enumerate(SHAPES):
        rows = np.flatnonzero(kinds == kind)
        turned = cosine * right + sine * down, cosine * down - sine * right
        far[rows] = distance(shape, *(part[rows].astype(np.float32) for part in turned))
    covered: Floats = np.clip(0.5 - far * radius * side, 0, 1).astype(np.float32)
    return covered


def _texture(dice: NDArray[np.float64], x: Floats, y: Floats) -> Floats:
    """Surfaces of two colours, float32 in 0..255 with shape (n, 3, side, side).

    Args:
        dice: six uniform numbers of each, shape (n, 6).
        x: to the right, as a share of the side.
        y: down.
    """
    kind, angle, period, phase, first, second = (
        dice[:, i, None, None].astype(np.float32) for i in range(6)
    )
    turn = np.pi * angle
    wave = 2 * np.pi / (0.16 + 0.1 * period)
    along = np.sin(wave * (np.cos(turn) * x + np.sin(turn) * y) + 2 * np.pi * phase)
    across = np.sin(wave * (np.cos(turn) * y - np.sin(turn) * x) + 2 * np.pi * phase)
    number = (kind * len(TEXTURES)).astype(np.int64)
    signal = np.select(
        [number == 0, number == 1], [along, along * across * 2], (along + across) - 0.5
    )
    amount = np.clip(0.5 + signal, 0, 1)[:, None]
    one = (first[:, 0, 0] * len(_PALETTE)).astype(np.int64)
    other = (one + 1 + (second[:, 0, 0] * (len(_PALETTE) - 1)).astype(np.int64)) % len(_PALETTE)
    base, mark = _PALETTE[one][:, :, None, None], _PALETTE[other][:, :, None, None]
    surface: Floats = (base + 0.6 * amount * (mark - base)).astype(np.float32)
    return surface
