"""All images below a folder, and an account of what is passed over.

Links to folders are followed, but no folder is entered twice: one that lies below the top by itself
is taken there, and a link that leads back up is left alone.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from naqsh.core.errors import NaqshError
from naqsh.data.decoding import MISSING, SUFFIXES

_SYSTEM = ("thumbs.db", "desktop.ini")
_SHOWN = 4


@dataclass
class Walk:
    """What lies below a folder.

    Attributes:
        top: the folder.
        loose: images in itself, sorted.
        inside: images below each sub-folder that has any, sorted, by its name.
        linked: those of all images that are links to files.
        passed: endings of files that are no images and of which nothing is said.
    """

    top: Path
    loose: list[Path] = field(default_factory=list)
    inside: dict[str, list[Path]] = field(default_factory=dict)
    linked: set[Path] = field(default_factory=set)
    passed: frozenset[str] = frozenset()
    _unknown: list[Path] = field(default_factory=list)
    _hidden: list[Path] = field(default_factory=list)
    _closed: list[tuple[Path, str]] = field(default_factory=list)
    _links: list[Path] = field(default_factory=list)

    def notes(self, below: Iterable[str] | None = None) -> list[str]:
        """What is left out of some sub-folders, or of everything, a sentence each."""
        kept = None if below is None else set(below)

        def of(files: Iterable[Path]) -> list[Path]:
            return [file for file in files if kept is None or _first(file, self.top) in kept]

        found = []
        name = self.top.resolve().name
        if unknown := of(self._unknown):
            endings = Counter(path.suffix.lower() or "no ending" for path in unknown)
            shown = ", ".join(f"{ending} {n}" for ending, n in endings.most_common(_SHOWN))
            more = len(endings) - _SHOWN
            shown += f" and {more} more endings" if more > 0 else ""
            wants = {hint for ending in endings if (hint := MISSING.get(ending))}
            shown += "".join(f"; {hint}" for hint in sorted(wants))
            found.append(
                f"{name}: {_count(unknown, 'file')} of no kind that is read here left out ({shown})"
            )
        if hidden := of(self._hidden):
            first = hidden[0].relative_to(self.top)
            found.append(f"{name}: {_count(hidden, 'hidden image')} left out ({first})")
        for path, why in self._closed:
            inside = path.relative_to(self.top)
            if kept is None or _first(path, self.top) in kept:
                found.append(f"{name}: {inside} cannot be read ({why}): what it holds is left out")
        if links := [p for p in self._links if kept is None or _first(p, self.top) in kept]:
            found.append(
                f"{name}: {_count(links, 'link')} to folders that are read already or lie "
                f"above it left alone ({links[0].relative_to(self.top)})"
            )
        return found


def walk(top: Path, passed: frozenset[str] = frozenset()) -> Walk:
    """Look through a folder and all below it, without opening a file.

    Args:
        top: the folder.
        passed: endings of files that are no images and of which nothing is said.

    Raises:
        NaqshError: the folder itself cannot be read.
    """
    found = Walk(top, passed=passed)
    try:
        here = top.stat()
        above = {_identity(parent) for parent in top.resolve().parents}
        with os.scandir(top):
            pass
    except OSError as error:
        raise NaqshError(f"{top} cannot be read ({error.strerror})") from error
    entered = above - {(here.st_dev, here.st_ino)}
    # Folders before links to folders, so that what can be reached by its own name is.
    folders: list[Path] = [top]
    links: list[Path] = []
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        identity = _identity(folder)
        if identity is None or identity in entered:
            found._links.append(folder)
            continue
        entered.add(identity)
        inner, linked = _enter(folder, found)
        folders += inner
        links += linked
    found.loose.sort()
    found.inside = {name: sorted(found.inside[name]) for name in sorted(found.inside)}
    return found


def _enter(folder: Path, found: Walk) -> tuple[list[Path], list[Path]]:
    """Take in a folder's files; its sub-folders, and the links to folders in it."""
    inner: list[Path] = []
    linked: list[Path] = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found._closed.append((folder, error.strerror or str(error)))
        return [], []
    for entry in entries:
        path = folder / entry.name
        is_image = path.suffix.lower() in SUFFIXES
        if entry.name.startswith("."):
            if is_image and not entry.name.startswith("._"):  # macOS keeps its own beside files
                found._hidden.append(path)
        elif _is_folder(entry):
            (linked if entry.is_symlink() else inner).append(path)
        elif is_image and not _is_special(entry):
            if entry.is_symlink():
                found.linked.add(path)
            name = path.relative_to(found.top).parts[0]
            (found.loose if folder == found.top else found.inside.setdefault(name, [])).append(path)
        elif entry.name.lower() not in _SYSTEM and path.suffix.lower() not in found.passed:
            found._unknown.append(path)
    return inner, linked


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # behind a folder that may not be entered
        return False


def _is_special(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a pipe, a socket or a device, which to open might wait for ever.

    A link to nowhere is none: whoever reads it says that it is broken.
    """
    try:
        return not entry.is_file(follow_symlinks=False) and not stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _first(path: Path, top: Path) -> str:
    return path.relative_to(top).parts[0]


def _count(things: list[Path], what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"
