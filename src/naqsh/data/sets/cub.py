"""CUB-200-2011, birds with captions, in its published layout; nothing is downloaded.

A bird is cut out around the middle of its box by a square of side 2R, R being three quarters of the
box's longer side, moved into the image where it leaves it. (The code of StackGAN clips it there and
stretches what is left to a square.)

The split is that of classes where the captions' ``trainvalclasses.txt`` and ``testclasses.txt`` lie
beside them, as the text-to-image literature has it: no species of the test is trained on. Otherwise
it is the set's own, of images. Published embeddings come with their own split of classes.

References:
    Generative Adversarial Text to Image Synthesis (Reed et al., 2016), arXiv:1605.05396.
    StackGAN (Zhang et al., 2017), arXiv:1612.03242.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from naqsh.core.errors import NaqshError
from naqsh.core.printable import short
from naqsh.data import decoding, folders, published, told
from naqsh.data.dataset import DataSet
from naqsh.data.decoding import Box
from naqsh.data.embeddings import PUBLISHED
from naqsh.data.entry import Entry
from naqsh.data.finding import Wanted, homes
from naqsh.data.listing import Listing
from naqsh.io import foreign

_TEXTS = ("text", "text_c10", "birds/text", "birds/text_c10", "cvpr2016_cub/text_c10")
_TABLE = 64 << 20


def read(wanted: Wanted) -> DataSet:
    """The birds of a split at the size asked for, with captions where these are asked for."""
    entry, top = wanted.entry, _found(wanted)
    side = wanted.size or entry.shape[2]
    names = _table(top / "images.txt", 1)
    vectors = {}
    if wanted.text == PUBLISHED:
        vectors = published.read(_published(top, wanted.split))
        chosen = {key for key, (name,) in names.items() if name.rpartition(".")[0] in vectors}
        how = "the split of classes that the published embeddings have"
    else:
        chosen, how = _split(top, wanted.split, names)
    whole = _listing(top, names, chosen)
    if wanted.text not in ("none", PUBLISHED):
        texts = _texts(top)
        found = {file: _lines(texts, top, file) for file in whole.files}
        whole = told.completed(top, whole, found, str(texts), skip=False)
    boxes = _boxes(top, names, set(whole.files))
    name = f"birds {hashlib.sha256(repr(sorted(boxes.items())).encode()).hexdigest()[:16]}"
    options = folders.Options(side, wanted.channels, boxes=boxes)
    stored = folders.stored(top, whole, name, options)
    apart = f" ({len(whole.files)} images)" if len(whole.files) != wanted.count else ""
    data = DataSet(
        entry.name + apart,
        stored.images,
        whole.labels,
        whole.classes,
        stored.fingerprint,
        (*stored.notes, f"{entry.name}: {how}"),
    )
    if not vectors:
        return data.with_columns(texts=whole.texts)
    below = [file.relative_to(top / "images").as_posix() for file in whole.files]
    return data.with_columns(captions=np.stack([vectors[n.rpartition(".")[0]] for n in below]))


def _found(wanted: Wanted) -> Path:
    for base in homes(wanted.home):
        for top in (base / wanted.entry.name / "CUB_200_2011", base / "CUB_200_2011"):
            if (top / "images.txt").is_file():
                return top
    raise NaqshError(_absent(wanted.entry, next(homes(wanted.home))))


def _absent(entry: Entry, home: Path) -> str:
    return (
        f"data set {entry.name!r} is not here and is not downloaded ({entry.licence}): take "
        "CUB_200_2011.tgz from https://data.caltech.edu/records/65de6-vp158 and the captions of "
        f"Reed et al. (2016), and put the folders CUB_200_2011 and text into {home / entry.name}, "
        "or elsewhere and set NAQSH_DATA_HOME to where they lie"
    )


def _table(path: Path, columns: int) -> dict[str, tuple[str, ...]]:
    """The rows of one of the set's files by their first word, the number of an image or a class."""
    foreign.require_there(path, "CUB-200-2011")
    rows: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(foreign.read_text(path, _TABLE).splitlines(), start=1):
        if words := line.split():
            if len(words) != columns + 1 or words[0] in rows:
                raise NaqshError(f"{path}, line {number}: {short(line)} is no row of this file")
            rows[words[0]] = tuple(words[1:])
    return rows


def _of(rows: dict[str, tuple[str, ...]], key: str, path: Path) -> tuple[str, ...]:
    if key not in rows:
        raise NaqshError(f"{path} has no row of {short(key)}")
    return rows[key]


def _split(top: Path, split: str, names: dict[str, tuple[str, ...]]) -> tuple[set[str], str]:
    """The numbers of a split's images, and by which rule it was made."""
    for place in _beside(top):
        files = [place / "trainvalclasses.txt", place / "testclasses.txt"]
        if all(file.is_file() for file in files):
            train, test = (set(foreign.read_text(file, _TABLE).split()) for file in files)
            if train & test:
                raise NaqshError(f"{files[0]} and {files[1].name} share {short(min(train & test))}")
            wanted = test if split == "test" else train
            chosen = {key for key, (name,) in names.items() if name.partition("/")[0] in wanted}
            return chosen, f"the split of classes of {files[0].name} and {files[1].name}"
    path = top / "train_test_split.txt"
    train_too = _table(path, 1)
    sign = "0" if split == "test" else "1"
    chosen = {key for key in names if _of(train_too, key, path)[0] == sign}
    return chosen, "the set's own split of images; each species is in both"


def _listing(top: Path, names: dict[str, tuple[str, ...]], chosen: set[str]) -> Listing:
    """The images of a split by class; classes are those that have images in either split."""
    place = top / "image_class_labels.txt"
    of, species = _table(place, 1), _table(top / "classes.txt", 1)
    used = {key: _of(of, key, place)[0] for key in names}
    kinds = [key for key in species if key in set(used.values())]
    number = {key: k for k, key in enumerate(kinds)}
    files, labels = [], []
    for key, (name,) in names.items():
        if key in chosen:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise NaqshError(f"{top / 'images.txt'}: {short(name)} leads out of its folder")
            if used[key] not in number:
                raise NaqshError(f"{top / 'classes.txt'} has no row of {short(used[key])}")
            files.append(top / "images" / path)
            labels.append(number[used[key]])
    if missing := [file for file in files if not file.is_file()]:
        raise NaqshError(
            f"{len(missing)} of {len(files)} images that {top / 'images.txt'} names are missing "
            f"({missing[0].relative_to(top)}); unpack the archive again"
        )
    if len(files) < 2:
        raise NaqshError(f"{top} has {len(files)} images in this split; a set needs at least 2")
    classes = tuple(species[key][0].partition(".")[2].replace("_", " ") for key in kinds)
    return Listing(tuple(files), np.array(labels, np.int64), classes)


def _boxes(top: Path, names: dict[str, tuple[str, ...]], files: set[Path]) -> dict[Path, Box]:
    path = top / "bounding_boxes.txt"
    rows, boxes = _table(path, 4), {}
    for key, (name,) in names.items():
        file = top / "images" / name
        if file in files:
            try:
                left, top_, wide, high = map(float, _of(rows, key, path))
                boxes[file] = square(left, top_, wide, high, decoding.header(file))
            except (ValueError, OverflowError) as error:
                raise NaqshError(f"{path}: the row of {short(key)} is no box: {error}") from error
    return boxes


def square(left: float, top: float, wide: float, high: float, image: decoding.Header) -> Box:
    """The square around a box that a bird is cut out by, inside its image.

    Args:
        left: of the box, in pixels.
        top: likewise.
        wide: its width.
        high: its height.
        image: the header of the image.

    Raises:
        ValueError: the box has no area, or its middle lies outside of the image.
    """
    middle = left + wide / 2, top + high / 2
    inside = 0 <= middle[0] <= image.width and 0 <= middle[1] <= image.height
    if not (wide > 0 and high > 0 and inside):
        raise ValueError(f"{left:g} {top:g} {wide:g} {high:g}, of {image.width}x{image.height}")
    side = max(1, min(round(1.5 * max(wide, high)), image.width, image.height))
    x, y = (
        min(max(round(centre - side / 2), 0), whole - side)
        for centre, whole in zip(middle, (image.width, image.height), strict=True)
    )
    return x, y, x + side, y + side


def _beside(top: Path) -> Iterator[Path]:
    """Where captions and what belongs to them may lie."""
    for base in (top.parent, top):
        yield base
        for name in ("birds", "cvpr2016_cub", "text", "text_c10"):
            yield base / name


def _texts(top: Path) -> Path:
    for base in (top.parent, top):
        for name in _TEXTS:
            if (base / name).is_dir():
                return base / name
    raise NaqshError(
        f"{top.parent} has no captions of CUB-200-2011: put the folder text (or text_c10), with a "
        "folder of text files for each species, beside CUB_200_2011"
    )


def _lines(texts: Path, top: Path, file: Path) -> list[str]:
    path = texts / file.relative_to(top / "images").with_suffix(".txt")
    return told.lines(path) if path.is_file() else []


def _published(top: Path, split: str) -> Path:
    for place in _beside(top):
        if (place / split / published.EMBEDDINGS).is_file():
            return place / split
    raise NaqshError(
        f"{top.parent} has no {split}/{published.EMBEDDINGS}: put the folders train and test of "
        "the published embeddings beside CUB_200_2011, or take --data.text tfidf"
    )
