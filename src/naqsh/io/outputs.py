"""Files and folders that a user names for outputs: whether they may be written, and how.

A folder of images is measured as one set, so images of two commands must never lie in one; and
what somebody else wrote is never replaced unasked. Images are written aside, without waiting for
the disk at each, and take their place together when the last is there.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from naqsh.core.errors import NaqshError, writing
from naqsh.io import aside
from naqsh.io.files import make_folder, sync

MARKS = (b"Software\0Naqsh", b'name="generator" content="Naqsh"', b'"generator": "Naqsh"')
"""What tells a PNG, a page and a notebook of ours; in the first or the last bytes of the file."""

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_ENDS = 4096

NAMES = {
    "grid": ((".png",), "a grid is one file ending in .png; --folder takes a folder"),
    "points": (
        (".png", ".csv", ".npy"),
        "points are one file, ending in .png (a scatter plot), .csv or .npy (their coordinates)",
    ),
    "translation": ((".png",), "a translation is one file ending in .png; --folder takes a folder"),
    "page": ((".html",), "a page is one file ending in .html; --notebook takes one in .ipynb"),
    "notebook": ((".ipynb",), "a notebook is one file ending in .ipynb"),
    "export": (
        (".zip", ".safetensors"),
        "an export is one file, ending in .zip (the run) or .safetensors (its weights)",
    ),
}
"""The endings that each kind of output may have, and what to say of another one."""
_ASIDE, _MOVING = "naqsh", "naqsh-moving"
_LEFT = re.compile(rf"\.({_ASIDE}|{_MOVING})\.[0-9-]+\.part")


def require_name(path: Path, kind: str) -> None:
    """Refuse a name that says another kind of file than will be written, or a folder's.

    Args:
        path: the file that is to be written.
        kind: out of :data:`NAMES`.
    """
    endings, said = NAMES[kind]
    if path.is_dir() or path.suffix.lower() not in endings:
        raise NaqshError(f"{path}: {said}")


def require_file(path: Path, overwrite: bool = False) -> None:
    """Refuse to replace a file that Naqsh did not write; NaqshError says what would work.

    Args:
        path: the file that is to be written.
        overwrite: replace whatever stands there.
    """
    if not overwrite and path.is_file() and path.stat().st_size and not _ours(path):
        raise NaqshError(
            f"{path} is there already and was not written by Naqsh; give another name, or "
            "--overwrite to replace it"
        )


def _ours(path: Path) -> bool:
    with path.open("rb") as file:
        ends = file.read(_ENDS)
        file.seek(max(0, path.stat().st_size - _ENDS))
        ends += file.read(_ENDS)
    return any(mark in ends for mark in MARKS)


def require_folder(path: Path, overwrite: bool = False) -> int:
    """Refuse a folder that images must not be written to.

    Args:
        path: the folder; it need not exist.
        overwrite: replace the images in it.

    Returns:
        how many images would be replaced.

    Raises:
        NaqshError: a file stands there; or the folder holds files and `overwrite` is not given; or
            it holds anything but images, which is never removed.
    """
    if not path.is_dir():
        if path.exists():
            raise NaqshError(f"{path} cannot be a folder: a file stands there; give another name")
        return 0
    there = _entries(path)
    images = [e for e in there if e.is_file() and e.suffix.lower() in IMAGES]
    if not there:
        return 0
    if not overwrite:
        raise NaqshError(
            f"{path} holds {_count(len(there))} already, and images of two commands must not mix; "
            "give an empty or new folder, or --overwrite to replace its images"
        )
    if others := sorted(set(there) - set(images)):
        raise NaqshError(
            f"{path} holds {others[0].name}, which is no image, and --overwrite replaces images "
            "only; give an empty or new folder"
        )
    return len(images)


@contextlib.contextmanager
def image_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A place to write a folder's images to, which are in the folder, all of them, at the end.

    Args:
        path: the folder, made where it is missing.
        overwrite: replace the images that lie there.

    Raises:
        NaqshError: see :func:`require_folder`.
    """
    require_folder(path, overwrite)
    make_folder(path)
    inside = path / _ASIDE
    with writing(path):
        old = _entries(path)
        for left in _half_moved(path):
            left.unlink()
        with aside.folder(inside) as place:
            yield place
            if hasattr(os, "sync"):
                os.sync()  # once: to wait for each of 5,000 images takes longer than to draw them
            with aside.folder(path / _MOVING):
                for image in old:
                    image.unlink()
                for new in place.iterdir():
                    new.rename(path / new.name)
                sync(path)


def _entries(path: Path) -> list[Path]:
    """What lies in a folder, but for what a killed command of ours has left."""
    left = _half_moved(path)
    return [e for e in path.iterdir() if e not in left and not _LEFT.fullmatch(e.name)]


def _half_moved(path: Path) -> set[Path]:
    """Images of ours that a killed command had begun to move to their places."""
    if not aside.leftovers(path, _MOVING):
        return set()
    return {e for e in path.iterdir() if e.suffix == ".png" and e.is_file() and _ours(e)}


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"
