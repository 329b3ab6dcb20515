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
from pathlib import Path
from typing import IO

from naqsh.core.errors import NaqshError
from naqsh.io import zips

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
        raise zips.damaged(path, error) from error


class _Guarded(io.RawIOBase):
    """An unpacked tar that is read in small pieces alone, and not past a number of bytes.

    tarfile takes the length of a header from the archive and asks for all of it at once: few packed
    bytes could fill the memory.
    """

    def __init__(self, path: Path, file: IO[bytes], limit: int) -> None:
        self._path, self._file, self._limit = path, file, limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _PIECE:
            raise zips.too_large(self._path, self._limit)
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
            raise zips.too_large(self._path, self._limit)


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
                raise zips.refused(path, member.name, "is a link or a device")
            if member.issparse():
                raise zips.refused(path, member.name, "has holes, of any size")
            zips.check_name(path, member.name, member.isdir())
            total += member.size
            if total > limit:
                raise zips.too_large(path, limit)
            name = zips.plain(member.name)
            if member.isfile() and wanted(name):
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                yield name, _whole(content, member.size)


def _zip_members(
    path: Path, wanted: Callable[[str], bool], limit: int
) -> Iterator[tuple[str, bytes]]:
    with zips.opened(path, limit) as (archive, files):
        for name, info in files.items():
            if wanted(name):
                yield name, b"".join(zips.pieces(path, archive, info))


def _whole(file: IO[bytes], size: int) -> bytes:
    parts, left = [], size
    while left and (part := file.read(min(left, _PIECE))):
        parts.append(part)
        left -= len(part)
    if left:
        raise EOFError("it ends inside a member")
    return b"".join(parts)
