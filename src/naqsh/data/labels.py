"""Labels as people store them, as the classes that occur, numbered from 0.

Whole numbers of any type and with any gaps, true and false, words in any script, and one-hot rows
all name classes. Only those that occur are classes, in ascending order, and each keeps its name:
labels 3 and 900 are two classes, "3" and "900".
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_CLASSES = 1 << 16


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Labels as one value each: integers, booleans or words, shape (N,).

    Args:
        values: shape (N,) or (N, 1); or (N, K) of zeros with a single one in each row.

    Raises:
        ValueError: they are no classes; the message says what they are.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "buif" and len(values):
        hot = (values == 1) & (values != 0)
        if not (((values == 0) | hot).all() and (hot.sum(axis=1) == 1).all()):
            raise ValueError(f"rows of {values.shape[1]} that are not a single 1 among zeros")
        return np.asarray(hot.argmax(axis=1))
    if values.ndim != 1:
        raise ValueError(f"an array of shape {values.shape}, not one label an image")
    kind = values.dtype.kind
    if kind == "f":
        # 2**53: from here on a float64 no longer tells whole numbers apart.
        whole = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2.0**53)
        if not whole.all():
            raise ValueError(f"numbers such as {values[~whole][0]}, not classes")
        return values.astype(np.int64)
    if kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    if kind not in "biuU":
        raise ValueError(f"values of type {values.dtype}, not classes")
    return values


def numbered(
    values: NDArray[Any], others: Sequence[NDArray[Any]] = ()
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The number of each label's class, and the names of the classes.

    Args:
        values: labels as :func:`plain` gives them.
        others: labels of other splits, which have the same numbering: their classes count too.

    Returns:
        int64 in 0..K-1 with shape (N,), and K names.

    Raises:
        ValueError: more than 65,536 classes, or different kinds of labels.
    """
    kinds = {"U" if labels.dtype.kind == "U" else "i" for labels in (values, *others)}
    if len(kinds) > 1:
        raise ValueError("words in one split and numbers in another")
    occurring = [np.unique(labels) for labels in (values, *others)]
    classes = np.unique(np.concatenate(occurring))
    if len(classes) > _MOST_CLASSES:
        raise ValueError(f"{len(classes):,} different values, more than {_MOST_CLASSES:,} classes")
    return np.searchsorted(classes, values).astype(np.int64), tuple(map(_name, classes.tolist()))


def _name(value: object) -> str:
    # Names reach terminals: what moves the cursor is no part of a name. (Other marks without a
    # width, such as the zero-width non-joiner of Persian, are.)
    return "".join("�" if unicodedata.category(sign) == "Cc" else sign for sign in str(value))
