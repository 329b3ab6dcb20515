"""Rendered scenes of coloured shapes whose every factor is known: captioned images to measure by.

A scene has one object at a place, or two in a relation, on a plain background. An object has a
shape, a colour and a size. Where exactly it stands, how large it is within its size, how it is
turned and how bright it is vary from image to image, so that a caption has many images.

Objects of the pairs in `HELD_OUT` are in no training image. Of the test images every fourth has one
as its first object: what a model makes of a combination that it never saw can be measured.

Scene i of a split is a function of the split, the seed and i alone; how many are made changes
nothing. Images are rendered from distances to outlines, so they are smooth at every size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from naqsh.core.seeds import derive

SHAPES = ("circle", "square", "triangle", "star", "cross")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple")
SIZES = ("small", "large")
PLACES = ("centre", "top", "bottom", "left", "right")
RELATIONS = ("above", "below", "left of", "right of")
BACKGROUNDS = ("black", "white", "grey")

HELD_OUT = (
    ("red", "triangle"),
    ("yellow", "cross"),
    ("green", "star"),
    ("blue", "circle"),
    ("purple", "square"),
)
"""Pairs of a colour and a shape that no training image has."""

EVERY = 4
"""Of so many test images, the last has a pair that is held out."""

SIDE = 32

_RGB = {
    "red": (225, 30, 35),
    "orange": (250, 135, 15),
    "yellow": (245, 225, 40),
    "green": (35, 165, 60),
    "blue": (35, 75, 220),
    "purple": (150, 45, 185),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
}
_RADIUS = {"small": 0.125, "large": 0.205}
"""From an object's centre to where a circle of its size ends, as a share of the image's side."""

_OFF = 0.25
"""From the image's centre to that of an object which is not in it."""

NUMBERS = 24
"""Uniform numbers that a scene and its image are made of."""

_ROWS = 512

Floats = NDArray[np.float32]

T = TypeVar("T")


@dataclass(frozen=True)
class Thing:
    """One object of a scene, by its shape, colour and size."""

    shape: str
    colour: str
    size: str


@dataclass(frozen=True)
class Scene:
    """All that a caption says.

    Attributes:
        first: the object, or the first of two.
        where: out of `PLACES` for one object, out of `RELATIONS` for two: the first is there, as
            seen from the second.
        second: the second object, or None.
        background: out of `BACKGROUNDS`.
    """

    first: Thing
    where: str
    second: Thing | None
    background: str

    def turned(self) -> "Scene":
        """The same scene told from its second object; itself where it has one."""
        if self.second is None:
            return self
        return Scene(self.second, OPPOSITE[self.where], self.first, self.background)

    def ordered(self) -> "Scene":
        """Told from the upper or the left one of two objects: of two ways to tell it, one."""
        return self.turned() if self.where in ("below", "right of") else self


FACTORS = {
    "where": (*PLACES, "above", "left of"),
    "background": BACKGROUNDS,
    **{
        f"{name}{number}": values
        for number in (1, 2)
        for name, values in (("shape", SHAPES), ("colour", COLOURS), ("size", SIZES))
    },
}
"""The values of each factor of a scene that is told in order; of two objects `where` is one of two.
"""

OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}


def told(scenes: Sequence[Scene]) -> dict[str, NDArray[np.int64]]:
    """Scenes as numbers of values, in the order of :func:`Scene.ordered`; see `FACTORS`.

    What a second object is, where there is none, is -1.
    """
    ordered = [scene.ordered() for scene in scenes]
    columns: dict[str, list[int]] = {name: [] for name in FACTORS}
    for scene in ordered:
        columns["where"].append(FACTORS["where"].index(scene.where))
        columns["background"].append(BACKGROUNDS.index(scene.background))
        for number, thing in ((1, scene.first), (2, scene.second)):
            for name, values in (("shape", SHAPES), ("colour", COLOURS), ("size", SIZES)):
                value = -1 if thing is None else values.index(getattr(thing, name))
                columns[f"{name}{number}"].append(value)
    return {name: np.array(column, np.int64) for name, column in columns.items()}


def numbers(purpose: str, split: str, count: int, each: int, seed: int = 0) -> NDArray[np.float64]:
    """A row of uniform numbers in [0, 1) for each of the first scenes, shape (count, each)."""
    stream = np.random.Generator(np.random.Philox(derive(seed, purpose, split)))
    return stream.random((count, each))


def scenes(split: str, chance: NDArray[np.float64]) -> list[Scene]:
    """The scenes of the first rows of a split, one for each of `chance`.

    Args:
        split: ``"train"`` or ``"test"``; ``"all"`` has all pairs alike, for what judges a model.
        chance: see :func:`numbers`.
    """
    trained = [(c, s) for c in COLOURS for s in SHAPES if split == "all" or (c, s) not in HELD_OUT]
    made = []
    for index, row in enumerate(chance):
        held_out = split == "test" and index % EVERY == EVERY - 1
        one = _of(HELD_OUT if held_out else trained, row[0])
        first = Thing(one[1], one[0], _of(SIZES, row[1]))
        background = _of(BACKGROUNDS, row[2])
        if row[3] < 0.5:
            made.append(Scene(first, _of(PLACES, row[4]), None, background))
        else:
            other = _of([pair for pair in trained if pair != one], row[5])
            second = Thing(other[1], other[0], _of(SIZES, row[6]))
            made.append(Scene(first, _of(RELATIONS, row[4]), second, background))
    return made


def _of(among: Sequence[T], chance: float) -> T:
    return among[int(chance * len(among))]


def render(
    scenes: list[Scene], chance: NDArray[np.float64], side: int
) -> Iterator[NDArray[np.uint8]]:
    """Images of scenes, some at a time.

    Args:
        scenes: what they show.
        chance: the row of each, from which all that captions do not say is taken.
        side: pixels across.

    Yields:
        uint8 with shape (n, 3, side, side).
    """
    rows = max(1, _ROWS * SIDE**2 // side**2)
    for start in range(0, len(scenes), rows):
        some, dice = scenes[start : start + rows], chance[start : start + rows]
        image = np.empty((len(some), 3, side, side), np.float32)
        image[:] = _colours([scene.background for scene in some])[:, :, None, None]
        # The second lies behind: where two large ones meet, the first is whole.
        two = np.flatnonzero([scene.second is not None for scene in some])
        seconds = [scene.second for scene in some if scene.second is not None]
        offsets = np.array([_offset(scene) for scene in some], np.float32)
        if len(two):
            image[two] = _with(image[two], seconds, -offsets[two], dice[two, 16:22])
        firsts = [scene.first for scene in some]
        yield np.rint(_with(image, firsts, offsets, dice[:, 10:16])).astype(np.uint8)


def _offset(scene: Scene) -> tuple[float, float]:
    """From the image's centre to its first object: right and down, as shares of the side."""
    return {
        "centre": (0.0, 0.0),
        "top": (0.0, -_OFF),
        "above": (0.0, -_OFF),
        "bottom": (0.0, _OFF),
        "below": (0.0, _OFF),
        "left": (-_OFF, 0.0),
        "left of": (-_OFF, 0.0),
        "right": (_OFF, 0.0),
        "right of": (_OFF, 0.0),
    }[scene.where]


def _colours(names: list[str]) -> Floats:
    return np.array([_RGB[name] for name in names], np.float32)


def _with(image: Floats, things: list[Thing], offsets: Floats, dice: NDArray[np.float64]) -> Floats:
    """Images (n, 3, side, side) with one more object each; `dice` has six numbers of each."""
    side = image.shape[-1]
    spread = (2 * dice - 1).astype(np.float32)
    centre = 0.5 + offsets + 0.04 * spread[:, :2]
    radius = np.array([_RADIUS[thing.size] for thing in things], np.float32)
    radius *= 1 + 0.08 * spread[:, 2]
    angle = np.float32(np.pi / 15) * spread[:, 3]
    colour = _colours([thing.colour for thing in things]) * (0.95 + 0.05 * spread[:, 4:5])
    line = (np.arange(side, dtype=np.float32) + 0.5) / side
    x = (line[None, None, :] - centre[:, 0, None, None]) / radius[:, None, None]
    y = (line[None, :, None] - centre[:, 1, None, None]) / radius[:, None, None]
    cosine, sine = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    right, down = cosine * x + sine * y, cosine * y - sine * x
    far = np.empty_like(right)
    shapes = np.array([thing.shape for thing in things])
    for shape in SHAPES:
        rows = np.flatnonzero(shapes == shape)
        far[rows] = distance(shape, right[rows], down[rows])
    covered = np.clip(0.5 - far * radius[:, None, None] * side, 0, 1)[:, None]
    painted: Floats = image + covered * (colour[:, :, None, None] - image)
    return painted


def distance(shape: str, x: Floats, y: Floats) -> Floats:
    """From points to a shape's outline, below 0 inside; exact but for the outside of corners.

    Args:
        shape: out of `SHAPES`; a circle has radius 1.
        x: to the right of its centre.
        y: down from it.
    """
    if shape == "circle":
        far = np.hypot(x, y) - 1
    elif shape == "square":
        far = np.maximum(np.abs(x), np.abs(y)) - 0.88
    elif shape == "triangle":  # equal sides, its centre of gravity a little below the middle
        down = y - 0.15
        far = np.maximum(down, np.abs(x) * 0.8660254 - down * 0.5) - 0.6
    elif shape == "cross":
        wide, high = np.abs(x), np.abs(y)
        far = np.minimum(np.maximum(wide - 1, high - 0.34), np.maximum(wide - 0.34, high - 1))
    else:
        far = _star(x, y)
    return far.astype(np.float32)


def _star(x: Floats, y: Floats) -> Floats:
    """Five points, folded into the tenth between a tip at radius 1.15 and a notch at 0.5."""
    tenth = np.pi / 5
    turned = np.mod(np.arctan2(x, -y), 2 * tenth)
    folded = np.minimum(turned, 2 * tenth - turned)  # 0 at a tip, a tenth at a notch
    reach = np.hypot(x, y)
    across, along = reach * np.sin(folded), reach * np.cos(folded)
    tip, notch = (0.0, 1.15), (0.5 * np.sin(tenth), 0.5 * np.cos(tenth))
    edge = np.array([notch[0] - tip[0], notch[1] - tip[1]])
    normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)  # away from the middle
    far: Floats = (across - tip[0]) * normal[0] + (along - tip[1]) * normal[1]
    return far
