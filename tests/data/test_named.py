import gzip
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from data_files import (
    binary_batch,
    cifar_records,
    jpeg,
    mnist_test_split,
    python2_batch,
    small_cifar,
    tar_of,
)
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG, DataSet, digits, load
from naqsh.data.entry import Entry
from naqsh.data.fingerprint import fingerprint_of


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits(split):
    entry = CATALOG["digits"]
    data = load("digits", split=split)
    assert len(data) == {"train": entry.train, "test": entry.test}[split]
    assert data.shape == entry.shape
    assert data.images.dtype == np.uint8
    assert data.images.max() == 255
    assert data.images.min() == 0
    assert data.classes == entry.classes
    counts = np.bincount(data.labels, minlength=10)
    assert counts.min() > 0.7 * len(data) / 10


def test_digits_at_8_pixels_are_the_published_ones():
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    parts = [load("digits", split=split, size=8) for split in ("train", "test")]
    ours = {
        (np.rint(image / 255 * 16).astype(int).tobytes(), int(label))
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    }
    theirs = {
        (value.astype(int).tobytes(), int(label))
        for value, label in zip(values, labels, strict=True)
    }
    assert ours == theirs
    assert sum(map(len, parts)) == len(values)


def test_digits_that_were_changed_come_whole_again():
    first = load("digits", split="test")
    first.images[:] = 0
    first.labels[:] = 0
    again = load("digits", split="test")
    assert again.images.max() == 255
    assert again.fingerprint == fingerprint_of(again.images, again.labels)


def test_digits_come_from_the_readers_where_their_file_lies_elsewhere(monkeypatch):
    found = digits._published()
    monkeypatch.setattr(digits, "_file", lambda: Path("elsewhere"))
    digits._published.cache_clear()
    try:
        again = digits._published()
    finally:
        digits._published.cache_clear()
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, again, strict=True))
    assert again[1].dtype == found[1].dtype


def test_digits_do_not_change():
    # A lab hands the same images to all: same split, same filter, wherever it runs.
    assert load("digits").fingerprint == "17c0fd4e2396dc41"


@pytest.mark.parametrize("place", ["mnist", "."])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_found_at_home(tmp_path, place, packed):
    images = mnist_test_split(tmp_path / "home" / place, packed=packed)
    mnist = load("mnist", split="test", home=tmp_path / "home", download=False)
    assert np.array_equal(mnist.images[:, 0], images)
    assert mnist.labels.tolist() == [row % 10 for row in range(10_000)]
    assert mnist.name == "mnist"


def test_homes_are_searched_in_order(tmp_path, cache, monkeypatch):
    places = [tmp_path / "argument", tmp_path / "variable", cache / "data"]
    written = [mnist_test_split(place / "mnist", seed) for seed, place in enumerate(places)]
    monkeypatch.setenv("NAQSH_DATA_HOME", str(places[1]))

    def found() -> int:
        images = load("mnist", split="test", home=places[0], download=False).images
        return next(i for i, array in enumerate(written) if np.array_equal(images[:, 0], array))

    for expected, place in enumerate(places):
        assert found() == expected
        for file in (place / "mnist").iterdir():
            file.unlink()
    with pytest.raises(NaqshError, match="data set 'mnist' needs"):
        found()


def test_size_and_channels(tmp_path):
    images = mnist_test_split(tmp_path)
    mnist = load("mnist", split="test", size=14, channels=3, home=tmp_path, download=False)
    assert mnist.shape == (3, 14, 14)
    expected = Image.fromarray(images[5]).resize((14, 14), Image.Resampling.LANCZOS)
    for channel in range(3):
        assert np.array_equal(mnist.images[5, channel], np.asarray(expected))


@pytest.mark.parametrize("form", ["binary", "python"])
def test_cifar10(tmp_path, monkeypatch, form):
    small_cifar(monkeypatch, 50, 10)
    images, labels = cifar_records(60)
    encode, suffix, folder = {
        "binary": (binary_batch, ".bin", "cifar-10-batches-bin"),
        "python": (python2_batch, "", "cifar-10-batches-py"),
    }[form]
    batches = {
        f"{folder}/data_batch_{n + 1}{suffix}": encode(
            images[10 * n : 10 * n + 10], labels[10 * n : 10 * n + 10]
        )
        for n in (2, 0, 1, 4, 3)  # the published archives are not in order either
    }
    batches[f"{folder}/test_batch{suffix}"] = encode(images[50:], labels[50:])
    batches[f"{folder}/readme.html"] = b"<html>"
    archive = tar_of(tmp_path / "cifar10" / f"cifar-10-{form}.tar.gz", batches)
    train = load("cifar10", home=tmp_path, download=False)
    test = load("cifar10", split="test", home=tmp_path, download=False)
    assert train.name == "cifar10"
    assert np.array_equal(train.images, images[:50])
    assert np.array_equal(train.labels, labels[:50])
    assert np.array_equal(test.images, images[50:])
    assert isinstance(train.images, np.memmap)
    assert not train.images.flags.writeable
    # Once decoded, the archive is not read again; once it changes, it is.
    grey = load("cifar10", channels=1, size=16, home=tmp_path, download=False)
    assert grey.shape == (1, 16, 16)
    archive.write_bytes(b"not an archive")
    with pytest.raises(NaqshError, match="no archive"):
        load("cifar10", home=tmp_path, download=False)


def test_cifar10_from_jpeg_files_says_so(tmp_path, monkeypatch):
    small_cifar(monkeypatch, 20, 10)
    classes = CATALOG["cifar10"].classes
    files = {
        f"train/{name}/{number:04d}.jpg": jpeg(10 * number + label)
        for label, name in enumerate(classes)
        for number in range(2)
    } | {f"test/{name}/0000.jpg": jpeg(100 + label) for label, name in enumerate(classes)}
    tar_of(tmp_path / "cifar10-jpeg.tar.xz", files)
    train = load("cifar10", home=tmp_path)  # and does not try to download what is there
    assert train.name == "cifar10 (jpeg)"
    assert train.labels.tolist() == [*range(10), *range(10)]
    with Image.open(gzip.io.BytesIO(jpeg(13))) as expected:
        assert np.array_equal(train.images[13], np.asarray(expected).transpose(2, 0, 1))
    assert len(load("cifar10", split="test", home=tmp_path)) == 10


def test_catalogue_is_whole():
    for name, entry in CATALOG.items():
        assert name == entry.name
        assert entry.how
        assert entry.licence
        kinds = entry.domains or entry.classes
        unlabelled = entry.captions or entry.extent or entry.reader == "textured"
        assert len(set(kinds)) == len(kinds) >= (0 if unlabelled else 2)
        assert not entry.domains or min(*entry.second, entry.train, entry.test) > 1
        for file in entry.files:
            assert all(url.endswith(f"/{file.name}") for url in file.urls)
            assert len(file.urls) == 2
            kind, _, digest = file.checksum.partition(":")
            assert len(bytes.fromhex(digest)) == {"md5": 16, "sha256": 32}[kind]


def test_real_mnist(real_home):
    if not (real_home / "mnist").is_dir():
        pytest.skip("real data: NAQSH_DATA_HOME has no mnist")
    mnist = load("mnist", split="test", home=real_home, download=False)
    # Counts that the paper's test set is known by.
    assert np.bincount(mnist.labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
    assert mnist.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert round(float(mnist.images.mean()), 2) == 33.79


def test_real_cifar10_jpeg(real_home):
    if not (real_home / "cifar10-jpeg.tar.xz").is_file():
        pytest.skip("real data: NAQSH_DATA_HOME has no cifar10-jpeg.tar.xz")
    cifar = load("cifar10", split="test", home=real_home, download=False)
    assert cifar.name == "cifar10 (jpeg)"
    assert np.bincount(cifar.labels).tolist() == [1000] * 10
    # The published test images have a mean of 0.4765; JPEG keeps it.
    assert abs(float(cifar.images.mean()) / 255 - 0.4765) < 0.002


def test_a_new_set_is_its_entry_and_its_module(monkeypatch):
    def read(wanted):
        images = np.full((wanted.count, *wanted.entry.shape), 7, np.uint8)
        return DataSet.of(wanted.entry.name, images, None, ())

    module = types.ModuleType("naqsh.data.sets.sevens")
    module.read = read
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = Entry("sevens", (1, 2, 2), 5, 3, (), "none", "made here", "sevens")
    monkeypatch.setitem(CATALOG, "sevens", entry)
    assert load("sevens").images.shape == (5, 1, 2, 2)
    assert (load("sevens", split="test").images == 7).all()
