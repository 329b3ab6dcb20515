"""Folders of images and masks: what their values mean, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.data import labelled
from naqsh.data.labelled import VOID


def mask(values, mode="L"):
    return Image.fromarray(np.asarray(values, np.uint8)).convert(mode)


SQUARE = np.kron([[0, 7], [9, 0]], np.ones((4, 4), int))


@pytest.fixture
def folder(tmp_path):
    """Six images of 8x8 with masks of classes 0, 7 and 9."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(6):
        grey = np.full((8, 8, 3), 10 * number, np.uint8)
        Image.fromarray(grey).save(tmp_path / "images" / f"{number}.png")
        mask(SQUARE).save(tmp_path / "masks" / f"{number}_mask.png")
    return tmp_path


def everything(folder, size=8):
    pool, test = labelled.read(folder, size, 3)
    assert pool.classes == test.classes
    masks = np.concatenate([pool.masks, test.masks])
    order = np.argsort(np.concatenate([pool.images, test.images])[:, 0, 0, 0])
    return pool.classes, masks[order]


def test_numbers_become_classes_and_halves_share_no_image(folder):
    assert labelled.laid_out(folder)
    names, masks = everything(folder)
    assert names == ("0", "7", "9")
    assert np.array_equal(masks[3], np.kron([[0, 1], [2, 0]], np.ones((4, 4), int)))
    pool, test = labelled.read(folder, 8, 3)
    assert sorted((*pool.images[:, 0, 0, 0], *test.images[:, 0, 0, 0])) == [0, 10, 20, 30, 40, 50]
    assert len(pool) == len(test) == 3
    assert pool.fingerprint != test.fingerprint


def test_splits_are_kept_apart(folder):
    for split, numbers in (("train", range(4)), ("test", (4, 5))):
        for part, end in (("images", ""), ("masks", "_mask")):
            (folder / split / part).mkdir(parents=True)
            for number in numbers:
                name = f"{number}{end}.png"
                (folder / part / name).rename(folder / split / part / name)
    for part in ("images", "masks"):
        (folder / part).rmdir()
    pool, test = labelled.read(folder, 8, 1)
    assert [len(pool), len(test)] == [4, 2]
    assert test.images[:, 0, 0, 0].tolist() == [40, 50]


def test_255_beside_numbers_is_not_labelled(folder):
    values = SQUARE.copy()
    values[0, 0] = 255
    mask(values).save(folder / "masks" / "0_mask.png")
    names, masks = everything(folder)
    assert names == ("0", "7", "9")
    assert masks[0, 0, 0] == VOID
    assert (masks == VOID).sum() == 1


def test_black_and_white_are_two_classes(folder):
    for number in range(6):
        mask((SQUARE > 0) * 255).save(folder / "masks" / f"{number}_mask.png")
    names, masks = everything(folder)
    assert names == ("0", "255")
    assert set(np.unique(masks)) == {0, 1}


def test_colours_become_classes(folder):
    colours = np.array([(0, 0, 0), (200, 0, 0), (0, 0, 200)], np.uint8)
    index = np.kron([[0, 1], [2, 0]], np.ones((4, 4), int))
    for number in range(6):
        Image.fromarray(colours[index]).save(folder / "masks" / f"{number}_mask.png")
    names, masks = everything(folder)
    assert names == ("#000000", "#0000c8", "#c80000")
    assert np.array_equal(masks[0], np.array([0, 2, 1])[index])


def test_indices_of_a_palette_are_class_numbers(folder):
    for number in range(6):
        indexed = Image.new("P", (8, 8))
        indexed.putpalette([5, 5, 5] * 256)
        indexed.putdata(SQUARE.ravel().tolist())
        indexed.save(folder / "masks" / f"{number}_mask.png")
    assert everything(folder)[0] == ("0", "7", "9")


def test_a_smaller_pixel_has_the_class_that_covers_most_of_it(folder):
    _, masks = everything(folder, size=2)
    assert np.array_equal(masks[0], [[0, 1], [2, 0]])


def test_masks_are_cropped_as_their_images_are(folder):
    """Of a wide image the middle is kept, which is white in the image and class 9 in the mask."""
    for number in range(6):
        image = np.zeros((8, 16, 3), np.uint8)
        image[:, 4:12] = 250
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        mask(np.where(image[:, :, 0] > 0, 9, 7)).save(folder / "masks" / f"{number}_mask.png")
    for size in (8, 4):
        pool, _ = labelled.read(folder, size, 3)
        assert pool.images.min() == 250
        assert (pool.masks == 1).all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: (f / "masks" / "2_mask.png").unlink(), "2.png has no mask"),
        (lambda f: mask(np.zeros((4, 8))).save(f / "masks" / "2_mask.png"), "is 8x4, its image"),
        (
            lambda f: Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(
                f / "masks" / "2_mask.png"
            ),
            "class numbers and .* colours",
        ),
        (
            lambda f: mask(np.arange(64).reshape(8, 8) * 3).save(f / "masks" / "2_mask.png"),
            "different values, and classes are at most 64",
        ),
        (
            lambda f: mask(SQUARE).save(f / "masks" / "2_mask.png", "JPEG"),
            "is a JPEG",
        ),
        (lambda f: (f / "masks" / "2_mask.png").write_bytes(b"x"), "cannot be decoded"),
        (lambda f: mask(SQUARE).save(f / "masks" / "2.png"), "may both be the mask"),
        (lambda f: [mask(SQUARE * 0).save(p) for p in (f / "masks").iterdir()], "have one class"),
    ],
)
def test_what_cannot_be_masks_is_refused_by_name(folder, change, why):
    change(folder)
    with pytest.raises(NaqshError, match=why):
        labelled.read(folder, 8, 3)
