"""A second domain made of a set's own images, for translation without a download.

* ``inverted``: half of the images as they are, the others with black and white exchanged;
* ``coloured``: half of them as they are, the others in a colour each, bright where they are bright;
* ``edges``: pairs of all images, the first domain being the edges and the second the images.

The halves are drawn at random, the same every time, and share no image, so that none has its
translation in the other domain. Each split is derived by itself.
"""

import colorsys
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError, one_of
from naqsh.data import cache, edges
from naqsh.data.conversion import brought_to, stored
from naqsh.data.dataset import DataSet

Kind = Literal["inverted", "coloured", "edges"]
"""How a second domain is made."""

Pixels = NDArray[np.uint8]

_GOLDEN = 0.6180339887498949
"""Steps of this share of a circle visit all hues evenly, however many there are."""

_ROWS = 64
"""Images whose edges are found at a time."""


def with_second(data: DataSet, kind: str) -> DataSet:
    """The set with a second domain made of its images.

    Args:
        data: with one domain, at its last size and number of channels.
        kind: see the module.

    Returns:
        pairs for ``edges``, else halves, that of the images as they were being the first domain;
        labels stay with the first.

    Raises:
        NaqshError: no such kind, the set has two domains already, or too few images to halve.
    """
    if kind not in get_args(Kind):
        raise one_of("data.second", kind, get_args(Kind))
    if data.second is not None:
        raise NaqshError(f"{data.name} has two domains already; leave data.second out")
    if data.wide is not None:
        wide = with_second(data.wide, kind)
        return replace(with_second(replace(data, wide=None), kind), wide=wide)
    made = _with_edges(data) if kind == "edges" else _in_halves(data, kind)
    return replace(made, name=f"{data.name} ({kind})", notes=data.notes)


def _with_edges(data: DataSet) -> DataSet:
    def pieces() -> Iterator[Pixels]:
        for start in range(0, len(data), _ROWS):
            yield edges.of(data.images[start : start + _ROWS])

    place = cache.key("edges", data.fingerprint)
    told = f"finding the edges of {data.name}"
    drawn = stored(told, data.images.shape, data.labels, pieces, place, "1")
    plain = DataSet(data.name, drawn.images, data.labels, data.classes, drawn.fingerprint)
    return plain.with_columns(data.images, paired=True, domains=("edges", "images"))


def _in_halves(data: DataSet, kind: str) -> DataSet:
    if len(data) < 4:
        raise NaqshError(
            f"{data.name} has {len(data)} images; data.second {kind} halves them and needs at "
            "least 4"
        )
    if kind == "coloured":
        data = brought_to(data, None, 3)
    first, other = data.hold_out(0.5, seed=0)
    made = 255 - other.images if kind == "inverted" else _coloured(other.images)
    return first.with_columns(made, domains=("images", kind))


def _coloured(images: Pixels) -> Pixels:
    """Each image's first channel times a colour of its own: those of neighbours differ much."""
    hues = np.arange(len(images)) * _GOLDEN % 1
    colours = np.array([colorsys.hsv_to_rgb(hue, 0.75, 1.0) for hue in hues], np.float32)
    made: Pixels = np.rint(images[:, :1] * colours[:, :, None, None]).astype(np.uint8)
    return made
