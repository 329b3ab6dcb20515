"""From what the user types to a data set."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from naqsh.captions.encoder import TextEncoder
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.printable import whole
from naqsh.data import (
    arrays,
    domain_folders,
    domains,
    embeddings,
    folders,
    listing,
    named,
    notes,
    points,
)
from naqsh.data.catalog import CATALOG
from naqsh.data.dataset import DataSet, Split
from naqsh.data.derived import with_second
from naqsh.data.finding import Wanted
from naqsh.data.holdout import held_out, no_test_split
from naqsh.data.pixels import JITTER, larger
from naqsh.io import places

PAIRED = ("none", "names", "side-by-side")
"""How it is told which images of two domains belong together."""

_KINDS = f"give a folder of images, a .npy or .npz file, or one of {', '.join(CATALOG)}"


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
    good: str | None = None,
    skip_broken: bool = False,
    paired: str = "none",
    second: str = "none",
    crop: bool = False,
    text: str = "none",
    text_size: int = 64,
    text_model: str = "",
    encoder: TextEncoder | None = None,
) -> DataSet:
    """Load a data set.

    Files of named sets are looked for in `home`, then in the folder that NAQSH_DATA_HOME names,
    then in the user's cache; in each as `<name>/<file>` and `<file>`. What is found need not be the
    published file byte for byte, but must be well-formed; what is downloaded must match its
    checksum, and goes to `home`, or to the cache when none is given.

    Args:
        source: a name of the catalogue, a folder of images, or a `.npz` or `.npy` file.
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
        range: the values of an array or of the images of a folder that are black and white, for
            example (0, 1), (-1, 1) or (0, 4095); None takes those of the type.
        good: of a folder with good and faulty images, the sub-folder of good ones, which alone are
            trained on; the test split keeps all.
        skip_broken: leave out images of a folder that cannot be read, with a note of their number.
        paired: of a folder of two domains, whether images of equal names belong together,
            ``"names"``; ``"side-by-side"`` takes every image of a folder for a pair, its left half
            being of the first domain; ``"none"``.
        second: how a second domain is made of the images, see :mod:`naqsh.data.derived`; or
            ``"none"``.
        crop: give the images in a larger size too, as :attr:`DataSet.wide`, from which those of
            training are cut; see :mod:`naqsh.data.crop`.
        text: how captions become embeddings, as :attr:`DataSet.captions`: the kind of an encoder,
            see :mod:`naqsh.captions.encoder`; ``"none"`` makes none, ``"published"`` takes those
            that come with the set.
        text_size: numbers in an embedding.
        text_model: the folder of the model of ``"sentence-transformers"``.
        encoder: one that was fitted before; by default it is fitted on the training captions.

    Raises:
        NaqshError: no such source or split, or its files are missing, damaged or of no use.
    """
    if split not in ("train", "test"):
        raise one_of("split", split, ("train", "test"))
    if size is not None and not 1 <= size <= 8192:
        raise NaqshError(f"images cannot be {size} pixels wide; give a size from 1 to 8192")
    if channels not in (None, 1, 3):
        raise NaqshError(f"images have 1 channel (grey) or 3 (colour), not {channels}")
    if not isinstance(source, str | os.PathLike) or not str(source).strip():
        raise NaqshError(f"{source!r:.40} names no data set; {_KINDS}")
    source = str(source)
    options = arrays.Options(key, labels, range)
    if paired not in PAIRED:
        raise one_of("data.paired", paired, PAIRED)
    pairs, made = (None if how == "none" else how for how in (paired, second))
    embedding = None
    if text != "none":
        embedding = embeddings.Embedding(text, text_size, encoder, text_model)

    def of_catalogue(part: Split) -> DataSet:
        wanted = Wanted(CATALOG[source], part, size, channels, home, download, text)
        cut = wanted.entry.cut or JITTER
        found = _at(size, crop, lambda side: named.read(replace(wanted, size=side)), cut)
        return found if made is None else with_second(found, made)

    if source in CATALOG:
        _only_for(source, key=key, labels=labels, range=range, good=good, paired=pairs)
        if CATALOG[source].extent:
            points.only_for_images(source, size=size, channels=channels, crop=crop, second=made)
        return embeddings.with_captions(embedding, split, of_catalogue)
    path = places.expanded(source)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # a name too long, a folder on the way that may not be entered
        raise NaqshError(f"{source} cannot be read ({error.strerror}); {_KINDS}") from error
    is_array = is_file and path.suffix.lower() in (".npy", ".npz")
    if not (is_folder or is_array):
        raise _unknown(source, path)
    if is_folder:
        _only_for(source, key=key, labels=labels)
    else:
        _only_for(source, good=good, paired=pairs)
    divided = holdout > 0 and not (_has_test(path) if is_folder else arrays.has_test(path, options))

    def of_files(part: Split) -> DataSet:
        whole: Split = "train" if divided else part

        def at(side: int | None) -> DataSet:
            if is_folder:
                how = folders.Options(
                    side, channels, range, skip_broken, captions=embedding is not None
                )
                return _of_folder(path, whole, good, paired, how)
            return _of_array(path, whole, side, channels, options)

        found = _at(size, crop, at)
        if divided:
            found = held_out(found, part, holdout, holdout_seed)
        return found if made is None else with_second(found, made)

    found = embeddings.with_captions(embedding, split, of_files)
    equal = notes.of_equal(found.name, found.images)
    return replace(found, notes=notes.say((*found.notes, *equal)))


def _has_test(folder: Path) -> bool:
    two = domain_folders.find(folder)
    return listing.has_test(folder) if two is None else two.test is not None


def _at(
    size: int | None,
    crop: bool,
    read: Callable[[int | None], DataSet],
    cut: tuple[int, int] = JITTER,
) -> DataSet:
    """A set at a size and, where images are to be cut out, at the larger one too."""
    found = read(size)
    if not crop:
        return found
    _, height, width = found.shape
    if height != width:
        raise NaqshError(
            f"data.crop needs square images, and those of {found.name} are {width}x{height}; give "
            f"data.size, for example {min(height, width)}"
        )
    return replace(found, wide=read(larger(height, cut)))


def _of_folder(
    path: Path, split: Split, good: str | None, paired: str, options: folders.Options
) -> DataSet:
    two = domain_folders.find(path) if good is None else None
    if options.captions and (two is not None or paired != "none"):
        raise NaqshError(f"data.text is for images of one domain, and {path} has two")
    if paired == "side-by-side":
        if two is not None:
            raise NaqshError(
                f"{path} has its two domains in folders of their own; images side by side lie in "
                "one: --data.paired names pairs those of equal names"
            )
        return domains.side_by_side(path, split, options)
    if two is not None:
        return domains.read(two, split, options, paired=paired == "names")
    if paired == "names":
        raise NaqshError(
            f"{path} has no two domains to pair: name their folders A and B, or trainA and trainB "
            "(testA, testB)"
        )
    found = folders.read(path, split, options, good)
    files = found.listing
    name = whole(path.resolve().name)
    plain = DataSet(name, found.images, files.labels, files.classes, found.fingerprint, found.notes)
    return plain.with_columns(texts=files.texts)


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


def _only_for(source: str, **given: object) -> None:
    """Refuse what says how another kind of source is read."""
    for name, value in given.items():
        if value is not None:
            what = "folders of images" if name in ("good", "paired") else ".npy and .npz files"
            what += " and folders of images" if name == "range" else ""
            raise NaqshError(f"data.{name} is for {what}, which {source} is not; leave it out")


def _unknown(source: str, path: Path) -> NaqshError:
    if path.exists():
        return NaqshError(f"{path} is no data set; {_KINDS}")
    if os.sep in source or path.suffix:
        return NaqshError(f"there is no folder or file {path}; {_KINDS}")
    return one_of("data set", source, CATALOG)
