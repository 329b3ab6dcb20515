import logging
import subprocess
import sys

import numpy as np
import pytest

from naqsh.core.errors import NaqshError
from naqsh.data import conversion, load, notes, npy

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


def test_an_array_in_our_layout_is_mapped_where_it_is_large(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", RANDOM)
    assert not isinstance(load(str(tmp_path / "a.npy")).images, np.memmap)
    monkeypatch.setattr(conversion, "IN_MEMORY", RANDOM.nbytes - 1)
    images = load(str(tmp_path / "a.npy")).images
    assert isinstance(images, np.memmap)
    assert str(images.filename) == str(tmp_path / "a.npy")
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


def saved(path, **arrays):
    np.savez(path, **arrays)
    return load(str(path))


@pytest.fixture(autouse=True)
def _all_notes_again(monkeypatch):
    monkeypatch.setattr(notes, "_said", set())


MARKS = np.array([4, 0, 4, 2, 0, 0])


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"arr_0": RANDOM, "arr_1": MARKS}, ""),  # guided-diffusion's own format
        ({"images": RANDOM, "label": MARKS}, ""),
        ({"images": RANDOM, "y": MARKS, "ids": np.arange(6)}, ""),
        ({"x": RANDOM, "targets": MARKS.astype(np.uint8)[:, None]}, ""),
        ({"data": RANDOM, "labels": MARKS.astype(np.float32)}, ""),
        ({"images": RANDOM, "labels": MARKS.astype(">i2"), "y": MARKS[::-1]}, ""),
        ({"photos": RANDOM, "marks": MARKS}, "the labels are marks, the only array that could be"),
        ({"images": RANDOM, "labels": np.full(6, 0.5), "y": MARKS}, "numbers such as 0.5, not"),
        ({"images": RANDOM, "labels": list("ab"), "y": MARKS}, ""),  # the classes' names
    ],
)
def test_labels_by_any_name(tmp_path, arrays, said):
    some = saved(tmp_path / "a.npz", **arrays)
    assert np.array_equal(some.images, RANDOM)
    assert some.classes == ("0", "2", "4")
    assert some.labels.tolist() == [2, 0, 2, 1, 0, 0]
    assert said in " ".join(some.notes)
    assert bool(said) == bool(some.notes)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": RANDOM, "shape": MARKS, "colour": MARKS}, "colour and shape could be labels"),
        ({"images": RANDOM, "index": np.arange(6)}, "index has another value for every image"),
        ({"images": RANDOM, "labels": np.eye(6, dtype=int)[:, :2]}, "not a single 1 among zeros"),
        ({"images": RANDOM, "heights": np.full(6, 0.5)}, ""),
        ({"images": RANDOM, "y": MARKS[:4]}, ""),
    ],
)
def test_labels_are_not_guessed(tmp_path, arrays, said, caplog):
    with caplog.at_level(logging.WARNING):
        some = saved(tmp_path / "a.npz", **arrays)
    assert some.labels is None
    assert some.classes == ()
    assert said in " ".join(some.notes)
    logged = [record.getMessage() for record in caplog.records]
    assert logged == [f"note: {note}" for note in some.notes]
    assert len(logged) == bool(said)


def test_labels_and_images_that_are_named(tmp_path):
    arrays = {"a": RANDOM, "b": RANDOM[::-1], "shape": MARKS, "colour": MARKS % 3}
    np.savez(tmp_path / "a.npz", **arrays)
    some = load(str(tmp_path / "a.npz"), key="b", labels="colour")
    assert np.array_equal(some.images, RANDOM[::-1])
    assert some.classes == ("0", "1", "2")
    assert some.labels.tolist() == (MARKS % 3).tolist()
    assert some.notes == (f"{tmp_path / 'a.npz'}: a left out",)
    np.save(tmp_path / "b.npy", RANDOM)
    np.save(tmp_path / "marks.npy", MARKS)
    for named in ("marks", "marks.npy"):
        assert load(str(tmp_path / "b.npy"), labels=named).labels.tolist() == [2, 0, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (np.array([3, 900, 3, 900, 3, 3]), ("3", "900"), [0, 1, 0, 1, 0, 0]),
        (np.array([-1, 1, 1, 1, -1, 1]), ("-1", "1"), [0, 1, 1, 1, 0, 1]),
        (np.array([2**63, 1, 1, 1, 1, 1], np.uint64), ("1", str(2**63)), [1, 0, 0, 0, 0, 0]),
        (np.array([True, False] * 3), ("False", "True"), [1, 0, 1, 0, 1, 0]),
        (np.eye(3, dtype=np.float32)[[0, 2, 1, 0, 0, 2]], ("0", "1", "2"), [0, 2, 1, 0, 0, 2]),
        (np.array(["گربه", "سگ"] * 3), ("سگ", "گربه"), [1, 0, 1, 0, 1, 0]),
        (np.array([b"cat", b"dog"] * 3), ("cat", "dog"), [0, 1, 0, 1, 0, 1]),
        (np.array(["a\x1b[2J", "b"] * 3), ("a�[2J", "b"), [0, 1, 0, 1, 0, 1]),
        (np.array(["می\u200cخوانم", "b"] * 3), ("b", "می\u200cخوانم"), [1, 0, 1, 0, 1, 0]),
    ],
)
def test_classes_are_those_that_occur(tmp_path, labels, classes, numbers):
    some = saved(tmp_path / "a.npz", images=RANDOM, labels=labels)
    assert some.classes == classes
    assert some.labels.tolist() == numbers
    assert some.labels.dtype == np.int64
    assert some.counts == tuple(np.bincount(numbers).tolist())


def test_too_many_classes(tmp_path):
    images = np.zeros((70_000, 1, 4, 2), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(70_000))
    with pytest.raises(NaqshError, match="70,000 different values, more than 65,536 classes"):
        load(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),  # Keras
        ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
        ("X_train", "labels_train", "X_test", "labels_test"),
        ("train", "train_target", "test", "test_target"),
    ],
)
def test_a_file_with_both_splits(tmp_path, names):
    both = dict(zip(names, (RANDOM, MARKS, RANDOM[:3, ::-1], np.array([7, 4, 4])), strict=True))
    np.savez(tmp_path / "a.npz", **both, val_images=RANDOM)
    train = load(str(tmp_path / "a.npz"))
    test = load(str(tmp_path / "a.npz"), split="test")
    assert np.array_equal(train.images, RANDOM)
    assert np.array_equal(test.images, RANDOM[:3, ::-1])
    assert train.classes == test.classes == ("0", "2", "4", "7")
    assert train.labels.tolist() == [2, 0, 2, 1, 0, 0]
    assert test.labels.tolist() == [3, 2, 2]
    assert train.counts == (3, 1, 2, 0)
    assert "val_images left out" in " ".join(train.notes)
    # Its own test images are taken, not some that are held out.
    held = load(str(tmp_path / "a.npz"), split="test", holdout=0.5)
    assert held.fingerprint == test.fingerprint
    named = load(str(tmp_path / "a.npz"), split="test", key=names[0], labels=names[1])
    assert named.fingerprint == test.fingerprint


def test_a_file_without_a_test_split_can_hold_out(tmp_path):
    np.savez(tmp_path / "a.npz", images=RANDOM, labels=MARKS)
    with pytest.raises(NaqshError, match=r"no test split.*--reference train"):
        load(str(tmp_path / "a.npz"), split="test")
    parts = [load(str(tmp_path / "a.npz"), split=s, holdout=0.3) for s in ("train", "test")]
    assert [len(part) for part in parts] == [4, 2]
    assert parts[0].classes == parts[1].classes == ("0", "2", "4")


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<f2", ">f2"])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_floats_in_a_range(tmp_path, dtype, low, high):
    values = (RANDOM / 255 * (high - low) + low).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    some = load(str(tmp_path / "a.npy"), range=(low, high))
    # float16 has 11 bits: of [-1, 1] a level is 1/128, of [0, 255] it can be off by 1/16.
    assert np.array_equal(some.images, RANDOM)
    assert some.fingerprint == saved(tmp_path / "b.npz", images=RANDOM).fingerprint


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        (RANDOM.astype(np.int64), (0, 255)),
        (RANDOM.astype(">u2") * 257, (0, 65535)),
        (RANDOM > 127, None),
        ((RANDOM > 127).astype(np.uint8), (0, 1)),
    ],
)
def test_other_types(tmp_path, values, limits):
    np.save(tmp_path / "a.npy", values)
    some = load(str(tmp_path / "a.npy"), range=limits)
    binary = values.max() <= 1
    assert np.array_equal(some.images, np.where(RANDOM > 127, 255, 0) if binary else RANDOM)
    assert some.notes == ()


def test_rounding_may_leave_the_range_by_less_than_half_a_level(tmp_path):
    np.save(tmp_path / "a.npy", np.full((4, 8, 8), 1 + 0.4 / 255))
    assert load(str(tmp_path / "a.npy"), range=(0, 1)).images.min() == 255
    np.save(tmp_path / "a.npy", np.full((4, 8, 8), 1 + 0.6 / 255))
    with pytest.raises(NaqshError, match=r"outside data\.range"):
        load(str(tmp_path / "a.npy"), range=(0, 1))


def test_zeros_and_ones_get_a_note(tmp_path):
    (note,) = saved(tmp_path / "a.npz", images=RANDOM % 2).notes
    assert "give --data.range 0,1" in note


@pytest.mark.parametrize(
    "stored",
    [
        RANDOM,
        RANDOM.transpose(0, 2, 3, 1),
        np.asfortranarray(RANDOM),
        RANDOM / 255,
        RANDOM[:, 0],
    ],
    ids=["NCHW", "NHWC", "Fortran order", "floats", "NHW"],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize(("size", "channels"), [(None, None), (4, 1), (None, 3)])
def test_pieces_in_the_cache_are_what_is_made_in_memory(
    tmp_path, monkeypatch, cache, stored, suffix, size, channels
):
    path = tmp_path / f"a.{suffix}"
    (np.save if suffix == "npy" else np.savez)(path, stored)
    options = {"size": size, "channels": channels}
    options |= {"range": (0, 1)} if stored.dtype.kind == "f" else {}
    small = load(str(path), **options)
    monkeypatch.setattr(conversion, "IN_MEMORY", 10)
    monkeypatch.setattr(npy, "_PIECE", 400)  # one or two images a piece
    large = load(str(path), **options)
    assert isinstance(large.images, np.memmap)
    assert np.array_equal(large.images, small.images)
    assert large.fingerprint == small.fingerprint
    assert not isinstance(small.images, np.memmap)
    again = load(str(path), **options)
    assert again.images.filename == large.images.filename


def test_other_labels_are_not_those_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "IN_MEMORY", 10)
    np.savez(tmp_path / "a.npz", images=RANDOM, shape=MARKS, colour=MARKS % 3)
    sets = [load(str(tmp_path / "a.npz"), size=4, labels=name) for name in ("shape", "colour")]
    assert [data.labels.tolist() for data in sets] == [[2, 0, 2, 1, 0, 0], (MARKS % 3).tolist()]
    assert sets[0].fingerprint != sets[1].fingerprint


LIMITED = """
import resource, sys
import numpy as np
from naqsh.data import load
import naqsh.data.sources
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), -1))
data = load(sys.argv[2], **eval(sys.argv[3]))
print(data.images.shape, data.images[-1].max(), data.images.sum(dtype=int))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of the address space is Linux's")
@pytest.mark.parametrize(
    "options", [{}, {"size": 16}, {"channels": 1}, {"size": 16, "channels": 1}], ids=str
)
def test_an_array_larger_than_the_memory(tmp_path, options):
    count, side = 40_000, 64
    with (tmp_path / "big.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + count * side * side * 3)  # sparse: holes are zeros
        file.seek(-(side * side * 3), 2)
        file.write(b"\xff" * (side * side * 3))
    # 470 MiB of values; the result is mapped, so the address space holds it once.
    limit = 850 << 20
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), str(tmp_path / "big.npy"), repr(options)],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    shape = (options.get("channels", 3), *2 * (options.get("size", side),))
    assert done.stdout == f"{(count, *shape)} 255 {255 * np.prod(shape)}\n"


def test_no_memory_is_told_in_one_line(tmp_path, monkeypatch):
    def none_left(*_):
        raise MemoryError

    np.save(tmp_path / "a.npy", RANDOM.transpose(0, 2, 3, 1))
    monkeypatch.setattr(np, "empty", none_left)
    with pytest.raises(NaqshError, match="does not fit into the memory"):
        load(str(tmp_path / "a.npy"))
