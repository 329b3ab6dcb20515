"""An edit as files: a grid with what was given, single images, and its record in the run."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.machine import Machine
from naqsh.io import png
from naqsh.runs import kept, records, sampling
from naqsh.runs.results import Result
from naqsh.runs.trained import Trained
from naqsh.studies.editing.edit import Edited, edit

SHOWN = 10
"""Images that a grid has a row of."""

GREY = 128
"""Level at which a grid shows what is to be filled."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes:
        path: the grid, or the folder of single images.
        found: the record that the run keeps.
    """

    path: Path
    found: records.Edit


def save(
    run: Trained,
    images: Any,
    machine: Machine = Machine(),
    *,
    out: Path | str | None = None,
    folder: Path | str | None = None,
    overwrite: bool = False,
    **how: Any,
) -> Saved:
    """Edit images and write what comes of it; ``editing.json`` in the run's folder grows.

    Args:
        run: by which.
        images: as for :func:`naqsh.studies.editing.edit`.
        machine: where it is done.
        out: a PNG file for the grid besides the one in the run's folder, a row for each of the
            first images: as it was given, what of it was to be filled, and what came of it.
        folder: a new or empty folder for the edited images alone, those of one image after those of
            the one before.
        overwrite: replace the images in the folder, or a file that Naqsh did not write.
        how: what else :func:`naqsh.studies.editing.edit` takes.

    Raises:
        NaqshError: as that function, or something stands where they should be written.
    """
    if folder or out:
        sampling.require_target(Path(folder or out or ""), bool(folder), overwrite)
    store = kept.editing(run.folder)
    store.read()  # a damaged file is refused before the work
    made = edit(run, images, machine, **how)
    pixels = png.to_pixels(made.images.numpy())
    of = _of(run, made, machine.seed)
    picture = run.folder.path / f"editing-{Result(records.plain(of), {}).digest}.png"
    rows, columns = _rows(made, pixels)
    caption = _caption(run, made, machine.seed)
    png.save_grid(picture, rows, caption, columns)
    found = _found(made, pixels, picture.name)
    store.keep([Result(records.plain(of), records.plain(found))])
    if folder:
        sampling.write_each(Path(folder), _each(made.images), overwrite)
    elif out:
        png.save_grid(Path(out), rows, caption, columns)
    return Saved(Path(folder or out or picture), found)


def _each(images: Tensor) -> Iterator[Tensor]:
    yield from images


def _of(run: Trained, made: Edited, seed: int) -> records.EditOf:
    """All that the edit is of; what was given by content."""
    given = hashlib.sha256(made.given.images.tobytes())
    for more in (made.given.unknown, made.other):
        given.update(b"" if more is None else np.ascontiguousarray(more).tobytes())
    return records.EditOf(
        kind=made.kind,
        given=given.hexdigest()[:16],
        images=len(made.given.images),
        n=made.images.shape[1],
        strength=made.strength,
        jump=None if made.repaint is None else made.repaint.jump,
        resamples=None if made.repaint is None else made.repaint.resamples,
        sampling=dict(made.options),
        step=run.step,
        weights=run.weights,
        seed=seed,
    )


def _found(made: Edited, pixels: Pixels, picture: str) -> records.Edit:
    """What the edit came to, by the files' 8-bit levels."""
    levels = pixels.astype(np.int64)
    given = made.given.images[:, None].astype(np.int64)
    unknown, most = made.given.unknown, None
    if made.kind == "blend":
        assert made.other is not None, "read with the images"
        ends = levels[:, [0, -1]] - np.stack([made.given.images, made.other], 1)
        away = np.abs(ends).mean((2, 3, 4)).ravel() / 255
    elif unknown is None:
        away = np.abs(levels - given).mean((2, 3, 4)).ravel() / 255
    else:
        apart = np.abs(levels - given)
        hidden = np.broadcast_to(unknown[:, None, None], apart.shape)
        most = int(apart[~hidden].max(initial=0))
        share = hidden.mean((2, 3, 4))
        away = ((apart * hidden).mean((2, 3, 4)) / share).ravel() / 255
    error = float(away.std(ddof=1)) / len(away) ** 0.5 if len(away) > 1 else 0.0
    return records.Edit(
        picture=picture,
        shown=min(SHOWN, len(given)),
        change=records.Mean(float(away.mean()), error),
        kept=most,
        filled=None if unknown is None else float(unknown.mean()),
        evaluations=made.speed.evaluations_per_picture,
        pictures_per_second=made.speed.pictures_per_second,
        device=made.speed.device,
        notes=made.given.notes,
    )


def _rows(made: Edited, pixels: Pixels) -> tuple[Pixels, int]:
    """The images of a grid, and how many are in a row of it."""
    given, rows = made.given.images[:, None], [pixels]
    if made.given.unknown is not None:
        hidden = made.given.unknown[:, None, None]
        rows.insert(0, np.where(hidden, np.uint8(GREY), given))
    if made.other is not None:
        rows.append(made.other[:, None])
    whole = np.concatenate([given, *rows], 1)[:SHOWN]
    return whole.reshape(-1, *whole.shape[2:]), whole.shape[1]


def _caption(run: Trained, made: Edited, seed: int) -> str:
    told = {
        "fill": "given, what is kept, and filled",
        "vary": f"given, and made anew at strength {made.strength:g}" if made.strength else "given",
        "blend": "blended by their latents; the outermost are those given",
    }[made.kind]
    by = "" if made.kind == "blend" else f", seed {seed}"
    return f"{run.recipe.name} after {run.step} steps: {told}{by}"
