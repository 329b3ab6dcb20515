"""Where and how something is computed, as one value that every study takes."""

from dataclasses import dataclass
from pathlib import Path

from naqsh.core.progress import Progress, silent


@dataclass(frozen=True)
class Machine:
    """The device, the seed and what else a study needs beside what it measures.

    Attributes:
        device: where networks compute, as PyTorch names it: ``cpu``, ``cuda`` or ``cuda:1``.
        batch: images at a time; another number changes results by rounding at most.
        seed: of samples, noise and choices.
        data_home: where data sets are looked for first.
        progress: called with what is being done, how much of it is done, and of how much.
    """

    device: str = "cpu"
    batch: int = 100
    seed: int = 0
    data_home: Path | str | None = None
    progress: Progress = silent
