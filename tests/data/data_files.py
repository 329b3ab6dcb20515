"""Writers of the published formats, small or whole, and of malicious ones."""

import gzip
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from naqsh.data import CATALOG


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
    head = struct.pack(">BBBB", 0, 0, kind, array.ndim)
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist_test_split(folder: Path, seed: int = 0, packed: bool = True) -> np.ndarray:
    """Write a well-formed t10k pair of random images; gives the images."""
    folder.mkdir(parents=True, exist_ok=True)
    # Noise in one corner only: it packs fast.
    images = np.zeros((10_000, 28, 28), np.uint8)
    images[:, :4, :4] = np.random.default_rng(seed).integers(0, 256, (10_000, 4, 4), np.uint8)
    labels = (np.arange(10_000) % 10).astype(np.uint8)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        content = idx_bytes(array)
        path = folder / f"t10k-{name}-ubyte"
        if packed:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(content, 1))
        else:
            path.write_bytes(content)
    return images


def tar_of(path: Path, contents: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = {".gz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}.get(path.suffix, "w")
    with tarfile.open(path, mode, **({"compresslevel": 1} if mode == "w:gz" else {})) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def cifar_records(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (noise in few pixels, so that they pack fast) and labels."""
    images = np.zeros((count, 3, 32, 32), np.uint8)
    images[:, :, 0, :4] = np.random.default_rng(seed).integers(0, 256, (count, 3, 4), np.uint8)
    return images, np.arange(count) % 10


def binary_batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    flat = images.reshape(len(images), -1)
    return np.concatenate([labels.astype(np.uint8)[:, None], flat], axis=1).tobytes()


def python2_batch(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The pickle that Python 2 and the NumPy of 2009 wrote, opcode by opcode."""
    flat = images.reshape(len(images), -1).tobytes()
    marks = b"".join(b"K" + bytes([label]) for label in labels)
    rows, columns = struct.pack("<i", len(images)), struct.pack("<i", 3072)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01J" + rows + b"J" + columns + b"\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<i", len(flat)) + flat + b"tb"
    )
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels](" + marks + b"eu."


class RunsWhenLoaded:
    """Pickled, it makes a folder when it is unpickled."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def trap(folder: Path) -> bytes:
    """A pickle that makes `folder` if anything unpickles it."""
    return pickle.dumps({"data": RunsWhenLoaded(folder), "labels": []}, protocol=2)


def jpeg(seed: int, side: int = 32) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def small_cifar(monkeypatch, train: int, test: int) -> None:
    """Make the catalogue expect a CIFAR-10 of few images."""
    import dataclasses

    entry = dataclasses.replace(CATALOG["cifar10"], train=train, test=test)
    monkeypatch.setitem(CATALOG, "cifar10", entry)
