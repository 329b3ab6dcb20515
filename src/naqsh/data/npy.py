"""NumPy's `.npy` and `.npz` files, read a piece at a time and trusted in nothing.

A header of a few bytes can claim an array of terabytes, so what it claims is held against the bytes
that are there before any of it is allocated. Pickles are never loaded.
"""

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError

_PIECE = 32 << 20
_ZIP = (b"PK\3\4", b"PK\5\6")  # with members, and without
_LONGEST_HEADER = 10_000  # as NumPy has it
_POINTER = b"version https://git-lfs"
_SAVE = "save it again with numpy.save or numpy.savez"


class Refused(NaqshError):
    """A file that is damaged or none of NumPy's; `why` says it in a few words."""

    def __init__(self, path: Path, why: str, advice: str = _SAVE) -> None:
        super().__init__(f"{path} is refused ({why}); {advice}")
        self.why = why


class _Another(ValueError):
    """A file is something else than it is called: what it is, and what to do about it."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.advice = advice


@dataclass(frozen=True)
class Array:
    """One array in a file, known by its header; its values are read when they are asked for.

    Attributes:
        path: the file.
        name: what it is called in an `.npz`; empty in an `.npy`.
        shape: checked against the size of the file.
        dtype: of its values, in the file's byte order; never an object.
        by_columns: whether the first axis is the fastest, as Fortran has it.
        start: where the values begin, in bytes; of an `.npz`, within the unpacked member.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool
    start: int

    @property
    def nbytes(self) -> int:
        """Bytes of all its values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def whole(self) -> NDArray[Any]:
        """All values, in memory; raises NaqshError as :meth:`pieces`."""
        parts = list(self.pieces(max(1, len(self))))
        return parts[0] if len(parts) == 1 else np.empty(self.shape, self.dtype)

    def mapped(self) -> NDArray[Any]:
        """All values of an `.npy`, as a read-only map of the file."""
        order = "F" if self.by_columns else "C"
        return np.memmap(self.path, self.dtype, "r", self.start, self.shape, order)  # type: ignore[call-overload, no-any-return]

    def pieces(self, rows: int | None = None) -> Iterator[NDArray[Any]]:
        """The values, some rows at a time.

        Args:
            rows: along the first axis; by default as many as make 32 MB.

        Raises:
            NaqshError: the file is damaged, or has changed since it was opened.
        """
        row = self.nbytes // max(1, len(self))
        rows = rows or max(1, _PIECE // max(1, row))
        if self.by_columns and len(self.shape) > 1:
            # Rows do not lie together. Those of an .npz have to be unpacked to the last byte.
            values = self.mapped() if not self.name else self._columns()
            yield from (values[start : start + rows] for start in range(0, len(self), rows))
            return
        with _refusing(self.path), _stream(self.path, self.name) as file:
            _skip(file, self.start)
            for start in range(0, len(self), rows):
                count = min(rows, len(self) - start)
                content = file.read(count * row)
                if len(content) != count * row:
                    raise EOFError("it ends too early")
                yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def _columns(self) -> NDArray[Any]:
        with _refusing(self.path), _stream(self.path, self.name) as file:
            _skip(file, self.start)
            content = file.read(self.nbytes)
            if len(content) != self.nbytes:
                raise EOFError("it ends too early")
            return np.frombuffer(content, self.dtype).reshape(self.shape, order="F")


def arrays(path: Path) -> dict[str, Array | str]:
    """The arrays in a file, by name; the one of an `.npy` is called ``""``.

    Args:
        path: an `.npy` or `.npz` file, told apart by their content.

    Returns:
        each array, or why it cannot be read: an array of Python objects is a pickle.

    Raises:
        NaqshError: the file is damaged or no file of NumPy's.
    """
    with _refusing(path):
        with path.open("rb") as file:
            begin = file.read(64)
        if begin[:4] not in _ZIP:
            _recognise(begin)
            found = _opened(path, "", path.stat().st_size)
            if isinstance(found, str):
                raise ValueError(found)
            return {"": found}
        with zipfile.ZipFile(path) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy") and info.filename != ".npy"
            }
        return {name: _opened(path, name, info.file_size) for name, info in members.items()}


def _opened(path: Path, name: str, size: int) -> Array | str:
    """The array at the beginning of a file or member of `size` bytes; or why it is none."""
    with _stream(path, name) as file:
        shape, by_columns, dtype = _header(file)
        start = file.tell()
    if dtype.hasobject:
        return "it holds a pickle, which could run anything"
    if dtype.fields is not None or dtype.subdtype is not None or dtype.itemsize == 0:
        return f"its values are of type {dtype}"
    found = Array(path, name, shape, dtype, by_columns, start)
    if found.nbytes > size - start:
        what = f"{name!r} " if name else ""
        raise ValueError(f"{what}claims {found.nbytes:,} bytes of values and has {size - start:,}")
    return found


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"it is of NumPy's format {version[0]}.{version[1]}, which is not known")
    length = file.read(2 if version == (1, 0) else 4)
    if int.from_bytes(length, "little") > _LONGEST_HEADER:
        raise ValueError("its header makes no sense")
    header = io.BytesIO(length + file.read(int.from_bytes(length, "little")))
    readers = (np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers by Python 2 are read, and warned of
            # Format 3 is format 2 in UTF-8, which differs for names of fields alone.
            shape, by_columns, dtype = readers[version[0] > 1](header)
    except Exception as error:  # a crafted header makes the parser raise anything
        raise ValueError("its header makes no sense") from error
    if any(isinstance(length, bool) or length < 0 for length in shape):
        raise ValueError(f"its header claims the shape {shape}")
    return shape, by_columns, dtype


@contextmanager
def _stream(path: Path, name: str) -> Iterator[IO[bytes]]:
    if not name:
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        yield member


def _skip(file: IO[bytes], count: int) -> None:
    if len(file.read(count)) != count:
        raise EOFError("it ends too early")


def _recognise(begin: bytes) -> None:
    """Raise ValueError for what often lies under such a name without being it."""
    if not begin:
        raise _Another("it is empty", "write or download it again")
    if begin.startswith(_POINTER):
        what = "it is a pointer of Git LFS, not the file itself"
        raise _Another(what, "fetch the file: run `git lfs pull` in its repository")
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        what = "it is a web page, not the file"
        raise _Another(
            what, "open it in a browser to see what it says, and download the file again"
        )
    if not begin.startswith(np.lib.format.MAGIC_PREFIX):
        pickled = begin[:1] == b"\x80" and begin[1:2] <= b"\x05"
        raise ValueError(
            "it is a pickle, which could run anything" if pickled else "it is no file of NumPy's"
        )


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what a damaged file raises into one line."""
    try:
        yield
    except (NaqshError, MemoryError):
        raise
    except Exception as error:  # zipfile has many ways to fail, among them NotImplementedError
        why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        why = why.strip("'\"") or type(error).__name__
        raise Refused(path, why, getattr(error, "advice", _SAVE)) from error
