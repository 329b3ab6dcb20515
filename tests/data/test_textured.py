"""Textured scenes: their masks against areas, and what colour alone tells of them."""

import numpy as np
import pytest

from naqsh.data import CATALOG, load, textured
from naqsh.data.scenes import SHAPES, SIDE


def rendered(split="train", count=64, side=SIDE):
    pieces = list(textured.render(textured.chances(split, count), side))
    return textured.Rendered(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))


def test_a_scene_is_a_function_of_its_place_alone():
    few, many = rendered(count=9), rendered(count=300)
    assert np.array_equal(few.images, many.images[:9])
    assert np.array_equal(few.masks, many.masks[:9])
    assert not np.array_equal(few.images, rendered("test", 9).images)


def test_the_named_set_has_these_images():
    found = load("textured-shapes", split="test")
    assert len(found) == CATALOG["textured-shapes"].test
    assert np.array_equal(found.images[:9], rendered("test", 9).images)
    assert load("textured-shapes", split="test", channels=1, size=16).shape == (1, 16, 16)


def test_masks_do_not_depend_on_the_size():
    small, large = rendered(count=40), rendered(count=40, side=4 * SIDE)
    middle = large.masks.reshape(40, SIDE, 4, SIDE, 4)[:, :, 1:3, :, 1:3]
    whole = (middle == middle[:, :, :1, :, :1]).all((2, 4))  # these four pixels are of one class
    assert whole.mean() > 0.9
    assert (small.masks[whole] == middle[:, :, 0, :, 0][whole]).mean() > 0.999


def test_areas_are_those_of_the_outlines():
    side = 512  # half a pixel along a square's outline is 1.1 % of its area
    one = np.full((len(SHAPES), textured._NUMBERS), 0.5)
    one[:, 0] = 0.0  # two objects
    one[:, 1:5] = [0.0, 0.3, 0.6, 0.9]
    first, second = (5 + textured._GROUND + k * textured._EACH for k in range(2))
    one[:, first] = (np.arange(len(SHAPES)) + 0.5) / len(SHAPES)
    one[:, second] = one[::-1, first]
    masks = rendered_of(one, side)
    areas = dict(zip(SHAPES, (np.pi, 4 * 0.88**2, 3 * 3**0.5 * 0.36), strict=False))
    for kind, shape in enumerate(SHAPES):
        if shape in areas:
            count = (masks[kind] == kind + 1).sum() / (1 + (kind == len(SHAPES) - 1 - kind))
            assert count == pytest.approx(areas[shape] * (0.2 * side) ** 2, rel=0.012)


def rendered_of(chance, side):
    return np.concatenate([piece.masks for piece in textured.render(chance, side)])


def test_colour_does_not_tell_classes():
    """The best guess by a pixel's colour, learnt on 20,000 pixels, is hardly above the ground."""
    found = rendered(count=300)
    coarse = (found.images // 64).astype(np.int64)
    code = (coarse[:, 0] * 16 + coarse[:, 1] * 4 + coarse[:, 2]).ravel()
    counts = np.zeros((64, len(textured.CLASSES)))
    np.add.at(counts, (code, found.masks.ravel()), 1)
    right = counts.max(1).sum() / counts.sum()
    assert (found.masks == 0).mean() <= right < (found.masks == 0).mean() + 0.01
