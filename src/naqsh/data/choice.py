"""Which of the arrays in a file are the images, which the labels, and of which split.

Names say it first, as the field uses them: `images` and `labels`, `arr_0` and `arr_1`, `x` and `y`,
with `train` and `test` before or after. Where no name does, the shape does, if just one array fits.
Where several fit, nothing is guessed: the caller is told their names and gives one.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError, one_of
from naqsh.data import labels as labelling
from naqsh.data import npy
from naqsh.data.npy import Array

_SPLITS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("test", "testing", "te"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
_IMAGES = ("images", "image", "imgs", "img", "arr_0", "x", "data", "pictures", "samples", "")
_LABELS = (
    *("labels", "label", "y", "targets", "target", "classes", "class", "digits", "digit"),
    *("arr_1", "categories", "category"),
)
Held = dict[str, Array | str]


def images(path: Path, held: Held, key: str | None, split: str) -> str | None:
    """The name of the array that holds the images of a split.

    Args:
        path: of the file, for messages.
        held: its arrays, see :func:`naqsh.data.npy.arrays`.
        key: the name that the user gave, of any split's images.
        split: ``"train"`` or ``"test"``.

    Returns:
        the name, or None where the file has no such split.

    Raises:
        NaqshError: no array of that name, or none or several that could be the images.
    """
    if key is not None:
        _need(path, held, key)
        return _counterpart(held, key, split)
    known = [name for name in held if _role(name)[1] in _IMAGES and _looks_like_images(held[name])]
    known = known or [name for name in held if _role(name)[1] in _IMAGES]
    fitting = known or [name for name in held if _looks_like_images(held[name])]
    if not fitting:
        keys = ", ".join(_described(name, array) for name, array in held.items()) or "nothing"
        raise NaqshError(f"{path} holds {keys}; none of it is images: name them with --data.key")
    parted = [name for name in fitting if _role(name)[0] is not None]
    if parted:
        fitting = [name for name in parted if _role(name)[0] == split]
    elif split == "test":
        return None
    if not fitting:
        return None
    best = min(fitting, key=_rank)
    if len(fitting) > 1 and not known:
        names = " and ".join(sorted(fitting))
        raise NaqshError(f"{path}: {names} could all be the images; name one with --data.key")
    return best


def left_out(path: Path, held: Held, taken: str) -> tuple[str, ...]:
    """A note of arrays that look like images and are of neither split; ``taken`` is."""
    splits = {"train", "test"} if _role(taken)[0] else {None}
    role = _role(taken)[1]
    names = [
        name
        for name in held
        if name != taken and _looks_like_images(held[name])
        if _role(name)[0] not in splits or _role(name)[1] != role
    ]
    return (f"{path}: {', '.join(sorted(names))} left out",) if names else ()


def opened(path: Path, held: Held, name: str) -> Array:
    """An array by its name; raises NaqshError where it is one of objects."""
    found = held[name]
    if isinstance(found, str):
        what = f"{name}: {found}" if name else found
        raise NaqshError(
            f"{path} is refused ({what}); save it again with numpy.save or numpy.savez, as uint8"
        )
    return found


def labels(
    path: Path, held: Held, of: str, key: str | None
) -> tuple[NDArray[np.int64] | None, tuple[str, ...], tuple[str, ...]]:
    """The labels that belong to images, as classes numbered over all splits of the file.

    Args:
        path: of the file.
        held: its arrays.
        of: the name of the images.
        key: the name that the user gave, of any split's labels; for an `.npy`, a file beside it.

    Returns:
        int64 numbers of classes with shape (N,) or None; the classes' names; notes.

    Raises:
        NaqshError: labels that the user named, or that are called `labels`, do not fit.
    """
    split, count = _role(of)[0], len(opened(path, held, of))
    notes: tuple[str, ...] = ()
    others: list[NDArray[Any]] = []
    if key is None:
        name, notes = _find(path, held, of, count)
        if name is None:
            return None, (), notes
    elif not of:
        path = path.parent / (key if key.endswith(".npy") else f"{key}.npy")
        if not path.is_file():
            raise NaqshError(f"data.labels {key}: there is no file {path}")
        held, name = npy.arrays(path), ""
    else:
        _need(path, held, key)
        found = _counterpart(held, key, split) if split and _role(key)[0] else key
        if found is None:
            raise NaqshError(f"{path}: data.labels {key} has no counterpart for the {split} split")
        name = found
    values = _plain(path, held, name, count)
    if _role(name)[0]:
        same = [other for other in held if other != name and _role(other)[0]]
        same = [other for other in same if _role(other)[1] == _role(name)[1]]
        others = [_plain(path, held, other, None) for other in same]
    try:
        return *labelling.numbered(values, others), notes
    except ValueError as error:
        raise NaqshError(f"{path}: labels {name!r} have {error}") from error


def _find(path: Path, held: Held, of: str, count: int) -> tuple[str | None, tuple[str, ...]]:
    """The labels that nobody named: their name or None, and what must be said of that."""
    split = _role(of)[0]
    beside = [name for name in held if name != of and _role(name)[0] in (None, split)]
    known = sorted((name for name in beside if _role(name)[1] in _LABELS), key=_rank)
    notes: tuple[str, ...] = ()
    for name in filter(lambda name: _could_be_labels(held[name], count), known):
        try:
            _plain(path, held, name, count)
        except NaqshError as error:
            notes += (f"{error}: none are taken",)
        else:
            return name, notes
    fitting = [
        name
        for name in beside
        if name not in known and _could_be_labels(held[name], count, numbers_only=True)
    ]
    if len(fitting) > 1:
        names = " and ".join(sorted(fitting))
        note = f"{path}: {names} could be labels, none is taken; name one: data.labels KEY"
        return None, (*notes, note)
    if not fitting:
        for name in known:  # called so, and of another length: damaged, or of other images
            array = held[name]
            other = not isinstance(array, str) and len(array) != count
            if other and _role(name)[1] in ("labels", "label"):
                _plain(path, held, name, count)
        return None, notes
    (name,) = fitting
    values = _plain(path, held, name, count)
    if len(np.unique(values)) == count:
        said = f"{path}: {name} has another value for every image, so it is taken for no labels"
        return None, (*notes, f"{said}; if it is, give data.labels {name}")
    return name, (*notes, f"{path}: the labels are {name}, the only array that could be")


def _plain(path: Path, held: Held, name: str, count: int | None) -> NDArray[Any]:
    array = opened(path, held, name)
    called = f"labels {name!r}" if name else "labels"
    if count is not None and (not array.shape or len(array) != count):
        raise NaqshError(
            f"{path} has {called} of type {array.dtype} and shape {array.shape}; {count} images "
            f"need as many"
        )
    try:
        return labelling.plain(array.whole())
    except ValueError as error:
        raise NaqshError(
            f"{path} has {called} that are {error}; give integers or words of shape ({len(array)},)"
        ) from error


def _need(path: Path, held: Held, key: str) -> None:
    if key not in held:
        if list(held) == [""]:
            raise NaqshError(f"{path} is one array without names; {key!r} is none of it")
        raise NaqshError(f"{path}: {one_of('array', key, held)}")


def _counterpart(held: Held, key: str, split: str) -> str | None:
    """The array of a split that has the role of `key`; `key` itself if it is of no split."""
    own, role = _role(key)
    if own is None:
        return key if split == "train" else None
    return next((name for name in held if _role(name) == (split, role)), None)


def _role(name: str) -> tuple[str | None, str]:
    """The split that a name tells, if any, and what is left of the name."""
    words = re.split(r"[_\-. ]+", name.lower())
    split = next((_SPLITS[word] for word in words if word in _SPLITS), None)
    return split, "_".join(word for word in words if word not in _SPLITS)


def _rank(name: str) -> tuple[int, str]:
    role = _role(name)[1]
    order = (*_IMAGES, *_LABELS)
    return (order.index(role) if role in order else len(order), name)


def _looks_like_images(array: Array | str) -> bool:
    if isinstance(array, str) or array.dtype.kind not in "buif" or len(array.shape) not in (3, 4):
        return False
    if len(array.shape) == 3:
        return array.shape[2] not in (1, 3)
    return array.shape[1] in (1, 3) or array.shape[3] in (1, 3)


def _could_be_labels(array: Array | str, count: int, numbers_only: bool = False) -> bool:
    if isinstance(array, str) or not array.shape or len(array) != count:
        return False
    single = len(array.shape) == 1 or array.shape[1:] == (1,)
    if numbers_only:
        return single and array.dtype.kind in "biu"
    one_hot = len(array.shape) == 2 and array.dtype.kind in "buif"
    return (single and array.dtype.kind in "biufUS") or one_hot


def _described(name: str, array: Array | str) -> str:
    if isinstance(array, str):
        return f"{name} ({array})"
    return f"{name} ({'x'.join(map(str, array.shape)) or 'one number'} {array.dtype})"
