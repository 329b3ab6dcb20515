"""Which folders hold images of two domains, A and B, as CycleGAN and pix2pix have them.

::

    trainA/  trainB/  testA/  testB/       in any spelling of splits: train_a, B-test, VALIDATION A
    A/  B/                                 without a test split
    train/A/  train/B/  test/A/  test/B/   likewise
    A/train/  A/test/  B/train/  B/test/   likewise

All images below a domain's folder are of that domain, whatever sub-folders they lie in.

References:
    Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al.,
    2017), ICCV, arXiv:1703.10593.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from naqsh.core.errors import NaqshError
from naqsh.data import inspection, splits, walking
from naqsh.data.holdout import no_test_split
from naqsh.data.splits import Splits
from naqsh.data.walking import Walk

LETTERS = ("A", "B")
"""What the domains are called, in their order."""

Files = tuple[Path, ...]
Parts = tuple[str, ...]


@dataclass(frozen=True)
class Domains:
    """The images of a folder with two domains, sorted.

    Attributes:
        folder: that they lie in.
        train: the files of A and of B; either may be empty.
        test: likewise; None where the folder has no test split.
        notes: what must be known of it.
        depth: how many folders above a file tell its split and its domain.
    """

    folder: Path
    train: tuple[Files, Files]
    test: tuple[Files, Files] | None
    notes: tuple[str, ...]
    depth: int

    def name(self, file: Path) -> str:
        """What a file is called within its domain; without its ending."""
        below = file.relative_to(self.folder).parts[self.depth :]
        return Path(*below).with_suffix("").as_posix()

    def of(self, split: str) -> tuple[Files, Files]:
        """The files of one split; raises NaqshError where there is no such split."""
        if split == "train":
            if self.test and not any(self.train):
                raise NaqshError(f"{self.folder} has a test split and no other")
            return self.train
        if self.test is None:
            raise no_test_split(str(self.folder))
        return self.test


@dataclass(frozen=True)
class _Layout:
    """How the folders above a file tell its split and its domain.

    Attributes:
        found: the splits; None where there are none.
        place: from the names of these folders to the split's folder and the domain's letter.
        depth: how many of them do.
    """

    found: Splits | None
    place: Callable[[Parts], tuple[str, str | None]]
    depth: int


def find(folder: Path) -> Domains | None:
    """The two domains in a folder; None where it is laid out in another way.

    Raises:
        NaqshError: some names look like splits and others do not or only almost, or splits lie
            where none can be.
    """
    if not _may_be(folder):
        return None
    tree = walking.walk(folder)
    if inspection.find(folder, tree.inside, masks=False):
        return None
    layout = _layout(folder, tree)
    if layout is None:
        return None
    names = ("",) if layout.found is None else layout.found.train
    train, test = _files(folder, tree, layout, names), None
    if layout.found and layout.found.test:
        test = _files(folder, tree, layout, layout.found.test)
        train, test = _without_links(tree, train, test), _without_links(tree, test, train)
    return Domains(folder, train, test, _notes(folder, tree, layout, train, test), layout.depth)


def _may_be(folder: Path) -> bool:
    """Whether some folder's name is one of a domain; without going through all files."""
    tops = _folders(folder)
    if any(splits.letter(name) or (splits.role(name) or ("", ""))[1] for name in tops):
        return True
    inner = (name for top in tops if splits.role(top) for name in _folders(folder / top))
    return any(map(splits.letter, inner))


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:  # a link to itself is no folder, and no error
            return [entry.name for entry in entries if (folder / entry.name).is_dir()]
    except OSError:  # whoever reads it says so
        return []


def _layout(folder: Path, tree: Walk) -> _Layout | None:
    places = {
        file.relative_to(folder).parts[:-1] for files in tree.inside.values() for file in files
    }
    if outer := splits.two_domains(tree.inside):
        return _domains_first(folder, outer, places)
    found = splits.find(folder, tree.inside)
    if found is None:
        return None
    if found.domains:
        return _Layout(found, lambda parts: (parts[0], (splits.role(parts[0]) or ("", None))[1]), 1)
    inside = [place for place in places if place[0] in (*found.train, *found.test)]
    inner = splits.two_domains({place[1] for place in inside if len(place) > 1})
    if inner is None or any(len(place) == 1 for place in inside):
        return None
    return _Layout(found, lambda parts: (parts[0], inner.get(parts[1])), 2)


def _domains_first(folder: Path, letters: dict[str, str], places: set[Parts]) -> _Layout:
    inside = [place for place in places if place[0] in letters]
    names = {place[1] for place in inside if len(place) > 1}
    if not any(map(splits.role, names)):
        return _Layout(None, lambda parts: ("", letters.get(parts[0])), 1)
    if loose := [place for place in inside if len(place) == 1]:
        raise NaqshError(
            f"{folder / loose[0][0]} has images beside its splits; move them into one of these"
        )
    return _Layout(
        splits.find(folder / inside[0][0], names),
        lambda parts: (parts[1] if len(parts) > 1 else "", letters.get(parts[0])),
        2,
    )


def _files(folder: Path, tree: Walk, layout: _Layout, names: Iterable[str]) -> tuple[Files, Files]:
    """The files of A and of B in the splits of these names."""
    found: dict[str, list[Path]] = {letter: [] for letter in LETTERS}
    for file in (file for files in tree.inside.values() for file in files):
        parts = file.relative_to(folder).parts[:-1]
        split, letter = layout.place(parts)
        if letter is None or split not in names:
            continue
        if below := next(filter(splits.role, parts[layout.depth :]), None):
            where = folder.joinpath(*parts[: parts.index(below, layout.depth)])
            raise NaqshError(
                f"{where / below} has the name of a split but lies below {where}; sort the images "
                "into trainA, trainB, testA and testB, or rename that folder"
            )
        found[letter].append(file)
    return tuple(sorted(found["A"])), tuple(sorted(found["B"]))


def _without_links(
    tree: Walk, own: tuple[Files, Files], other: tuple[Files, Files]
) -> tuple[Files, Files]:
    """The files of one split without links to those of the other."""
    if not tree.linked:
        return own
    there = {file.resolve() for files in other for file in files if file not in tree.linked}
    kept = (
        tuple(f for f in files if f not in tree.linked or f.resolve() not in there) for files in own
    )
    return next(kept), next(kept)


def _notes(
    folder: Path,
    tree: Walk,
    layout: _Layout,
    train: tuple[Files, Files],
    test: tuple[Files, Files] | None,
) -> tuple[str, ...]:
    name, found = folder.resolve().name, layout.found
    notes = [found.note] if found and found.note else []
    if layout.depth == 2 or found is None:
        notes = [
            f"{name}: two domains, A and B, and not two classes; rename one of these folders where "
            "they are classes"
        ]
    taken = {file for files in (*train, *(test or ())) for file in files}
    left = [
        f"{top} ({count} images)"
        for top, files in tree.inside.items()
        if (count := sum(file not in taken for file in files))
    ]
    left += [f"{len(tree.loose)} loose images"] if tree.loose else []
    notes += [f"{name}: left out beside the two domains: {', '.join(left)}"] if left else []
    return (*notes, *tree.notes())
