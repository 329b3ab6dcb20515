"""The data set: named images with what belongs to them, stored as uint8 NCHW; or points."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from naqsh.captions.encoder import TextEncoder
from naqsh.core.errors import NaqshError
from naqsh.core.seeds import derive
from naqsh.core.spec import Layout
from naqsh.data import cache, notes
from naqsh.data.fingerprint import combined, fingerprint_of
from naqsh.data.points import Mixture, as_points

Split = Literal["train", "test"]

_IN_MEMORY = 1 << 30


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images, what belongs to them, and a name that can stand beside a measured figure.

    Attributes:
        name: what the images are; tells when they are not the published ones.
        images: uint8 in 0..255 with shape (N, C, H, W), in memory or a read-only memory map; where
            `extent` is above 0 they are points, float32 in [0, 1] with shape (N, 2, 1, 1).
        labels: int64 in 0..K-1 with shape (N,), or None.
        classes: the K names of the labels; empty when there are none.
        fingerprint: 16 hexadecimal digits of the SHA-256 of shape, pixels and labels, and of the
            further columns where there are any: equal content has an equal fingerprint, wherever
            it came from. For memory-mapped sets it was taken while the map was written.
        notes: what must be known of them, a sentence each; see :mod:`naqsh.data.notes`.
        second: images of a second domain, uint8 with shape (M, C', H', W'), or None.
        paired: whether image k of the second domain belongs to image k of the first (then M is N).
        domains: the names of the two domains; empty where there is one.
        captions: embeddings of K captions of each image, float32 with shape (N, K, d), or None.
        texts: the K captions of each of the N images as sentences; empty where there are none.
        wide: the same set with larger images, which training cuts at random places; or None. See
            :mod:`naqsh.data.crop`.
        extent: of points; a coordinate is (2 v - 1) extent. 0 for images.
        mixture: the Gaussians that points were drawn from, the k-th under label k; or None.
        encoder: what made `captions` of `texts`; None where there are none, or others made them.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    second: NDArray[np.uint8] | None = None
    paired: bool = False
    captions: NDArray[np.float32] | None = None
    texts: tuple[tuple[str, ...], ...] = ()
    domains: tuple[str, ...] = ()
    wide: "DataSet | None" = None
    extent: float = 0.0
    mixture: Mixture | None = None
    encoder: TextEncoder | None = None

    @classmethod
    def of(
        cls,
        name: str,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        classes: tuple[str, ...] = (),
        *,
        extent: float = 0.0,
        mixture: Mixture | None = None,
        second: NDArray[np.uint8] | None = None,
        paired: bool = False,
        captions: NDArray[np.floating] | None = None,
        texts: Sequence[Sequence[str]] = (),
        domains: tuple[str, ...] = (),
    ) -> "DataSet":
        """A data set of arrays at hand, with its fingerprint taken; see the attributes.

        Raises:
            ValueError: an array has another type or length than it must have.
        """
        images = as_points(images) if extent else _pixels(images)
        if labels is not None:
            if labels.shape != (len(images),):
                raise ValueError(f"{len(images)} images, but labels of shape {labels.shape}")
            labels = labels.astype(np.int64)
        digest = fingerprint_of(images, labels, extent)
        whole = cls(name, images, labels, classes, digest, extent=extent, mixture=mixture)
        return whole.with_columns(second, paired, captions, texts, domains)

    def with_columns(
        self,
        second: NDArray[np.uint8] | None = None,
        paired: bool = False,
        captions: NDArray[np.floating] | None = None,
        texts: Sequence[Sequence[str]] = (),
        domains: tuple[str, ...] = (),
        encoder: TextEncoder | None = None,
    ) -> "DataSet":
        """This set with further columns, which its fingerprint then covers; see the attributes.

        Two domains without names are called A and B. Names are not in the fingerprint, nor is what
        an encoder makes of texts, which may be rounded otherwise on another machine.

        Raises:
            ValueError: an array has another type or length than it must have.
        """
        if second is None and captions is None and not texts:
            return self
        second = None if second is None else _pixels(second)
        if paired and (second is None or len(second) != len(self)):
            raise ValueError(f"{len(self)} images need as many partners in the second domain")
        if captions is not None:
            if captions.ndim != 3 or len(captions) != len(self) or not captions.size:
                raise ValueError(f"need captions (N, K, d) of {len(self)}, got {captions.shape}")
            captions = np.ascontiguousarray(captions, np.float32)
        if texts and len(texts) != len(self):
            raise ValueError(f"{len(self)} images, but texts of {len(texts)}")
        sentences = tuple(tuple(several) for several in texts)
        given = captions if encoder is None else None
        digest = combined(self.fingerprint, second, paired, given, sentences)
        return replace(
            self,
            second=second,
            paired=paired,
            captions=captions,
            texts=sentences,
            fingerprint=digest,
            domains=() if second is None else domains or ("A", "B"),
            encoder=encoder,
        )

    def encoded(self, encoder: TextEncoder) -> "DataSet":
        """This set, whose captions are sentences, with their embeddings beside them."""
        each = len(self.texts[0])
        flat = encoder.encode([text for several in self.texts for text in several])
        captions = flat.reshape(len(self), each, encoder.size)
        return replace(self, captions=captions, encoder=encoder)

    def __len__(self) -> int:
        return len(self.images)

    def first_alone(self) -> "DataSet":
        """This set, with a note where it has a second domain of which no use is made."""
        if self.second is None:
            return self
        note = notes.first_alone(self.name, self.domains)
        return replace(self, notes=notes.say((*self.notes, note)))

    @property
    def epoch(self) -> int:
        """Positions of the stream in an epoch: the images of the larger domain."""
        return len(self) if self.second is None else max(len(self), len(self.second))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def layout(self) -> Layout:
        """Which columns its batches have."""
        caption = 0 if self.captions is None else self.captions.shape[2]
        second = None if self.second is None else self.second.shape[1:]
        return Layout(self.shape, self.classes, caption, second, self.paired, self.extent)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many images each class has, in the order of `classes`; empty without labels."""
        if self.labels is None:
            return ()
        return tuple(np.bincount(self.labels, minlength=len(self.classes)).tolist())

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "DataSet":
        """The images at `indices`, in that order, with all that belongs to them.

        A second domain that is not paired is kept whole. A large selection (over 1 GiB) of a
        memory-mapped set is written to the cache and mapped again, so that a set that does not fit
        the memory can still be divided.

        Args:
            indices: integers in [0, N) with shape (M,).
        """
        index = np.asarray(indices, dtype=np.int64).reshape(-1)
        labels = None if self.labels is None else self.labels[index]
        images, fingerprint = _selected(self.images, labels, index, self.fingerprint, self.extent)
        chosen = DataSet(
            self.name,
            images,
            labels,
            self.classes,
            fingerprint,
            self.notes,
            wide=None if self.wide is None else self.wide.subset(index),
            extent=self.extent,
            mixture=self.mixture,
        )
        second = self.second
        if second is not None and self.paired:
            second, _ = _selected(second, None, index, f"{self.fingerprint} second")
        return chosen.with_columns(
            second,
            self.paired,
            None if self.captions is None else self.captions[index],
            [self.texts[i] for i in index] if self.texts else (),
            self.domains,
            self.encoder,
        )

    def hold_out(self, fraction: float, seed: int) -> tuple["DataSet", "DataSet"]:
        """Divide at random, the same way every time: (the rest, the part held out).

        A second domain that is not paired is divided likewise, by itself.

        Args:
            fraction: share of the images that is held out, in (0, 1); at least one image stays on
                either side.
            seed: any whole number; the division is a function of it and of the number of images.

        Raises:
            NaqshError: `fraction` is not inside (0, 1), or there are not two images to divide.
        """
        if not 0 < fraction < 1:
            raise NaqshError(f"cannot hold out a share of {fraction}; give one between 0 and 1")
        stay, held = _division(len(self), fraction, seed, "hold out", self.name)
        if self.second is None or self.paired:
            return self.subset(stay), self.subset(held)
        own = _division(len(self.second), fraction, seed, "hold out second", self.name)
        return self.of_both(stay, own[0]), self.of_both(held, own[1])

    def of_both(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> "DataSet":
        """Some images of each of two domains that are not paired.

        Args:
            first: which of the first, integers in [0, N).
            second: which of the second, integers in [0, M).
        """
        assert self.second is not None
        assert not self.paired
        kept, _ = _selected(self.second, None, second, f"{self.fingerprint} second")
        wide = None if self.wide is None else self.wide.of_both(first, second)
        return replace(replace(self, second=kept, wide=None).subset(first), wide=wide)

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


def _division(
    count: int, fraction: float, seed: int, purpose: str, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices that stay and those that are held out, each rising."""
    if count < 2:
        raise NaqshError(f"{name} has {count} image; holding out needs at least 2")
    held = min(max(round(fraction * count), 1), count - 1)
    order = _order(count, seed, purpose)
    return np.sort(order[held:]), np.sort(order[:held])


def _pixels(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"need uint8 (N, C, H, W), got {images.dtype} {images.shape}")
    return images if images.flags.c_contiguous else np.ascontiguousarray(images)


def _selected(
    images: NDArray[Any],
    labels: NDArray[np.int64] | None,
    index: NDArray[np.int64],
    of: str,
    extent: float = 0.0,
) -> tuple[NDArray[Any], str]:
    """Some of the images, in memory or from a map into a map, and their fingerprint.

    Args:
        images: uint8 (N, C, H, W), or points, which lie in memory.
        labels: of those that are chosen, or None.
        index: which are chosen.
        of: what the images are, by content.
        extent: of points.
    """
    if not isinstance(images, np.memmap) or len(index) * images[0].nbytes <= _IN_MEMORY:
        chosen = np.asarray(images[index])
        return chosen, fingerprint_of(chosen, labels, extent)
    key = hashlib.sha256(of.encode() + index.tobytes()).hexdigest()[:32]
    parts = np.array_split(index, len(index) // 256 + 1)
    content = cache.Content(
        (len(index), *images.shape[1:]), labels, (images[part] for part in parts)
    )
    stored = cache.pictures(f"subset-{key}", "1", lambda: content)
    return stored.images, stored.fingerprint
