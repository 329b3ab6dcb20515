"""The named data sets: where their files are looked for, and how each is read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.data import cache, cifar, decoding, defects, digits, folders, idx, sprites
from naqsh.data.catalog import CATALOG, Entry
from naqsh.data.conversion import brought_to
from naqsh.data.dataset import DataSet, Split
from naqsh.io import download, places

_CIFAR_JPEG = "cifar10-jpeg.tar.xz"


def read(
    entry: Entry,
    split: Split,
    size: int | None,
    channels: int | None,
    home: Path | None,
    may_download: bool,
) -> DataSet:
    """A data set of the catalogue; the arguments are those of :func:`naqsh.data.load`.

    Raises:
        NaqshError: its files are missing, damaged or not what they should be.
    """
    if entry.name == "digits":
        published = DataSet.of(entry.name, *digits.read(split), entry.classes)
        side = digits.SIDE if size is None else size
        return brought_to(published, side, channels, smooth="bilinear")
    if entry.name == "cifar10":
        return _cifar10(entry, split, size, channels, home, may_download)
    if entry.name.startswith("dsprites"):
        return _dsprites(entry, split, size, channels, home)
    if entry.name == "capsule":
        return _capsule(entry, split, size, channels, home)
    count = entry.train if split == "train" else entry.test
    prefix = "train" if split == "train" else "t10k"
    pictures, marks = (
        _file(entry, (name, name.removesuffix(".gz")), home, may_download)
        for name in (f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz")
    )
    images = idx.read(pictures, (count, *entry.shape[1:]))[:, None]
    labels = idx.read(marks, (count,)).astype(np.int64)
    if labels.max() >= len(entry.classes):
        raise NaqshError(f"{marks} has label {labels.max()}, not 0..9; remove and fetch it again")
    return brought_to(DataSet.of(entry.name, images, labels, entry.classes), size, channels)


def _cifar10(
    entry: Entry,
    split: Split,
    size: int | None,
    channels: int | None,
    home: Path | None,
    may_download: bool,
) -> DataSet:
    names = (*(file.name for file in entry.files), _CIFAR_JPEG)
    path = _file(entry, names, home, may_download)
    name = "cifar10 (jpeg)" if path.name == _CIFAR_JPEG else entry.name
    count = entry.train if split == "train" else entry.test
    stat = path.stat()

    def build() -> cache.Content:
        images, labels = cifar.read(path, split, entry.classes, count)
        return cache.Content((count, *entry.shape), labels, [images])

    place = cache.key("cifar10", str(path.resolve()), split)
    stored = cache.pictures(place, cache.key(1, stat.st_size, stat.st_mtime_ns), build)
    whole = DataSet(name, stored.images, stored.labels, entry.classes, stored.fingerprint)
    return brought_to(whole, size, channels)


def _dsprites(
    entry: Entry, split: Split, size: int | None, channels: int | None, home: Path | None
) -> DataSet:
    orientations = sprites.ORIENTATIONS if entry.name == "dsprites-full" else 1
    names = (sprites.OFFICIAL, sprites.REDUCED) if orientations == 1 else (sprites.OFFICIAL,)
    path = _found(entry, names, home)
    chosen = sprites.split(split, orientations)
    labels = sprites.labels(orientations)[chosen]

    def chunks() -> Iterator[NDArray[np.uint8]]:
        done = 0
        for block in sprites.read(path, orientations) if path else sprites.render(orientations):
            first, last = np.searchsorted(chosen, (done, done + len(block)))
            yield block[chosen[first:last] - done]
            done += len(block)

    def build() -> cache.Content:
        return cache.Content((len(chosen), *entry.shape), labels, chunks())

    kept = 2  # raised when the renderer or the reader gives other images than before
    name = f"{entry.name} (rendered)" if path is None else entry.name
    if path is None and orientations == 1:
        whole = DataSet.of(name, np.concatenate(list(chunks())), labels, entry.classes)
    else:
        place, version = cache.key(entry.name, split), cache.key(kept)
        if path is not None:
            stat = path.stat()
            place = cache.key(entry.name, split, str(path.resolve()))
            version = cache.key(kept, stat.st_size, stat.st_mtime_ns)
        stored = cache.pictures(place, version, build)
        whole = DataSet(name, stored.images, stored.labels, entry.classes, stored.fingerprint)
    return brought_to(whole, size, channels)


def _capsule(
    entry: Entry, split: Split, size: int | None, channels: int | None, home: Path | None
) -> DataSet:
    folder = inspection_folder(entry.name, home)
    inspection = defects.listing(folder, split)
    options = folders.Options(size, channels)
    stored = folders.stored(folder, inspection, f"inspection {split}", options)
    counts = len(inspection.files) == (entry.train if split == "train" else entry.test)
    side = decoding.header(inspection.files[0]).width
    apart = [] if counts else ["another split"]
    apart += [] if side == entry.shape[2] else [f"of {side} px"]
    name = f"{entry.name} ({', '.join(apart)})" if apart else entry.name
    return DataSet(
        name, stored.images, inspection.labels, inspection.classes, stored.fingerprint, stored.notes
    )


def inspection_folder(name: str, home: Path | None = None) -> Path:
    """The folder of a named set in MVTec's layout; raises NaqshError saying what to put where."""
    for base in _homes(home):
        if defects.laid_out(base / name):
            return base / name
    raise NaqshError(
        f"data set {name!r} is not here and cannot be downloaded without its authors' form: take "
        f"MVTec AD ({CATALOG[name].licence}; Bergmann et al., 2019) from "
        "https://www.mvtec.com/company/research/datasets/mvtec-ad and put its folder "
        f"{name} (train, test, ground_truth) into {next(_homes(home))}, or elsewhere and set "
        "NAQSH_DATA_HOME to where it lies"
    )


def _homes(home: Path | None) -> Iterator[Path]:
    """The folders in which the files of named sets are looked for, in order; the cache is last.

    The cache is asked for only where no other had the file: a machine may have no place for it.
    """
    yield from places.data_homes(home)
    yield _downloads()


def _downloads() -> Path:
    return places.cache() / "data"


def _found(entry: Entry, names: tuple[str, ...], home: Path | None) -> Path | None:
    """The first of the named files that is on the disk, in the first home that has one."""
    for base in _homes(home):
        for name in names:
            for path in (base / entry.name / name, base / name):
                if path.is_file():
                    return path
    return None


def _file(entry: Entry, names: tuple[str, ...], home: Path | None, may_download: bool) -> Path:
    """The first of the named files that is on the disk; else the first name's is downloaded."""
    if path := _found(entry, names, home):
        return path
    file = next(file for file in entry.files if file.name == names[0])
    folder = (home or _downloads()) / entry.name
    why = "downloading is off"
    if may_download:
        try:
            return download.fetch(file, folder)
        except download.DownloadError as error:
            why = str(error)
    raise NaqshError(
        f"data set {entry.name!r} needs {file.name} ({why}); put that file into {folder}, or use "
        "--data digits, which needs no download"
    )
