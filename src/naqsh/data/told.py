"""Captions of a folder's images: a text file beside each, or one file for all of them.

* ``NAME.txt`` beside ``NAME.png`` or any other image, a caption a line;
* ``captions.csv`` or ``captions.jsonl`` in the folder, or in that of its split, with a row for each
  caption: the image's file and the sentence (``metadata.csv`` and ``metadata.jsonl`` are read too);
* ``captions.json``: COCO's layout (``images`` with ``id`` and ``file_name``, ``annotations`` with
  ``image_id`` and ``caption``), or the captions of each image under its name.

An image may have several captions. Where some have fewer than others, theirs are repeated in turn:
in training each caption of an image is as likely as any other of its own.
"""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from naqsh.captions.sentences import checked
from naqsh.core.errors import NaqshError
from naqsh.core.printable import short
from naqsh.data.listing import Listing
from naqsh.io import foreign
from naqsh.io.values import MISFIT, from_json

MOST = 10
"""Captions of an image that are taken, the first ones."""

SUFFIXES = frozenset((".txt", ".csv", ".jsonl", ".json"))

_TABLES = ("captions.csv", "captions.jsonl", "captions.json", "metadata.csv", "metadata.jsonl")
_FILE = ("file_name", "filename", "file", "image", "path")
_CAPTION = ("caption", "captions", "text", "sentence", "description")
_TEXT, _TABLE = 1 << 20, 256 << 20

Rows = Iterable[tuple[str, str, str]]
"""The file of an image, a caption of it, and where that stands, for messages."""


def with_captions(folder: Path, listing: Listing, skip: bool) -> Listing:
    """A listing of images with their captions.

    Args:
        folder: above all of them.
        listing: the images.
        skip: leave out images without a caption, with a note; otherwise they are refused.

    Raises:
        NaqshError: there are no captions, some images lack them, or a file of them is malformed.
    """
    table = _table(folder, listing)
    if table is not None:
        return completed(folder, listing, _of_table(folder, listing, table), str(table), skip)
    where = f"{folder} ({listing.files[0].with_suffix('.txt').name}, captions.csv, …)"
    return completed(folder, listing, _beside(listing), where, skip)


def completed(
    folder: Path, listing: Listing, found: dict[Path, list[str]], where: str, skip: bool
) -> Listing:
    """A listing with the captions found of its images; see :func:`with_captions`.

    Args:
        folder: above all of them.
        listing: the images.
        found: captions of each.
        where: they were looked for, for messages.
        skip: leave out images without a caption.
    """
    lacking = [file for file in listing.files if not found.get(file)]
    if len(lacking) == len(listing.files):
        raise NaqshError(f"{where} has no caption of any image; leave data.text out, or write them")
    notes = listing.notes
    if lacking:
        first = lacking[0].relative_to(folder)
        counted = f"{len(lacking)} of {len(listing.files)} images have no caption ({first})"
        if not skip:
            raise NaqshError(
                f"{folder}: {counted}; write them, remove these images, or leave them out with "
                "--data.skip_broken true"
            )
        notes = (*notes, f"{folder.resolve().name}: {counted} and are left out")
        listing = listing.of(np.array([bool(found.get(file)) for file in listing.files]))
        if len(listing.files) < 2:
            raise NaqshError(f"{folder}: {counted}; a data set needs at least 2 images")
    most = max(len(found[file]) for file in listing.files)
    if most > MOST:
        name = folder.resolve().name
        notes = (*notes, f"{name}: of more than {MOST} captions of an image, the first are taken")
    texts = even([found[file] for file in listing.files])
    return replace(listing, notes=notes, texts=texts)


def even(captions: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    """As many captions for each image as one has at most, those of others repeated in turn."""
    most = min(MOST, max(map(len, captions)))
    return tuple(tuple(itertools.islice(itertools.cycle(own), most)) for own in captions)


def lines(path: Path) -> list[str]:
    """The captions in a text file, one a line; raises NaqshError naming the line that is none."""
    found = []
    text = foreign.read_text(path, _TEXT).removeprefix("\ufeff")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            found.append(_sentence(line, f"{path}, line {number}"))
    return found


def _sentence(caption: str, where: str) -> str:
    try:
        return checked(caption)
    except NaqshError as error:
        raise NaqshError(f"{where}: {error}") from error


def _beside(listing: Listing) -> dict[Path, list[str]]:
    found = {}
    for file in listing.files:
        text = file.with_suffix(".txt")
        if text.is_file():
            found[file] = lines(text)
    return found


def _table(folder: Path, listing: Listing) -> Path | None:
    """The one file of captions, in the folder or next to its images' split; None without one."""
    places = dict.fromkeys(
        folder / Path(*file.relative_to(folder).parts[:depth])
        for depth in (1, 0)
        for file in listing.files[:: max(1, len(listing.files) - 1)]
        if len(file.relative_to(folder).parts) > depth
    )
    for place in places:
        there = [place / name for name in _TABLES if (place / name).is_file()]
        if len(there) > 1:
            raise NaqshError(
                f"{place} has captions in both {there[0].name} and {there[1].name}; keep one"
            )
        if there:
            return there[0]
    return None


def _of_table(folder: Path, listing: Listing, table: Path) -> dict[Path, list[str]]:
    """The captions of images that a table names by their path below it, or by their name alone."""
    named: dict[str, list[Path]] = {}
    for file in listing.files:
        for name in {file.relative_to(table.parent).as_posix(), file.name}:
            named.setdefault(name, []).append(file)
    found: dict[Path, list[str]] = {}
    for name, caption, where in _rows(table):
        path = PurePosixPath(name.replace("\\", "/"))
        files = named.get(str(path)) or named.get(path.name) or []
        if len(files) > 1:
            raise NaqshError(
                f"{where}: {short(name)} may be {files[0].relative_to(folder)} or "
                f"{files[1].relative_to(folder)}; write the path below {table.parent}"
            )
        if files and caption.strip():
            found.setdefault(files[0], []).append(_sentence(caption, where))
    return found


def _rows(table: Path) -> Rows:
    text = foreign.read_text(table, _TABLE).removeprefix("\ufeff")
    try:
        if table.suffix == ".csv":
            yield from _of_csv(table, text)
        elif table.suffix == ".jsonl":
            for number, line in enumerate(text.splitlines(), start=1):
                if line.strip():
                    where = f"{table}, line {number}"
                    yield from _of_record(from_json(line), where)
        else:
            yield from _of_json(table, from_json(text))
    except NaqshError:
        raise
    except (*MISFIT, csv.Error) as error:
        raise NaqshError(f"{table} is malformed: {_why(error)}") from error


def _why(error: Exception) -> str:
    """A missing name is all that a KeyError says."""
    return f"it lacks {error}" if isinstance(error, KeyError) else short(str(error))


def _of_csv(table: Path, text: str) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns = [name.strip().lower() for name in next(reader, [])]
    file, caption = (_column(table, columns, names) for names in (_FILE, _CAPTION))
    for row in reader:
        where = f"{table}, line {reader.line_num}"
        if row and len(row) != len(columns):
            raise NaqshError(f"{where}: {len(row)} columns, and the first line has {len(columns)}")
        if row:
            yield row[file], row[caption], where


def _column(table: Path, columns: list[str], names: tuple[str, ...]) -> int:
    for name in names:
        if name in columns:
            return columns.index(name)
    shown = short(", ".join(columns))
    raise NaqshError(f"{table}: the first line names {shown}, and no column is called {names[0]}")


def _of_record(record: Any, where: str) -> Rows:
    if not isinstance(record, dict):
        raise NaqshError(f"{where}: {short(record)} is no record of a file and its caption")
    values = [
        next((record[name] for name in names if name in record), None)
        for names in (_FILE, _CAPTION)
    ]
    for value, name in zip(values, (_FILE[0], _CAPTION[0]), strict=True):
        if value is None:
            raise NaqshError(f"{where}: it names no {name}")
    file, captions = values
    for caption in captions if isinstance(captions, list) else [captions]:
        if not isinstance(file, str) or not isinstance(caption, str):
            raise NaqshError(f"{where}: a file and its caption are texts, not {short(record)}")
        yield file, caption, where


def _of_json(table: Path, plain: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(plain, dict) and {"images", "annotations"} <= plain.keys():
        names = {image["id"]: image["file_name"] for image in plain["images"]}
        for number, said in enumerate(plain["annotations"], start=1):
            where = f"{table}, annotation {number}"
            if said["image_id"] not in names:
                raise NaqshError(f"{where}: there is no image {short(said['image_id'])}")
            record = {"file_name": names[said["image_id"]], "caption": said["caption"]}
            yield from _of_record(record, where)
    elif isinstance(plain, dict):
        for name, captions in plain.items():
            yield from _of_record(
                {"file_name": name, "caption": captions}, f"{table}, {short(name)}"
            )
    else:
        for number, record in enumerate(plain, start=1):
            yield from _of_record(record, f"{table}, record {number}")
