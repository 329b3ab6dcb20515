"""Where Naqsh keeps and looks for files of the user's: one rule for data and measures alike."""

import contextlib
import functools
import os
import stat
import sys
import tempfile
from pathlib import Path

from naqsh.core.errors import NaqshError


def expanded(path: Path | str) -> Path:
    """A path with a leading ``~`` or ``~user`` replaced by that home folder.

    Its characters are brought to the bytes of UTF-8 that names of files have, whatever the locale.

    Raises:
        NaqshError: nobody knows that home folder.
    """
    try:
        return Path(native(str(path))).expanduser()
    except RuntimeError as error:
        raise NaqshError(
            f"{path}: the home folder that {Path(path).parts[0]} stands for is not known here; "
            "write the whole path"
        ) from error


def native(path: str) -> str:
    """A path as Python holds it here: where the locale is ASCII, characters are bytes of UTF-8."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        with contextlib.suppress(UnicodeEncodeError):
            return os.fsdecode(path.encode("utf-8", "surrogateescape"))
    return path


def is_there(path: Path | str) -> bool:
    """Whether there is such a file or folder; not where its name is one that no file can have."""
    try:
        return expanded(path).exists()
    except OSError:
        return False


def data_homes(home: Path | str | None) -> list[Path]:
    """The folders, apart from the cache, in which files of named sets are looked for, in order."""
    given = (home, os.environ.get("NAQSH_DATA_HOME"))
    return [expanded(place) for place in given if place]


def cache() -> Path:
    """The cache folder: NAQSH_CACHE, or `naqsh` in the place the system has for caches.

    Where the user has no home folder, as in a container under a number that no account has, it is a
    folder of the user's own among the temporary files, and one line says so. It is not made here.

    Raises:
        NaqshError: the folder among the temporary files belongs to someone else.
    """
    if chosen := os.environ.get("NAQSH_CACHE"):
        return expanded(chosen)
    try:
        return _system_caches() / "naqsh"
    except RuntimeError:  # Path.home's word for no home folder
        return _temporary()


def _system_caches() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    # The XDG specification has relative paths ignored.
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return chosen if chosen.is_absolute() else Path.home() / ".cache"


@functools.cache
def _temporary() -> Path:
    folder = Path(tempfile.gettempdir()) / f"naqsh-cache-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise NaqshError(
            f"there is no home folder, and {folder} cannot be made ({error.strerror}); set "
            "NAQSH_CACHE to a folder for what is cached"
        ) from error
    # Anyone may write to the temporary folder: what was laid there under our name is not ours.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise NaqshError(
            f"there is no home folder, and {folder} is open to others; set NAQSH_CACHE to a folder "
            "for what is cached"
        )
    print(
        f"there is no home folder: what is cached goes to {folder}; set NAQSH_CACHE to keep it "
        "elsewhere",
        file=sys.stderr,
    )
    return folder
