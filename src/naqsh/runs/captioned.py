"""Images of captions that somebody typed: drawn by a run, and written as rows with their captions.

Image k of a seed has the same noise under every caption, so that what differs between two rows is
what the captions say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naqsh.captions.encoder import typed
from naqsh.captions.sentences import checked
from naqsh.core.abilities import FollowsCaptions, Samples
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise, derive
from naqsh.io import png
from naqsh.io.files import make_folder, write_bytes
from naqsh.io.foreign import read_text
from naqsh.runs import sampling
from naqsh.runs.trained import Trained

WIDE = 640
"""Pixels of a row that images are enlarged to, by a whole factor."""

MOST = 1000
"""Captions at a time."""


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes:
        path: the file or folder.
        notes: a sentence for each caption with words that the run's encoder never saw.
    """

    path: Path
    notes: tuple[str, ...]


def from_file(path: Path) -> list[str]:
    """The captions in a text file, one a line; lines without a letter are left out.

    Raises:
        NaqshError: it is no text, has no captions, or a line cannot be one.
    """
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            try:
                found.append(checked(line))
            except NaqshError as error:
                raise NaqshError(f"{path}, line {number}: {error}") from error
    if not found:
        raise NaqshError(f"{path} has no captions; write one a line")
    return found


def embedded(run: Trained, captions: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    """Embeddings of captions, (N, d), and a sentence for each that has unknown words.

    Raises:
        NaqshError: the run follows no captions or has no encoder; or one cannot be a caption.
    """
    if not isinstance(run.method, FollowsCaptions):
        raise NaqshError(
            f"{run.recipe.name} follows no captions: it is of kind {run.recipe.method.kind}; take "
            "a run of stackgan, or one trained with --method.conditional captions"
        )
    if not 1 <= len(captions) <= MOST:
        raise NaqshError(f"need 1 to {MOST:,} captions, got {len(captions):,}")
    embeddings, notes = typed(run.encoder, captions)
    if embeddings.shape[1] != run.layout.caption:
        raise NaqshError(
            f"{run.folder.text} makes {embeddings.shape[1]} numbers of a caption, and the method "
            f"takes {run.layout.caption}: they are of different runs"
        )
    return torch.from_numpy(embeddings), tuple(notes)


def each(
    run: Trained,
    embeddings: Tensor,
    n: int,
    machine: Machine,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Tensor]:
    """The images of one caption after the other.

    Args:
        run: whose method follows captions.
        embeddings: of the captions, shape (N, d).
        n: images of each.
        machine: where they are drawn; its seed is of the noise.
        options: of sampling, as :func:`naqsh.runs.sampling.sample_options` takes them.

    Returns:
        for each caption float32 in [0, 1] with shape (stages, n, C, H, W), on the CPU: images of
        stages before the last are brought to its size by repeating pixels.

    Raises:
        NaqshError: a number does not fit; at once.
    """
    method = run.method
    assert isinstance(method, FollowsCaptions)
    if n < 1 or machine.batch < 1:
        raise NaqshError(f"need n and batch above 0, got {n} and {machine.batch}")
    sampling.require_room(n, method.shape, "take fewer at a time")
    chosen = options_of(method, options or {}, run.classes)

    def drawn() -> Iterator[Tensor]:
        place = torch.device(machine.device)
        method.to(place)
        for number, embedding in enumerate(embeddings.to(place)):
            parts = []
            for first in range(0, n, machine.batch):
                count = min(machine.batch, n - first)
                noise = Noise(derive(machine.seed, "captioned"), count, first, place)
                with torch.inference_mode():
                    parts.append(stacked(method, noise, embedding, chosen))
                machine.progress("samples", number * n + first + count, len(embeddings) * n)
            yield torch.cat(parts, dim=1)

    return drawn()


def options_of(
    method: FollowsCaptions, given: Mapping[str, Any], classes: Sequence[str]
) -> dict[str, Any]:
    """What a method's `follow` takes beside noise and captions, of options that a user gave.

    Args:
        method: that follows captions.
        given: by name, as :func:`naqsh.runs.sampling.sample_options` takes them.
        classes: the names of the labels.
    """
    assert isinstance(method, Samples), "its `sample` takes the same"
    return sampling.arguments(method, sampling.sample_options(method, given, classes))


def stacked(
    method: FollowsCaptions, noise: Noise, embedding: Tensor, options: Mapping[str, Any] = {}
) -> Tensor:
    """Images of one caption of every stage, brought to the last one's size by repeating pixels.

    Args:
        method: that follows captions.
        noise: of N images.
        embedding: of the caption, shape (d,).
        options: what `follow` takes beside.

    Returns:
        float32 in [0, 1] with shape (stages, N, C, H, W), on the CPU.
    """
    stages = method.follow(noise, embedding.expand(len(noise), -1), **options)
    factors = [stages[-1].shape[2] // images.shape[2] for images in stages]
    large = [
        images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        for images, factor in zip(stages, factors, strict=True)
    ]
    return torch.stack(large).cpu()


def save(
    run: Trained,
    captions: Sequence[str],
    n: int,
    machine: Machine,
    *,
    out: Path | str | None = None,
    folder: Path | str | None = None,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Saved:
    """Write images of captions: as rows, each over its caption, or each as a PNG of its own.

    In a row of two stages the second stands below the first.

    Args:
        run: whose method follows captions.
        captions: sentences.
        n: images of each.
        machine: where they are drawn; its seed is of the noise.
        out: the file of the rows; ``captions.png`` in the run folder by default.
        folder: a new or empty folder for the last stage's images instead, those of one caption
            after those of the one before.
        overwrite: replace the images in the folder, or a file that Naqsh did not write.
        options: of sampling.

    Raises:
        NaqshError: as :func:`embedded` and :func:`each`, or something stands where they should be
            written.
    """
    embeddings, notes = embedded(run, captions)
    path = Path(folder or out or run.folder.path / "captions.png")
    sampling.require_target(path, bool(folder), overwrite or not (folder or out))
    made = each(run, embeddings, n, machine, options)
    if folder:
        sampling.write_each(path, (stages[-1] for stages in made), overwrite)
    else:
        sampling.require_room(len(captions) * n, run.method.shape, "take fewer captions")
        rows = [(sheet(stages), text) for stages, text in zip(made, captions, strict=True)]
        make_folder(path.absolute().parent)
        write_bytes(path, png.rows_to_png(rows))
    return Saved(path, notes)


def sheet(stages: Tensor) -> png.Pixels:
    """Images (stages, n, C, H, W) as one, a line for each stage, wide enough for a caption."""
    pixels = png.to_pixels(stages.flatten(0, 1).numpy())
    factor = max(1, WIDE // (stages.shape[1] * stages.shape[4]))
    return png.grid(pixels.repeat(factor, 2).repeat(factor, 3), columns=stages.shape[1])
