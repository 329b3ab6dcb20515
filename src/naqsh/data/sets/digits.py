"""Digits: the real handwritten ones that come with scikit-learn."""

import functools
from dataclasses import replace

from naqsh.data import digits
from naqsh.data.conversion import brought_to
from naqsh.data.dataset import DataSet, Split
from naqsh.data.entry import Entry
from naqsh.data.finding import Wanted

_REMEMBERED = 32
"""The largest side at which digits are remembered; all are then at most 5 MB."""


def read(wanted: Wanted) -> DataSet:
    """The digits, enlarged to 16x16 unless another size is asked for."""
    side = digits.SIDE if wanted.size is None else wanted.size
    if side > _REMEMBERED:
        return _made(wanted.entry, wanted.split, side, wanted.channels)
    kept = _remembered(wanted.entry, wanted.split, side, wanted.channels)
    assert kept.labels is not None
    return replace(kept, images=kept.images.copy(), labels=kept.labels.copy())


def _made(entry: Entry, split: Split, side: int, channels: int | None) -> DataSet:
    published = DataSet.of(entry.name, *digits.read(split), entry.classes)
    return brought_to(published, side, channels, smooth="bilinear")


_remembered = functools.lru_cache(maxsize=4)(_made)
