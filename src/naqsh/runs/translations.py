"""Image files translated to image files: one, or a folder of them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from naqsh.core.abilities import Translates
from naqsh.core.errors import NaqshError
from naqsh.core.progress import Progress
from naqsh.data import decoding
from naqsh.io import outputs, places
from naqsh.io import png as pictures
from naqsh.io.files import make_folder, write_bytes
from naqsh.runs import given, translating
from naqsh.runs.trained import Trained

BACK = "-back"
"""What the name of an image that was translated back ends in."""


@dataclass
class Saved:
    """What was written.

    Attributes:
        path: the file or folder.
        images: how many were translated.
        left_out: why, of each that could not be read.
    """

    path: Path
    images: int = 0
    left_out: list[str] = field(default_factory=list)


def save(
    run: Trained,
    source: Path | str,
    to: str | None = None,
    *,
    out: Path | str | None = None,
    folder: Path | str | None = None,
    back: bool = False,
    overwrite: bool = False,
    skip_broken: bool = False,
    batch: int = translating.BATCH,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Saved:
    """Translate an image, or all images of a folder, and write them as PNG.

    Args:
        run: whose method translates.
        source: an image, or a folder with images in it or below it.
        to: the domain, ``A``, ``B`` or its name; by default the method's usual one.
        out: the file for one image; ``translated.png`` in the run folder by default.
        folder: a new or empty folder, for images under the names that they have; they are in it
            when the last is translated, or none is.
        back: also translate each translation back; its name ends in :data:`BACK`.
        overwrite: replace the images in the folder, or a file that Naqsh did not write.
        skip_broken: leave out what cannot be read.
        batch: images at a time.
        device: where they are translated.
        progress: called with how many are done.

    Raises:
        NaqshError: the run does not translate, or not to that domain; there is no image, one
            cannot be read or is too small; or something stands where they should be written.
    """
    method = translating.require(run)
    to = translating.direction(run, to)
    ways = [to, translating.OTHER[to]] if back else [to]
    if ways[-1] not in method.directions:
        raise NaqshError(f"{run.recipe.name} translates to {to} alone, and not back")
    named = given.files(source)
    saved = Saved(Path(folder or out or run.folder.path / "translated.png"))
    targets = [path for path in _beside(saved.path, back) if not folder]
    if folder:
        outputs.require_folder(saved.path, overwrite)
    elif places.expanded(os.fspath(source)).is_dir():
        raise NaqshError(f"{source} is a folder: give --folder for its translations")
    for path in targets:
        outputs.require_name(path, "translation")
        outputs.require_file(path, overwrite or not out)
    files = _sound(method, named, skip_broken, saved.left_out)
    channels = translating.channels(run.layout, translating.OTHER[to])
    read = _read(files, channels, skip_broken, saved.left_out)
    made = translating.each(method, read, ways, batch=batch, device=device)
    told = _told(made, saved, len(files) + len(saved.left_out), progress)
    if folder:
        _write_folder(saved.path, told, names(files, Path(source), ("", BACK)), overwrite)
    else:
        for _, stages in told:
            make_folder(saved.path.absolute().parent)
            for path, stage in zip(targets, stages, strict=True):
                write_bytes(path, _png(stage))
    return saved


def _beside(path: Path, back: bool) -> list[Path]:
    """The file of a translation, and of the way back."""
    return [path, path.with_stem(path.stem + BACK)] if back else [path]


def _sound(
    method: Translates, files: Sequence[Path], skip_broken: bool, left_out: list[str]
) -> list[Path]:
    """The files whose headers can be read; raises where one is too small, before any work."""
    sound = []
    for file in files:
        try:
            header = decoding.header(file)
        except NaqshError as error:
            _leave_out(error, skip_broken, left_out)
            continue
        translating.require_size(method, header.height, header.width, f"image {file}")
        sound.append(file)
    return sound


def _read(
    files: Sequence[Path], channels: int, skip_broken: bool, left_out: list[str]
) -> Iterator[tuple[Path, Tensor]]:
    for file in files:
        try:
            yield file, given.decoded(file, channels)
        except NaqshError as error:
            _leave_out(error, skip_broken, left_out)


def _leave_out(error: NaqshError, skip_broken: bool, left_out: list[str]) -> None:
    if not skip_broken:
        raise NaqshError(f"{error}, or leave it out with --skip-broken") from error
    left_out.append(str(error))


def _told(
    made: Iterator[tuple[Path, list[Tensor]]], saved: Saved, total: int, progress: Progress | None
) -> Iterator[tuple[Path, list[Tensor]]]:
    """The same, counted."""
    for found in made:
        saved.images += 1
        yield found
        if progress:
            progress("translated", saved.images, total)
    if not saved.images:
        raise NaqshError(f"none of {total} images can be read: {saved.left_out[0]}")


def _write_folder(
    path: Path, made: Iterator[tuple[Path, list[Tensor]]], names: dict[Path, str], overwrite: bool
) -> None:
    with outputs.image_folder(path, overwrite) as aside:
        for file, stages in made:
            for end, stage in zip(("", BACK), stages, strict=False):
                (aside / f"{names[file]}{end}.png").write_bytes(_png(stage))


def names(files: Sequence[Path], source: Path, ends: Sequence[str]) -> dict[Path, str]:
    """Of each image file the name of what is made of it without an ending, no two alike.

    It is the file's own with its sub-folders before it, and a number where that is taken.

    Args:
        files: the images.
        source: the image, or the folder that they are in.
        ends: what several files that are made of one image end in.
    """
    top = places.expanded(os.fspath(source))
    found: dict[Path, str] = {}
    taken: set[str] = set()
    for file in files:
        inside = file.relative_to(top) if top.is_dir() else Path(file.name)
        name = own = "-".join(inside.with_suffix("").parts)
        count = 1
        while taken & (targets := {f"{name}{end}".casefold() for end in ends}):
            count += 1
            name = f"{own}-{count}"
        taken |= targets
        found[file] = name
    return found


def _png(image: Tensor) -> bytes:
    return pictures.to_png(pictures.to_pixels(image.numpy()).transpose(1, 2, 0))
