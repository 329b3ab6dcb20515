"""Ground truth: which mask belongs to which image, and what its values mean.

A mask is found by its image's name, with or without `_mask`, `_gt` and the like, with any ending
that is read here, at any depth of a folder beside the splits; several of one image are joined. Its
background is 0 or black; where its values are few, each other one is a fault (0 and 1, labels of
classes, palettes). Where they are many, as at soft edges or after JPEG, half of the largest is the
border; what fits neither is refused by name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.data import decoding, pixels

FEW = 16
"""Most different values of a mask that are taken for labels, the background among them."""

COVERED = 128
"""A resized pixel counts as faulty from here on, half white: half of its area is faulty."""

_MARK = r"(?:masks?|gt|ground[\W_]*truth|truth|labels?|seg|segmentation|annotation|defect|anomaly)"
_AFFIX = re.compile(rf"[\W_]+{_MARK}[\W_]*\d*$|^{_MARK}[\W_]+", re.IGNORECASE)
_SOFT = 32
"""Least largest value of a mask that may have soft edges: labels are smaller."""

_INTERIOR = 0.1
"""Share of a mask's faults that may lie inside of areas of middling values."""


@dataclass(frozen=True)
class Masks:
    """Where the faults of images are.

    Attributes:
        faulty: true where at least half of a pixel is, shape (N, H, W).
        known: which images have a mask or need none, shape (N,).
        notes: what must be known of them.
    """

    faulty: NDArray[np.bool_]
    known: NDArray[np.bool_]
    notes: tuple[str, ...]


def stem(path: Path) -> str:
    """The name of the image that a mask is of: ``000_mask.png`` belongs to ``000``."""
    return _AFFIX.sub("", path.stem).casefold()


def is_beside(path: Path, images: frozenset[tuple[Path, str]]) -> bool:
    """Whether a file is a mask that lies beside its image, given (folder, stem) of all images."""
    own = stem(path)
    return own != path.stem.casefold() and (path.parent, own) in images


def read(
    images: Sequence[Path], good: Sequence[bool], truth: Sequence[Path], size: tuple[int, int]
) -> Masks:
    """The masks of images, cropped and resized as the images are.

    Args:
        images: their files, each in a folder named for its kind.
        good: which of them have no fault, and so need no mask.
        truth: files that may be masks.
        size: height and width that the images are brought to.

    Raises:
        NaqshError: a mask that cannot be read or understood, is of another size than its image, or
            may be of several images.
    """
    faulty = np.zeros((len(images), *size), np.bool_)
    known = np.array(good, np.bool_)
    faults = [image for image, is_good in zip(images, good, strict=True) if not is_good]
    found = _matched(faults, truth)
    whole: list[tuple[Path, bool]] = []
    empty, outside, tiny = [], [], 0
    for number, image in enumerate(images):
        if good[number] or image not in found:
            continue
        mask = _joined(found[image], image)
        whole.append((found[image][0], _looks_inverted(mask)))
        if not mask.any():
            empty.append(found[image][0])
            continue
        small, is_tiny = _resized(mask, size)
        if not small.any():
            outside.append(image)
            continue
        faulty[number], known[number] = small, True
        tiny += is_tiny
    if whole and all(inverted for _, inverted in whole):
        raise NaqshError(
            f"masks seem inverted: in {whole[0][0]} and all others more than half is not 0, along "
            "all edges; faults must be what is not 0"
        )
    return Masks(faulty, known, _notes(np.array(good), known, empty, outside, tiny, size))


def tell_good(images: Sequence[Path], truth: Sequence[Path]) -> list[bool] | None:
    """Which images are good by their masks, as these are empty; None unless each image has one.

    Raises:
        NaqshError: as :func:`read`.
    """
    found = _matched(images, truth)
    if len(found) < len(images):
        return None
    return [not _joined(found[image], image).any() for image in images]


def _notes(
    good: NDArray[np.bool_],
    known: NDArray[np.bool_],
    empty: list[Path],
    outside: list[Path],
    tiny: int,
    size: tuple[int, int],
) -> tuple[str, ...]:
    notes = []
    count, have = int((~good).sum()), int((known & ~good).sum())
    if have < count:
        notes.append(
            f"masks of {have} of {count} faulty images: figures of pixels leave out the others"
        )
    if empty:
        notes.append(f"{len(empty)} masks of faulty images are empty, so not known ({empty[0]})")
    if outside:
        notes.append(
            f"{len(outside)} faults lie outside of the central square that is looked at "
            f"({outside[0]}); their masks are left out"
        )
    if tiny:
        notes.append(
            f"{tiny} faults cover less than half of any pixel at {size[0]}x{size[1]}: the pixels "
            "that they cover most stand for them"
        )
    return tuple(notes)


def _matched(images: Sequence[Path], truth: Sequence[Path]) -> dict[Path, list[Path]]:
    """The masks of each image that has any."""
    kinds = {image.parent.name.casefold() for image in images}
    folders = {image.stem.casefold() for image in images} - kinds
    by_name: dict[str, list[Path]] = {}
    for path in truth:
        above = path.parent.name.casefold()
        # In a folder named as an image are the masks of that one, whatever they are called.
        for name in {above} if above in folders else {path.stem.casefold(), stem(path)}:
            by_name.setdefault(name, []).append(path)
    sorted_by_kind = any(_parts(path) & kinds for path in truth)
    found = {}
    for image in images:
        near = [path for path in by_name.get(image.stem.casefold(), []) if path != image]
        if sorted_by_kind:
            kind = image.parent.name.casefold()
            near = [p for p in near if kind in _parts(p) or p.parent == image.parent]
        near = [p for p in near if stem(p) != p.stem.casefold()] or near
        places = {path.parent for path in near}
        if len(places) > 1:
            one, other = sorted(str(path) for path in near)[:2]
            raise NaqshError(
                f"{one} and {other} may both be the mask of {image}; sort masks into folders named "
                "as those of their images"
            )
        if near:
            found[image] = near
    return found


def _parts(path: Path) -> set[str]:
    return {part.casefold() for part in path.parts[:-1]}


def _joined(paths: Sequence[Path], image: Path) -> NDArray[np.bool_]:
    header = decoding.header(image)
    whole = np.zeros((header.height, header.width), np.bool_)
    for path in paths:
        mask = faulty(path)
        if mask.shape != whole.shape:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, whole.shape)]
            raise NaqshError(f"mask {path} is {sizes[0]}, its image {image.name} {sizes[1]}")
        whole |= mask
    return whole


def faulty(path: Path) -> NDArray[np.bool_]:
    """Where a mask marks a fault, shape (H, W).

    Raises:
        NaqshError: it cannot be read, or its values cannot be understood.
    """
    picture, lossy = decoding.upright(path)
    if picture.mode == "P":
        picture, marked = _of_palette(picture)
        if marked is not None:
            return marked
    if picture.mode == "PA" or picture.has_transparency_data:
        colours = np.asarray(picture.convert("RGBA"))
        visible = colours[..., 3] > 0
        coloured = visible & (colours[..., :3].max(2) > 0)
        if not visible.all():
            return coloured if coloured.any() else visible
        picture = picture.convert("RGB")
    if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        picture = picture.convert("RGB")
    values = np.asarray(picture)
    if values.ndim == 3:
        values = values.max(2)
    return _marked(values, lossy, path)


def _of_palette(picture: Image.Image) -> tuple[Image.Image, NDArray[np.bool_] | None]:
    """A palette's faults; or, where it is of greys alone, the image with these as values."""
    indices = np.asarray(picture)
    colours = np.asarray(picture.convert("RGBA"))
    red, green, blue, above = (colours[..., i] for i in range(4))
    if above.all() and (red == green).all() and (green == blue).all():
        return Image.fromarray(red), None
    if not above.all():
        return picture.convert("RGBA"), None
    black = colours[..., :3].max(2) == 0
    # A palette without black: index 0 is the background, as labels are numbered.
    return picture, ~black if black.any() else indices != 0


def _marked(values: NDArray[Any], lossy: bool, path: Path) -> NDArray[np.bool_]:
    if values.dtype == np.bool_:
        return values
    if not np.isfinite(values).all():
        raise NaqshError(f"mask {path} has values that are no numbers; repair or remove it")
    distinct = np.unique(values)
    top = float(distinct[-1])
    inside = np.asarray(values >= top / 2)
    if len(distinct) <= FEW and not lossy:
        if len(distinct) > 1 and 0 not in distinct:
            raise NaqshError(
                f"mask {path} has {len(distinct)} different values and none is 0 or black; save it "
                "with 0 for the background"
            )
        return inside if _is_soft(values, inside, top) else np.asarray(values != 0)
    # Of soft edges no pixel has only middling ones around it.
    deep = ~_widened(~((values > top / 4) & (values < top * 3 / 4)))
    if distinct[0] < 0 or deep.sum() > _INTERIOR * inside.sum():
        raise NaqshError(
            f"mask {path} has {len(distinct)} different values from {distinct[0]:g} to {top:g}, "
            "and it cannot be told which are faults; save it with 0 for the background and 255"
        )
    return inside & (values > 0)


def _is_soft(values: NDArray[Any], inside: NDArray[np.bool_], top: float) -> bool:
    """Whether lesser values are but the edges of the largest, and not labels of their own."""
    lesser = (values != 0) & ~inside
    edge = _widened(_widened(inside)) & _widened(_widened(values == 0))
    return top >= _SOFT and bool(lesser.any()) and bool(edge[lesser].all())


def _widened(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """An area with the pixels beside, above and below it."""
    wide = area.copy()
    wide[1:] |= area[:-1]
    wide[:-1] |= area[1:]
    wide[:, 1:] |= area[:, :-1]
    wide[:, :-1] |= area[:, 1:]
    return wide


def _looks_inverted(mask: NDArray[np.bool_]) -> bool:
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(mask.mean() > 0.5 and edge.mean() > 0.95 and not mask.all())


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> tuple[NDArray[np.bool_], bool]:
    """A mask cropped and resized; and whether its fault is less than half of any pixel."""
    if mask.shape == size:
        return mask, False
    white = Image.fromarray(mask.astype(np.uint8) * 255)
    small = pixels.to_array(pixels.fit(white, size[0]))[0]
    covered = small >= COVERED
    if covered.any() or not small.any():
        return covered, False
    return small == small.max(), True
