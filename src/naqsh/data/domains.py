"""The images of two domains as one data set: both at one size and with one number of channels."""

from dataclasses import replace

from naqsh.core.errors import NaqshError
from naqsh.core.printable import whole
from naqsh.data import folders
from naqsh.data.dataset import DataSet
from naqsh.data.domain_folders import LETTERS, Domains
from naqsh.data.listing import Listing

_LEAST = 2


def read(
    found: Domains, split: str, options: folders.Options, names: tuple[str, ...] = LETTERS
) -> DataSet:
    """The images of both domains of a folder, from the cache when they are there.

    Args:
        found: the folder's files.
        split: ``"train"`` or ``"test"``.
        options: how they are brought to one shape.
        names: of the domains.

    Raises:
        NaqshError: no such split, fewer than two images in a domain, any that cannot be read, or
            unequal sizes without a size.
    """
    first, second = _stored(found, split, options)
    shapes = [part.images.shape[2:] for part in (first, second)]
    if shapes[0] != shapes[1]:
        told = " and ".join(f"{w}x{h} in {n}" for n, (h, w) in zip(names, shapes, strict=True))
        raise NaqshError(
            f"images of {found.folder} differ in size: {told}; give one size for both, for example "
            f"{min(map(min, shapes))}"
        )
    name = whole(found.folder.resolve().name)
    notes = (*first.notes, *second.notes)
    plain = DataSet(name, first.images, None, (), first.fingerprint, tuple(dict.fromkeys(notes)))
    return plain.with_columns(second.images, domains=names)


def _stored(
    found: Domains, split: str, options: folders.Options
) -> tuple[folders.Read, folders.Read]:
    """Both domains; grey images beside colour get three channels."""
    listings = [_listing(found, split, number) for number in (0, 1)]

    def stored(number: int, options: folders.Options) -> folders.Read:
        name = f"{split} {LETTERS[number]}"
        return folders.stored(found.folder, listings[number], name, options)

    first, second = stored(0, options), stored(1, options)
    if first.images.shape[1] == second.images.shape[1]:
        return first, second
    colour = replace(options, channels=3)
    return stored(0, colour), stored(1, colour)


def _listing(found: Domains, split: str, number: int) -> Listing:
    files = found.of(split)[number]
    if len(files) < _LEAST:
        raise NaqshError(
            f"{found.folder} has {len(files) or 'no'} image{'s' * (not files)} of domain "
            f"{LETTERS[number]} in its {split} split; a domain needs at least {_LEAST}"
        )
    return Listing(files, None, (), found.notes)
