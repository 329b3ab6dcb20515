"""Images in `.npy` and `.npz` files of NumPy.

Layout is told from the shape: three axes are N, H, W; of four, the channels are the axis of length
1 or 3, the second (NCHW) or the last (NHWC). Where both have such a length, nothing can tell, and
the file is refused rather than guessed at. Values are uint8 in 0..255, or booleans, or any numbers
whose black and white the caller names. Which array is which is told by :mod:`naqsh.data.choice`.

A file in our own layout that is larger than the limit for sets in memory is mapped where it lies.
It must then be left alone while it is in use: a mapped file that is cut short ends the process
(SIGBUS). Everything else is read into memory, or converted into the cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.core.printable import whole
from naqsh.data import cache, choice, conversion, npy, pixels
from naqsh.data.dataset import DataSet
from naqsh.data.fingerprint import fingerprint_of
from naqsh.data.npy import Array

_LOOKED_AT = 64 << 20


@dataclass(frozen=True)
class Options:
    """How a file of arrays is read.

    Attributes:
        key: the array of images, where its name or shape does not tell.
        labels: the array of labels; of an `.npy`, a file beside it.
        range: the values that are black and white; None takes uint8 as it is.
    """

    key: str | None = None
    labels: str | None = None
    range: tuple[float, float] | None = None


def has_test(path: Path, options: Options) -> bool:
    """Whether a file has test images of its own: `x_test` beside `x_train`."""
    try:
        return choice.images(path, npy.arrays(path), options.key, "test") is not None
    except NaqshError:
        return False


def read(
    path: Path, split: str, size: int | None, channels: int | None, options: Options
) -> DataSet | None:
    """The images and labels of a file.

    Args:
        path: an `.npy` file, or an `.npz`.
        split: ``"train"`` or ``"test"``.
        size: side to crop and resize to, or None.
        channels: 1, 3 or None.
        options: which arrays, and what their values mean.

    Returns:
        the set, mapped where it is large; None where the file has no such split.

    Raises:
        NaqshError: the file is damaged or holds a pickle, the arrays are not as they should be, or
            nothing tells which are meant.
    """
    held = npy.arrays(path)
    name = choice.images(path, held, options.key, split)
    if name is None:
        return None
    array = choice.opened(path, held, name)
    layout = _Layout.of(path, array)
    _check_values(path, array, options.range)
    marks, classes, notes = choice.labels(path, held, name, options.labels)
    notes += choice.left_out(path, held, name) + _nearly_black(path, array, options.range)
    shape = (len(array), *conversion.target(layout.shape, size, channels))
    as_it_is = layout.ours and options.range is None and shape[1:] == layout.shape
    if as_it_is and not array.name and array.nbytes > conversion.IN_MEMORY:
        images: NDArray[np.uint8] = array.mapped().reshape(shape)
        found = cache.Stored(images, marks, fingerprint_of(images, marks))
    else:
        stat = path.stat()
        place = cache.key("array", str(path.resolve()), name, size, channels, options.range)
        marked = None if marks is None else fingerprint_of(np.empty((0, 1, 1, 1), np.uint8), marks)
        found = conversion.stored(
            f"converting {path}",
            shape,
            marks,
            lambda: _converted(path, array, layout, size, channels, options.range),
            place,
            cache.key(1, stat.st_size, stat.st_mtime_ns, marked),
        )
    return DataSet(whole(path.stem), found.images, found.labels, classes, found.fingerprint, notes)


@dataclass(frozen=True)
class _Layout:
    """Where the axes of an array are.

    Attributes:
        shape: (C, H, W) of an image.
        last: whether the channels are the last axis.
        ours: whether it is uint8 NCHW in C order, as data sets are.
    """

    shape: tuple[int, int, int]
    last: bool
    ours: bool

    @classmethod
    def of(cls, path: Path, array: Array) -> "_Layout":
        axes = array.shape
        told = f"{path} has {array.name + ' of ' if array.name else ''}"
        told += f"shape {'x'.join(map(str, axes)) or 'no axes'}"
        last = False
        if len(axes) == 3 and axes[2] not in (1, 3):
            shape = (1, *axes[1:])
        elif len(axes) == 4 and axes[1] in (1, 3) and axes[3] in (1, 3):
            raise NaqshError(
                f"{told}, which can be N, C, H, W as well as N, H, W, C; images of 1 or 3 pixels "
                "across cannot be told from channels: make them wider"
            )
        elif len(axes) == 4 and axes[3] in (1, 3):
            shape, last = (axes[3], *axes[1:3]), True
        elif len(axes) == 4 and axes[1] in (1, 3):
            shape = axes[1:]
        else:
            raise NaqshError(
                f"{told}; images are N, H, W or N, H, W, C or N, C, H, W with 1 or 3 channels"
                f"{_shape_hint(axes)}"
            )
        if axes[0] < 2 or 0 in axes:
            raise NaqshError(f"{told}: a data set needs at least 2 images")
        ours = array.dtype == np.uint8 and not last and not array.by_columns
        return cls(shape, last, ours)


def _shape_hint(axes: tuple[int, ...]) -> str:
    if len(axes) == 4 and 4 in (axes[1], axes[3]):
        return "; leave the transparency out: array[..., :3]"
    if len(axes) == 3:
        return "; one image alone is no data set"
    side = int(axes[1] ** 0.5) if len(axes) == 2 else 0
    if side > 3 and side * side == axes[1]:
        return f"; rows of {axes[1]} may be images: array.reshape(-1, {side}, {side})"
    return ""


def _converted(
    path: Path,
    array: Array,
    layout: _Layout,
    size: int | None,
    channels: int | None,
    limits: tuple[float, float] | None,
) -> Iterator[NDArray[np.uint8]]:
    try:
        for piece in array.pieces():
            if limits is not None:
                piece = conversion.to_levels(piece, *limits)
            elif piece.dtype == np.bool_:
                piece = np.where(piece, np.uint8(255), np.uint8(0))
            axes = piece.reshape(len(piece), *array.shape[1:])
            axes = axes.transpose(0, 3, 1, 2) if layout.last else axes
            images = np.ascontiguousarray(axes).reshape(len(piece), *layout.shape)
            yield pixels.converted(images, size, channels)
    except NaqshError as error:
        raise error if str(path) in str(error) else NaqshError(f"{path}: {error}") from error


def _check_values(path: Path, array: Array, limits: tuple[float, float] | None) -> None:
    """Refuse values whose black and white nobody can tell; says which range would fit."""
    kind = array.dtype.kind
    if kind not in "buif":
        raise NaqshError(f"{path} has images of type {array.dtype}; save them as uint8 in 0..255")
    if limits is not None or array.dtype in (np.uint8, np.bool_):
        return
    rows = max(1, _LOOKED_AT * len(array) // max(1, array.nbytes))
    seen = next(array.pieces(rows)).astype(np.float64)
    low, high = float(seen.min()), float(seen.max())
    told = f"{path} has images of type {array.dtype} with values from {low:g} to {high:g}"
    if not np.isfinite(seen).all():
        raise NaqshError(f"{path} has images of type {array.dtype} that are not finite numbers")
    known = [(0, 1), (-1, 1), (0, 255), (0, 4095), (0, 65535)][: 3 if kind == "f" else 5]
    known = known if kind == "f" else known[2:] + known[:2]
    fit = next((pair for pair in known if pair[0] <= low and high <= pair[1]), None)
    if fit is None:
        raise NaqshError(f"{told}; say which are black and white: --data.range BLACK,WHITE")
    raise NaqshError(
        f"{told}, not uint8; give --data.range {fit[0]},{fit[1]} if that is black and white"
    )


def _nearly_black(path: Path, array: Array, limits: tuple[float, float] | None) -> tuple[str, ...]:
    """A note where bytes look like zeros and ones that are meant as black and white."""
    if limits is not None or array.dtype != np.uint8 or next(array.pieces()).max() > 1:
        return ()
    return (
        f"{path} has bytes of 0 and 1 at its beginning, which is black and nearly black; if 1 is "
        "white, give --data.range 0,1",
    )
