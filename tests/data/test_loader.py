import numpy as np
import pytest
import torch

from naqsh.data import Loader, to_float


def numbered(count: int, shape: tuple[int, int, int] = (1, 2, 3)) -> np.ndarray:
    """Images that tell their row (all pixels equal to it)."""
    rows = np.arange(count, dtype=np.uint8)
    return np.broadcast_to(rows[:, None, None, None], (count, *shape)).copy()


def rows_of(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def test_each_epoch_is_another_permutation():
    loader = Loader(numbered(50), None, seed=3)
    epochs = [rows_of(loader.take(50 * epoch, 50)[0]) for epoch in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(50))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_a_position_holds_the_same_picture_however_it_is_asked_for():
    images = np.random.default_rng(0).integers(0, 256, (13, 1, 4, 5), np.uint8)
    whole, _ = Loader(images, None, seed=1, flip=True).take(0, 100)
    pieces = Loader(images, None, seed=1, flip=True)
    starts = [90, 0, 37, 12, 26, 13]  # backwards, and over the ends of epochs
    for start in starts:
        assert torch.equal(pieces.take(start, 10)[0], whole[start : start + 10])


def test_ranks_share_the_global_batch():
    images = numbered(40)
    one, _ = Loader(images, None, seed=5).take(24, 12)
    ranks = [Loader(images, None, seed=5).take(24 + 4 * rank, 4)[0] for rank in range(3)]
    assert torch.equal(torch.cat(ranks), one)


def test_a_batch_larger_than_the_set():
    images, labels = Loader(numbered(3), np.arange(3), seed=0).take(1, 10)
    assert images.shape == (10, 1, 2, 3)
    assert labels is not None
    assert labels.tolist() == rows_of(images)
    assert sorted(labels[2:5].tolist()) == [0, 1, 2]


def test_labels_stay_with_their_pictures():
    loader = Loader(numbered(100), np.arange(100) * 7, seed=0)
    images, labels = loader.take(60, 80)
    assert labels is not None
    assert labels.dtype == torch.int64
    assert [7 * row for row in rows_of(images)] == labels.tolist()


def test_flip_mirrors_half_of_the_pictures_and_changes_no_order():
    images = np.arange(256, dtype=np.uint8).reshape(64, 1, 1, 4)
    plain, _ = Loader(images, None, seed=9).take(0, 640)
    flipped, _ = Loader(images, None, seed=9, flip=True).take(0, 640)
    same = (plain == flipped).all(dim=(1, 2, 3))
    mirrored = (plain.flip(3) == flipped).all(dim=(1, 2, 3))
    assert bool((same ^ mirrored).all())
    assert 256 < int(mirrored.sum()) < 384  # 320 expected; five standard deviations
    first, second = mirrored[:64], mirrored[64:128]
    assert not torch.equal(first, second)


def test_seeds_differ():
    orders = [rows_of(Loader(numbered(30), None, seed=seed).take(0, 30)[0]) for seed in range(3)]
    assert orders[0] != orders[1] != orders[2]


def test_a_fixed_stream():
    # Guards against a change of the order: every published run would no longer repeat.
    images, _ = Loader(numbered(10), None, seed=0, flip=True).take(5, 10)
    assert rows_of(images) == [7, 0, 2, 9, 4, 4, 8, 5, 0, 7]


def test_a_read_only_memory_map_is_served(tmp_path):
    np.save(tmp_path / "a.npy", numbered(20))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    images, _ = Loader(mapped, None, seed=2, flip=True).take(0, 20)
    assert sorted(rows_of(images)) == list(range(20))
    images.zero_()  # what is served belongs to the caller
    assert mapped[19, 0, 0, 0] == 19


def test_batches_do_not_share_memory_with_the_set():
    images, labels = numbered(4), np.arange(4)
    batch, marks = Loader(images, labels, seed=0).take(0, 4)
    batch.zero_()
    assert marks is not None
    marks.zero_()
    assert images.max() == labels.max() == 3


@pytest.mark.parametrize(
    ("images", "labels", "seed"),
    [
        (numbered(3).astype(np.float64), None, 0),
        (numbered(3)[0], None, 0),
        (numbered(3)[:0], None, 0),
        (numbered(3), np.arange(4), 0),
    ],
)
def test_wrong_arguments(images, labels, seed):
    with pytest.raises(ValueError, match=r"need|labels"):
        Loader(images, labels, seed=seed)


@pytest.mark.parametrize(("start", "count"), [(-1, 2), (0, 0)])
def test_wrong_positions(start, count):
    with pytest.raises(ValueError, match="need start >= 0 and count >= 1"):
        Loader(numbered(3), None, seed=0).take(start, count)


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1), (-0.5, 0.5), (-2, 3)])
def test_to_float(low, high):
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    values = to_float(levels, low, high)
    assert values.dtype == torch.float32
    assert values.shape == levels.shape
    assert values.min() == low
    assert abs(values.max() - high) <= 2**-23 * (high - low)  # a rounding of either term
    exact = low + levels.double() * (high - low) / 255
    assert (values.double() - exact).abs().max() < 3e-7 * (high - low)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("resident", [True, False])
def test_cuda_serves_what_the_cpu_serves(resident, monkeypatch):
    if not resident:
        monkeypatch.setattr("naqsh.data.loader._room_on", lambda device: 0)
    images, labels = numbered(50, (3, 4, 5)), np.arange(50)
    here = Loader(images, labels, seed=4, flip=True)
    there = Loader(images, labels, seed=4, flip=True, device="cuda")
    for start in (0, 30, 60):
        expected, got = here.take(start, 33), there.take(start, 33)
        assert got[0].device.type == "cuda"
        assert torch.equal(got[0].cpu(), expected[0])
        assert torch.equal(got[1].cpu(), expected[1])
        assert torch.equal(to_float(got[0], -1, 1).cpu(), to_float(expected[0], -1, 1))
