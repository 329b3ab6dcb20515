"""What a method that follows captions made of some, at a stage: rows of images for the report.

``test`` are captions of ten test images, each with the real image first. ``changed`` is a caption
of each language, then the same with one word changed. In all rows column k has the same noise.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from naqsh.captions.changes import changed
from naqsh.core.abilities import FollowsCaptions
from naqsh.core.noise import Noise, derive
from naqsh.core.thinning import evenly
from naqsh.data import DataSet, to_float
from naqsh.io import png
from naqsh.runs.captioned import sheet, stacked
from naqsh.runs.folder import RunFolder

ROWS, COLUMNS = 10, 7
"""Captions, and images of each."""


def show(
    method: FollowsCaptions,
    shown: DataSet,
    folder: RunFolder,
    step: int,
    seed: int,
    device: torch.device,
) -> dict[str, list[dict[str, str]]]:
    """Draw the rows; returns the text and the file of each, by kind.

    Args:
        method: in evaluation mode.
        shown: test images with captions.
        folder: of the run.
        step: after which it is.
        seed: of the noise.
        device: where the method lies.
    """
    if shown.captions is None or not shown.texts:
        return {}
    images = [evenly(len(shown), ROWS)[row] for row in range(min(ROWS, len(shown)))]
    each = shown.captions.shape[1]
    places = [(image, row % each) for row, image in enumerate(images)]
    texts = [shown.texts[image][which] for image, which in places]
    embeddings = torch.stack([torch.from_numpy(shown.captions[place]) for place in places])
    real = to_float(torch.from_numpy(shown.images[images]), 0, 1)
    found = {"test": (texts, embeddings, real), "changed": _changed(shown, texts)}
    record: dict[str, list[dict[str, str]]] = {}
    for kind, (sentences, of_them, first) in found.items():
        rows = []
        for number, text in enumerate(sentences):
            noise = Noise(derive(seed, "captions"), COLUMNS, device=device)
            made = stacked(method, noise, of_them[number].to(device))
            if first is not None:
                beside = first[number].expand(len(made), 1, -1, -1, -1)
                made = torch.cat([beside, made], dim=1)
            file = folder.grid(step)
            file = file.with_stem(f"{file.stem}-{kind}-{number:02d}")
            file.write_bytes(png.to_png(sheet(made)))
            rows.append({"text": text, "file": file.name})
        record[kind] = rows
    return {kind: rows for kind, rows in record.items() if rows}


def _changed(shown: DataSet, texts: Sequence[str]) -> tuple[list[str], Tensor, None]:
    """The first caption of each language in which a word can be changed, and what it becomes."""
    encoder, found = shown.encoder, list[str]()
    if encoder is None:
        return found, torch.empty(0), None
    ascii_or_not = set[bool]()
    for text in texts:
        if text.isascii() in ascii_or_not:
            continue
        if made := changed(text, lambda word: not encoder.unknown(word)):
            ascii_or_not.add(text.isascii())
            found += made
    return found, torch.from_numpy(encoder.encode(found)), None
