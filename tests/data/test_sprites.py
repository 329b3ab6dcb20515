"""The rendered sprites against their geometry, and the published files as they are read."""

import itertools
import zipfile

import numpy as np
import pytest

from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG, load, sprites

POSITIONS, SIDE = sprites.POSITIONS, sprites.SIDE


@pytest.fixture(scope="module")
def grid():
    """Orientation 0 as (shape, scale, x, y, row, column)."""
    images = np.concatenate(list(sprites.render(1)))
    return images.reshape(3, 6, POSITIONS, POSITIONS, SIDE, SIDE)


def test_the_splits_are_the_whole_set_and_share_nothing(grid):
    entry = CATALOG["dsprites"]
    train, test = load("dsprites"), load("dsprites", split="test")
    assert len(train) == entry.train == 13_432
    assert len(test) == entry.test == 5000
    packed = [np.packbits(d.images.reshape(len(d), -1) > 0, axis=1) for d in (train, test)]
    both = np.concatenate(packed)
    assert len(np.unique(both, axis=0)) == len(both) == 18_432 == sprites.count(1)
    whole = np.packbits(grid.reshape(18_432, -1) > 0, axis=1)
    assert np.array_equal(np.unique(both, axis=0), np.unique(whole, axis=0))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split(split, grid):
    data, chosen = load("dsprites", split=split), sprites.split(split, 1)
    assert data.name == "dsprites (rendered)"
    assert data.shape == CATALOG["dsprites"].shape == (1, 64, 64)
    assert set(np.unique(data.images)) == {0, 255}
    assert data.classes == sprites.SHAPES == CATALOG["dsprites"].classes
    assert np.array_equal(data.images[:, 0], grid.reshape(-1, SIDE, SIDE)[chosen])
    assert np.array_equal(data.labels, sprites.labels(1)[chosen])
    assert min(data.counts) > 0.9 * len(data) / 3


def test_the_set_does_not_change():
    # Runs on different machines are compared by these.
    assert load("dsprites").fingerprint == "dc9c4e2829475278"
    assert load("dsprites", split="test").fingerprint == "557f56e8c7acc3e0"


def test_a_step_in_position_moves_by_one_pixel(grid):
    assert np.array_equal(grid[:, :, 1:, :, :, 1:], grid[:, :, :-1, :, :, :-1])
    assert np.array_equal(grid[:, :, :, 1:, 1:, :], grid[:, :, :, :-1, :-1, :])


def test_no_shape_is_cut_by_the_frame(grid):
    areas = (grid > 0).sum(axis=(4, 5))
    assert np.array_equal(areas, np.broadcast_to(areas[:, :, :1, :1], areas.shape))
    for shape, angle in itertools.product(sprites.SHAPES, np.linspace(0, 2 * np.pi, 40)):
        edge = sprites.mask(shape, 1.0, angle)
        assert not edge[[0, -1]].any()
        assert not edge[:, [0, -1]].any()


@pytest.mark.parametrize("scale", sprites.SCALES)
def test_shapes_are_symmetric_where_they_should_be(scale):
    square, ellipse, heart = (sprites.mask(shape, scale, 0.0) for shape in sprites.SHAPES)
    for mask in (square, ellipse, heart):
        assert np.array_equal(mask, mask[:, ::-1])
    for mask in (square, ellipse):
        assert np.array_equal(mask, mask[::-1])
    assert np.array_equal(square, square.T)
    assert not np.array_equal(heart, heart[::-1])
    rows = np.flatnonzero(heart.any(axis=1))
    # Upright: two lobes above, one tip below.
    assert (heart[rows[0]] > 0).sum() > (heart[rows[-1]] > 0).sum()


def test_area_grows_with_the_square_of_the_scale():
    # Counting pixel centres errs by at most those that the outline passes: its length, roughly.
    exact = {"square": 21.0**2, "ellipse": np.pi * 7.3 * 11.3}
    for shape, scale in itertools.product(sprites.SHAPES, sprites.SCALES):
        area = (sprites.mask(shape, scale, 0.0) > 0).sum()
        largest = exact.get(shape, float((sprites.mask("heart", 1.0, 0.0) > 0).sum()))
        outline = 4 * 23 * scale
        assert abs(area - largest * scale**2) < outline / 2, (shape, scale)


def test_turning():
    angles = np.linspace(0, 2 * np.pi, sprites.ORIENTATIONS)
    for shape in sprites.SHAPES:
        upright = sprites.mask(shape, 0.8, angles[0])
        assert np.array_equal(sprites.mask(shape, 0.8, angles[-1]), upright)
        # Clockwise on the screen, where rows go down.
        assert np.array_equal(sprites.mask(shape, 0.8, np.pi / 2), np.rot90(upright, -1))
        assert not np.array_equal(sprites.mask(shape, 0.8, angles[3]), upright)


def test_all_orientations_hold_those_of_orientation_0():
    blocks = sprites.render(sprites.ORIENTATIONS)
    plain = sprites.render(1)
    for number, block in enumerate(itertools.islice(blocks, 81)):
        if number % sprites.ORIENTATIONS == 0:
            assert np.array_equal(block, next(plain))


def test_factors_name_the_pictures(grid):
    flat = grid.reshape(-1, SIDE, SIDE)
    for index in (0, 31, 32, 6143, 6144, 18_431, 9999):
        ((shape, scale, orientation, x, y),) = sprites.factors(np.array([index]))
        assert orientation == 0
        assert np.array_equal(flat[index], grid[shape, scale, x, y])
        rows, columns = np.nonzero(sprites.mask(sprites.SHAPES[shape], sprites.SCALES[scale], 0.0))
        there = np.nonzero(flat[index])
        # The mask's middle, (16, 16), lies on pixel (16 + y, 16 + x).
        assert np.array_equal(there[0], rows + y)
        assert np.array_equal(there[1], columns + x)
    assert sprites.factors(np.array([737_279]), 40).tolist() == [[2, 5, 39, 31, 31]]


@pytest.fixture
def few(monkeypatch):
    """Two orientations stand for 40: a published file would hold 3 GB."""
    monkeypatch.setattr(sprites, "ORIENTATIONS", 2)


def official(path, blocks=36, **changes):
    """A file of the published form, of which only so many blocks of images are stored."""
    whole = sprites.count(2)
    index = sprites.factors(np.arange(whole), 2)
    classes = np.concatenate([np.zeros((whole, 1), np.int64), index], axis=1)
    values = classes.astype(np.float64)
    values[:, 2] = 0.5 + 0.1 * classes[:, 2]
    held = {"latents_values": values, "latents_classes": classes}
    held["metadata"] = np.array({"title": "dSprites"}, dtype=object)
    held.update(changes)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for key, array in held.items():
            if array is not None:
                with archive.open(f"{key}.npy", "w") as file:
                    np.lib.format.write_array(file, array)
        if "imgs" in changes:
            return
        header = {"descr": "|u1", "fortran_order": False, "shape": (whole, SIDE, SIDE)}
        with archive.open("imgs.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in itertools.islice(sprites.render(2), blocks):
                file.write((block // 255).tobytes())


@pytest.mark.usefixtures("few")
def test_the_official_file_is_what_is_rendered(tmp_path):
    path = tmp_path / sprites.OFFICIAL
    official(path)
    for orientations in (1, 2):
        pairs = zip(sprites.read(path, orientations), sprites.render(orientations), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.usefixtures("few")
def test_an_official_file_that_ends_too_early_is_refused(tmp_path):
    path = tmp_path / sprites.OFFICIAL
    official(path, blocks=35)
    with pytest.raises(NaqshError, match=r"claims .* bytes .*published file"):
        next(sprites.read(path, 1))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"latents_classes": None}, "no latents_classes"),
        ({"latents_values": np.zeros((3, 6))}, "shape"),
        ({"imgs": np.zeros((7, 64, 64), np.uint8)}, "have shape"),
        ({"imgs": np.zeros((7, 64, 64))}, "type float64"),
        ({"imgs": np.array([print], dtype=object)}, "a pickle"),
        ({"imgs": None}, "no imgs"),
        ({"latents_classes": np.array([print], dtype=object)}, "a pickle"),
    ],
)
def test_other_files_are_refused(tmp_path, changes, words):
    path = tmp_path / sprites.OFFICIAL
    official(path, **changes)
    with pytest.raises(NaqshError, match=words):
        list(itertools.islice(sprites.read(path, 1), 2))


@pytest.mark.usefixtures("few")
def test_factors_in_another_order_are_refused(tmp_path):
    whole = sprites.count(2)
    classes = np.zeros((whole, 6), np.int64)
    classes[:, 1:] = sprites.factors(np.arange(whole)[::-1], 2)
    path = tmp_path / sprites.OFFICIAL
    official(path, latents_classes=classes)
    with pytest.raises(NaqshError, match="order"):
        next(sprites.read(path, 1))


@pytest.mark.parametrize("x_fastest", [True, False])
@pytest.mark.parametrize("top", [1, 255])
def test_the_reduced_file_in_either_order(tmp_path, grid, x_fastest, top):
    stored = grid.swapaxes(2, 3) if x_fastest else grid.reshape(-1, SIDE, SIDE)
    np.savez_compressed(
        tmp_path / sprites.REDUCED, imgs=np.ascontiguousarray(stored) // (255 // top)
    )
    data = load("dsprites", home=tmp_path)
    assert data.name == "dsprites"
    assert data.fingerprint == load("dsprites").fingerprint
    assert isinstance(data.images, np.memmap)


def test_a_damaged_reduced_file_is_refused(tmp_path, grid):
    path = tmp_path / sprites.REDUCED
    np.savez(path, imgs=grid.reshape(-1, SIDE, SIDE) // 2)
    with pytest.raises(NaqshError, match="two values"):
        load("dsprites", home=tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(NaqshError, match="refused"):
        load("dsprites", home=tmp_path)


@pytest.mark.usefixtures("few")
def test_all_orientations_go_through_the_cache():
    train, test = (load("dsprites-full", split=split) for split in ("train", "test"))
    assert train.name == test.name == "dsprites-full (rendered)"
    assert isinstance(train.images, np.memmap)
    assert (len(train), len(test)) == (31_864, 5000)
    whole = np.concatenate(list(sprites.render(2)))
    for split, data in (("train", train), ("test", test)):
        chosen = sprites.split(split, 2)
        assert np.array_equal(data.images, whole[chosen])
        assert np.array_equal(data.labels, sprites.labels(2)[chosen])


def test_other_sizes():
    data = load("dsprites", split="test", size=32, channels=3)
    assert data.shape == (3, 32, 32)
