"""Images whose every pixel has a class: what segmentation is trained and tested on.

A folder of them has images and masks of equal names::

    images/0001.jpg             masks/0001.png
    train/images, train/masks   test/images, test/masks     where the test images are told

A mask is a PNG, or another file that keeps pixels exactly, of its image's size. It holds class
numbers (grey levels, or the indices of a palette) or one colour a class, all masks of a folder
alike. The least number, or darkest colour, is the first class. Grey level or index 255 beside other
numbers above 0 means "not labelled", as in Pascal VOC: such pixels are neither trained nor tested
on. Resized, a pixel belongs to the class that covers most of it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.core.seeds import derive
from naqsh.data import decoding, folders, masks, pixels, walking
from naqsh.data.fingerprint import FINGERPRINT, fingerprint_of
from naqsh.data.listing import Listing

VOID = 255
"""In masks: a pixel whose class is not known."""

MOST_CLASSES = 64
"""More different values are soft edges or a photograph, and no classes."""

_UNKNOWN = 255
"""What files have for :data:`VOID`."""

Masks = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with a class for each pixel.

    Attributes:
        name: what they are.
        images: uint8 with shape (N, C, H, W).
        masks: uint8 with shape (N, H, W): numbers of `classes`, or :data:`VOID`.
        classes: their names; the first is the background, where there is one.
        notes: what must be known of them.
    """

    name: str
    images: NDArray[np.uint8]
    masks: Masks
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def fingerprint(self) -> str:
        """16 digits of images and masks."""
        digest = hashlib.sha256(fingerprint_of(self.images, None).encode())
        digest.update(np.ascontiguousarray(self.masks).data)
        return digest.hexdigest()[:FINGERPRINT]

    def subset(self, index: NDArray[np.int64]) -> "Labelled":
        """The images at these places, in this order."""
        return Labelled(self.name, self.images[index], self.masks[index], self.classes, self.notes)

    def halves(self) -> tuple["Labelled", "Labelled"]:
        """Two halves at random, the same every time: to choose from, and to test on.

        Raises:
            NaqshError: fewer than two images.
        """
        if len(self) < 2:
            raise NaqshError(f"{self.name} has {len(self)} labelled images; 2 are needed to test")
        order = np.random.Generator(np.random.Philox(derive(0, "labelled"))).permutation(len(self))
        half = len(self) // 2
        return self.subset(np.sort(order[half:])), self.subset(np.sort(order[:half]))


def laid_out(folder: Path) -> bool:
    """Whether a folder has images and masks of equal names, with or without splits."""
    return _pair(folder) or all(_pair(folder / split) for split in ("train", "test"))


def _pair(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def read(folder: Path, size: int, channels: int) -> tuple[Labelled, Labelled]:
    """The labelled images of a folder: those to choose from, and those to test on.

    Args:
        folder: in the layout above.
        size: side that images and masks are brought to, by their central square.
        channels: 1 or 3.

    Raises:
        NaqshError: an image without a mask or one of another size, a mask that cannot be read or
            whose values are no classes, or fewer than two images.
    """
    splits = [folder] if _pair(folder) else [folder / "train", folder / "test"]
    files = [_matched(split) for split in splits]
    numbers, coloured = _numbers([pair for pairs in files for pair in pairs])
    names = tuple(f"#{n:06x}" if coloured else str(n) for n in numbers if n != -1)
    found = []
    for split, pairs in zip(splits, files, strict=True):
        listing = Listing(tuple(image for image, _ in pairs), None, ())
        options = folders.Options(size, channels)
        images = folders.stored(split / "images", listing, "labelled", options, least=1)
        own = [_brought(_classes(_values(mask), numbers), size) for _, mask in pairs]
        name = folder.resolve().name
        found.append(Labelled(name, images.images, np.stack(own), names, images.notes))
    return found[0].halves() if len(found) == 1 else (found[0], found[1])


def _matched(folder: Path) -> list[tuple[Path, Path]]:
    """Each image of a folder with its mask."""
    images, truth = (_files(folder / name) for name in ("images", "masks"))
    by_name: dict[str, Path] = {}
    for path in truth:
        if (other := by_name.setdefault(masks.stem(path), path)) != path:
            raise NaqshError(f"{path} and {other} may both be the mask of one image; keep one")
    pairs = []
    for image in images:
        mask = by_name.get(image.stem.casefold()) or by_name.get(masks.stem(image))
        if mask is None:
            raise NaqshError(
                f"{image} has no mask: there is no {folder / 'masks' / image.stem}.png; add it, or "
                "move the image away"
            )
        pairs.append((image, mask))
    return pairs


def _files(folder: Path) -> list[Path]:
    tree = walking.walk(folder)
    found = [*tree.loose, *(file for name in tree.inside for file in tree.inside[name])]
    if not found:
        raise NaqshError(f"{folder} has no images")
    return found


def _values(path: Path) -> NDArray[np.generic]:
    """What a mask's file holds: whole numbers (H, W), or colours (H, W, 3)."""
    picture, lossy = decoding.upright(path)
    if lossy:
        raise NaqshError(f"mask {path} is a JPEG, which changes class numbers; save it as PNG")
    if picture.mode in ("1", "L", "P", "I", "I;16"):
        return np.asarray(picture)
    if picture.mode in ("RGB", "RGBA"):
        return np.asarray(picture.convert("RGB"))
    raise NaqshError(
        f"mask {path} is of kind {picture.mode}; save it as PNG with class numbers or colours"
    )


def _coded(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """One whole number a pixel; of colours their three bytes."""
    whole: NDArray[np.int64] = values.astype(np.int64)
    return whole if whole.ndim == 2 else whole @ np.array([1 << 16, 1 << 8, 1])


def _numbers(pairs: Sequence[tuple[Path, Path]]) -> tuple[list[int], bool]:
    """What masks hold, rising, -1 for what is not labelled; and whether it is colours.

    They are read again when they are needed: all at once might not fit the memory.
    """
    kinds: dict[int, Path] = {}
    found: set[int] = set()
    for image, path in pairs:
        values, header = _values(path), decoding.header(image)
        if values.shape[:2] != (header.height, header.width):
            sizes = f"{values.shape[1]}x{values.shape[0]}", f"{header.width}x{header.height}"
            raise NaqshError(f"mask {path} is {sizes[0]}, its image {image.name} {sizes[1]}")
        kinds.setdefault(values.ndim, path)
        found |= set(np.unique(_coded(values)).tolist())
        if len(found) > MOST_CLASSES:
            raise NaqshError(
                f"mask {path} has, with those before it, {len(found)} different values, and "
                f"classes are at most {MOST_CLASSES}; save masks without soft edges"
            )
    if len(kinds) > 1:
        raise NaqshError(f"mask {kinds[2]} has class numbers and {kinds[3]} colours; keep one kind")
    if 2 in kinds and _UNKNOWN in found and any(0 < number < _UNKNOWN for number in found):
        found = (found - {_UNKNOWN}) | {-1}
    if len(found - {-1}) < 2:
        raise NaqshError(f"masks such as {pairs[0][1]} have one class; two are needed")
    return sorted(found), 3 in kinds


def _classes(values: NDArray[np.generic], numbers: Sequence[int]) -> NDArray[np.uint8]:
    """Numbers of classes in place of what a file holds."""
    known, coded = [number for number in numbers if number != -1], _coded(values)
    places = np.searchsorted(np.array(known), coded).astype(np.uint8)
    if -1 in numbers:
        places[coded == _UNKNOWN] = VOID
    return places


def _brought(mask: Masks, size: int) -> Masks:
    """A mask cropped to its central square and resized; each pixel has what covers most of it."""
    if mask.shape == (size, size):
        return mask
    present = np.unique(mask)
    covers = [
        pixels.to_array(
            pixels.fit(Image.fromarray((mask == c).astype(np.uint8) * 255), size, "bilinear")
        )[0]
        for c in present
    ]
    return np.asarray(present[np.argmax(covers, axis=0)], np.uint8)
