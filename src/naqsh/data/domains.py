"""The images of two domains as one data set: both at one size and with one number of channels.

They may belong together in pairs: images of equal names (or ``12_A`` and
``12_B``), or the halves of images that hold both.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from naqsh.core.errors import NaqshError
from naqsh.core.printable import whole
from naqsh.data import folders, listing
from naqsh.data.dataset import DataSet
from naqsh.data.domain_folders import LETTERS, Domains, Files
from naqsh.data.folders import Options, Read
from naqsh.data.listing import Listing

_LEAST = 2
_SHOWN = 3


def read(
    found: Domains,
    split: str,
    options: Options,
    names: tuple[str, ...] = LETTERS,
    paired: bool = False,
) -> DataSet:
    """The images of both domains of a folder, from the cache when they are there.

    Args:
        found: the folder's files.
        split: ``"train"`` or ``"test"``.
        options: how they are brought to one shape.
        names: of the domains.
        paired: whether images of equal names, endings aside, belong together.

    Raises:
        NaqshError: no such split, fewer than two images in a domain, any that cannot be read, names
            without a partner where they are paired, or unequal sizes without a size.
    """
    files = found.of(split)
    for letter, own in zip(LETTERS, files, strict=True):
        if len(own) < _LEAST:
            raise NaqshError(
                f"{found.folder} has {len(own) or 'no'} image{'s' * (not own)} of domain {letter} "
                f"in its {split} split; a domain needs at least {_LEAST}"
            )
    if paired:
        files = _in_pairs(found, files, split)
    first, second = _stored(found, files, split, options)
    shapes = [part.images.shape[2:] for part in (first, second)]
    if shapes[0] != shapes[1]:
        told = " and ".join(f"{w}x{h} in {n}" for n, (h, w) in zip(names, shapes, strict=True))
        raise NaqshError(
            f"images of {found.folder} differ in size: {told}; give one size for both, for example "
            f"{min(map(min, shapes))}"
        )
    if not paired:
        return _set_of(found.folder, first, second, names, paired=False)
    places = [{file: place for place, file in enumerate(own)} for own in files]
    keys = [
        [place[file] for file in part.listing.files]
        for place, part in zip(places, (first, second), strict=True)
    ]
    return _set_of(found.folder, first, second, names, paired=True, keys=keys)


def side_by_side(folder: Path, split: str, options: Options) -> DataSet:
    """The images of a folder as pairs: the left half of each is of the first domain.

    Raises:
        NaqshError: as :func:`naqsh.data.folders.read`, or an image whose halves are not equal.
    """
    files = replace(listing.files(folder, split), labels=None, classes=())
    left, right = (
        folders.stored(folder, files, f"{split} {half}", replace(options, half=half))
        for half in ("left", "right")
    )
    return _set_of(folder, left, right, LETTERS, paired=True)


def _in_pairs(found: Domains, files: tuple[Files, Files], split: str) -> tuple[Files, Files]:
    """The files of both domains in the order of their names, which must be the same."""
    first, second = (_by_name(found, files, number) for number in range(2))
    alone = sorted([*(first.keys() - second.keys()), *(second.keys() - first.keys())])
    if alone:
        where = (str((first.get(n) or second[n]).relative_to(found.folder)) for n in alone[:_SHOWN])
        more = f" and {len(alone) - _SHOWN} more" if len(alone) > _SHOWN else ""
        raise NaqshError(
            f"{found.folder}: no partner of the same name in the other domain for "
            f"{', '.join(where)}{more} ({split} split); add them, or leave data.paired out"
        )
    order = sorted(first)
    return tuple(first[n] for n in order), tuple(second[n] for n in order)


def _by_name(found: Domains, files: tuple[Files, Files], number: int) -> dict[str, Path]:
    """One domain's files by the name that a partner shares.

    Where every name ends in its domain's letter (``12_A`` beside ``12_B``), that is left out.
    """
    names = [[found.name(file) for file in own] for own in files]
    ends = [re.compile(rf"[_.\- ]{letter}$", re.IGNORECASE) for letter in LETTERS]
    marked = all(end.search(n) for end, own in zip(ends, names, strict=True) for n in own)
    named: dict[str, Path] = {}
    for file, name in zip(files[number], names[number], strict=True):
        shared = ends[number].sub("", name) if marked else name
        if (other := named.setdefault(shared, file)) != file:
            raise NaqshError(
                f"{other} and {file} of domain {LETTERS[number]} have one name, so that no pair "
                "can be told; remove one of them"
            )
    return named


def _stored(
    found: Domains, files: tuple[Files, Files], split: str, options: Options
) -> tuple[Read, Read]:
    """Both domains; grey images beside colour get three channels."""

    def stored(number: int, options: Options) -> Read:
        own = Listing(files[number], None, (), found.notes)
        return folders.stored(found.folder, own, f"{split} {LETTERS[number]}", options)

    first, second = stored(0, options), stored(1, options)
    if first.images.shape[1] == second.images.shape[1]:
        return first, second
    colour = replace(options, channels=3)
    return stored(0, colour), stored(1, colour)


def _set_of(
    folder: Path,
    first: Read,
    second: Read,
    names: tuple[str, ...],
    paired: bool,
    keys: list[list[int]] | None = None,
) -> DataSet:
    """The set of both domains; where an image of a pair is broken, its partner leaves too."""
    name = whole(folder.resolve().name)
    notes = tuple(dict.fromkeys((*first.notes, *second.notes)))
    plain = DataSet(name, first.images, None, (), first.fingerprint, notes)
    other = second.images
    if keys is not None and keys[0] != keys[1]:
        both = set(keys[0]) & set(keys[1])
        rows, others = (np.flatnonzero([key in both for key in own]) for own in keys)
        gone = len(keys[0]) + len(keys[1]) - 2 * len(both)
        note = f"{name}: {gone} images left out, as their partners are broken"
        plain = replace(plain.subset(rows), notes=(*notes, note))
        other = np.asarray(other[others])
    return plain.with_columns(other, paired=paired, domains=names)
