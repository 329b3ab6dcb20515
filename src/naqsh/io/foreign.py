"""Files that someone else may have written: the one place where they are read.

A run folder, a recipe or a comparison from a stranger must be safe to open. So whatever is read of
one goes through here: a regular file that really lies in its folder, no larger than it can sensibly
be, holding plain values, not nested deeper than people nest, with finite numbers. Whatever else it
is ends in a :class:`NaqshError` of one line. What is then shown of it goes through
:mod:`naqsh.core.printable`, so that it cannot command a terminal or fill a screen.
``docs/security.md`` says what is promised to whom.

Nothing here needs PyTorch.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from naqsh.core.errors import NaqshError
from naqsh.core.printable import is_text, short, shown
from naqsh.io.values import YAML_LIMIT, from_json

JSON_LIMIT = 64 << 20
"""Bytes of a JSON file; what a detection says of 100,000 images takes a third of it."""

LINES_LIMIT, LINE_LIMIT = 1 << 30, 16 << 20
"""Bytes of a log, of which a million steps of a large network take a tenth, and of a line of it."""

_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def plain_name(text: str, what: str) -> str:
    """`text`, if it can name a file or folder inside another one; it leads nowhere else.

    Args:
        text: the name, from a recipe or a file.
        what: whose name it is, for the message, for example ``"the recipe's name"``.

    Raises:
        NaqshError: it is empty, begins with a point, or holds a slash, a colon or a control
            character.
    """
    if not text or text[0] == "." or len(text.encode("utf-8", "replace")) > 200:
        why = "it needs 1 to 200 bytes, and no point in front"
    elif set(text) & set("/\\:"):
        why = "it has a slash or a colon"
    elif not is_text(text):
        why = "it has control characters"
    else:
        return text
    raise NaqshError(f"{what} {short(text)} cannot name a folder: {why}")


@contextlib.contextmanager
def opened(path: Path, limit: int, within: Path | None = None) -> Iterator[BinaryIO]:
    """A regular file, open to be read.

    Args:
        path: the file.
        limit: the most bytes that it may have.
        within: the folder in which it must really lie, wherever links lead; its own by default.

    Raises:
        NaqshError: it is missing, cannot be read, is no regular file, leads out, or is too large.
    """
    require_inside(path, within or path.parent)
    try:
        # A pipe without a writer would be waited for; a device might never end.
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    try:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise NaqshError(f"cannot read {path}: Is a directory")
        if not stat.S_ISREG(about.st_mode):
            raise NaqshError(f"cannot read {path}: it is a pipe or a device, no regular file")
        if about.st_size > limit:
            raise NaqshError(
                f"{path} is refused: it has {about.st_size:,} bytes, and {limit:,} are more than "
                "such a file needs"
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def unreadable(path: Path, error: Exception) -> NaqshError:
    """The one line for a file that is there and cannot be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return NaqshError(f"cannot read {path}: {reason}")


def require_inside(path: Path, folder: Path) -> None:
    """Refuse a path that leads out of a folder by a link; NaqshError names it."""
    try:
        leads_out = not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise unreadable(path, error) from error
    if leads_out:
        raise NaqshError(
            f"{path} is refused: it is a link that leads out of its folder; put the file itself "
            "there"
        )


def require_there(path: Path, whole: str) -> None:
    """Refuse a missing file by the name of what it is a part of."""
    if not os.path.lexists(path):
        raise NaqshError(f"{path} is missing: {whole} is not whole")


def require_file(path: Path, within: Path | None = None) -> None:
    """Refuse what :func:`opened` would refuse of a file that a library opens by its path."""
    with opened(path, limit=1 << 62, within=within):
        pass


def read_bytes(path: Path, limit: int, within: Path | None = None) -> bytes:
    """What a file holds; see :func:`opened` for arguments and errors."""
    with opened(path, limit, within) as file:
        try:
            return file.read()
        except OSError as error:
            raise unreadable(path, error) from error


def sha256(path: Path, within: Path | None = None) -> str:
    """The digest of a file, in hex digits; see :func:`opened` for arguments and errors."""
    total = hashlib.sha256()
    for piece in pieces(path, within):
        total.update(piece)
    return total.hexdigest()


def pieces(path: Path, within: Path | None = None) -> Iterator[bytes]:
    """What a file of any size holds, 1 MiB at a time; see :func:`opened` for the rest."""
    with opened(path, limit=1 << 62, within=within) as file:
        while True:
            try:
                piece = file.read(1 << 20)
            except OSError as error:
                raise unreadable(path, error) from error
            if not piece:
                return
            yield piece


def read_text(path: Path, limit: int = YAML_LIMIT, within: Path | None = None) -> str:
    """What a file of UTF-8 text holds; see :func:`opened` for arguments and errors."""
    try:
        return read_bytes(path, limit, within).decode()
    except UnicodeDecodeError as error:
        raise NaqshError(f"{path} is damaged: it is no text in UTF-8 ({error.reason})") from error


def read_json(path: Path, limit: int = JSON_LIMIT, within: Path | None = None) -> Any:
    """What a JSON file holds, as plain values with finite numbers.

    Raises:
        NaqshError: as :func:`opened`, or it is damaged.
    """
    require_there(path, "the run folder")
    try:
        return from_json(read_bytes(path, limit, within))
    except ValueError as error:
        raise NaqshError(f"{path} is damaged: {shown(error)}") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl file; a last line cut short by a kill is left out.

    Raises:
        NaqshError: as :func:`opened`, or another line is damaged. A missing file has no records.
    """
    if not os.path.lexists(path):
        return []
    records = []
    with opened(path, LINES_LIMIT) as file:
        for number, line in enumerate(_lines(path, file), start=1):
            try:
                if len(line) > LINE_LIMIT:
                    raise ValueError(f"it has more than {LINE_LIMIT:,} bytes")
                record = from_json(line)
            except ValueError as error:
                raise NaqshError(f"{path}, line {number} is damaged: {error}") from error
            if not isinstance(record, dict):
                raise NaqshError(f"{path}, line {number} is damaged: it holds no named values")
            records.append(record)
    return records


def _lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The lines that have an end; of one that is too long its beginning."""
    try:
        while line := file.readline(LINE_LIMIT + 1):
            if line.endswith(b"\n") or len(line) > LINE_LIMIT:
                yield line
    except OSError as error:
        raise unreadable(path, error) from error
