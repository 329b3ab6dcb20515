"""Zip archives from outside: looked through as a whole before a byte of them is unpacked.

An archive can name members ``../../.bashrc`` or ``/etc/passwd``, hold links that lead out, name one
file twice, or unpack to more than any disk holds. One such member has the whole archive refused, so
that whoever writes its members into a folder finds none that leads outside, and no two of one name.
"""

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

from naqsh.core.errors import NaqshError
from naqsh.core.printable import is_text, short, shown
from naqsh.io import foreign

MEMBERS = 20_000
"""Members of an archive at most; a run with a thousand detections has fewer."""

DIRECTORY = 16 << 20
"""Bytes of an archive's table of contents at most, 800 a member."""

RATIO, SMALL = 100, 64 << 20
"""How many times its own size an archive may unpack to, once that is more than `SMALL` bytes."""

PIECE = 1 << 20
LOCKED = 0x2041
"""Flags of members that a password locks, or of which even the names are hidden."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others can ask for gigabytes of memory to unpack a few bytes, and hardly any archive has them."""


@contextlib.contextmanager
def opened(path: Path, limit: int) -> Iterator[tuple[ZipFile, dict[str, ZipInfo]]]:
    """An archive and its files by their names, with forward slashes.

    Args:
        path: the archive.
        limit: the most bytes that all members together may unpack to.

    Raises:
        NaqshError: it is no archive or is damaged; or a member lies outside, is a link, is locked
            or there twice; or there is too much of them.
    """
    with foreign.opened(path, 1 << 62, within=path.resolve().parent) as file:
        try:
            archive = ZipFile(_Pieces(path, file))
        except NaqshError:
            raise
        except Exception as error:  # zipfile raises whatever a crafted archive leads it to
            raise damaged(path, error) from error
        with archive:
            yield archive, _files(path, archive, limit)


class _Pieces(io.RawIOBase):
    """A file of which nothing large is read at once.

    The archive says itself how long its table of contents is, and zipfile makes an object of every
    few dozen bytes of it.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(DIRECTORY + 1 if size < 0 else min(size, DIRECTORY + 1))
        if len(content) > DIRECTORY:
            raise _too_many(self._path)
        return content

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()


def _files(path: Path, archive: ZipFile, limit: int) -> dict[str, ZipInfo]:
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise _too_many(path)
    files: dict[str, ZipInfo] = {}
    taken: set[str] = set()
    for info in members:
        name = info.filename
        # The upper half of the attributes is the Unix mode; kind 0 is "not said", 8 a file, 4 a
        # folder, all else a link or a device.
        if info.external_attr >> 28 not in (0, 4, 8):
            raise refused(path, name, "is a link or a device")
        if info.flag_bits & LOCKED:
            raise refused(path, name, "is locked by a password")
        if info.compress_type not in METHODS:
            raise refused(path, name, "is packed in a way other than deflate")
        check_name(path, name, name.endswith("/"))
        if name.endswith("/"):
            continue
        # Disks of Windows and macOS take names that differ in case alone for one.
        if plain(name).casefold() in taken:
            raise refused(path, name, "is there twice")
        taken.add(plain(name).casefold())
        files[plain(name)] = info
    for name in files:
        if any(str(above).casefold() in taken for above in PurePosixPath(name).parents):
            raise refused(path, name, "lies in a file as if that were a folder")
    total = sum(info.file_size for info in files.values())
    if total > limit or total > max(SMALL, RATIO * path.stat().st_size):
        raise too_large(path, min(limit, max(SMALL, RATIO * path.stat().st_size)))
    return files


def pieces(path: Path, archive: ZipFile, info: ZipInfo) -> Iterator[bytes]:
    """What a member holds, a piece of at most 1 MiB at a time, and no more than it announced.

    Raises:
        NaqshError: it is damaged.
    """
    left = info.file_size
    try:
        with archive.open(info) as file:
            while piece := file.read(PIECE):
                left -= len(piece)
                yield piece
        if left:
            raise EOFError("it ends inside a member")
    except NaqshError:
        raise
    except Exception as error:
        raise damaged(path, error) from error


def plain(name: str) -> str:
    """A member's name with forward slashes and nothing superfluous."""
    return str(PurePosixPath(name.replace("\\", "/")))


def check_name(path: Path, name: str, is_folder: bool) -> None:
    """Refuse a member whose name leads out of the archive, or names nothing."""
    parts = PurePosixPath(name.replace("\\", "/"))
    # A colon makes a drive or an alternate stream of it on Windows.
    if parts.is_absolute() or ".." in parts.parts or ":" in name or "\0" in name:
        raise refused(path, name, "lies outside it")
    if not is_text(name):
        raise refused(path, name, "has control characters in its name")
    if not is_folder and not parts.name:
        raise refused(path, name, "has no name")


AGAIN = "get it again from whoever made it"


def too_large(path: Path, limit: int) -> NaqshError:
    """An archive that would unpack to more than `limit` bytes."""
    return NaqshError(
        f"{path} is refused: it would unpack to more than {limit / 2**20:,.0f} MiB, and what it "
        f"should hold is smaller; {AGAIN}"
    )


def _too_many(path: Path) -> NaqshError:
    return NaqshError(f"{path} is refused: it has more than {MEMBERS:,} members; {AGAIN}")


def refused(path: Path, name: str, why: str) -> NaqshError:
    """An archive with a member that must not be unpacked."""
    return NaqshError(f"{path} is refused: its member {short(name)} {why}; {AGAIN}")


def damaged(path: Path, error: Exception) -> NaqshError:
    """An archive that cannot be read."""
    # tarfile lists what each decompressor said, a line each.
    why = shown(str(error).partition("\n")[0].rstrip(":") or type(error).__name__)[:200]
    return NaqshError(f"{path} is cut short or no archive ({why}); remove it and {AGAIN}")
