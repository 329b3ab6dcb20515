"""A folder of images as a data set, decoded once.

Which images are listed is told by :mod:`naqsh.data.listing`, what becomes of each by
:mod:`naqsh.data.decoding`.

The decoded images are kept in the cache under the folder's path and the name, size and time of
change of every file. That costs no reading of the files; the price is that a file replaced by one
of equal size and time (`cp -p` can do it) goes unnoticed.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.data import cache, decoding, told
from naqsh.data.decoding import Decoded, Header, Range
from naqsh.data.inspection import good_one
from naqsh.data.listing import Listing, files, with_good_first
from naqsh.io.progress import progress

T = TypeVar("T")

_CHUNK = 256
_NAMED = 5
_REPAIR = "repair or remove them"


@dataclass(frozen=True)
class Options:
    """How the images of a folder are brought to one shape.

    Attributes:
        size: side to which every image is cropped and resized; None keeps them, if all are equal.
        channels: 1 or 3; None gives grey when all images are grey, otherwise colour.
        range: the values that become black and white; None takes those of each file's type.
        skip_broken: leave out what cannot be read, instead of refusing it.
        half: of images that hold two side by side, which one is read; None reads all of it.
        boxes: the part of an image that is kept, where it is not all; with a size.
        captions: read the captions that lie beside the images; see :mod:`naqsh.data.told`.
    """

    size: int | None = None
    channels: int | None = None
    range: Range = None
    skip_broken: bool = False
    half: Literal["left", "right"] | None = None
    captions: bool = False
    boxes: Mapping[Path, decoding.Box] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """Decoded images.

    Attributes:
        images: uint8 with shape (N, C, H, W), mapped from the cache.
        listing: of which files they are; what was skipped is not among them.
        notes: what must be known of them.
        fingerprint: of images and labels.
    """

    images: NDArray[np.uint8]
    listing: Listing
    notes: tuple[str, ...]
    fingerprint: str


class Broken(NaqshError):
    """Files that cannot be read, all that there are.

    Attributes:
        files: their paths.
    """

    def __init__(self, errors: Sequence[tuple[Path, NaqshError]]) -> None:
        self.files = [path for path, _ in errors]
        if len(errors) == 1:
            super().__init__(f"{errors[0][1]}, or leave it out with --skip-broken")
            return
        parts = [str(error).partition("; ") for _, error in errors]
        shown = "; ".join(what for what, _, _ in parts[:_NAMED])
        more = f"; and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
        advice = parts[0][2] if len({how for _, _, how in parts}) == 1 else _REPAIR
        advice = _REPAIR if advice.removesuffix("it") == _REPAIR.removesuffix("them") else advice
        super().__init__(
            f"{len(errors)} images cannot be read: {shown}{more}; {advice}, or leave them out with "
            "--skip-broken"
        )


def read(folder: Path, split: str, options: Options, good: str | None = None) -> Read:
    """The images of a folder's split, from the cache when they are there.

    Args:
        folder: where they are.
        split: ``"train"`` or ``"test"``; the latter only where the folder has splits.
        options: how they are brought to one shape.
        good: the class that is trained on alone, and the first of all; None takes all.

    Raises:
        NaqshError: no such split or class, fewer than two images, any that cannot be read, unequal
            sizes without a size, or a cache that cannot be written.
    """
    passed = told.SUFFIXES if options.captions else frozenset[str]()
    listing, name = files(folder, split, masks=good is not None, passed=passed), split
    if good is None:
        listing = _told_of_faulty(folder, listing, split)
    else:
        listing = with_good_first(folder, listing, good, alone=split == "train")
        name = f"{split} good"
    if options.captions:
        listing = told.with_captions(folder, listing, options.skip_broken)
    return stored(folder, listing, name, options)


def _told_of_faulty(folder: Path, listing: Listing, split: str) -> Listing:
    """The listing with a note where good images and others are trained on together."""
    good = good_one(listing.classes)
    others = [name for name in listing.classes if name != good]
    if good is None or not others or split != "train":
        return listing
    note = (
        f"{folder.resolve().name}: trained on {good} and on {', '.join(others[:5])}; to train on "
        f"normal images alone, --data.good {good}"
    )
    return replace(listing, notes=(*listing.notes, note))


def stored(folder: Path, listing: Listing, name: str, options: Options, least: int = 2) -> Read:
    """The images of a listing, from the cache when they are there; see :func:`read`.

    Args:
        folder: above all of them.
        listing: which ones.
        name: tells this listing from others of the same folder.
        options: how they are brought to one shape.
        least: images that must be left where some are skipped.
    """
    state = [(str(file.relative_to(folder)), *_stat(file)) for file in listing.files]
    place = cache.key(
        "folder", str(folder.resolve()), name, options.size, options.channels, options.range
    )
    broken: set[Path] = set()
    while True:
        kept = listing.of(np.array([file not in broken for file in listing.files]))
        content = partial(_content, folder, listing, kept, options)
        try:
            found = cache.pictures(place, cache.key(3, state), content)
            break
        except Broken as error:
            broken |= set(error.files)
            if not options.skip_broken or len(broken) > len(listing.files) - least:
                raise
    skipped = found.about.get("broken", [])
    if skipped and not options.skip_broken:  # they were skipped when these were decoded
        raise Broken(_failures([listing.files[number] for number in skipped], options))
    kept = listing.of(~np.isin(np.arange(len(listing.files)), skipped))
    notes = (
        *listing.notes,
        *(f"{folder.resolve().name}: {note}" for note in found.about.get("notes", [])),
    )
    return Read(found.images, kept, notes, found.fingerprint)


def _stat(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:  # a link to nowhere; decoding says so
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _content(folder: Path, listing: Listing, kept: Listing, options: Options) -> cache.Content:
    """What the cache is to hold of the images of a listing that are kept."""
    headers, errors = _tried(decoding.header, kept.files)
    if errors:
        failed = {path for path, _ in errors}
        others = [path for path in kept.files if path not in failed]
        raise Broken(sorted([*errors, *_failures(others, options)], key=lambda pair: pair[0]))
    width, height = _common_size(kept.files, headers, options.size)
    width //= 2 if options.half and options.size is None else 1
    grey = all(header.grey for header in headers)
    shape = (options.channels or (1 if grey else 3), height, width)
    left = set(kept.files)
    skipped = [number for number, file in enumerate(listing.files) if file not in left]
    about: dict[str, Any] = {"broken": skipped, "notes": []}
    if skipped:
        first = listing.files[skipped[0]].relative_to(folder)
        about["notes"].append(f"{len(skipped)} broken images skipped ({first})")
    if paged := sum(header.paged for header in headers):
        about["notes"].append(
            f"{paged} of {len(headers)} files hold further pages or frames, of which only the "
            "first is read"
        )
    chunks = _decoded(folder, kept.files, shape[0], options, about)
    return cache.Content((len(kept.files), *shape), kept.labels, chunks, about)


def _common_size(
    paths: tuple[Path, ...], headers: list[Header], size: int | None
) -> tuple[int, int]:
    """The width and height that all images get."""
    if size is not None:
        return size, size
    first = headers[0]
    for path, header in zip(paths, headers, strict=True):
        if (header.width, header.height) != (first.width, first.height):
            least = min(first.width, first.height, header.width, header.height)
            raise NaqshError(
                f"images differ in size: {paths[0]} has {first.width}x{first.height}, {path} has "
                f"{header.width}x{header.height}; give one size for all, for example {least}"
            )
    return first.width, first.height


def _decoded(
    folder: Path, paths: tuple[Path, ...], channels: int, options: Options, about: dict[str, Any]
) -> Iterator[NDArray[np.uint8]]:
    """The images in chunks; what they show of the range of values goes to ``about["notes"]``."""

    def one(path: Path) -> Decoded:
        box = options.boxes.get(path)
        return decoding.decode(
            path, str(path), channels, options.size, options.range, options.half, box
        )

    errors: list[tuple[Path, NaqshError]] = []
    largest, top, cut = 0.0, 255.0, 0
    with progress(f"decoding {folder}", len(paths), "images") as advance:
        for start in range(0, len(paths), _CHUNK):
            part = paths[start : start + _CHUNK]
            advance(len(part))
            found, failed = _tried(one, part)
            errors += failed
            if not errors:  # else the others are tried only to name all that is broken at once
                yield np.stack([image.pixels for image in found])
            for image in found:
                cut += _is_cut(image, options.range)
                if image.largest * top > largest * image.top:
                    largest, top = image.largest, image.top
    if errors:
        raise Broken(errors)
    if cut:
        low, high = options.range or (0.0, top)
        about["notes"].append(
            f"{cut} of {len(paths)} images have values outside of data.range {low:g},{high:g} (the "
            f"largest is {largest:g}), which become black or white"
        )
    if options.range is None and largest <= top / 4:
        note = (
            "no image uses more than a quarter of the range of its values, they are dark: the "
            f"largest value is {largest:g} of {top:g}"
        )
        if largest > 0:
            note += f"; name black and white, for example --data.range 0,{largest:g}"
        about["notes"].append(note)


def _is_cut(image: Decoded, limits: Range) -> bool:
    """Whether some values of an image lie further outside of a range than rounding goes."""
    if limits is None:
        return False
    half = (limits[1] - limits[0]) / 510
    return image.least < limits[0] - half or image.largest > limits[1] + half


def _failures(paths: Sequence[Path], options: Options) -> list[tuple[Path, NaqshError]]:
    """The errors of those that cannot be decoded."""
    found: list[tuple[Path, NaqshError]] = []
    for start in range(0, len(paths), _CHUNK):
        part = paths[start : start + _CHUNK]
        found += _tried(lambda path: decoding.decode(path, str(path), range=options.range), part)[1]
    return found


def _tried(
    what: Callable[[Path], T], paths: Sequence[Path]
) -> tuple[list[T], list[tuple[Path, NaqshError]]]:
    """What a function gives for each file, and the errors of those for which it raises one."""

    def one(path: Path) -> T | NaqshError:
        try:
            return what(path)
        except NaqshError as error:
            return error

    # PIL lets go of the interpreter while it decodes, so threads are enough to use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(one, paths))
    pairs = list(zip(paths, results, strict=True))
    errors = [(path, found) for path, found in pairs if isinstance(found, NaqshError)]
    return [found for found in results if not isinstance(found, NaqshError)], errors
