"""Which images a folder has for training and which for testing, and of which classes.

Sub-folders are classes, unless their names are those of splits (:mod:`naqsh.data.splits`); then the
sub-folders in these are. Training and test split share one numbering of classes: those of the
training split, sorted, then those that only the test split has.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError, one_of
from naqsh.core.printable import whole
from naqsh.data import beside, inspection, splits, walking
from naqsh.data.decoding import SUFFIXES
from naqsh.data.holdout import no_test_split
from naqsh.data.splits import Splits
from naqsh.data.walking import Walk


@dataclass(frozen=True)
class Listing:
    """Images of a folder, sorted by class and name.

    Attributes:
        files: their paths.
        labels: the class of each, or None where there are no sub-folders.
        classes: names of the classes.
        notes: what must be known, above all what is left out.
        truth: images that are no part of the set and may be masks of it.
        texts: the captions of each image; empty where they were not asked for.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    truth: tuple[Path, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()

    def of(self, chosen: NDArray[np.bool_]) -> "Listing":
        """The images that are true in `chosen`, shape (N,)."""
        kept = tuple(file for file, keep in zip(self.files, chosen, strict=True) if keep)
        labels = None if self.labels is None else self.labels[chosen]
        texts = tuple(itertools.compress(self.texts, chosen))
        return Listing(kept, labels, self.classes, self.notes, self.truth, texts)


def has_test(folder: Path) -> bool:
    """Whether a folder has a test split of its own; raises NaqshError as :func:`files` does."""
    inside = walking.walk(folder).inside
    if apart := inspection.find(folder, inside):
        return bool(apart.of("test"))
    found = splits.find(folder, inside)
    return found is not None and bool(found.test)


def files(
    folder: Path,
    split: str = "train",
    least: int = 2,
    masks: bool = False,
    passed: frozenset[str] = frozenset(),
) -> Listing:
    """List the images of a folder without opening them.

    Args:
        folder: where they are.
        split: ``"train"`` or ``"test"``; ``"any"`` takes the test split where there are splits.
        least: images that there must be.
        masks: whether sub-folders named for masks, like `ground_truth`, are no classes.
        passed: endings of other files of which nothing is said, as they are read elsewhere.

    Raises:
        NaqshError: no such split, too few images, images beside sub-folders of them, or sub-folders
            of which it cannot be told whether they are splits.
    """
    tree = walking.walk(folder, passed)
    inside = dict(tree.inside)
    if apart := inspection.find(folder, inside, masks):
        return _apart(folder, tree, apart, split, least)
    truth: list[Path] = []
    found = splits.find(folder, inside)
    if found is None:
        if split == "test":
            _no_splits_below(folder, tree.loose, inside, "train", splitted=False)
            raise no_test_split(str(folder))
        if masks and not all(map(beside.is_folder, inside)):
            for name in filter(beside.is_folder, list(inside)):
                truth += inside.pop(name)
        notes = tree.notes()
        loose, classes, among = beside.split_off(folder, tree.loose, inside, masks)
        names: Iterable[str] = classes
        parts: tuple[str, ...] = ()
    else:
        split = "test" if split == "any" else split
        parts = found.of(split)
        if not parts and split == "test":
            raise no_test_split(str(folder))
        if not parts:
            raise NaqshError(f"{folder} has a test split ({', '.join(found.test)}) and no other")
        truth += [file for name in found.left for file in inside[name]]
        notes = [*_beside(folder, tree, found), *tree.notes(parts)]
        other = found.test if split == "train" else found.train
        notes += _without_links(folder, tree, inside, parts, other)
        loose, classes = _inside(folder, inside, parts, found.domains)
        loose, classes, among = beside.split_off(folder, loose, classes, masks)
        train = beside.split_off(
            folder, *_inside(folder, inside, found.train, found.domains), masks
        )[1]
        names = [*sorted(train), *sorted(classes.keys() - train.keys())]
    _no_splits_below(folder, loose, classes, split, len(parts) > 0)
    truth += among
    if not masks:
        notes += [*beside.left_out(folder, among), *beside.taken(folder, classes, parts)]
    top = folder / parts[0] if len(parts) == 1 else folder
    return _listing(top, loose, classes, tuple(names), tuple(notes), tuple(truth), least)


def _apart(folder: Path, tree: Walk, found: inspection.Apart, split: str, least: int) -> Listing:
    """The images of an inspection set whose masks lie apart."""
    classes = found.of(split)
    if not classes:
        raise no_test_split(str(folder))
    notes = [*tree.notes(), *found.notes]
    if split == "train":
        notes += found.left_out(folder)
    return _listing(folder, [], classes, tuple(classes), tuple(notes), tuple(found.truth), least)


def with_good_first(folder: Path, listing: Listing, good: str, alone: bool) -> Listing:
    """A listing of good and faulty images, whose class 0 is that of the good ones.

    Args:
        folder: of the listing, for messages.
        listing: with classes.
        good: the name of that class; its case need not be right.
        alone: whether only the good ones are kept.

    Raises:
        NaqshError: there is no such class, or it has no images.
    """
    own = class_named(listing, good)
    if listing.labels is None or own is None:
        if not listing.classes:
            raise NaqshError(f"{folder} has no sub-folder {good}; it has images without classes")
        raise one_of(f"sub-folder of {folder}", good, listing.classes)
    classes = (own, *(name for name in listing.classes if name != own))
    number = np.array([classes.index(name) for name in listing.classes])
    order = np.argsort(number[listing.labels], kind="stable")
    first = replace(
        listing,
        files=tuple(listing.files[i] for i in order),
        labels=number[listing.labels][order],
        classes=classes,
    )
    if not alone:
        return first
    is_good = np.array([classes.index(own) == label for label in number[listing.labels][order]])
    kept = replace(first.of(is_good), classes=(own,))
    if not kept.files:
        raise NaqshError(f"{folder} has no images in {own}")
    return kept


def class_named(listing: Listing, name: str) -> str | None:
    """The class of that name, or the one that differs in case alone."""
    name = whole(name)
    same = [known for known in listing.classes if known.casefold() == name.casefold()]
    return name if name in same else next(iter(same), None)


def _inside(
    folder: Path, inside: dict[str, list[Path]], parts: Iterable[str], domains: bool
) -> tuple[list[Path], dict[str, list[Path]]]:
    """The loose images of some sub-folders, and those of their own sub-folders, by name."""
    loose: list[Path] = []
    classes: dict[str, list[Path]] = {}
    for part in parts:
        letter = (splits.role(part) or ("", ""))[1]
        for file in inside[part]:
            first, *rest = file.relative_to(folder / part).parts
            if domains:
                classes.setdefault(letter, []).append(file)
            elif rest:
                classes.setdefault(first, []).append(file)
            else:
                loose.append(file)
    return loose, classes


def _without_links(
    folder: Path,
    tree: Walk,
    inside: dict[str, list[Path]],
    parts: Iterable[str],
    other: Iterable[str],
) -> list[str]:
    """Take links to images of the other split out of `inside`; what is said of them."""
    there = [(folder / part).resolve() for part in other]
    away = {
        path for path in tree.linked if any(path.resolve().is_relative_to(place) for place in there)
    }
    left = 0
    for part in parts:
        kept = [file for file in inside[part] if file not in away]
        left += len(inside[part]) - len(kept)
        inside[part] = kept
    if not left:
        return []
    return [f"{folder.resolve().name}: {left} links to images of the other split left out"]


def _beside(folder: Path, tree: Walk, found: Splits) -> list[str]:
    """What is said of the splits, and of images that lie beside them."""
    left = [name for name in found.left if not splits.holds_truth(name)]
    counts = [f"{name} ({len(tree.inside[name])} images)" for name in left]
    counts += [f"{len(tree.loose)} loose images"] if tree.loose else []
    notes = [found.note] if found.note else []
    return notes + (
        [f"{folder.resolve().name}: left out beside the splits: {', '.join(counts)}"] * bool(counts)
    )


def _no_splits_below(
    folder: Path, loose: list[Path], classes: dict[str, list[Path]], split: str, splitted: bool
) -> None:
    """Refuse splits below classes: what is for the test would be trained on."""
    others = ("train",) if split == "test" else ("val", "test")
    for file in (*loose, *(file for images in classes.values() for file in images)):
        below = file.relative_to(folder).parts[1 if splitted else 0 : -1]
        for part in below:
            if (splits.role(part) or ("",))[0] in others:
                where = next(p for p in file.parents if p.name == part)
                raise NaqshError(
                    f"{where} has the name of a split but lies below {where.parent}; name the "
                    f"folder that holds the splits (--data {where.parent}), or sort the images "
                    "into train/<class> and test/<class>"
                )


def _listing(
    top: Path,
    loose: list[Path],
    classes: dict[str, list[Path]],
    names: tuple[str, ...],
    notes: tuple[str, ...],
    truth: tuple[Path, ...],
    least: int,
) -> Listing:
    if loose and classes:
        raise NaqshError(
            f"{top} has both images ({loose[0].name}) and sub-folders of images "
            f"({next(iter(classes))}); move the loose images into a sub-folder, or away"
        )
    count = len(loose) + sum(len(images) for images in classes.values())
    if count < least:
        said = "; ".join(("", *notes))
        raise NaqshError(
            f"{top} has {count or 'no'} image{'s' * (not count)}; a data set needs at least "
            f"{least} (files ending in {' '.join(SUFFIXES)}){said}"
        )
    if loose:
        return Listing(tuple(loose), None, (), notes, truth)
    order = [(number, sorted(classes.get(name, ()))) for number, name in enumerate(names)]
    labels = np.repeat([number for number, _ in order], [len(images) for _, images in order])
    found = tuple(file for _, images in order for file in images)
    classes_named = tuple(whole(name) for name in names)
    return Listing(found, labels.astype(np.int64), classes_named, notes, truth)
