"""CIFAR-10 in the forms in which it is found: binary batches, Python batches, JPEG files.

A record of the binary form is one byte of label and 3,072 of pixels, planes red, green, blue. The
Python form is a pickle, which could run anything; it is read by an unpickler that knows NumPy
arrays of bytes and nothing else. The JPEG form (`train/<class>/NNNN.jpg`) is smaller but not the
published pixels, and the data set's name says so.

References:
    Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.data import archives, decoding

_RECORD = 1 + 3 * 32 * 32
_BATCHES = {
    "train": [f"data_batch_{number}" for number in range(1, 6)],
    "test": ["test_batch"],
}

Pictures = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read(path: Path, split: str, classes: tuple[str, ...], count: int) -> Pictures:
    """The images of one split, in whichever form the archive has.

    Args:
        path: `cifar-10-binary.tar.gz`, `cifar-10-python.tar.gz` or `cifar10-jpeg.tar.xz`.
        split: ``"train"`` or ``"test"``.
        classes: the class names, in the order of their labels.
        count: how many images the split must have.

    Returns:
        uint8 with shape (count, 3, 32, 32) and int64 labels with shape (count,). In the JPEG form
        the classes take turns (all 0000.jpg, all 0001.jpg, …), so that the first n images are of
        all classes in any form.

    Raises:
        NaqshError: the archive is damaged, malicious, or not CIFAR-10.
    """
    if "jpeg" in path.name:
        images, labels = _read_jpegs(path, split, classes)
    elif "python" in path.name:
        images, labels = _read_batches(path, split, "", _from_pickle)
    else:
        images, labels = _read_batches(path, split, ".bin", _from_binary)
    if images.shape != (count, 3, 32, 32):
        raise NaqshError(
            f"{path} has {len(images)} {split} images, not {count}; remove it and fetch it again"
        )
    if labels.min() < 0 or labels.max() >= len(classes):
        raise NaqshError(f"{path} has labels outside 0..9; remove it and fetch it again")
    return images, labels


def _read_batches(
    path: Path, split: str, suffix: str, decode: Callable[[Path, bytes], Pictures]
) -> Pictures:
    names = [name + suffix for name in _BATCHES[split]]
    found = {
        PurePosixPath(name).name: content
        for name, content in archives.members(path, lambda name: PurePosixPath(name).name in names)
    }
    for name in names:
        if name not in found:
            raise NaqshError(f"{path} has no {name}; remove it and fetch it again")
    parts = [decode(path, found[name]) for name in names]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _from_binary(path: Path, content: bytes) -> Pictures:
    if len(content) % _RECORD:
        raise NaqshError(f"{path} has half a record in a batch; remove it and fetch it again")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _from_pickle(path: Path, content: bytes) -> Pictures:
    try:
        # Written by Python 2, whose strings were bytes: latin-1 keeps each byte.
        batch = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
        pixels, labels = batch["data"], np.array(batch["labels"], dtype=np.int64)
        well_formed = (
            isinstance(pixels, np.ndarray)
            and pixels.dtype == np.uint8
            and pixels.shape == (len(labels), 3072)
        )
    except Exception as error:  # a crafted pickle can make the unpickler raise anything
        raise NaqshError(f"{path} is refused: {error}; get it from its own site") from error
    if not well_formed:
        raise NaqshError(f"{path} holds no CIFAR-10 batch; get it from its own site")
    return pixels.reshape(-1, 3, 32, 32), labels


class _ArraysOnly(pickle.Unpickler):
    """Knows the three names with which NumPy pickles an array, and only arrays of bytes."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            # Taken from an array, since importing it by its old name warns.
            return np.empty(0, np.uint8).__reduce__()[0]
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return _byte_dtype
        raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which is not an array")


def _byte_dtype(name: str, *_: object) -> np.dtype[np.uint8]:
    if name not in ("u1", "|u1"):
        raise pickle.UnpicklingError(f"its pickle has an array of {name}, not of bytes")
    return np.dtype(np.uint8)


def _read_jpegs(path: Path, split: str, classes: tuple[str, ...]) -> Pictures:
    def wanted(name: str) -> bool:
        parts = PurePosixPath(name).parts
        return len(parts) >= 3 and parts[-3] == split and name.endswith(".jpg")

    found = []
    for name, content in archives.members(path, wanted):
        folder, file = name.split("/")[-2:]
        if folder not in classes:
            raise NaqshError(f"{path} has a class {folder!r}, which is not one of CIFAR-10's")
        found.append((file, classes.index(folder), content))
    found.sort(key=lambda item: item[:2])
    images = np.empty((len(found), 3, 32, 32), dtype=np.uint8)
    for row, (file, label, content) in enumerate(found):
        name = f"{classes[label]}/{file} in {path}"
        picture = decoding.decode(io.BytesIO(content), name, 3).pixels
        if picture.shape != (3, 32, 32):
            raise NaqshError(f"{classes[label]}/{file} in {path} is not 32x32 pixels")
        images[row] = picture
    return images, np.array([label for _, label, _ in found], dtype=np.int64)
