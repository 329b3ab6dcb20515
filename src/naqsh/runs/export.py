"""A run as one file to give away: a zip of what is worth having of it, or its weights alone.

What optimisers remember is left out, twice the size of the weights under Adam: the file can be
sampled, measured and reported, and not trained further. The same run gives the same bytes.

Nothing here needs PyTorch.
"""

import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from naqsh.core.errors import NaqshError
from naqsh.io import foreign, headers, outputs, zips
from naqsh.io.files import make_folder, whole_file
from naqsh.io.progress import progress
from naqsh.runs import influences
from naqsh.runs.folder import STATE, RunFolder

TEXTS = {".json", ".jsonl", ".yaml", ".csv"}
"""What becomes smaller when it is packed; weights and PNGs hardly do."""

MARK = json.dumps({"generator": "Naqsh"}).encode()
"""The comment of a zip of ours, by which a later export knows that it may replace it."""


class Exported(NamedTuple):
    """What was written: the file, its bytes, and how many bytes of optimiser state it lacks."""

    path: Path
    size: int
    left_out: int


def write(
    run: RunFolder, path: Path, *, weights: str = "last", overwrite: bool = False
) -> Exported:
    """Write a run to one file, whole or not at all.

    Args:
        run: the run's folder.
        path: the file. ``.zip``: the recipe, the newest checkpoint's weights (the averaged ones
            where there are) and the best, logs, results and the images that reports show.
            ``.safetensors``: weights alone, which hold the recipe.
        weights: the ``last`` or the ``best``, where they go alone; a zip has both.
        overwrite: replace a file that stands there and is no zip that this wrote.

    Raises:
        NaqshError: the run has no weights, or a file cannot be read or written.
    """
    outputs.require_name(path, "export")
    if path.suffix.lower() == ".zip":
        outputs.require_file(path, overwrite)
        fill = _zip(run)
    else:
        if path.exists() and not overwrite:
            raise NaqshError(f"{path} is there already; give another name, or --overwrite")
        fill = _weights(run, weights)
    make_folder(path.absolute().parent)
    with whole_file(path) as new:
        fill(new)
    kept = run.checkpoint(run.steps()[-1]).glob("optimizers.*")
    return Exported(path, path.stat().st_size, sum(file.stat().st_size for file in kept))


def _weights(run: RunFolder, which: str) -> Callable[[Path], None]:
    file = run.require_best() if which == "best" else run.weights(_newest(run))
    if "step" not in headers.ours(file):
        raise NaqshError(f"{file} does not say of which step it is, and its run does: export a zip")

    def fill(new: Path) -> None:
        with new.open("wb") as target:
            for piece in _told(file, foreign.pieces(file, within=run.path)):
                target.write(piece)

    return fill


def _zip(run: RunFolder) -> Callable[[Path], None]:
    recipe = run.recipe_text().encode("utf-8", "backslashreplace")
    files = _files(run)
    top = re.sub(r"[^\w .+-]", "_", _name(run)).lstrip(".") or "run"

    def fill(new: Path) -> None:
        with ZipFile(new, "w") as archive:
            archive.comment = MARK
            _add(archive, f"{top}/recipe.yaml", len(recipe), [recipe])
            for file in files:
                name = f"{top}/{file.relative_to(run.path).as_posix()}"
                pieces = foreign.pieces(file, within=run.path)
                _add(archive, name, file.stat().st_size, _told(file, pieces))

    return fill


def _name(run: RunFolder) -> str:
    return run.named.stem if run.named.is_file() else run.path.resolve().name


def _add(archive: ZipFile, name: str, size: int, pieces: Iterable[bytes]) -> None:
    info = ZipInfo(name)  # of 1980: the same run gives the same bytes
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.compress_type = ZIP_DEFLATED if Path(name).suffix in TEXTS else ZIP_STORED
    info.file_size = size
    with archive.open(info, "w") as target:
        for piece in pieces:
            target.write(piece)


def _told(file: Path, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a file, with progress where that takes long."""
    with progress(f"exporting {file.name}", file.stat().st_size / 1e6, "MB") as tell:
        for piece in pieces:
            yield piece
            tell(len(piece) / 1e6)


def _files(run: RunFolder) -> list[Path]:
    """The files of a run that an export holds, but for the recipe.

    Raises:
        NaqshError: there are no weights, or a file has a name that a zip of a run cannot have.
    """
    place = run.checkpoint(_newest(run))
    logs = (run.about, run.networks, run.metrics, run.diagnosis, run.stages)
    measured = (run.evaluation, run.samplers, run.guidance, run.bound, run.field, run.translation)
    others = (
        run.path / "detection.json",
        run.best,
        run.text,
        run.segmentation,
        run.segmenter,
        run.weights(int(place.name)),
        place / STATE,
    )
    single = [*logs, *measured, run.editing, *others]
    found = [file for file in single if file.is_file()]
    for images in ("nearest*.png", "field-*.png", "segmentation-*.png", "editing-*.png"):
        found += sorted(run.path.glob(images))
    for folder in (run.grids, run.detections, run.path / "detection", run.path / influences.FOLDER):
        found += sorted(file for file in folder.rglob("*") if file.is_file())
    kept = [file for file in found if not _is_hidden(file.relative_to(run.path))]
    for file in kept:
        foreign.require_inside(file, run.path)
        zips.check_name(file, str(file.relative_to(run.path)), False)
    if len(kept) >= zips.MEMBERS:
        raise NaqshError(
            f"{run.path} has {len(kept):,} files to export, and {zips.MEMBERS:,} are the most that "
            "a zip of a run may have; remove some of its detections"
        )
    return kept


def _is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)


def _newest(run: RunFolder) -> int:
    steps = run.steps()
    if not steps:
        raise NaqshError(f"{run.path} has no checkpoint yet; train it further")
    if not run.weights(steps[-1]).is_file():
        raise NaqshError(f"{run.weights(steps[-1])} is missing: the checkpoint is not whole")
    return steps[-1]
