import numpy as np
import pytest

from naqsh.data import load

RANDOM = np.random.default_rng(0).integers(0, 256, (6, 3, 7, 8), np.uint8)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (RANDOM, RANDOM),
        (RANDOM.transpose(0, 2, 3, 1), RANDOM),
        (RANDOM[:, :1].transpose(0, 2, 3, 1), RANDOM[:, :1]),
        (RANDOM[:, 0], RANDOM[:, :1]),
        (np.asfortranarray(RANDOM), RANDOM),
    ],
    ids=["NCHW", "NHWC", "NHW1", "NHW", "Fortran order"],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_layouts(tmp_path, stored, expected, suffix):
    path = tmp_path / f"some.{suffix}"
    if suffix == "npy":
        np.save(path, stored)
    else:
        np.savez(path, stored)
    some = load(str(path))
    assert some.name == "some"
    assert np.array_equal(some.images, expected)
    assert some.images.flags.c_contiguous
    assert some.labels is None


def test_an_array_in_our_layout_is_mapped_not_read(tmp_path):
    np.save(tmp_path / "a.npy", RANDOM)
    images = load(str(tmp_path / "a.npy")).images
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable


@pytest.mark.parametrize("key", ["images", "imgs", "arr_0"])
def test_keys_and_labels(tmp_path, key):
    np.savez_compressed(tmp_path / "a.npz", **{key: RANDOM, "labels": np.array([0, 2, 1, 0, 0, 2])})
    some = load(str(tmp_path / "a.npz"))
    assert np.array_equal(some.images, RANDOM)
    assert some.labels.dtype == np.int64
    assert some.labels.tolist() == [0, 2, 1, 0, 0, 2]
    assert some.classes == ("0", "1", "2")


def test_size_and_channels(tmp_path):
    np.save(tmp_path / "a.npy", RANDOM)
    assert load(str(tmp_path / "a.npy"), size=4, channels=1).images.shape == (6, 1, 4, 4)


def test_equal_pictures_have_equal_fingerprints_in_any_file(tmp_path):
    np.save(tmp_path / "a.npy", RANDOM)
    np.savez(tmp_path / "b.npz", images=RANDOM.transpose(0, 2, 3, 1))
    prints = {load(str(tmp_path / name)).fingerprint for name in ("a.npy", "b.npz")}
    assert len(prints) == 1
