r"""How near samples lie to the training images, and whether held-out images lie as near.

Held-out images lie at some distance from the nearest training image each; samples of a good model
lie at about the same. Two ends are looked at, both without any choice of a threshold:

- samples *nearer* than every held-out image: copies, the model memorised images;
- samples *farther* than every held-out image: no images at all, such as noise that a sampler left.

Were n samples and m held-out images alike (exchangeable), the k largest of all n + m distances
would all be samples' with the chance

.. math:: \prod_{i < k} \frac{n - i}{n + m - i},

about :math:`2^{-k}` for n = m; likewise the smallest. What is less likely than 0.05 is noted.

Distances are root mean squares of pixel differences. A shifted copy escapes them, and so does noise
among images that are noise themselves.

References:
    On the nearest training image as a look for copies: A Non-Parametric Test to Detect Data-Copying
    in Generative Models (Meehan et al., 2020), arXiv:2004.05675.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.thinning import evenly

Pixels = NDArray[np.uint8]

LEAKED = 0.05
"""Part of the held-out images that may be training images, to the bit, before that is noted."""

UNLIKELY = 0.05
"""What is noted has a smaller chance than this where samples and held-out images are alike."""

WORK = 1e11
"""Products, at most, for one set's distances; of more training images some are taken evenly."""

MEMORY = 1 << 24
"""Numbers of training images that are held at once."""


@dataclass(frozen=True)
class Nearness:
    """Distances to the nearest training image.

    Attributes:
        samples: of each sample, root mean squares of pixel differences in [0, 1].
        held_out: of each held-out image.
        numbers: which training image is nearest to each sample.
        training: training images that were looked through.
    """

    samples: tuple[float, ...]
    held_out: tuple[float, ...]
    numbers: tuple[int, ...]
    training: int

    @property
    def nearer(self) -> int:
        """Samples that lie nearer to a training image than any held-out image does."""
        return sum(distance < min(self.held_out) for distance in self.samples)

    @property
    def farther(self) -> int:
        """Samples that lie farther from every training image than any held-out image does."""
        return sum(distance > max(self.held_out) for distance in self.samples)

    @property
    def leaked(self) -> int:
        """Held-out images that are training images to the bit."""
        return sum(distance == 0 for distance in self.held_out)

    @property
    def signs(self) -> tuple[str, ...]:
        """What is beyond chance: ``leaked`` alone, or any of ``copies`` and ``noise``."""
        n, m = len(self.samples), len(self.held_out)
        if self.leaked >= LEAKED * m:
            return ("leaked",)
        counts = {"copies": self.nearer, "noise": self.farther}
        return tuple(sign for sign, k in counts.items() if chance(k, n, m) < UNLIKELY)

    @property
    def notes(self) -> list[str]:
        """What a reader must know, in sentences; none where all is as chance allows."""
        n, m = len(self.samples), len(self.held_out)
        sentences = {
            "leaked": f"{self.leaked} of {m} held-out images are training images: whether samples "
            "are copies cannot be told, and distances reward memorisation",
            "copies": f"{self.nearer} of {n} samples are nearer to a training image than any of "
            f"{m} held-out images is: the model may have memorised images, and low distances "
            "are then no merit",
            "noise": f"{self.farther} of {n} samples are farther from every training image than "
            f"any of {m} held-out images is: look at them, some may be noise",
        }
        return [sentences[sign] for sign in self.signs]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "space": "pixels",
            "n": len(self.samples),
            "n_held_out": len(self.held_out),
            "training": self.training,
            "samples": list(self.samples),
            "held_out": list(self.held_out),
            "training_images": list(self.numbers),
            "nearer_than_any_held_out": self.nearer,
            "farther_than_any_held_out": self.farther,
            "signs": list(self.signs),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Nearness":
        """What :meth:`to_dict` gave, after a way through JSON."""
        samples, held_out = tuple(values["samples"]), tuple(values["held_out"])
        return cls(samples, held_out, tuple(values["training_images"]), values["training"])

    def __str__(self) -> str:
        samples, usual = np.median(self.samples), np.median(self.held_out)
        n, m = len(self.samples), len(self.held_out)
        return (
            f"nearest training image, rms of pixels: samples {samples:.3f}, held-out images "
            f"{usual:.3f} (medians of {n} and {m}); {self.nearer} nearer and {self.farther} "
            "farther than any held-out image"
        )


def nearness(samples: Pixels, train: Pixels, held_out: Pixels) -> Nearness:
    """How near training images lie to samples, and to held-out images for comparison.

    Args:
        samples: uint8 with shape (n, C, H, W).
        train: what was trained on, uint8 with shape (N, C, H, W).
        held_out: real images that were not, uint8 with shape (m, C, H, W).
    """
    most = max(1, int(WORK / (max(len(samples), len(held_out)) * math.prod(train.shape[1:]))))
    places = np.arange(len(train))
    if most < len(train):
        places = evenly(len(train), most)
    among = train if len(places) == len(train) else np.asarray(train[places])
    distances, numbers = nearest(samples, among)
    usual, _ = nearest(held_out, among)
    return Nearness(
        tuple(distances.tolist()),
        tuple(usual.tolist()),
        tuple(places[numbers].tolist()),
        len(among),
    )


def chance(k: int, n: int, m: int) -> float:
    """That the k largest (or smallest) of n + m exchangeable numbers all belong to the n."""
    return math.prod((n - i) / (n + m - i) for i in range(k))


def nearest(
    wanted: Pixels, among: Pixels, chunk: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The nearest image to each of some.

    Args:
        wanted: uint8 with shape (N, C, H, W).
        among: uint8 with shape (M, C, H, W).
        chunk: how many of these are compared at a time; by default what fits the memory.

    Returns:
        root mean square differences of pixels in [0, 1], and the nearest ones' numbers: each (N,).
    """
    # Squares of differences of whole numbers by their products, in float64, which has no rounding
    # below 2^53: a copy's distance is 0 to the bit.
    mine = _numbers(wanted)
    chunk = chunk or max(1, min(4000, MEMORY // mine.shape[1]))
    best = torch.full((len(mine),), torch.inf, dtype=torch.float64)
    number = torch.zeros(len(mine), dtype=torch.int64)
    for first in range(0, len(among), chunk):
        part = _numbers(among[first : first + chunk])
        squares = torch.addmm(part.square().sum(1), mine, part.T, alpha=-2)
        square, place = squares.min(1)
        nearer = square < best
        best = torch.where(nearer, square, best)
        number = torch.where(nearer, place + first, number)
    squares = best + mine.square().sum(1)
    return (squares.sqrt() / (255 * mine.shape[1] ** 0.5)).float().numpy(), number.numpy()


def _numbers(images: Pixels) -> Tensor:
    return torch.from_numpy(np.array(images)).flatten(1).double()
