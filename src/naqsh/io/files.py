"""Files are written aside, synced and renamed: whole or not at all, at every moment."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from naqsh.core.errors import NaqshError, writing
from naqsh.core.printable import whole
from naqsh.io import aside
from naqsh.io.foreign import read_lines


def flat(plain: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested named values as one level with dotted names."""
    level: dict[str, Any] = {}
    for key, value in plain.items():
        name = f"{path}.{key}" if path else str(key)
        level |= flat(value, name) if isinstance(value, Mapping) else {name: value}
    return level


def make_folder(path: Path) -> None:
    """Make a folder and its parents; raises NaqshError where something else stands."""
    with writing(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise NaqshError(
                f"{path} cannot be a folder: a file stands there or above it; give another --out"
            ) from None


def read_until(path: Path, step: int) -> list[dict[str, Any]]:
    """The records of a .jsonl file until a step; raises as :func:`read_records`."""
    records = read_records(path)
    return [record for record in records if record["step"] <= step]


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one record to a .jsonl file; NaqshError where it cannot be written."""
    line = json.dumps(record, allow_nan=False) + "\n"
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(line)


def rewrite_lines(path: Path, records: list[dict[str, Any]]) -> None:
    """Replace a .jsonl file by these records, all or none of them."""
    write_text(path, "".join(json.dumps(record, allow_nan=False) + "\n" for record in records))


def write_text(path: Path, text: str) -> None:
    """Write a file so that at every moment it is the old one or the new one, whole.

    What of a name is not UTF-8 is written as ``\\udce3``, which JSON reads back as it was.
    """
    write_bytes(path, whole(text).encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that at every moment it is the old one or the new one, whole.

    Raises:
        NaqshError: it cannot be written; what stood there still stands.
    """
    with whole_file(path) as new:
        new.write_bytes(data)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that takes its name only when the block ends without an error.

    What it lies in must be there: a run folder that was deleted is not made anew, half of it.
    """
    with writing(path), aside.folder(path) as place:
        new = place / "folder"
        new.mkdir()
        yield new
        for file in new.iterdir():
            sync(file)
        if path.exists():
            path.rename(place / aside.BEFORE)
        new.rename(path)
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders and orders their entries itself
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_there(folder: Path) -> None:
    """Refuse to go on in a folder that was moved or deleted meanwhile, and to make half of it."""
    if not folder.is_dir():
        raise NaqshError(
            f"{folder} is gone: it was moved or deleted while it was written to; nothing more is"
        )


def make_part(path: Path) -> None:
    """Make a folder in one that is there; raises as :func:`require_there` where it is not."""
    require_there(path.parent)
    make_folder(path)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl file, each with its step and with numbers for losses, if any.

    Raises NaqshError as :func:`naqsh.io.foreign.read_lines`, or where they have not.
    """
    records = read_lines(path)
    for number, record in enumerate(records, start=1):
        if type(record.get("step")) is not int:
            raise NaqshError(f"{path}, line {number} is damaged: it says no step")
        losses = record.get("losses", {})
        if not isinstance(losses, dict) or not all(map(_is_number, losses.values())):
            raise NaqshError(f"{path}, line {number} is damaged: its losses are no numbers")
    return records


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write that takes its name only when the block ends without an error."""
    with writing(path), aside.folder(path) as place:
        yield place / "file"
        sync(place / "file")
        (place / "file").replace(path)
