"""Pictures in `.npy` and `.npz` files of NumPy.

Layout is told from the shape: three axes are N, H, W; of four, the channels are the axis of length
1 or 3, the second (NCHW) or the last (NHWC). Where both have such a length, nothing can tell, and
the file is refused rather than guessed at. Pickles inside are never loaded.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naqsh.errors import NaqshError

KEYS = ("images", "imgs", "arr_0")
_MOST_CLASSES = 1 << 16


def read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
    """The pictures and labels of a file.

    Args:
        path: a `.npy` file, or an `.npz` with the pictures under `images`, `imgs` or `arr_0` and
            perhaps `labels`.

    Returns:
        uint8 with shape (N, C, H, W), a memory map where the file has that layout already, and
        int64 labels with shape (N,) or None.

    Raises:
        NaqshError: the file is damaged or holds a pickle, or the arrays are not as they should be.
    """
    try:
        # Opened here, as NumPy leaves a damaged .npz open.
        with path.open("rb") as file:
            if file.read(4) not in (b"PK\3\4", b"PK\5\6"):  # a zip with members, and without
                return _as_nchw(path, np.load(path, mmap_mode="r", allow_pickle=False)), None
            file.seek(0)
            held = np.load(file, allow_pickle=False)
            name = next((key for key in KEYS if key in held.files), None)
            if name is None:
                keys = ", ".join(held.files) or "nothing"
                raise NaqshError(f"{path} holds {keys}; name the pictures {' or '.join(KEYS)}")
            images = _as_nchw(path, held[name])
            labels = held["labels"] if "labels" in held.files else None
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        why = str(error).partition("\n")[0]
        if "pickle" in why or "Python objects" in why:
            why = "it holds a pickle, which could run anything"
        raise NaqshError(
            f"{path} is refused ({why}); save it again with numpy.save or numpy.savez, as uint8"
        ) from error
    return images, None if labels is None else _as_labels(path, labels, len(images))


def _as_nchw(path: Path, array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8:
        how = "(255 * array).round().astype('uint8') if it is in [0, 1]"
        if array.dtype.kind in "iu":
            how = "array.astype('uint8') if it is in 0..255"
        raise NaqshError(f"{path} has pictures of type {array.dtype}, not uint8; save {how}")
    shape = "x".join(map(str, array.shape)) or "no axes"
    if array.ndim == 3 and array.shape[2] not in (1, 3):
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] in (1, 3):
        raise NaqshError(
            f"{path} has shape {shape}, which can be N, C, H, W as well as N, H, W, C; pictures of "
            "1 or 3 pixels across cannot be told from channels: make them wider"
        )
    elif array.ndim == 4 and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    elif array.ndim != 4 or array.shape[1] not in (1, 3):
        raise NaqshError(
            f"{path} has shape {shape}; pictures are N, H, W or N, H, W, C or N, C, H, W with 1 "
            "or 3 channels"
        )
    if len(array) < 2 or array.size == 0:
        raise NaqshError(f"{path} has shape {shape}: a data set needs at least 2 pictures")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _as_labels(path: Path, labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise NaqshError(
            f"{path} has labels of type {labels.dtype} and shape {labels.shape}; {count} pictures "
            f"need integers of shape ({count},)"
        )
    if labels.min() < 0 or labels.max() >= _MOST_CLASSES:
        raise NaqshError(
            f"{path} has labels from {labels.min()} to {labels.max()}; number the classes from 0"
        )
    return labels.astype(np.int64)
