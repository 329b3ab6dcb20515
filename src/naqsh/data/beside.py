"""Masks that lie among images: in folders of their own, or beside each image under its name.

Where masks are looked for (`masks=True`), all such files are masks. Where they are not, as in
training, files beside images are left out only if they look like masks inside: a photograph may be
called `part_defect.png`. KolektorSDD and DAGM have such files.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from naqsh.core.errors import NaqshError
from naqsh.data import decoding
from naqsh.data.masks import FEW, is_beside

FOLDER = re.compile(r"(ground[\W_]*)?truths?|gts?|masks?|labels?|annotations?|segmentations?")
"""A folder of masks, its name in lower case."""

_LOOKED_AT = 5


def is_folder(name: str) -> bool:
    """Whether a folder's name is one for masks."""
    return bool(FOLDER.fullmatch(name.casefold()))


def split_off(
    folder: Path, loose: list[Path], classes: dict[str, list[Path]], masks: bool
) -> tuple[list[Path], dict[str, list[Path]], list[Path]]:
    """The loose images, the images of classes, and the masks that lay among them.

    Args:
        folder: above all of them.
        loose: images without a class.
        classes: images of each class.
        masks: whether masks are looked for.
    """
    truth: list[Path] = []
    if loose:
        stems = {file.stem.casefold() for file in loose}
        for name in [name for name in classes if is_folder(name)]:
            if masks or all(_named_as(file, stems) for file in classes[name]):
                truth += classes.pop(name)
    known = frozenset(
        (file.parent, file.stem.casefold())
        for files in (loose, *classes.values())
        for file in files
    )
    found = [
        file
        for name, files in (("", loose), *classes.items())
        for file in files
        if is_beside(file, known) or (masks and _in_folder_of_masks(file, folder, name))
    ]
    if found and (masks or _look_like_masks(found)):
        away = set(found)
        truth += found
        loose = [file for file in loose if file not in away]
        kept = {name: [f for f in files if f not in away] for name, files in classes.items()}
        classes = {name: files for name, files in kept.items() if files}
    return loose, classes, truth


def left_out(folder: Path, truth: list[Path]) -> list[str]:
    """A note of the masks that are not trained on."""
    if not truth:
        return []
    first = truth[0].relative_to(folder)
    return [f"{folder.resolve().name}: {len(truth)} masks of images left out ({first})"]


def taken(folder: Path, classes: dict[str, list[Path]], parts: Iterable[str]) -> list[str]:
    """A note of images in folders that are named as if they held masks."""
    named = {
        part
        for images in classes.values()
        for file in images
        for part in file.relative_to(folder).parts[:-1]
        if part not in parts and is_folder(part)
    }
    if not named:
        return []
    return [
        f"{folder.resolve().name}: what is in {', '.join(sorted(named))} is taken as images; move "
        "masks away"
    ]


def _named_as(file: Path, stems: set[str]) -> bool:
    """Whether a file's name begins with one of these, as `0576_label.png` does."""
    own = file.stem.casefold()
    return own in stems or any(own[:end] in stems for end in _ends(own))


def _ends(name: str) -> list[int]:
    return [place.start() for place in re.finditer(r"[\W_]", name)]


def _in_folder_of_masks(file: Path, folder: Path, name: str) -> bool:
    below = file.relative_to(folder).parts[:-1]
    below = below[below.index(name) + 1 :] if name in below else ()
    return any(is_folder(part) for part in below)


def _look_like_masks(files: list[Path]) -> bool:
    """Whether the first of some files have few values, as masks do."""
    try:
        seen = [decoding.decode(file, str(file)).pixels for file in files[:_LOOKED_AT]]
    except NaqshError:  # whoever reads the images tells of it
        return False
    return all(len(np.unique(pixels)) <= FEW for pixels in seen)
