"""Reading tar and zip archives that come from outside.

An archive can name members `../../.bashrc` or `/etc/passwd`, hold links that point out of the
folder, claim devices, or unpack to more than any disk holds. One such member has the whole archive
refused. Members are handed on as bytes and nothing is written, but a caller who does write finds no
name that leads outside.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from naqsh.errors import NaqshError

_LIMIT = 512 << 20
_PIECE = 1 << 20
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


def members(
    path: Path, wanted: Callable[[str], bool], limit: int = _LIMIT
) -> Iterator[tuple[str, bytes]]:
    """The regular files of a tar (plain, gz, bz2, xz) or zip archive, in its order.

    Args:
        path: the archive.
        wanted: given a member's name, says whether its bytes are needed.
        limit: the most bytes that all members together may unpack to, against archives made to
            fill the memory.

    Yields:
        name (relative, with forward slashes, inside the archive) and content of each wanted file.

    Raises:
        NaqshError: it is no archive or is damaged; a member lies outside, is a link or a device; or
            the members are too large.
    """
    try:
        if zipfile.is_zipfile(path):
            yield from _zip_members(path, wanted, limit)
        else:
            yield from _tar_members(path, wanted, limit)
    except NaqshError:
        raise
    except Exception as error:  # both modules raise whatever a crafted archive leads them to
        raise _damaged(path, error) from error


class _Guarded(io.RawIOBase):
    """An unpacked tar that is read in small pieces alone, and not past a number of bytes.

    tarfile takes the length of a header from the archive and asks for all of it at once: few packed
    bytes could fill the memory.
    """

    def __init__(self, path: Path, file: IO[bytes], limit: int) -> None:
        self._path, self._file, self._limit = path, file, limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _PIECE:
            raise _too_large(self._path, self._limit)
        content = self._file.read(size)
        self._check(self._file.tell())
        return content

    def seek(self, place: int, whence: int = 0) -> int:
        self._check(place)
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, place: int) -> None:
        if place > self._limit:
            raise _too_large(self._path, self._limit)


def _unpacked(path: Path) -> AbstractContextManager[IO[bytes]]:
    with path.open("rb") as file:
        begin = file.read(6)
    opener = next((opener for magic, opener in _OPENERS.items() if begin.startswith(magic)), open)
    return opener(path, "rb")  # type: ignore[operator, no-any-return]


def _tar_members(
    path: Path, wanted: Callable[[str], bool], limit: int
) -> Iterator[tuple[str, bytes]]:
    # A tar has no table of contents: members are checked as they come. Their headers and what fills
    # them up to whole blocks are not in the limit of the members, but may take as much again.
    total = 0
    with (
        _unpacked(path) as file,
        tarfile.open(fileobj=_Guarded(path, file, 2 * limit + _PIECE)) as archive,
    ):
        for member in archive:
            if not (member.isfile() or member.isdir()):
                raise _refused(path, member.name, "is a link or a device")
            if member.issparse():
                raise _refused(path, member.name, "has holes, whose size the archive need not hold")
            _check_name(path, member.name, member.isdir())
            total += member.size
            _check_total(path, total, limit)
            name = _plain(member.name)
            if member.isfile() and wanted(name):
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                yield name, _whole(content, member.size)


def _zip_members(
    path: Path, wanted: Callable[[str], bool], limit: int
) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        total = 0
        for info in archive.infolist():
            # The upper half of the attributes is the Unix mode; kind 0 is "not said", 8 a file, 4 a
            # folder, all else a link or a device.
            if info.external_attr >> 28 not in (0, 4, 8):
                raise _refused(path, info.filename, "is a link or a device")
            if info.flag_bits & 1:
                raise _refused(path, info.filename, "is locked by a password")
            _check_name(path, info.filename, info.filename.endswith("/"))
            total += info.file_size
            _check_total(path, total, limit)
        for info in archive.infolist():
            name = _plain(info.filename)
            if not info.is_dir() and wanted(name):
                # Reads at most the announced size, so a lie about it cannot pass the limit.
                with archive.open(info) as file:
                    yield name, _whole(file, info.file_size)


def _whole(file: IO[bytes], size: int) -> bytes:
    parts, left = [], size
    while left and (part := file.read(min(left, _PIECE))):
        parts.append(part)
        left -= len(part)
    if left:
        raise EOFError("it ends inside a member")
    return b"".join(parts)


def _plain(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def _check_name(path: Path, name: str, is_folder: bool) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    # A colon makes a drive or an alternate stream of it on Windows.
    if parts.is_absolute() or ".." in parts.parts or ":" in name or "\0" in name:
        raise _refused(path, name, "lies outside it")
    if not is_folder and not parts.name:
        raise _refused(path, name, "has no name")


def _check_total(path: Path, total: int, limit: int) -> None:
    if total > limit:
        raise _too_large(path, limit)


def _too_large(path: Path, limit: int) -> NaqshError:
    return NaqshError(
        f"{path} is refused: it would unpack to more than {limit / 2**20:,.0f} MiB, and what it "
        "should hold is smaller; get it from its own site"
    )


def _refused(path: Path, name: str, why: str) -> NaqshError:
    return NaqshError(
        f"{path} is refused: its member {name[:80]!r} {why}; get it from its own site"
    )


def _damaged(path: Path, error: Exception) -> NaqshError:
    # tarfile lists what each decompressor said, a line each.
    why = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
    return NaqshError(f"{path} is cut short or no archive ({why}); remove it and fetch it again")
