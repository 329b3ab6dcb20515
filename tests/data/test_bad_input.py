"""What users and strangers get wrong, and the one line that each is told."""

import gzip
import pickle
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import (
    RunsWhenLoaded,
    binary_batch,
    cifar_records,
    idx_bytes,
    jpeg,
    mnist_test_split,
    python2_batch,
    small_cifar,
    tar_of,
    trap,
)
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.data import load


@dataclass
class Case:
    """`make(folder)` writes the input; `source` is under that folder if it starts with a dot."""

    name: str
    line: str
    source: str = "./in"
    make: Callable[[Path], Any] = lambda folder: None
    options: dict[str, Any] = field(default_factory=dict)


def save(path: Path, image: Image.Image, **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)


def two(folder: Path, **how: Any) -> None:
    """Two good images in `folder/in`."""
    for index in range(2):
        save(folder / "in" / f"{index}.png", Image.new("RGB", (8, 8), (index, 0, 0)), **how)


def beside_good(name: str, content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        two(folder)
        (folder / "in" / name).write_bytes(content)

    return make


def png(width: int, height: int) -> bytes:
    """The head of a PNG that claims a size."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def sizes(folder: Path) -> None:
    save(folder / "in" / "a.png", Image.new("RGB", (8, 6)))
    save(folder / "in" / "b.png", Image.new("RGB", (10, 12)))


def mixed(folder: Path) -> None:
    two(folder)
    save(folder / "in" / "class" / "c.png", Image.new("RGB", (8, 8)))


def lone(folder: Path) -> None:
    save(folder / "in" / "a.png", Image.new("RGB", (8, 8)))


def empty(folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "readme.txt").write_text("no images here")


FOLDERS = [
    Case("empty folder", r"in has no images; a data set needs at least 2", make=empty),
    Case("one image", r"in has 1 image; a data set needs at least 2", make=lone),
    Case(
        "sizes differ",
        r"differ in size: .*a\.png has 8x6, .*b\.png has 10x12; give one size .* example 6",
        make=sizes,
    ),
    Case("loose images beside classes", r"both images \(0\.png\) and sub-f.*class", make=mixed),
    Case(
        "no test split",
        r"in has no test split: .*--data.holdout .*--reference train",
        make=two,
        options={"split": "test"},
    ),
    Case(
        "not an image",
        r"image .*bad\.png cannot be decoded; repair or remove it",
        make=beside_good("bad.png", b"hello"),
    ),
    Case("nothing in the file", r"bad\.jpg cannot be decoded", make=beside_good("bad.jpg", b"")),
    Case(
        "link to nowhere",
        r"image .*bad\.png cannot be read \(No such file or directory\)",
        make=lambda folder: (two(folder), (folder / "in" / "bad.png").symlink_to("nowhere")),
    ),
    Case(
        "half a JPEG",
        r"image .*bad\.jpg cannot be read \(.*truncated",
        make=beside_good("bad.jpg", jpeg(0, 8)[:-20]),
    ),
    Case(
        "half a PNG",
        r"image .*bad\.png cannot be read",
        make=beside_good("bad.png", png(8, 8)),
    ),
    Case(
        "bomb",
        r"image .*bad\.png is refused: it claims more than 89 million pixels",
        make=beside_good("bad.png", png(20_000, 20_000)),
    ),
    Case(
        "smaller bomb",
        r"image .*bad\.png is refused: it claims more than 89 million pixels",
        make=beside_good("bad.png", png(10_000, 10_000)),
    ),
    Case(
        "floating-point image",
        r"bad\.tiff has floating-point pixels from .*; save it with 8 bits",
        make=lambda folder: (
            two(folder),
            save(folder / "in" / "bad.tiff", Image.new("F", (8, 8), 0.5)),
        ),
    ),
    Case(
        "more than 16 bits",
        r"bad\.tiff has values from 70000 to 70000, more than 16 bits",
        make=lambda folder: (
            two(folder),
            save(folder / "in" / "bad.tiff", Image.new("I", (8, 8), 70_000)),
        ),
    ),
]

WORDS = [
    Case("unknown name", r"no data set named 'minst'; did you mean 'mnist'\?", "minst"),
    Case("no such path", r"there is no folder or file .*nowhere; give a folder", "./nowhere"),
    Case(
        "unknown kind of file",
        r"in\.csv is no data set; give a folder of images, a \.npy or \.npz",
        "./in.csv",
        lambda folder: (folder / "in.csv").write_text("1,2"),
    ),
    Case(
        "unknown split",
        r"no split named 'tests'; did you mean 'test'",
        "digits",
        options={"split": "tests"},
    ),
    Case(
        "two channels",
        r"1 channel \(grey\) or 3 \(colour\), not 2",
        "digits",
        options={"channels": 2},
    ),
    Case("no name", r"'' names no data set; give a folder", ""),
    Case("blanks for a name", r"'  ' names no data set", "  "),
    Case("an array for a name", r"names no data set; give", np.zeros(3)),  # type: ignore[arg-type]
    Case("a name too long", r"cannot be read \(File name too long\)", "b" * 300),
    Case("nobody's home", r"~nosuchuser.* is not known here; write the whole", "~nosuchuser/set"),
    Case("no size", r"cannot be 0 pixels wide", "digits", options={"size": 0}),
]


def npy(array: np.ndarray, **how: Any) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "in.npy", array, **how)


def npz(**arrays: Any) -> Callable[[Path], None]:
    return lambda folder: np.savez(folder / "in.npz", **arrays)


GOOD = np.zeros((4, 8, 8), np.uint8)

ARRAYS = [
    Case(
        "floats",
        r"type float64 with values from 0 to 0, not uint8; give --data\.range 0,1 if that is",
        "./in.npy",
        npy(np.zeros((4, 8, 8))),
    ),
    Case(
        "wide integers",
        r"of type int64 with values from 0 to 0, not uint8; give --data\.range 0,255",
        "./in.npy",
        npy(np.zeros((4, 8, 8), np.int64)),
    ),
    Case(
        "ambiguous layout",
        r"shape 4x3x8x3, which can be N, C, H, W as well as N, H, W, C",
        "./in.npy",
        npy(np.zeros((4, 3, 8, 3), np.uint8)),
    ),
    Case(
        "four channels",
        r"shape 4x8x8x4; images are .* 1 or 3 channels; leave the transparency out",
        "./in.npy",
        npy(np.zeros((4, 8, 8, 4), np.uint8)),
    ),
    Case(
        "one colour image",
        r"shape 8x8x3; images are N, H, W.* one image alone",
        "./in.npy",
        npy(np.zeros((8, 8, 3), np.uint8)),
    ),
    Case("a vector", r"shape 9; images are", "./in.npy", npy(np.zeros(9, np.uint8))),
    Case("a number", r"shape no axes; images are", "./in.npy", npy(np.array(9, np.uint8))),
    Case(
        "no images",
        r"shape 0x8x8: a data set needs at least 2",
        "./in.npy",
        npy(np.zeros((0, 8, 8), np.uint8)),
    ),
    Case(
        "an array of objects",
        r"in\.npy is refused \(it holds a pickle, which could run anything\)",
        "./in.npy",
        npy(np.array([None, None]), allow_pickle=True),
    ),
    Case(
        "no NumPy file",
        r"in\.npy is refused \(",
        "./in.npy",
        lambda f: (f / "in.npy").write_bytes(b"x"),
    ),
    Case("an empty file", r"in\.npy is refused \(", "./in.npy", lambda f: (f / "in.npy").touch()),
    Case(
        "half an npy",
        r"in\.npy is refused \(",
        "./in.npy",
        lambda f: (npy(GOOD)(f), (f / "in.npy").write_bytes((f / "in.npy").read_bytes()[:-9])),
    ),
    Case(
        "half an npz",
        r"in\.npz is refused \(",
        "./in.npz",
        lambda f: (
            npz(images=GOOD)(f),
            (f / "in.npz").write_bytes((f / "in.npz").read_bytes()[:-30]),
        ),
    ),
    Case(
        "unknown key",
        r"photos \(4x64 uint8\), marks \(4 int64\); none of it is images: name .* --data\.key",
        "./in.npz",
        npz(photos=GOOD.reshape(4, 64), marks=np.arange(4)),
    ),
    Case("nothing inside", r"holds nothing; none of it is images", "./in.npz", npz()),
    Case(
        "labels of another number",
        r"labels 'labels' of type int64 and shape \(3,\); 4 images need as many",
        "./in.npz",
        npz(images=GOOD, labels=np.arange(3)),
    ),
    Case(
        "two that could be images",
        r"first and second could all be the images; name one with --data\.key",
        "./in.npz",
        npz(first=GOOD, second=GOOD),
    ),
    Case(
        "an unknown key",
        r"no array named 'photo'; did you mean 'photos'",
        "./in.npz",
        npz(photos=GOOD),
        {"key": "photo"},
    ),
    Case("a key of an npy", r"one array without names; 'x'", "./in.npy", npy(GOOD), {"key": "x"}),
    Case(
        "unknown labels",
        r"no array named 'digit'; did you mean 'digits'",
        "./in.npz",
        npz(images=GOOD, digits=np.arange(4)),
        {"labels": "digit"},
    ),
    Case(
        "labels of an npy",
        r"data\.labels marks: there is no file .*marks\.npy",
        "./in.npy",
        npy(GOOD),
        {"labels": "marks"},
    ),
    Case(
        "numbers for labels",
        r"labels 'heights' that are numbers such as 0\.5, not classes; give integers or words",
        "./in.npz",
        npz(images=GOOD, heights=np.full(4, 0.5)),
        {"labels": "heights"},
    ),
    Case(
        "labels of another number, by name",
        r"labels 'marks' of type int64 and shape \(5,\); 4 images need as many",
        "./in.npz",
        npz(images=GOOD, marks=np.arange(5)),
        {"labels": "marks"},
    ),
    Case(
        "values outside the range",
        r"in\.npy: there is a value 1\.5 outside data\.range 0 to 1",
        "./in.npy",
        npy(np.full((4, 8, 8), 1.5)),
        {"range": (0, 1)},
    ),
    Case(
        "not a number",
        r"in\.npy has images of type float64 that are not finite",
        "./in.npy",
        npy(np.full((4, 8, 8), np.nan)),
    ),
    Case(
        "not a number, in a range",
        r"in\.npy: there is a value nan outside data\.range 0 to 1",
        "./in.npy",
        npy(np.full((4, 8, 8), np.nan)),
        {"range": (0, 1)},
    ),
    Case(
        "floats around 0",
        r"from -1 to 1, not uint8; give --data\.range -1,1 if",
        "./in.npy",
        npy(np.linspace(-1, 1, 256, dtype=np.float32).reshape(4, 8, 8)),
    ),
    Case(
        "floats of no known range",
        r"from -3 to 3; say which are black and white: --data\.range BLACK,WHITE",
        "./in.npy",
        npy(np.linspace(-3, 3, 256).reshape(4, 8, 8)),
    ),
    Case(
        "twelve bits",
        r"from 0 to 4095, not uint8; give --data\.range 0,4095",
        "./in.npy",
        npy(np.linspace(0, 4095, 256).reshape(4, 8, 8).astype(np.uint16)),
    ),
    Case(
        "complex numbers",
        r"images of type complex128; save them as uint8",
        "./in.npy",
        npy(np.zeros((4, 8, 8), complex)),
    ),
    Case(
        "flattened images",
        r"shape 4x64; images are .*array\.reshape\(-1, 8, 8\)",
        "./in.npy",
        npy(GOOD.reshape(4, 64)),
    ),
    Case(
        "a pointer of Git LFS",
        r"in\.npz is refused \(it is a pointer of Git LFS",
        "./in.npz",
        lambda f: (f / "in.npz").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid"),
    ),
    Case(
        "a web page",
        r"in\.npz is refused \(it is a web page",
        "./in.npz",
        lambda f: (f / "in.npz").write_bytes(b"\n<!DOCTYPE html><html>"),
    ),
    Case(
        "a pickle",
        r"in\.npy is refused \(it is a pickle, which could run",
        "./in.npy",
        lambda f: (f / "in.npy").write_bytes(pickle.dumps(GOOD)),
    ),
    Case(
        "a key of a folder",
        r"data\.key is for \.npy and \.npz files",
        make=two,
        options={"key": "x"},
    ),
    Case(
        "a range of a named set",
        r"data\.range is for .* which digits is not",
        "digits",
        options={"range": (0, 1)},
    ),
    Case(
        "no test split of an array",
        r"in\.npy has no test split",
        "./in.npy",
        npy(GOOD),
        {"split": "test"},
    ),
]


def idx(name: str, content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        mnist_test_split(folder)
        (folder / name).write_bytes(content)

    return make


IMAGES = "t10k-images-idx3-ubyte.gz"
LABELS = "t10k-labels-idx1-ubyte.gz"
MARKS = (np.arange(10_000) % 10).astype(np.uint8)
HERE = {"split": "test", "download": False}

IDX = [
    Case(
        "wrong magic",
        r"is not an IDX file \(it begins with 89504e47\)",
        "mnist",
        idx(IMAGES, gzip.compress(b"\x89PNG")),
        HERE,
    ),
    Case("empty gz", r"is not an IDX file", "mnist", idx(IMAGES, gzip.compress(b"")), HERE),
    Case(
        "not gzipped",
        r"cannot be read \(Not a gzipped file",
        "mnist",
        idx(IMAGES, idx_bytes(MARKS)),
        HERE,
    ),
    Case(
        "wrong type",
        r"holds IDX values of type 0x0d, not bytes",
        "mnist",
        idx(LABELS, gzip.compress(idx_bytes(MARKS, kind=13))),
        HERE,
    ),
    Case(
        "labels for images",
        r"has 1 dimensions, not 10000x28x28",
        "mnist",
        idx(IMAGES, gzip.compress(idx_bytes(MARKS))),
        HERE,
    ),
    Case(
        "other dimensions",
        r"has 3x28x28, not 10000x28x28",
        "mnist",
        idx(IMAGES, gzip.compress(idx_bytes(np.zeros((3, 28, 28), np.uint8)))),
        HERE,
    ),
    Case(
        "values missing",
        r"is cut short; remove it and fetch it again",
        "mnist",
        idx(LABELS, gzip.compress(idx_bytes(MARKS)[:-1])),
        HERE,
    ),
    Case(
        "trailing bytes",
        r"has bytes after its last value",
        "mnist",
        idx(LABELS, gzip.compress(idx_bytes(MARKS) + b"x")),
        HERE,
    ),
    Case(
        "cut gz",
        r"cannot be read \(.*end",
        "mnist",
        idx(LABELS, gzip.compress(idx_bytes(MARKS))[:-20]),
        HERE,
    ),
    Case(
        "damaged gz",
        r"cannot be read \(CRC check failed",
        "mnist",
        idx(LABELS, gzip.compress(idx_bytes(MARKS))[:-8] + bytes(8)),
        HERE,
    ),
    Case(
        "labels too high",
        r"has label 10, not 0\.\.9",
        "mnist",
        idx(LABELS, gzip.compress(idx_bytes(MARKS + 1))),
        HERE,
    ),
]

BINARY, PYTHON, JPEGS = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", "cifar10-jpeg.tar.xz"
TEN = cifar_records(10)


def cifar(archive: str, **members: bytes) -> Callable[[Path], None]:
    return lambda folder: tar_of(
        folder / archive, {k.replace("__", "/"): v for k, v in members.items()}
    )


def jpegs(**files: bytes) -> Callable[[Path], None]:
    return lambda folder: tar_of(folder / JPEGS, {f"test/{k}/0.jpg": v for k, v in files.items()})


CIFAR = [
    Case("no batch", r"has no test_batch\.bin", "cifar10", cifar(BINARY, other=b""), HERE),
    Case(
        "half a record",
        r"has half a record in a batch",
        "cifar10",
        cifar(BINARY, **{"test_batch.bin": binary_batch(*TEN)[:-1]}),
        HERE,
    ),
    Case(
        "too few images",
        r"has 9 test images, not 10",
        "cifar10",
        cifar(BINARY, **{"test_batch.bin": binary_batch(TEN[0][:9], TEN[1][:9])}),
        HERE,
    ),
    Case(
        "labels of CIFAR-100",
        r"has labels outside 0\.\.9",
        "cifar10",
        cifar(BINARY, **{"test_batch.bin": binary_batch(TEN[0], TEN[1] + 50)}),
        HERE,
    ),
    Case(
        "pickle without data",
        r"is refused: 'data'",
        "cifar10",
        cifar(PYTHON, test_batch=pickle.dumps({"labels": []}, 2)),
        HERE,
    ),
    Case(
        "pickle of words",
        r"holds no CIFAR-10 batch",
        "cifar10",
        cifar(PYTHON, test_batch=pickle.dumps({"data": "pixels", "labels": [0]}, 2)),
        HERE,
    ),
    Case(
        "pickle of another type",
        r"is refused: its pickle has an array of f4, not of bytes",
        "cifar10",
        cifar(PYTHON, test_batch=python2_batch(*TEN).replace(b"U\x02u1", b"U\x02f4")),
        HERE,
    ),
    Case(
        "cut pickle",
        r"is refused:",
        "cifar10",
        cifar(PYTHON, test_batch=python2_batch(*TEN)[:-40]),
        HERE,
    ),
    Case("unknown class", r"has a class 'cow'", "cifar10", jpegs(cow=jpeg(0)), HERE),
    Case("large JPEG", r"cat/0\.jpg in .* is not 32x32", "cifar10", jpegs(cat=jpeg(0, 40)), HERE),
    Case("damaged JPEG", r"cat/0\.jpg in .* cannot be decoded", "cifar10", jpegs(cat=b"?"), HERE),
]


@pytest.mark.parametrize(
    "case", WORDS + FOLDERS + ARRAYS + IDX + CIFAR, ids=lambda case: case.name.replace(" ", "-")
)
def test_bad_input_gets_one_clear_line(case, tmp_path, monkeypatch):
    small_cifar(monkeypatch, 50, 10)
    case.make(tmp_path)
    source = str(tmp_path / case.source[2:]) if str(case.source).startswith("./") else case.source
    with pytest.raises(NaqshError) as told:
        load(source, home=tmp_path, **case.options)
    line = str(told.value)
    assert re.search(case.line, line), line
    assert "\n" not in line


@pytest.mark.parametrize("kind", ["npy", "npz", "objects", "cifar10"])
def test_a_malicious_pickle_is_never_run(kind, tmp_path, monkeypatch):
    sprung = tmp_path / "sprung"
    source = str(tmp_path / ("in.npz" if kind == "npz" else "in.npy"))
    if kind == "npy":
        (tmp_path / "in.npy").write_bytes(trap(sprung))
    elif kind == "npz":
        np.savez(source, images=np.array([RunsWhenLoaded(sprung)] * 2, dtype=object))
    elif kind == "objects":
        np.save(source, np.array([RunsWhenLoaded(sprung)] * 2, dtype=object), allow_pickle=True)
    else:
        source = "cifar10"
        tar_of(tmp_path / PYTHON, {"cifar-10-batches-py/test_batch": trap(sprung)})
    with pytest.raises(NaqshError, match=r"is refused"):
        load(source, split="test" if source == "cifar10" else "train", home=tmp_path)
    assert not sprung.exists()
    # The trap is a real one: it springs where a pickle is loaded freely.
    pickle.loads(trap(sprung))
    assert sprung.exists()
