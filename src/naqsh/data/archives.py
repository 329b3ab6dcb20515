"""Reading tar and zip archives that come from outside.

An archive can name members `../../.bashrc` or `/etc/passwd`, hold links that point out of the
folder and then write through them, or claim devices. One such member has the whole archive refused:
names are checked before a byte is handed on, links and devices are never made, and what was
unpacked before the bad member was met is thrown away.
"""

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from naqsh.errors import NaqshError

_LIMIT = 16 << 30


def members(
    path: Path, wanted: Callable[[str], bool], limit: int = _LIMIT
) -> Iterator[tuple[str, bytes]]:
    """The regular files of a tar (plain, gz, bz2, xz) or zip archive, in its order.

    Args:
        path: the archive.
        wanted: given a member's name, says whether its bytes are needed.
        limit: the most bytes that all members together may unpack to, against archives made to
            fill a disk.

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
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise _damaged(path, error) from error
    except OSError as error:  # among others gzip.BadGzipFile and bz2's errors
        raise _damaged(path, error) from error


def extract(path: Path, folder: Path, limit: int = _LIMIT) -> None:
    """Unpack an archive into a folder that does not exist yet; all of it or nothing.

    Args:
        path: the archive, see :func:`members`.
        folder: made by this; written aside and renamed.
        limit: see :func:`members`.

    Raises:
        NaqshError: as :func:`members`; nothing is left behind then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        for name, content in members(path, lambda name: True, limit):
            target = aside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _tar_members(
    path: Path, wanted: Callable[[str], bool], limit: int
) -> Iterator[tuple[str, bytes]]:
    # A tar has no table of contents: members are checked as they come.
    total = 0
    with tarfile.open(path) as archive:
        for member in archive:
            if not (member.isfile() or member.isdir()):
                raise _refused(path, member.name, "is a link or a device")
            _check_name(path, member.name)
            total += member.size
            _check_total(path, total, limit)
            name = _plain(member.name)
            if member.isfile() and wanted(name):
                file = archive.extractfile(member)
                assert file is not None  # it is a regular file
                content = file.read()
                if len(content) != member.size:
                    raise EOFError("it ends inside a member")
                yield name, content


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
            _check_name(path, info.filename)
            total += info.file_size
            _check_total(path, total, limit)
        for info in archive.infolist():
            name = _plain(info.filename)
            if not info.is_dir() and wanted(name):
                # Reads at most the announced size, so a lie about it cannot pass the limit.
                with archive.open(info) as file:
                    yield name, file.read(info.file_size)


def _plain(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    # A colon makes a drive or an alternate stream of it on Windows.
    if parts.is_absolute() or ".." in parts.parts or ":" in name or "\0" in name:
        raise _refused(path, name, "lies outside it")


def _check_total(path: Path, total: int, limit: int) -> None:
    if total > limit:
        raise NaqshError(
            f"{path} is refused: it would unpack to more than {limit / 2**30:.1f} GiB; unpack it "
            "by hand if you trust it"
        )


def _refused(path: Path, name: str, why: str) -> NaqshError:
    return NaqshError(f"{path} is refused: its member {name!r} {why}; get it from its own site")


def _damaged(path: Path, error: Exception) -> NaqshError:
    # tarfile lists what each decompressor said, a line each.
    why = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
    return NaqshError(f"{path} is cut short or no archive ({why}); remove it and fetch it again")
