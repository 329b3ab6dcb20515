"""The fingerprint of a data set: equal content has an equal one, wherever it came from."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINGERPRINT = 16
"""Digits of a fingerprint."""


_BLOCK = 64 << 20


class Fingerprint:
    """The fingerprint of images that arrive in pieces, in their order."""

    def __init__(self, shape: tuple[int, ...], extent: float = 0.0):
        kind = f"float32 points within {extent!r}" if extent else "uint8"
        self._hash = hashlib.sha256(f"{kind} {' '.join(map(str, shape))}\n".encode())

    def add(self, images: NDArray[Any]) -> None:
        """Take in the next images."""
        little = images.astype("<f4") if images.dtype == np.float32 else images
        self._hash.update(np.ascontiguousarray(little).data)

    def close(self, labels: NDArray[np.int64] | None) -> str:
        """The 16 digits, of the images and the labels."""
        return self.sha256(labels)[:FINGERPRINT]

    def sha256(self, labels: NDArray[np.int64] | None) -> str:
        """The whole hash, of which the fingerprint is the beginning: 64 digits."""
        whole = self._hash.copy()
        if labels is not None:
            whole.update(labels.astype("<i8").data)
        return whole.hexdigest()


def fingerprint_of(
    images: NDArray[Any], labels: NDArray[np.int64] | None, extent: float = 0.0
) -> str:
    """The fingerprint of arrays at hand.

    Args:
        images: uint8 with shape (N, C, H, W); of points float32 (N, 2, 1, 1).
        labels: int64 with shape (N,), or None.
        extent: of points; 0 for images.
    """
    digest = Fingerprint(images.shape, extent)
    step = max(1, _BLOCK // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        digest.add(images[start : start + step])
    return digest.close(labels)


def combined(
    images: str,
    second: NDArray[np.uint8] | None,
    paired: bool,
    captions: NDArray[np.float32] | None,
    texts: Sequence[Sequence[str]],
) -> str:
    """The fingerprint of a set that has more columns than images and labels.

    Args:
        images: the fingerprint of its images and labels.
        second: uint8 (M, C, H, W) of a second domain, or None.
        paired: whether image k of it belongs to image k of the first.
        captions: float32 (N, K, d), or None.
        texts: the captions as sentences.
    """
    parts = {
        "images": images,
        "second": None if second is None else fingerprint_of(second, None),
        "paired": paired,
        "captions": None
        if captions is None
        else [list(captions.shape), hashlib.sha256(captions.astype("<f4").data).hexdigest()],
        "texts": [list(several) for several in texts],
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:FINGERPRINT]
