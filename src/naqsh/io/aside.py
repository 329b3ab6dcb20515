"""Folders beside a target, to write into before the result takes its place; none outlives its use.

A process that is killed leaves its folder behind. Whether one is such a leftover is not guessed by
its age or by process numbers, which other machines and containers share: its owner holds a lock on
it, which the system lets go when the owner dies, whatever it died of. The next process that writes
to the same target removes what has no owner. Where the system locks no folders (Windows, some
network file systems), leftovers stay until a training, which has its run folder to itself, resumes.
"""

import contextlib
import itertools
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

BEFORE = ".before"
"""Inside such a folder: what stood in the target's place until a moment ago."""

_numbers = itertools.count()


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, of this process alone, while the block runs.

    Raises:
        OSError: it cannot be made.
    """
    sweep(path.parent, path.name)
    own = path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.part")
    shutil.rmtree(own, ignore_errors=True)
    held = _made(own)
    try:
        yield own
    finally:
        with contextlib.suppress(OSError):
            _clear(own, path)
        if held is not None:
            os.close(held)


def sweep(place: Path, name: str | None = None, alone: bool = False) -> None:
    """Remove what processes that are no more have left beside files and folders.

    Args:
        place: the folder they lie in; it need not exist.
        name: of the target; None stands for any.
        alone: nobody else writes here, so that what cannot be locked is a leftover too.
    """
    for left in leftovers(place, name, alone):
        with contextlib.suppress(OSError):
            _clear(left, left.with_name(left.name[1:].rpartition(".part")[0].rpartition(".")[0]))


def leftovers(place: Path, name: str | None = None, alone: bool = False) -> list[Path]:
    """What :func:`sweep` would remove."""
    form = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.[0-9-]+\.part")
    try:
        found = [entry for entry in place.iterdir() if form.fullmatch(entry.name)]
    except OSError:
        return []
    return [left for left in found if _is_left(left, alone)]


def _is_left(path: Path, alone: bool) -> bool:
    try:
        held = _lock(path, wait=False)
    except OSError:
        return False
    if held is not None:
        os.close(held)
    return alone or held is not None


def _clear(folder: Path, target: Path) -> None:
    """Remove a folder; what it had put out of the target's place goes back where that is empty."""
    if not os.path.lexists(target) and os.path.lexists(folder / BEFORE):
        (folder / BEFORE).rename(target)
    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


def _made(own: Path) -> int | None:
    """Make a folder and lock it; another process may sweep it between the two."""
    while True:
        own.mkdir(exist_ok=True)
        held = _lock(own, wait=True)
        if held is None or own.exists():
            return held
        os.close(held)


def _lock(path: Path, wait: bool) -> int | None:
    """The descriptor of a lock on a file or folder; None where the system has no such locks.

    Raises:
        OSError: another process holds it, and `wait` is not given.
    """
    if sys.platform == "win32":
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
