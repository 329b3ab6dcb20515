"""Runs in one file: a zip of a run folder, or a weights file alone.

Either is unpacked once into the cache, under the digest of its bytes, and is a run folder there:
all that takes a run takes such a file, and what is measured of it is kept in that folder, whatever
the file is called. One line says where. ``naqsh export`` of it makes a file that has the results
too.

Nothing here needs PyTorch.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import filelock

from naqsh.core.errors import CannotWrite, NaqshError
from naqsh.core.printable import shown
from naqsh.io import foreign, headers, places, zips
from naqsh.io.files import sync, whole_folder
from naqsh.io.terminal import stderr
from naqsh.runs.folder import WEIGHTS, RunFolder

LIMIT = 64 << 30
"""Bytes that a run may unpack to."""

ZIPS = (b"PK\3\4", b"PK\5\6")
"""How a zip begins; the second one is empty."""

_said: set[Path] = set()


def is_packed(path: Path | str) -> bool:
    """Whether a path is that of a zip or of a weights file, to judge by how it begins."""
    return Path(path).is_file() and _filler(Path(path)) is not None


def folder(path: Path | str) -> RunFolder:
    """The run folder that a path stands for: itself, or what a zip or weights file unpacks to.

    Args:
        path: a run folder; a zip of one, as `naqsh export` or anybody makes it; or a weights file.

    Raises:
        NaqshError: there is no run, or the file is not one of ours, damaged or not safe to unpack.
    """
    given = Path(path)
    fill = _filler(given) if given.is_file() else None
    if fill is None:
        return RunFolder(given).require()
    place = _unpacked(given, fill)
    if place not in _said and (stream := stderr()):
        _said.add(place)
        line = f"{shown(given)} is opened in {shown(place)}; what is measured of it is kept there"
        print(line, file=stream)
    return RunFolder(place, given).require()


def _filler(path: Path) -> Callable[[Path, Path], None] | None:
    """What unpacks a file; None where it is neither a zip nor a weights file."""
    if path.suffix.lower() == ".safetensors":
        return _fill_from_weights
    with foreign.opened(path, 1 << 62, within=path.resolve().parent) as file:
        is_zip = file.read(4) in ZIPS
    return _fill_from_zip if is_zip or path.suffix.lower() == ".zip" else None


def _unpacked(path: Path, fill: Callable[[Path, Path], None]) -> Path:
    """The folder in the cache that holds what is in a file, filled first where it is not there."""
    cache = places.cache() / "runs"
    name = foreign.sha256(path, within=path.resolve().parent)[:24]
    place = cache / name
    try:
        if not place.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(cache / f".{name}.lock"):
                if not place.is_dir():
                    with whole_folder(place) as aside:
                        fill(path, aside)
                        for entry in aside.rglob("*"):
                            sync(entry)
    except OSError as error:
        if isinstance(error, CannotWrite) or (error.filename or "").startswith(str(cache)):
            raise NaqshError(
                f"the cache {cache} cannot be written ({error.strerror or error}); set NAQSH_CACHE "
                f"to a folder that can, with room for what {path} holds"
            ) from error
        raise
    return place


def _fill_from_weights(path: Path, aside: Path) -> None:
    """Make a run folder of weights, by what their header says."""
    real = path.resolve()
    texts = headers.ours(real)
    step = texts.get("step", real.parent.name)  # of older ones the checkpoint's folder says it
    if not re.fullmatch("[0-9]{1,18}", step):
        raise NaqshError(f"{path} has a header that does not fit: it says no step")
    run = RunFolder(aside)
    run.recipe.write_bytes(texts["recipe"].encode("utf-8", "backslashreplace"))
    place = run.checkpoint(int(step))
    place.mkdir(parents=True)
    shutil.copyfile(real, place / WEIGHTS)


def _fill_from_zip(path: Path, aside: Path) -> None:
    """Unpack the run in a zip, wherever in it the run lies."""
    with zips.opened(path, LIMIT) as (archive, files):
        top = _top(path, [PurePosixPath(name) for name in files])
        for name, info in files.items():
            if _is_seen(member := PurePosixPath(name)) and member.is_relative_to(top):
                target = aside / member.relative_to(top)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    for piece in zips.pieces(path, archive, info):
                        file.write(piece)


def _top(path: Path, members: list[PurePosixPath]) -> PurePosixPath:
    """The folder in a zip in which the run lies: the zip itself, or one below."""
    seen = [member for member in members if _is_seen(member)]
    found = {member.parent for member in seen if member.name == "recipe.yaml"}
    found = found or {
        member.parents[2]
        for member in seen
        if member.name == WEIGHTS and len(member.parts) > 2 and member.parts[-3] == "checkpoints"
    }
    if not found:
        raise NaqshError(
            f"{path} holds no run: no recipe.yaml and no weights; `naqsh export RUN FILE.zip` "
            "makes such a file"
        )
    if len(found) > 1:
        raise NaqshError(
            f"{path} holds {len(found)} runs; unpack it, and give the folder of one of them"
        )
    return found.pop()


def _is_seen(member: PurePosixPath) -> bool:
    """Whether a member is more than what an operating system or a lock leaves."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in member.parts)
