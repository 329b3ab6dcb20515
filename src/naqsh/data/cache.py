"""The user's cache: decoded images, and latents of images, as memory maps, built once.

An entry is a folder with `images.npy`, `labels.npy` where there are labels, and `meta.json`. It is
written under another name, synced and renamed: it is never seen half-built, a process that is
killed leaves none, and of two that build at once the second finds the first one's. (A lock spares
it the work; nothing depends on the lock.)

`meta.json` keeps the shape and the SHA-256 of what was stored. All of it is held against them when
a process first opens an entry, at 0.8 gigabytes a second a core, so a bit that a disk or a copy has
changed is found, and the entry built again. What changes while it is open is not noticed.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.data import notes, npy
from naqsh.data.fingerprint import FINGERPRINT, Fingerprint
from naqsh.io import aside, places
from naqsh.io.progress import progress

_STALE = 24 * 3600
_PIECE = 32 << 20


@dataclass(frozen=True)
class Content:
    """What is to be stored.

    Attributes:
        shape: (N, C, H, W).
        labels: int64 with shape (N,), or None.
        chunks: arrays of shape (n, C, H, W), N images in all; consumed once.
        about: what JSON can hold and is kept beside them; may grow until `chunks` are consumed.
        dtype: of the chunks: ``uint8``, or ``float32`` for latents.
    """

    shape: tuple[int, int, int, int]
    labels: NDArray[np.int64] | None
    chunks: Iterable[NDArray[Any]]
    about: dict[str, Any] = field(default_factory=dict)
    dtype: Literal["uint8", "float32"] = "uint8"


@dataclass(frozen=True)
class Stored:
    """What is in the cache: a read-only map, the labels, the fingerprint of both, and `about`."""

    images: NDArray[Any]
    labels: NDArray[np.int64] | None
    fingerprint: str
    about: dict[str, Any] = field(default_factory=dict)


def pictures(place: str, version: str, build: Callable[[], Content]) -> Stored:
    """The images stored under a place and version, built first if they are not there.

    Args:
        place: what the images are of; letters, digits, hyphens. Once a new version is stored, the
            older ones of the same place are removed.
        version: changes whenever the images do.
        build: makes the content; called only when it is missing or damaged.

    Raises:
        NaqshError: the cache cannot be written.
    """
    folder = places.cache() / "pictures"
    entry = folder / f"{place}-{version}"
    if found := _whole(entry):
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{place}.lock"):
            if found := _whole(entry):
                return found
            if entry.exists():
                notes.say([f"{entry} in the cache was damaged, or of an older form: built again"])
            _sweep(folder)
            with aside.folder(entry) as own:
                content, new = build(), own / "new"
                _check_room(folder, content)
                new.mkdir()
                _write(new, content)
                shutil.rmtree(entry, ignore_errors=True)
                # Fails when another process without the lock was first; its entry is as good.
                with contextlib.suppress(OSError):
                    new.rename(entry)
            stored = _open(entry)
            for other in folder.glob(f"{place}-*"):
                if other != entry and other.suffix != ".part":
                    shutil.rmtree(other, ignore_errors=True)
            return stored
    except OSError as error:
        raise NaqshError(
            f"the cache {folder} cannot be written ({error.strerror or error}); set NAQSH_CACHE to "
            "a folder that can, with room for images and latents"
        ) from error


def key(*parts: object) -> str:
    """A short name for anything that JSON can write: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _whole(entry: Path) -> Stored | None:
    """What is stored, or None where it is missing, damaged or of an older form."""
    try:
        return _open(entry)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        NaqshError,
    ):
        return None


def _open(entry: Path) -> Stored:
    meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
    if meta.pop("seal") != key(meta):
        raise ValueError("other words than were stored")
    held = npy.arrays(entry / "images.npy")[""]
    dtype = meta.get("dtype", "uint8")  # older entries do not say it
    if isinstance(held, str) or held.dtype != dtype or list(held.shape) != meta["shape"]:
        raise ValueError("other images than were stored")
    images, labels = held.mapped(), None
    if meta["labels"]:
        marks = npy.arrays(entry / "labels.npy")[""]
        if isinstance(marks, str) or marks.dtype != np.int64 or marks.shape != (len(images),):
            raise ValueError("other labels than were stored")
        labels = marks.whole()
    stat = (entry / "images.npy").stat()
    state = (entry, stat.st_ino, stat.st_size, stat.st_mtime_ns, meta["sha256"])
    if state not in _checked:
        if _digest(images, labels) != meta["sha256"]:
            raise ValueError("other values than were stored")
        _checked.add(state)
    return Stored(images, labels, meta["sha256"][:FINGERPRINT], meta["about"])


_checked: set[tuple[object, ...]] = set()
"""The entries that this process has read to the end and found whole."""


def _digest(images: NDArray[Any], labels: NDArray[np.int64] | None) -> str:
    digest, rows = Fingerprint(images.shape), max(1, _PIECE // images[:1].nbytes)
    with progress("checking the cache", len(images), "images") as advance:
        for start in range(0, len(images), rows):
            digest.add(images[start : start + rows])
            advance(min(rows, len(images) - start))
    return digest.sha256(labels)


def _check_room(folder: Path, content: Content) -> None:
    """Refuse at once what the disk cannot hold, rather than when it is full."""
    needed = math.prod(content.shape) * np.dtype(content.dtype).itemsize
    free = shutil.disk_usage(folder).free
    if needed > free:
        count, channels, height, width = content.shape
        what = "images" if content.dtype == "uint8" else "latents"
        raise NaqshError(
            f"{count:,} {what} of {height}x{width}x{channels} take {needed / 1e9:,.1f} GB, and "
            f"the cache {folder} has room for {free / 1e9:,.1f} GB; give a smaller data.size, or "
            "set NAQSH_CACHE to a folder with more room"
        )


def _write(folder: Path, content: Content) -> None:
    # Plain writes, not a map opened for writing: on a full disk a write raises, a map crashes.
    digest = Fingerprint(content.shape)
    written = 0
    dtype = np.dtype(content.dtype)
    header = {"descr": dtype.str, "fortran_order": False, "shape": content.shape}
    with (folder / "images.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in content.chunks:
            if chunk.dtype != dtype or chunk.shape[1:] != content.shape[1:]:
                wanted = f"{dtype} {content.shape[1:]}"
                raise ValueError(f"need {wanted}, got {chunk.dtype} {chunk.shape}")
            file.write(np.ascontiguousarray(chunk).data)
            digest.add(chunk)
            written += len(chunk)
        _sync(file.fileno())
    if written != content.shape[0]:
        raise ValueError(f"{content.shape[0]} images announced, {written} came")
    if content.labels is not None:
        with (folder / "labels.npy").open("wb") as file:
            np.save(file, content.labels.astype(np.int64), allow_pickle=False)
            _sync(file.fileno())
    meta = {
        "sha256": digest.sha256(content.labels),
        "shape": content.shape,
        "labels": content.labels is not None,
        "dtype": content.dtype,
        "about": content.about,
    }
    with (folder / "meta.json").open("w", encoding="utf-8") as text:
        json.dump(meta | {"seal": key(meta)}, text)
        text.flush()
        _sync(text.fileno())


def _sync(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # some network file systems have no fsync
        os.fsync(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed a day ago or more left behind."""
    for part in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE:
                shutil.rmtree(part, ignore_errors=True)
