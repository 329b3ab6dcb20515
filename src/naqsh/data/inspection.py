"""Folders of inspection sets that hold images and masks apart, as VisA has them.

::

    OBJECT/Data/Images/Normal/0000.JPG     good ones
    OBJECT/Data/Images/Anomaly/000.JPG     faulty ones
    OBJECT/Data/Masks/Anomaly/000.png      where their faults are
    split_csv/1cls.csv                     object,split,label,image,mask: which are trained on

The names may be others of the same meaning (`imgs`, `gt`, `ok`, `ng`), and the folder `Data` need
not be there. Without the table, all good images are for training and none is for the test.

References:
    SPot-the-Difference Self-Supervised Pre-training for Anomaly Detection and Segmentation (Zou et
    al., 2022), ECCV: VisA.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from naqsh.core.errors import NaqshError
from naqsh.data import beside

_IMAGES = re.compile(r"(jpe?g[\W_]*|png[\W_]*)?(images?|imgs?|pictures?|photos?)")
_GOOD = {
    *("good", "goods", "ok", "okay", "normal", "normals", "nominal", "intact", "healthy", "io"),
    *("perfect", "flawless", "undamaged", "pass", "passed", "anomalyfree", "faultfree"),
    *("defectfree", "faultless", "nodefect", "nodefects", "nondefect", "nondefective", "nofault"),
    *("nonanomalous", "noanomaly", "withoutdefect", "withoutdefects", "سالم", "نرمال", "خوب"),
}
_FIRST = {"good", "ok", "okay", "normal"}
"""Words that also begin the name of a class of good images, as in `ok_front`."""

_TABLE = Path("split_csv", "1cls.csv")
_LONGEST_TABLE = 16 << 20
_DEEPEST = 3


def good_one(classes: Iterable[str]) -> str | None:
    """The class that is called `good`, or the one alone whose name means it: `OK`, `Normal`."""
    names = list(classes)
    if named := [name for name in names if name.casefold() == "good"]:
        return named[0]
    meant = [name for name in names if _means_good(name)]
    return meant[0] if len(meant) == 1 else None


def _means_good(name: str) -> bool:
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name).casefold())
    return "".join(words) in _GOOD or (bool(words) and words[0] in _FIRST and len(words) == 2)


@dataclass(frozen=True)
class Apart:
    """An inspection set whose images and masks lie in folders of their own.

    Attributes:
        good: the class of good images, if its name says so.
        classes: images of each kind, the good ones first.
        truth: the masks.
        test: the images for the test; None where no table says which.
        notes: what must be known of it.
    """

    good: str | None
    classes: dict[str, list[Path]]
    truth: list[Path]
    test: frozenset[Path] | None
    notes: list[str]

    def left_out(self, folder: Path) -> list[str]:
        """What is said of images that are not for training though no table says so."""
        others = [name for name in self.classes if name != self.good]
        if self.good is None or self.test is not None or not others:
            return []
        place = self.classes[self.good][0].parent.parent
        return [
            f"{folder.resolve().name}: what is in {', '.join(others[:5])} is not trained on; to "
            f"train on it too, name the folder {place}"
        ]

    def of(self, split: str) -> dict[str, list[Path]]:
        """Images by class: for ``train`` the good ones, if they are known; ``test`` or ``any``."""
        if split == "train":
            test = self.test or frozenset()
            names = [self.good] if self.good else list(self.classes)
            return {name: [f for f in self.classes[name] if f not in test] for name in names}
        if self.test is None:
            return self.classes if split == "any" else {}
        return {
            name: kept
            for name, files in self.classes.items()
            if (kept := [file for file in files if file in self.test])
        }


def find(folder: Path, inside: dict[str, list[Path]], masks: bool = True) -> Apart | None:
    """The inspection set in a folder; None where it is laid out in another way.

    Args:
        folder: that is looked at.
        inside: its images, by sub-folder.
        masks: whether masks are looked for; if not, there must be a class of good images.

    Raises:
        NaqshError: several such sets lie in it, or its table of splits cannot be used.
    """
    found = _below(folder, inside)
    if found is None:
        below = {name: _by_name(folder / name, files) for name, files in inside.items()}
        several = [name for name in inside if _is_set(_below(folder / name, below[name]))]
        if len(several) > 1:
            raise NaqshError(
                f"{folder} holds {len(several)} sets of images, each in its own folder "
                f"({', '.join(several[:5])}); name one of them: {folder / several[0]}"
            )
        return None
    classes, truth = found
    good = good_one(classes)
    if good is None and not (masks and truth):
        return None
    if good is not None:
        classes = {good: classes.pop(good), **classes}
    notes: list[str] = []
    test = None
    if split_of := _splits(folder, [file for files in classes.values() for file in files], notes):
        classes = {name: [f for f in files if f in split_of] for name, files in classes.items()}
        test = frozenset(file for file, split in split_of.items() if split != "train")
    return Apart(good, classes, truth, test, notes)


def _is_set(found: tuple[dict[str, list[Path]], list[Path]] | None) -> bool:
    return found is not None and good_one(found[0]) is not None


def _below(
    folder: Path, inside: dict[str, list[Path]]
) -> tuple[dict[str, list[Path]], list[Path]] | None:
    """Images by class, and masks; of the folder or of the only one in it."""
    for _ in range(_DEEPEST):
        images = [name for name in inside if _IMAGES.fullmatch(name.casefold())]
        masks = [name for name in inside if beside.is_folder(name)]
        if len(images) == 1 and len(images) + len(masks) == len(inside):
            classes = _by_name(folder / images[0], inside[images[0]])
            return (classes, [f for name in masks for f in inside[name]]) if classes else None
        if len(inside) != 1:
            return None
        (only,) = inside
        folder = folder / only
        inside = _by_name(folder, inside[only])
    return None


def _by_name(folder: Path, files: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by the sub-folder in which they lie; those in none are left out."""
    found: dict[str, list[Path]] = {}
    for file in files:
        name, *rest = file.relative_to(folder).parts
        if rest:
            found.setdefault(name, []).append(file)
    return found


def _splits(folder: Path, files: list[Path], notes: list[str]) -> dict[Path, str]:
    """The splits of files by a table of them, if there is one; others are noted and not in it."""
    top = folder.resolve()
    for root in dict.fromkeys((top, top.parent)):
        table = root / _TABLE
        if not table.is_file():
            continue
        told = _read(table)
        places = {file: (top / file.relative_to(folder)).relative_to(root) for file in files}
        named = {file: told.get(place.as_posix().casefold(), "") for file, place in places.items()}
        found = {file: split for file, split in named.items() if split}
        if not found:
            raise NaqshError(f"{table} names no image of {folder}; correct it or move it away")
        notes.append(f"{top.name}: {_TABLE.as_posix()} says which images are for training")
        if left := len(files) - len(found):
            notes.append(f"{top.name}: {left} images that {_TABLE.as_posix()} has not are left out")
        return found
    return {}


def _read(table: Path) -> dict[str, str]:
    """Splits of images, by their paths in lower case; raises NaqshError where it has none."""
    try:
        if table.stat().st_size > _LONGEST_TABLE:
            raise ValueError("it is too long")
        text = table.read_text("utf-8-sig", "replace")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True))
        found = {
            row["image"].replace("\\", "/").casefold(): row["split"].strip().casefold()
            for row in rows
        }
    except (OSError, ValueError, csv.Error, KeyError, AttributeError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        why = f"it has no column {why}" if isinstance(error, KeyError) else why
        raise NaqshError(
            f"{table} cannot be used ({why}); it needs the columns image and split, or must be "
            "moved away"
        ) from error
    return found
