"""Heat maps as images: red where an image is more surprising than normal ones are."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh.io import places
from naqsh.io import png as pictures
from naqsh.io.files import write_bytes
from naqsh.studies.detection.result import SHOWN, Detection
from naqsh.studies.detection.scores import Maps

RED = np.array([230.0, 40.0, 20.0])

MOST = 200
"""Most flagged images whose heat map is written."""


def overlay(
    image: NDArray[np.uint8], heat: NDArray[np.float32], low: float, high: float
) -> NDArray[np.uint8]:
    """An image in grey with its heat in red.

    Args:
        image: uint8 with shape (C, H, W).
        heat: shape (H, W).
        low: what is not red at all.
        high: what is all red.

    Returns:
        uint8 with shape (3, H, W).
    """
    grey = image.mean(0)[..., None]
    part = np.clip((heat.astype(np.float64) - low) / max(high - low, 1e-30), 0, 1)[..., None]
    mixed = grey * (1 - 0.8 * part) + RED * 0.8 * part
    coloured: NDArray[np.uint8] = mixed.round().astype(np.uint8).transpose(2, 0, 1)
    return coloured


def save(folder: Path, found: Detection, maps: Maps | None) -> dict[str, str]:
    """Write the heat maps of flagged images, and grids of the extremes with theirs below them.

    Args:
        folder: of the detection, empty.
        found: what was found.
        maps: shape (N, H, W); None writes the grids without heat.

    Returns:
        the grids' names in `folder`, ``most`` and ``least``.
    """
    images, order = found.suspects.images, found.order()
    low, high = (0.0, 1.0) if maps is None else _range(maps)

    def heated(number: int) -> NDArray[np.uint8]:
        assert maps is not None
        return overlay(images[number], maps[number], low, high)

    names = {}
    for name, chosen in (("most", order[:SHOWN]), ("least", order[::-1][:SHOWN])):
        plain = np.stack([np.broadcast_to(images[i], (3, *images.shape[2:])) for i in chosen])
        rows = plain if maps is None else np.concatenate([plain, [heated(i) for i in chosen]])
        names[name] = f"{name}.png"
        pictures.save_grid(folder / names[name], rows.astype(np.uint8), columns=len(chosen))
    if maps is None:
        return names
    flagged = [number for number in order if found.flagged[number]]
    for rank, number in enumerate(flagged[:MOST], start=1):
        file = folder / places.native(f"{rank:04}-{_stem(found.suspects.paths[number])}.png")
        pair = np.stack([np.broadcast_to(images[number], (3, *images.shape[2:])), heated(number)])
        write_bytes(file, pictures.to_png(pictures.grid(pair, columns=2)))
    return names


def _stem(path: str) -> str:
    """The end of an image's path as part of a file's name, which has 255 bytes at most."""
    stem = (path.rpartition(".")[0] or path).replace("/", "-").replace("\0", "")
    return stem.encode(errors="replace")[-120:].decode(errors="ignore")


def _range(maps: Maps) -> tuple[float, float]:
    """What is not red and what is all red: shared by all images, so that they compare."""
    low, high = np.quantile(maps, [0.9, 0.999])
    return float(low), float(high)
