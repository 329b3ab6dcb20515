"""The fingerprint of a data set: equal content has an equal one, wherever it came from."""

import hashlib

import numpy as np
from numpy.typing import NDArray

FINGERPRINT = 16
"""Digits of a fingerprint."""


_BLOCK = 64 << 20


class Fingerprint:
    """The fingerprint of pictures that arrive in pieces, in their order."""

    def __init__(self, shape: tuple[int, ...]):
        self._hash = hashlib.sha256(f"uint8 {' '.join(map(str, shape))}\n".encode())

    def add(self, images: NDArray[np.uint8]) -> None:
        """Take in the next pictures."""
        self._hash.update(np.ascontiguousarray(images).data)

    def close(self, labels: NDArray[np.int64] | None) -> str:
        """The 16 digits, of the images and the labels."""
        return self.sha256(labels)[:FINGERPRINT]

    def sha256(self, labels: NDArray[np.int64] | None) -> str:
        """The whole hash, of which the fingerprint is the beginning: 64 digits."""
        whole = self._hash.copy()
        if labels is not None:
            whole.update(labels.astype("<i8").data)
        return whole.hexdigest()


def fingerprint_of(images: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> str:
    """The fingerprint of arrays at hand.

    Args:
        images: uint8 with shape (N, C, H, W).
        labels: int64 with shape (N,), or None.
    """
    digest = Fingerprint(images.shape)
    step = max(1, _BLOCK // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        digest.add(images[start : start + step])
    return digest.close(labels)
