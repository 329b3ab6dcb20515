"""Published char-CNN-RNN embeddings of captions: pickles of Python 2, read without running them.

A pickle is a program that may call whatever it names. These name a handful of NumPy's functions,
which stand here as records of what they were given: nothing that a pickle names is ever imported,
an array's numbers are taken from its bytes, and any other name is refused.

Beside each other lie ``char-CNN-RNN-embeddings.pickle``, a list of arrays (K, 1024), one an image,
and ``filenames.pickle``, the images' names without their ending, in the same order.
"""

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.core.printable import short
from naqsh.io import foreign
from naqsh.io.values import MISFIT

EMBEDDINGS, NAMES = "char-CNN-RNN-embeddings.pickle", "filenames.pickle"

_LIMIT = 2 << 30
_KINDS = ("f4", "f8")


def read(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The embeddings of each image's captions, float32 (K, d), by the image's name.

    Args:
        folder: that holds both pickles.

    Raises:
        NaqshError: one is missing, damaged, names what is no array, or they do not fit together.
    """
    names = _unpickled(folder / NAMES)
    tables = _unpickled(folder / EMBEDDINGS)
    try:
        images = [name if isinstance(name, str) else name.decode() for name in names]
        arrays = [table.numbers() for table in tables]
        if len(set(images)) != len(arrays) or len({array.shape for array in arrays}) != 1:
            raise ValueError(f"{len(set(images))} names, {len(arrays)} tables, not of one shape")
        if arrays[0].ndim != 2 or not arrays[0].size:
            raise ValueError(f"tables of shape {arrays[0].shape}")
        return dict(zip(images, arrays, strict=True))
    except MISFIT as error:
        raise NaqshError(f"{folder} has no embeddings as published: {short(str(error))}") from error


def _unpickled(path: Path) -> list[Any]:
    content = foreign.read_bytes(path, _LIMIT)
    try:
        found = _Reader(io.BytesIO(content), encoding="latin1").load()
        if not isinstance(found, list):
            raise ValueError(f"it holds {short(type(found).__name__)}, no list")
        return found
    except NaqshError as error:
        raise NaqshError(f"{path} is refused: {error}") from error
    except (*MISFIT, pickle.UnpicklingError, EOFError, MemoryError, RecursionError) as error:
        raise NaqshError(f"{path} is damaged: {short(str(error))}") from error


class _Kind:
    """What a pickle says of numbers' type, in place of :class:`numpy.dtype`."""

    def __init__(self, kind: str, *_: object) -> None:
        if kind not in _KINDS:
            raise ValueError(f"numbers of type {short(kind)}")
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">"):
            raise ValueError(f"bytes in the order {short(state[1])}")
        self.order = state[1]


class _Array:
    """What a pickle says of an array, in place of :class:`numpy.ndarray`."""

    def __init__(self) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def numbers(self) -> NDArray[np.float32]:
        """The array itself."""
        _, shape, kind, by_columns, content = self._state
        if not isinstance(kind, _Kind) or not all(type(side) is int and side > 0 for side in shape):
            raise ValueError(f"an array of shape {short(shape)}")
        raw = content.encode("latin1") if isinstance(content, str) else content
        flat = np.frombuffer(raw, np.dtype(kind.order + kind.kind))
        found = flat.reshape(shape, order="F" if by_columns else "C").astype(np.float32)
        if not np.isfinite(found).all():
            raise ValueError("an array has numbers that are not finite")
        return found


class _Reconstruct:
    """Makes an empty array, in place of NumPy's function; a pickle can set nothing in it."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> _Array:
        if kind is not _Array:
            raise ValueError("it makes an array of another kind")
        return _Array()

    def __setstate__(self, state: Any) -> NoReturn:
        raise ValueError("it changes a function")


class _Encode(_Reconstruct):
    """How pickles that Python 3 wrote for Python 2 hold bytes."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:  # type: ignore[override]
        if encoding != "latin1":
            raise ValueError(f"bytes as {short(encoding)}")
        return text.encode("latin1")


class _Reader(pickle.Unpickler):
    """Takes the few names that arrays need for what stands here, and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
            ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Kind,
            ("_codecs", "encode"): _Encode(),
        }
        if (module, name) not in known:
            raise NaqshError(
                f"it names {short(f'{module}.{name}')}, and only arrays are read from a pickle, as "
                "one may run any program"
            )
        return known[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise NaqshError("it names something that lies elsewhere")
