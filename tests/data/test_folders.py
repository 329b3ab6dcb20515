import os
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from naqsh.data import decoding, folders, load


def red(size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new("RGB", size, (255, 0, 0))


def test_a_flat_folder(tmp_path, picture):
    for index in range(3):
        picture(f"set/{index}.png", (6, 4), seed=index)
    (tmp_path / "set" / "notes.txt").write_text("not an image")
    (tmp_path / "set" / ".hidden.png").write_text("not shown")
    pictures = load(str(tmp_path / "set"))
    assert pictures.name == "set"
    assert pictures.images.shape == (3, 3, 4, 6)
    assert pictures.labels is None
    assert pictures.classes == ()
    assert isinstance(pictures.images, np.memmap)
    assert not pictures.images.flags.writeable
    with Image.open(tmp_path / "set" / "1.png") as expected:
        assert np.array_equal(pictures.images[1], np.asarray(expected).transpose(2, 0, 1))


def test_classes_are_sub_folders(tmp_path, picture):
    for index, name in enumerate(["b/1.png", "a/deep/er/2.PNG", "a/1.jpeg", "c.png/3.gif"]):
        picture(f"set/{name}", seed=index)
    (tmp_path / "set" / "empty").mkdir()
    (tmp_path / "set" / ".thumbs").mkdir()
    pictures = load(str(tmp_path / "set"))
    assert pictures.classes == ("a", "b", "c.png")
    assert pictures.labels.tolist() == [0, 0, 1, 2]
    assert [file.name for file in folders.files(tmp_path / "set").files] == [
        *("1.jpeg", "2.PNG", "1.png", "3.gif")
    ]


def test_train_and_test_folders_are_splits(tmp_path, picture):
    for index in range(4):
        picture(f"set/train/x/{index}.png", seed=index)
    for index in range(2):
        picture(f"set/test/x/{index}.png", seed=10 + index)
    assert len(load(str(tmp_path / "set"))) == 4
    test = load(str(tmp_path / "set"), split="test")
    assert len(test) == 2
    assert test.classes == ("x",)


def test_size_crops_the_middle_and_resizes(tmp_path):
    wide = Image.new("RGB", (40, 20))
    wide.paste((255, 255, 255), (10, 0, 30, 20))
    wide.save(tmp_path / "wide.png")
    wide.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "tall.png")
    pictures = load(str(tmp_path), size=10)
    assert pictures.images.shape == (2, 3, 10, 10)
    assert pictures.images.min() == 255


def test_resizing_averages_fine_detail(tmp_path):
    board = np.indices((64, 64)).sum(0) % 2 * 255
    for name in "ab":
        Image.fromarray(board.astype(np.uint8)).save(tmp_path / f"{name}.png")
    inside = load(str(tmp_path), size=16).images[:, :, 2:-2, 2:-2].astype(int)
    assert abs(inside - 127.5).max() < 4  # without an antialiasing filter: 0 and 255


@pytest.mark.parametrize(
    ("modes", "asked", "channels"),
    [
        (["L", "L"], None, 1),
        (["L", "RGB"], None, 3),
        (["LA", "1"], None, 1),
        (["RGB", "RGB"], 1, 1),
        (["L", "L"], 3, 3),
    ],
)
def test_channels(tmp_path, picture, modes, asked, channels):
    for index, mode in enumerate(modes):
        picture(f"{index}.png", mode=mode, seed=index)
    assert load(str(tmp_path), channels=asked).shape == (channels, 8, 8)


def test_grey_is_what_pil_calls_grey(tmp_path, picture):
    files = [picture(f"{index}.png", seed=index) for index in range(2)]
    colour = load(str(tmp_path))
    from naqsh.data import pixels

    for row, file in enumerate(files):
        with Image.open(file) as opened:
            expected = np.asarray(opened.convert("L"))
        assert np.array_equal(pixels.recolour(colour.images, 1)[row, 0], expected)
        assert np.array_equal(load(str(tmp_path), channels=1).images[row, 0], expected)


def saved(path, image, **how):
    image.save(path, **how)
    return decoding.decode(path, path.name).pixels


def test_orientation_of_a_camera_is_applied(tmp_path):
    half = red((8, 16))
    half.paste((0, 0, 255), (0, 0, 8, 8))  # blue above, red below
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    half.save(tmp_path / "a.png", exif=exif)
    half.save(tmp_path / "b.png", exif=exif)
    pictures = load(str(tmp_path))
    assert pictures.shape == (3, 8, 16)
    assert pictures.images[0, :, 4, 2].tolist() == [255, 0, 0]
    assert pictures.images[0, :, 4, 13].tolist() == [0, 0, 255]


def test_transparent_parts_turn_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 0))
    assert saved(tmp_path / "a.png", image)[:, 0].T.tolist() == [[255, 0, 0], [255, 255, 255]]
    grey = Image.new("LA", (2, 1), (100, 255))
    grey.putpixel((1, 0), (100, 0))
    assert saved(tmp_path / "b.png", grey).tolist() == [[[100, 255]]]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_a_palette_with_a_transparent_colour(tmp_path, transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    got = saved(tmp_path / "a.png", image, transparency=transparency)
    assert got[:, 0].T.tolist() == [[255, 0, 0], [255, 255, 255]]


def test_sixteen_bits_are_scaled(tmp_path):
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    assert saved(tmp_path / "a.png", Image.fromarray(values)).tolist() == [[[0, 1, 128, 255]]]
    assert saved(tmp_path / "a.tiff", Image.fromarray(values)).tolist() == [[[0, 1, 128, 255]]]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_gives_its_first_frame(tmp_path, suffix):
    others = [Image.new("RGB", (4, 4), (0, 0, 255))]
    how = {"lossless": True} if suffix == "webp" else {}
    got = saved(tmp_path / f"a.{suffix}", red(), save_all=True, append_images=others, **how)
    assert got[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["CMYK", "1", "P"])
def test_other_modes(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    got = saved(tmp_path / f"a.{suffix}", Image.new("RGB", (8, 8), "white").convert(mode))
    assert got.shape == ((1, 8, 8) if mode == "1" else (3, 8, 8))
    assert got.min() >= 254


def test_decoded_once(tmp_path, picture, monkeypatch):
    for index in range(3):
        picture(f"set/{index}.png", seed=index)
    first = load(str(tmp_path / "set"))
    monkeypatch.setattr(decoding, "decode", lambda *_: pytest.fail("decoded again"))
    monkeypatch.setattr(decoding, "_open", lambda *_: pytest.fail("opened again"))
    again = load(str(tmp_path / "set"))
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.images, first.images)


def test_a_change_is_noticed(tmp_path, picture, cache):
    for index in range(2):
        file = picture(f"set/{index}.png", seed=index)
    source = str(tmp_path / "set")
    prints = [load(source).fingerprint]
    picture("set/1.png", seed=7)  # another image
    prints.append(load(source).fingerprint)
    picture("set/2.png", seed=8)  # one more
    prints.append(load(source).fingerprint)
    file.unlink()  # one less
    prints.append(load(source).fingerprint)
    assert len(set(prints)) == 4
    # What was decoded of the older states is gone, so the cache does not grow with every change.
    assert len(list((cache / "pictures").glob("*/images.npy"))) == 1


def test_sizes_are_kept_side_by_side(tmp_path, picture, cache):
    for index in range(2):
        picture(f"set/{index}.png", seed=index)
    for size in (4, 6, 4):
        assert load(str(tmp_path / "set"), size=size).shape == (3, size, size)
    assert len(list((cache / "pictures").glob("*/images.npy"))) == 2


def test_more_pictures_than_a_chunk(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(folders, "_CHUNK", 3)
    for index in range(8):
        Image.new("L", (2, 2), index).save(tmp_path / f"{index}.png")
    assert load(str(tmp_path)).images[:, 0, 0, 0].tolist() == list(range(8))


def test_a_file_that_lies_about_its_kind_starts_no_interpreter(tmp_path):
    # PIL would hand PostScript to an interpreter; ours does not even try.
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")
    with pytest.raises(Exception, match=r"a\.png cannot be decoded"):
        decoding.decode(tmp_path / "a.png", "a.png")


def test_a_bomb_does_not_warn_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in "ab":
        red((11, 11)).save(tmp_path / f"{name}.png")  # over the limit, under twice the limit
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Exception, match="is refused: it claims more than"):
            load(str(tmp_path))


class Listing(list):
    """What a file system lists, as ``os.scandir`` gives it."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_fingerprints_do_not_hang_on_the_order_in_which_a_file_system_lists(
    tmp_path, cache, monkeypatch
):
    """A set like an anomaly folder's, with links and nested folders, listed in six orders."""
    top = tmp_path / "set"
    train = ("good/a", "good/10", "good/9", "good/deep/b", "good/B")
    test = ("good/0", "crack/1", "crack/0", "a b/2", "Z/2")
    names = [*(f"train/{name}" for name in train), *(f"test/{name}" for name in test)]
    for number, name in enumerate(names):
        file = top / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 6), 20 * number, np.uint8)).save(file)
    (top / "test" / "linked").symlink_to(tmp_path / "set" / "test" / "crack")
    (tmp_path / "else").mkdir()
    Image.fromarray(np.full((6, 6), 250, np.uint8)).save(tmp_path / "else" / "x.png")
    (top / "test" / "m").symlink_to(tmp_path / "else")
    scandir, found = os.scandir, set()
    for seed in range(6):

        def shuffled(path=".", seed=seed):
            with scandir(path) as entries:
                order = sorted(entries, key=lambda e: zlib.crc32(f"{seed}{e.name}".encode()))
            return Listing(order)

        monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / f"cache-{seed}"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", shuffled)
            splits = [load(str(top), split=split) for split in ("train", "test")]
        found.add(tuple((s.fingerprint, s.classes, len(s)) for s in splits))
    assert len(found) == 1
    ((learnt, shown),) = found
    assert (learnt[2], shown[2]) == (5, 6)
