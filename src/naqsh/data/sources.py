"""From what the user types to a data set."""

import os
from dataclasses import replace
from pathlib import Path

from naqsh import places
from naqsh.data import arrays, folders, named, notes
from naqsh.data.catalog import CATALOG
from naqsh.data.dataset import DataSet, Split
from naqsh.data.holdout import held_out, no_test_split
from naqsh.errors import NaqshError, one_of

_KINDS = f"give a folder of pictures, a .npy or .npz file, or one of {', '.join(CATALOG)}"


def load(
    source: str | os.PathLike[str],
    *,
    split: Split = "train",
    size: int | None = None,
    channels: int | None = None,
    home: Path | None = None,
    download: bool = True,
    holdout: float = 0.0,
    holdout_seed: int = 0,
    key: str | None = None,
    labels: str | None = None,
    range: tuple[float, float] | None = None,
) -> DataSet:
    """Load a data set.

    Files of named sets are looked for in `home`, then in the folder that NAQSH_DATA_HOME names,
    then in the user's cache; in each as `<name>/<file>` and `<file>`. What is found need not be the
    published file byte for byte, but must be well-formed; what is downloaded must match its
    checksum, and goes to `home`, or to the cache when none is given.

    Args:
        source: a name of the catalogue, a folder of pictures, or a `.npz` or `.npy` file.
        split: ``"train"`` or ``"test"``; files of arrays have ``"test"`` where they hold arrays of
            such names (`x_test`), folders when they have sub-folders of these two names. See
            `holdout`.
        size: crop to the central square and resize to size x size.
        channels: 1 turns colour to grey, 3 grey to colour.
        home: where to look first for the files of named sets, and where to put them.
        download: whether missing files may be downloaded.
        holdout: share of the images that is taken from training and given as ``"test"`` where the
            set has no test split of its own; 0 takes none. A function of `holdout_seed` and the
            images in their order; see :mod:`naqsh.data.holdout`.
        holdout_seed: which images these are.
        key: the array of an `.npz` that holds the images, where names and shapes do not tell.
        labels: the array that holds the labels, likewise; for an `.npy`, a file beside it.
        range: the values of an array that are black and white, for example (0, 1) or (-1, 1);
            uint8 in 0..255 needs none.

    Raises:
        NaqshError: no such source or split, or its files are missing, damaged or of no use.
    """
    if split not in ("train", "test"):
        raise one_of("split", split, ("train", "test"))
    if size is not None and not 1 <= size <= 8192:
        raise NaqshError(f"pictures cannot be {size} pixels wide; give a size from 1 to 8192")
    if channels not in (None, 1, 3):
        raise NaqshError(f"pictures have 1 channel (grey) or 3 (colour), not {channels}")
    if not isinstance(source, str | os.PathLike) or not str(source).strip():
        raise NaqshError(f"{source!r:.40} names no data set; {_KINDS}")
    source = str(source)
    options = arrays.Options(key, labels, range)
    if source in CATALOG:
        _no_array(source, options)
        return named.read(CATALOG[source], split, size, channels, home, download)
    path = places.expanded(source)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # a name too long, a folder on the way that may not be entered
        raise NaqshError(f"{source} cannot be read ({error.strerror}); {_KINDS}") from error
    is_array = is_file and path.suffix.lower() in (".npy", ".npz")
    if not (is_folder or is_array):
        raise _unknown(source, path)
    has_test = folders.has_test(path) if is_folder else arrays.has_test(path, options)
    divided = holdout > 0 and not has_test
    part: Split = "train" if divided else split
    if is_folder:
        _no_array(source, options)
        found = _of_folder(path, part, size, channels)
    else:
        found = _of_array(path, part, size, channels, options)
    if divided:
        found = held_out(found, split, holdout, holdout_seed)
    return replace(found, notes=notes.say(found.notes))


def _of_folder(path: Path, split: Split, size: int | None, channels: int | None) -> DataSet:
    stored, classes = folders.read(path, split, size, channels)
    return DataSet(path.resolve().name, stored.images, stored.labels, classes, stored.fingerprint)


def _of_array(
    path: Path, split: Split, size: int | None, channels: int | None, options: arrays.Options
) -> DataSet:
    try:
        found = arrays.read(path, split, size, channels, options)
    except MemoryError as error:
        raise NaqshError(
            f"{path} does not fit into the memory that is free; save it in C order, uncompressed "
            "or as images of fewer pixels"
        ) from error
    if found is None:
        raise no_test_split(str(path))
    return found


def _no_array(source: str, options: arrays.Options) -> None:
    """Refuse what tells arrays of a file apart where there is no such file."""
    given = [name for name, value in vars(options).items() if value is not None]
    if given:
        raise NaqshError(f"data.{given[0]} is for .npy and .npz files, which {source} is not")


def _unknown(source: str, path: Path) -> NaqshError:
    if path.exists():
        return NaqshError(f"{path} is no data set; {_KINDS}")
    if os.sep in source or path.suffix:
        return NaqshError(f"there is no folder or file {path}; {_KINDS}")
    return one_of("data set", source, CATALOG)
