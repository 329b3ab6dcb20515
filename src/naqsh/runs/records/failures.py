"""What `naqsh failures` leaves: ``failures.json``, how far it is and all that it found."""

import base64
import binascii
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.runs.records import schema

FILE = "failures.json"

BINS = 64
"""Parts along each side of a density's square."""


@dataclass(frozen=True)
class Trial:
    """What is to be done; a folder goes on only with an equal one.

    Attributes:
        data: the sets of points.
        remedies: names of what is tried on each.
        seeds: of the trainings.
        steps: of each training.
        n: samples by which each moment is measured.
        fractions: of the steps after which it is measured.
        shown: those of them whose densities are kept.
        late: those between which the movement of samples is measured.
    """

    data: tuple[str, ...]
    remedies: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    n: int
    fractions: tuple[float, ...]
    shown: tuple[float, ...]
    late: tuple[float, ...]

    def __post_init__(self) -> None:
        if not (self.seeds and self.fractions and self.shown and self.data):
            raise ValueError("it needs data, seeds and moments")


@dataclass(frozen=True)
class Course:
    """One training: what its samples were at each moment.

    Attributes:
        seed: of the training and its samples.
        modes: that have at least one good sample.
        held: that have at least 20 of 2,500 good samples.
        good: share of the samples that are within 3 sigma of a mode.
        reverse_kl: of the histogram of modes, in nats; None where no sample is good.
        moved: share of fixed latents that lead to another mode than at the late moment before,
            averaged over the late moments.
    """

    seed: int
    modes: tuple[int, ...]
    held: tuple[int, ...]
    good: tuple[float, ...]
    reverse_kl: tuple[float | None, ...]
    moved: float

    def __post_init__(self) -> None:
        lengths = {len(of) for of in (self.modes, self.held, self.good, self.reverse_kl)}
        if len(lengths) > 1 or 0 in lengths:
            raise ValueError("each moment needs all numbers")


@dataclass(frozen=True)
class Tried:
    """One remedy on one set of points.

    Attributes:
        data: the set.
        remedy: its name.
        changes: of the plain recipe, by dotted name.
        seconds: that all its trainings took.
        together: whether its seeds were trained side by side.
        courses: one for each seed; none where a training failed.
        densities: of the first seed's samples at the moments shown, as :class:`Density` packs them.
        extent: of the square that densities are of, from -extent to extent.
        means: of the modes, (x, y).
        error: why it failed, in one line.
    """

    data: str
    remedy: str
    changes: dict[str, str]
    seconds: float
    together: bool
    courses: tuple[Course, ...]
    densities: tuple[str, ...]
    extent: float
    means: tuple[tuple[float, float], ...]
    error: str | None = None

    def __post_init__(self) -> None:
        if not self.extent > 0 or not self.means:
            raise ValueError("it needs modes and an extent above 0")


@dataclass(frozen=True)
class Density:
    """How many samples lie in each part of a square.

    Attributes:
        counts: uint8, 255 where it is more, with shape (BINS, BINS); the first axis is y, from
            below.
    """

    counts: NDArray[np.uint8]

    @classmethod
    def of(cls, points: NDArray[np.floating], extent: float) -> Self:
        """That of points with shape (N, 2); those outside of the square are left out."""
        edges = np.linspace(-extent, extent, BINS + 1)
        counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], [edges, edges])
        return cls(counts.clip(0, 255).astype(np.uint8))

    def packed(self) -> str:
        """As text for JSON."""
        return base64.b64encode(zlib.compress(self.counts.tobytes(), 9)).decode()

    @classmethod
    def unpacked(cls, text: str) -> Self:
        """The density in a text that someone else may have written.

        Raises:
            NaqshError: it is none.
        """
        size = BINS * BINS
        try:
            data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
        except (ValueError, binascii.Error, zlib.error):
            data = b""
        if len(data) != size:
            raise NaqshError("a density is damaged")
        return cls(np.frombuffer(data, np.uint8).reshape(BINS, BINS))


@dataclass(frozen=True)
class Circle:
    """One way to play the smallest game, the Dirac-GAN: what its path came to.

    Attributes:
        name: of the game.
        path: (theta, psi) after every so many steps.
        growth: by what the distance to the equilibrium was multiplied in a step, on average.
        eigenvalues: of the gradient field at the equilibrium, each as (real, imaginary), computed.
        published: the same by the formula of Mescheder et al., where they give one.
    """

    name: str
    path: tuple[tuple[float, float], ...]
    growth: float
    eigenvalues: tuple[tuple[float, float], ...]
    published: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("it has no path")


@dataclass(frozen=True)
class Vanishing:
    """How strong a generator's gradient is while the discriminator alone is trained.

    Attributes:
        name: of the objective.
        steps: of the discriminator.
        norms: of the gradient of each seed's generator after each of these steps.
    """

    name: str
    steps: tuple[int, ...]
    norms: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        seeds = {len(norms) for norms in self.norms}
        if not self.norms or len(self.norms) != len(self.steps) or len(seeds) > 1 or 0 in seeds:
            raise ValueError("it needs a norm of each seed after each of its steps")
        if min(norm for norms in self.norms for norm in norms) < 0:
            raise ValueError("a norm is below 0")


@dataclass(frozen=True)
class Failures:
    """All of the file.

    Attributes:
        trial: what was to be done.
        tried: what is done of it.
        circles: the Dirac-GAN, once it was played.
        vanishing: the gradients, once they were measured.
    """

    trial: Trial
    tried: tuple[Tried, ...] = ()
    circles: tuple[Circle, ...] = ()
    vanishing: tuple[Vanishing, ...] = ()

    @classmethod
    def of(cls, plain: Any, file: Path) -> Self:
        """The content of `file`; NaqshError where it does not fit."""
        try:
            return schema.read(cls, plain)
        except NaqshError as error:
            raise NaqshError(f"{file} is damaged: {error}") from error
