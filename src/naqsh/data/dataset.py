"""The data set: named pictures with what belongs to them, stored as uint8 NCHW."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.core.seeds import derive
from naqsh.data.fingerprint import fingerprint_of

Split = Literal["train", "test"]


_IN_MEMORY = 1 << 30


@dataclass(frozen=True, eq=False)
class DataSet:
    """Pictures, their labels, and a name that can stand beside a measured figure.

    Attributes:
        name: what the pictures are; tells when they are not the published ones.
        images: uint8 in 0..255 with shape (N, C, H, W), in memory or a read-only memory map.
        labels: int64 in 0..K-1 with shape (N,), or None.
        classes: the K names of the labels; empty when there are none.
        fingerprint: 16 hexadecimal digits of the SHA-256 of shape, pixels and labels: equal
            content has an equal fingerprint, wherever it came from. For memory-mapped sets it was
            taken while the map was written.
        notes: what must be known of them, a sentence each; see :mod:`naqsh.data.notes`.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        images: NDArray[np.uint8],
        labels: NDArray[Any] | None = None,
        classes: tuple[str, ...] = (),
    ) -> "DataSet":
        """A data set of arrays at hand, with its fingerprint taken.

        Args:
            name: what the pictures are.
            images: uint8 with shape (N, C, H, W).
            labels: integers with shape (N,), or None.
            classes: the names of the labels.
        """
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(f"need uint8 (N, C, H, W), got {images.dtype} {images.shape}")
        if labels is not None:
            if labels.shape != (len(images),):
                raise ValueError(f"{len(images)} pictures, but labels of shape {labels.shape}")
            labels = labels.astype(np.int64)
        images = np.ascontiguousarray(images) if not images.flags.c_contiguous else images
        return cls(name, images, labels, classes, fingerprint_of(images, labels))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one picture."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def counts(self) -> tuple[int, ...]:
        """How many images each class has, in the order of `classes`; empty without labels."""
        if self.labels is None:
            return ()
        return tuple(np.bincount(self.labels, minlength=len(self.classes)).tolist())

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "DataSet":
        """The pictures at `indices`, in that order, with their labels.

        A large selection (over 1 GiB) of a memory-mapped set is written to the cache and mapped
        again, so that a set that does not fit the memory can still be divided.

        Args:
            indices: integers in [0, N) with shape (M,).
        """
        index = np.asarray(indices, dtype=np.int64).reshape(-1)
        labels = None if self.labels is None else self.labels[index]
        if isinstance(self.images, np.memmap) and len(index) * self.images[0].nbytes > _IN_MEMORY:
            from naqsh.data import cache

            key = hashlib.sha256(self.fingerprint.encode() + index.tobytes()).hexdigest()[:32]
            parts = np.array_split(index, len(index) // 256 + 1)
            content = cache.Content(
                (len(index), *self.shape), labels, (self.images[part] for part in parts)
            )
            stored = cache.pictures(f"subset-{key}", "1", lambda: content)
            return DataSet(
                self.name, stored.images, labels, self.classes, stored.fingerprint, self.notes
            )
        chosen = DataSet.of(self.name, np.asarray(self.images[index]), labels, self.classes)
        return replace(chosen, notes=self.notes)

    def hold_out(self, fraction: float, seed: int) -> tuple["DataSet", "DataSet"]:
        """Divide at random, the same way every time: (the rest, the part held out).

        Args:
            fraction: share of the pictures that is held out, in (0, 1); at least one picture stays
                on either side.
            seed: any whole number; the division is a function of it and of the number of pictures.

        Raises:
            NaqshError: `fraction` is not inside (0, 1).
        """
        if not 0 < fraction < 1:
            raise NaqshError(f"cannot hold out a share of {fraction}; give one between 0 and 1")
        if len(self) < 2:
            raise NaqshError(f"{self.name} has {len(self)} picture; holding out needs at least 2")
        count = min(max(round(fraction * len(self)), 1), len(self) - 1)
        order = _order(len(self), seed, "hold out")
        return self.subset(np.sort(order[count:])), self.subset(np.sort(order[:count]))

    def some(self, n: int, seed: int) -> "DataSet":
        """`n` of the images at random, the same every time, in the set's order; all if it has less.

        Args:
            n: how many, at least 1.
            seed: any whole number.
        """
        if n >= len(self):
            return self
        return self.subset(np.sort(_order(len(self), seed, "some")[:n]))


def _order(count: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """The numbers from 0 to count - 1 in an order that the seed has for this purpose."""
    return np.random.Generator(np.random.Philox(derive(seed, purpose))).permutation(count)
