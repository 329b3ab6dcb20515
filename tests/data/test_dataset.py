import numpy as np
import pytest

from naqsh.core.errors import NaqshError
from naqsh.data import DataSet
from naqsh.data import dataset as module


@pytest.fixture
def some() -> DataSet:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), np.uint8)
    return DataSet.of("some", images, np.arange(20) % 4, ("a", "b", "c", "d"))


def test_shape_and_length(some):
    assert some.shape == (3, 4, 5)
    assert len(some) == 20


def test_equal_content_has_an_equal_fingerprint(some):
    again = DataSet.of("another name", some.images.copy(), some.labels.copy())
    assert again.fingerprint == some.fingerprint
    assert len(some.fingerprint) == 16
    int(some.fingerprint, 16)


def test_every_part_of_the_content_counts(some):
    pixel = some.images.copy()
    pixel[19, 2, 3, 4] ^= 1
    label = some.labels.copy()
    label[0] = 3
    others = [
        DataSet.of("x", pixel, some.labels),
        DataSet.of("x", some.images, label),
        DataSet.of("x", some.images),
        DataSet.of("x", some.images.reshape(20, 3, 5, 4), some.labels),
    ]
    prints = {other.fingerprint for other in others}
    assert len(prints) == len(others)
    assert some.fingerprint not in prints


def test_subset_keeps_order_and_labels(some):
    part = some.subset([7, 2, 2])
    assert np.array_equal(part.images, some.images[[7, 2, 2]])
    assert part.labels.tolist() == [3, 2, 2]
    assert part.classes == some.classes


def test_hold_out_divides_once_and_for_all(some):
    train, held = some.hold_out(0.25, seed=1)
    assert (len(train), len(held)) == (15, 5)
    together = {picture.tobytes() for part in (train, held) for picture in part.images}
    assert together == {picture.tobytes() for picture in some.images}
    assert some.hold_out(0.25, seed=1)[1].fingerprint == held.fingerprint
    assert some.hold_out(0.25, seed=2)[1].fingerprint != held.fingerprint


@pytest.mark.parametrize(("fraction", "held"), [(0.001, 1), (0.999, 19)])
def test_hold_out_leaves_a_picture_on_either_side(some, fraction, held):
    assert len(some.hold_out(fraction, seed=0)[1]) == held


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_hold_out_refuses(some, fraction):
    with pytest.raises(NaqshError, match="give one between 0 and 1"):
        some.hold_out(fraction, seed=0)


def test_one_picture_cannot_be_divided(some):
    with pytest.raises(NaqshError, match="at least 2"):
        some.subset([0]).hold_out(0.5, seed=0)


def test_a_large_part_of_a_map_stays_a_map(some, tmp_path, monkeypatch):
    np.save(tmp_path / "some.npy", some.images)
    mapped = np.load(tmp_path / "some.npy", mmap_mode="r")
    large = DataSet("some", mapped, some.labels, some.classes, some.fingerprint)
    monkeypatch.setattr(module, "_IN_MEMORY", 10 * 60)
    train, held = large.hold_out(0.25, seed=1)
    assert isinstance(train.images, np.memmap)
    assert not isinstance(held.images, np.memmap)
    expected = some.hold_out(0.25, seed=1)
    assert train.fingerprint == expected[0].fingerprint
    assert held.fingerprint == expected[1].fingerprint
    assert np.array_equal(train.labels, expected[0].labels)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((2, 1, 3, 3)), None),
        (np.zeros((2, 3, 3), np.uint8), None),
        (np.zeros((2, 1, 3, 3), np.uint8), np.zeros(3, int)),
    ],
)
def test_wrong_arrays(images, labels):
    with pytest.raises(ValueError, match=r"need uint8|labels of shape"):
        DataSet.of("x", images, labels)
