"""From what the user types to a data set."""

import os
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from naqsh.data import (
    arrays,
    cache,
    cifar,
    defects,
    digits,
    download,
    folders,
    idx,
    pixels,
    sprites,
)
from naqsh.data.catalog import CATALOG, Entry
from naqsh.data.dataset import DataSet
from naqsh.errors import NaqshError, one_of

Split = Literal["train", "test"]

_CIFAR_JPEG = "cifar10-jpeg.tar.xz"


def load(
    source: str,
    *,
    split: Split = "train",
    size: int | None = None,
    channels: int | None = None,
    home: Path | None = None,
    download: bool = True,
) -> DataSet:
    """Load a data set.

    Files of named sets are looked for in `home`, then in the folder that NAQSH_DATA_HOME names,
    then in the user's cache; in each as `<name>/<file>` and `<file>`. What is found need not be the
    published file byte for byte, but must be well-formed; what is downloaded must match its
    checksum, and goes to `home`, or to the cache when none is given.

    Args:
        source: a name of the catalogue, a folder of pictures, or a `.npz` or `.npy` file.
        split: ``"train"`` or ``"test"``; files of arrays have only ``"train"``, folders have
            ``"test"`` when they have sub-folders of these two names.
        size: crop to the central square and resize to size x size.
        channels: 1 turns colour to grey, 3 grey to colour.
        home: where to look first for the files of named sets, and where to put them.
        download: whether missing files may be downloaded.

    Raises:
        NaqshError: no such source or split, or its files are missing, damaged or of no use.
    """
    if split not in ("train", "test"):
        raise one_of("split", split, ("train", "test"))
    if size is not None and not 1 <= size <= 8192:
        raise NaqshError(f"pictures cannot be {size} pixels wide; give a size from 1 to 8192")
    if channels not in (None, 1, 3):
        raise NaqshError(f"pictures have 1 channel (grey) or 3 (colour), not {channels}")
    if source in CATALOG:
        return _named(CATALOG[source], split, size, channels, home, download)
    path = Path(source).expanduser()
    if path.is_dir():
        stored, classes = folders.read(path, split, size, channels)
        name = path.resolve().name
        return DataSet(name, stored.images, stored.labels, classes, stored.fingerprint)
    if path.suffix.lower() in (".npy", ".npz") and path.is_file():
        if split != "train":
            raise NaqshError(f"{path} has no {split} split; use its train split")
        images, labels = arrays.read(path)
        classes = () if labels is None else tuple(map(str, range(labels.max() + 1)))
        return DataSet.of(path.stem, _converted(images, size, channels), labels, classes)
    kinds = f"a folder of pictures, a .npy or .npz file, or one of {', '.join(CATALOG)}"
    if path.exists():
        raise NaqshError(f"{path} is no data set; give {kinds}")
    if os.sep in str(source) or path.suffix:
        raise NaqshError(f"there is no folder or file {path}; give {kinds}")
    raise one_of("data set", source, CATALOG)


def _named(
    entry: Entry,
    split: Split,
    size: int | None,
    channels: int | None,
    home: Path | None,
    may_download: bool,
) -> DataSet:
    if entry.name == "digits":
        images, labels = digits.read(split, size)
        return DataSet.of(entry.name, _converted(images, None, channels), labels, entry.classes)
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
    return DataSet.of(entry.name, _converted(images, size, channels), labels, entry.classes)


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
    return _brought_to(whole, size, channels)


def _dsprites(
    entry: Entry, split: Split, size: int | None, channels: int | None, home: Path | None
) -> DataSet:
    orientations = sprites.ORIENTATIONS if entry.name == "dsprites-full" else 1
    names = (sprites.OFFICIAL, sprites.REDUCED) if orientations == 1 else (sprites.OFFICIAL,)
    path = _found(entry, names, _homes(home))
    labels = sprites.labels(orientations)
    if path is None and orientations == 1:
        images = np.concatenate(list(sprites.render(1)))
        whole = DataSet.of("dsprites (rendered)", images, labels, entry.classes)
    else:
        kept = 1  # raised when the renderer or the reader gives other pictures than before
        place, version, name = entry.name, cache.key(kept), f"{entry.name} (rendered)"
        if path is not None:
            stat = path.stat()
            place = cache.key(entry.name, str(path.resolve()))
            version, name = cache.key(kept, stat.st_size, stat.st_mtime_ns), entry.name

        def build() -> cache.Content:
            chunks = sprites.read(path, orientations) if path else sprites.render(orientations)
            return cache.Content((entry.train, *entry.shape), labels, chunks)

        stored = cache.pictures(place, version, build)
        whole = DataSet(name, stored.images, stored.labels, entry.classes, stored.fingerprint)
    chosen = whole.subset(sprites.reference(orientations)) if split == "test" else whole
    return _brought_to(chosen, size, channels)


def _capsule(
    entry: Entry, split: Split, size: int | None, channels: int | None, home: Path | None
) -> DataSet:
    folder = inspection_folder(entry.name, home)
    inspection = defects.listing(folder, split)
    stored = folders.stored(folder, inspection, f"inspection {split}", size, channels)
    counts = len(inspection.files) == (entry.train if split == "train" else entry.test)
    side = folders.extent(inspection.files[0])[0]
    apart = [] if counts else ["another split"]
    apart += [] if side == entry.shape[2] else [f"of {side} px"]
    name = f"{entry.name} ({', '.join(apart)})" if apart else entry.name
    return DataSet(name, stored.images, stored.labels, inspection.classes, stored.fingerprint)


def inspection_folder(name: str, home: Path | None = None) -> Path:
    """The folder of a named set in MVTec's layout; raises NaqshError saying what to put where."""
    homes = _homes(home)
    for base in homes:
        if defects.laid_out(base / name):
            return base / name
    raise NaqshError(
        f"data set {name!r} is not here and cannot be downloaded without its authors' form: take "
        f"MVTec AD ({CATALOG[name].licence}; Bergmann et al., 2019) from "
        "https://www.mvtec.com/company/research/datasets/mvtec-ad and put its folder "
        f"{name} (train, test, ground_truth) into {homes[0 if len(homes) > 1 else -1]}, or "
        "elsewhere and set NAQSH_DATA_HOME to where it lies"
    )


def _brought_to(data: DataSet, size: int | None, channels: int | None) -> DataSet:
    """The data set at another size or number of channels; itself where neither changes."""
    images = _converted(data.images, size, channels)
    if images is data.images:
        return data
    return DataSet.of(data.name, images, data.labels, data.classes)


def _converted(
    images: NDArray[np.uint8], size: int | None, channels: int | None
) -> NDArray[np.uint8]:
    if channels is not None:
        images = pixels.recolour(images, channels)
    return images if size is None else pixels.resize(images, size)


def _homes(home: Path | None) -> list[Path]:
    """The folders in which the files of named sets are looked for, in order."""
    homes = [Path(home)] if home is not None else []
    if chosen := os.environ.get("NAQSH_DATA_HOME"):
        homes.append(Path(chosen))
    return [*homes, cache.root() / "data"]


def _found(entry: Entry, names: tuple[str, ...], homes: list[Path]) -> Path | None:
    """The first of the named files that is on the disk."""
    for name in names:
        for base in homes:
            for path in (base / entry.name / name, base / name):
                if path.is_file():
                    return path
    return None


def _file(entry: Entry, names: tuple[str, ...], home: Path | None, may_download: bool) -> Path:
    """The first of the named files that is on the disk; else the first name's is downloaded."""
    homes = _homes(home)
    if path := _found(entry, names, homes):
        return path
    file = next(file for file in entry.files if file.name == names[0])
    folder = homes[0 if home is not None else -1] / entry.name
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
