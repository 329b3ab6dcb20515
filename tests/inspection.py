"""A tiny folder in MVTec's layout: discs, and discs with a scratch or a hole, with their masks."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16

VAE = {
    "data.size": SIDE,
    "method.likelihood": "gaussian",
    "method.latent": 4,
    "training.batch": 16,
    "training.steps": 60,
    "training.validation": 0.25,
}
"""Changes that make a VAE of discs out of vae-digits, hardly trained, in a second."""


def write_discs(folder: Path, train: int = 40, test: int = 8) -> Path:
    """Write the folder.

    Args:
        folder: where.
        train: good images to train on.
        test: images of each kind to test: good, hole, scratch.
    """
    random = np.random.default_rng(0)
    for number in range(train):
        _save(folder / f"train/good/{number:03}.png", _disc(random))
    for kind in ("good", "hole", "scratch"):
        for number in range(test):
            picture, mask = _disc(random), np.zeros((SIDE, SIDE), np.uint8)
            place = 4 + number % 4
            if kind == "hole":
                mask[place : place + 4, place : place + 4] = 255
                picture[mask > 0] = 0
            if kind == "scratch":
                mask[place : place + 2, 2:14] = 255
                picture[mask > 0] = 255
            _save(folder / f"test/{kind}/{number:03}.png", picture)
            if kind != "good":
                _save(folder / f"ground_truth/{kind}/{number:03}_mask.png", mask)
    return folder


def _disc(random: np.random.Generator) -> np.ndarray:
    row, column = np.mgrid[:SIDE, :SIDE] - 7.5
    radius, level = random.uniform(5, 6), random.uniform(110, 150)
    disc = level / (1 + np.exp(3 * (np.hypot(row, column) - radius)))
    return np.clip(disc + random.normal(20, 3, disc.shape), 0, 255).astype(np.uint8)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
