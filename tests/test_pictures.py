import io

import numpy as np
import pytest
from PIL import Image

from naqsh.io import outputs
from naqsh.io import png as pictures


def opened(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_to_pixels_rounds_to_the_nearest_level():
    images = np.array([-1, 0, 0.4 / 255, 0.6 / 255, 0.5, 1, 2, np.nan, np.inf], np.float32)
    assert pictures.to_pixels(images).tolist() == [0, 0, 0, 1, 128, 255, 255, 0, 255]
    levels = np.arange(256, dtype=np.uint8)
    assert (pictures.to_pixels(levels.astype(np.float32) / 255) == levels).all()


def test_grid_layout_is_exact(monkeypatch):
    monkeypatch.setattr(pictures, "GAP", 1)
    tiles = np.arange(1, 4, dtype=np.uint8)[:, None, None, None].repeat(2, 2).repeat(3, 3)
    sheet = pictures.grid(tiles, columns=2, background=9)
    factor = 480 // 7  # the longer side is 3 + 1 + 3 pixels
    assert sheet.shape == (5 * factor, 7 * factor, 1)
    expected = [
        [1, 1, 1, 9, 2, 2, 2],
        [1, 1, 1, 9, 2, 2, 2],
        [9, 9, 9, 9, 9, 9, 9],
        [3, 3, 3, 9, 9, 9, 9],
        [3, 3, 3, 9, 9, 9, 9],
    ]
    assert sheet[factor // 2 :: factor, factor // 2 :: factor, 0].tolist() == expected
    # Every pixel became a whole block of its own colour.
    assert (sheet == np.kron(np.array(expected), np.ones((factor, factor)))[..., None]).all()


def test_grid_keeps_order_and_orientation_in_colour():
    random = np.random.default_rng(0)
    tiles = random.integers(0, 256, (5, 3, 300, 200), np.uint8)  # too large to be enlarged
    sheet = pictures.grid(tiles)
    gap = pictures.GAP
    assert sheet.shape == (2 * 300 + gap, 3 * 200 + 2 * gap, 3)
    for number in range(5):
        row, column = divmod(number, 3)
        top, left = row * (300 + gap), column * (200 + gap)
        found = sheet[top : top + 300, left : left + 200]
        assert (found == tiles[number].transpose(1, 2, 0)).all()
    assert (sheet[300:302] == 255).all()
    assert (sheet[302:, 404:] == 255).all()  # the place of the sixth


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [(1, None, (1, 1)), (2, None, (1, 2)), (100, None, (10, 10)), (3, 50, (1, 3)), (3, 1, (3, 1))],
)
def test_grid_is_as_square_as_can_be(count, columns, shape):
    sheet = pictures.grid(np.zeros((count, 1, 480, 480), np.uint8), columns)
    gap = pictures.GAP
    assert sheet.shape == (shape[0] * (480 + gap) - gap, shape[1] * (480 + gap) - gap, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_lossless_and_a_caption_leaves_it_alone(channels):
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (60, 200, channels), np.uint8)
    plain = opened(pictures.to_png(pixels))
    assert (plain.reshape(pixels.shape) == pixels).all()
    words = "gan-digits after 300 steps: 100 samples of seed 0, on two or three lines"
    captioned = opened(pictures.to_png(pixels, words))
    assert captioned.shape[1] == 200
    assert (captioned[:60].reshape(pixels.shape) == pixels).all()
    below = captioned[60:]
    assert len(below) > 40  # it took more than one line
    assert (below == 255).any()
    assert below.min() < 60  # something was written
    assert (below[:, 198:] == 255).all()  # and not beyond the edge


def test_a_word_wider_than_the_picture_is_kept():
    assert len(opened(pictures.to_png(np.zeros((4, 4, 1), np.uint8), "x" * 100))) > 4


def test_same_pixels_same_bytes():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    assert pictures.to_png(pixels, "a b") == pictures.to_png(pixels, "a b")


def test_single_images_are_numbered_from_first(tmp_path):
    tiles = np.random.default_rng(2).integers(0, 256, (3, 3, 5, 4), np.uint8)
    with outputs.image_folder(tmp_path / "new" / "fakes") as aside:
        pictures.save_each(aside, tiles, first=41)
    names = sorted(path.name for path in (tmp_path / "new" / "fakes").iterdir())
    assert names == ["000041.png", "000042.png", "000043.png"]
    for number, name in enumerate(names):
        with Image.open(tmp_path / "new" / "fakes" / name) as image:
            assert (np.asarray(image) == tiles[number].transpose(1, 2, 0)).all()


def test_save_grid_makes_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiles = np.zeros((4, 1, 8, 8), np.uint8)
    pictures.save_grid(tmp_path / "a" / "b.png", tiles, "words")
    from pathlib import Path

    pictures.save_grid(Path("here.png"), tiles)
    assert opened((tmp_path / "here.png").read_bytes()).shape[0] % 18 == 0
