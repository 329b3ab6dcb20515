"""From images to the numbers that metrics compare: feature extractors and `extract`.

A metric is only as meaningful as its features, and only comparable under the same ones. Therefore
an extractor carries a name for people and a fingerprint for machines: a hash of all that determines
its output. Results of different fingerprints refuse to be compared (`naqsh.metrics.result`).
"""

import hashlib
import math
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.progress import Count
from naqsh.metrics import _cache
from naqsh.metrics._arrays import Array, as_tensor
from naqsh.metrics.registry import Modes


@runtime_checkable
class FeatureExtractor(Protocol):
    """Maps uint8 images to rows of numbers, each image by itself."""

    @property
    def name(self) -> str:
        """What people call it, for example ``"inception"``."""

    @property
    def fingerprint(self) -> str:
        """A hash of all that determines the output: weights, preprocessing, version."""

    @property
    def dimension(self) -> int | None:
        """Numbers per image; None where it depends on the images' size."""

    def __call__(self, images: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            images: uint8 images with shape (N, C, H, W).

        Returns:
            float32 features with shape (N, d).
        """


def extract(
    extractor: FeatureExtractor,
    images: Array,
    *,
    batch: int = 250,
    progress: Count | None = None,
    cache: bool = False,
) -> Tensor:
    """Features of many images, a batch at a time, so that memory beside the result stays bounded.

    Args:
        extractor: what computes them.
        images: uint8 images with shape (N, C, H, W), N >= 1; may be memory-mapped. Of points
            float32 in [0, 1] with shape (N, 2, 1, 1).
        batch: images at a time.
        progress: called after each batch.
        cache: keep the result in the cache folder (``NAQSH_CACHE``, or ``~/.cache/naqsh``) under
            the content of the images and the extractor's fingerprint, and take it from there the
            next time. Meant for real images, which are measured again and again.

    Returns:
        float32 features on the processor with shape (N, d).

    Raises:
        NaqshError: something else than uint8 images, or features that are not finite.
    """
    _check_pictures(extractor, images)
    if len(images) == 0:
        raise NaqshError("there are no images to take features of; give at least one")
    if batch < 1:
        raise NaqshError(f"cannot take {batch} images at a time; give a batch of at least 1")
    if not cache:
        return _extract(extractor, images, batch, progress)
    place = _cache.place(extractor.name, extractor.fingerprint, picture_fingerprint(images))
    known = _cache.load(place, rows=len(images))
    if known is not None:
        return torch.from_numpy(known)
    features = _extract(extractor, images, batch, progress)
    _cache.save(place, features.numpy())
    return features


def takes_points(extractor: FeatureExtractor) -> bool:
    """Whether features are of points, float32 in [0, 1] with shape (N, 2, 1, 1), not of images."""
    return bool(getattr(extractor, "points", False))


def modes_known(extractor: FeatureExtractor) -> Modes | None:
    """The modes that an extractor tells by its features, if it knows any."""
    known: Modes | None = getattr(extractor, "modes", None)
    return known


def _check_pictures(extractor: FeatureExtractor, images: Array) -> None:
    floats = images.dtype in (torch.float32, np.dtype(np.float32))
    if floats and tuple(images.shape[1:]) == (2, 1, 1):
        if takes_points(extractor):
            return
        raise NaqshError(
            f"features {extractor.name} are of images, and these are points; leave --features out"
        )
    if takes_points(extractor):
        raise NaqshError(f"features {extractor.name} are of points, and these are images")
    if images.ndim != 4 or images.dtype not in (torch.uint8, np.dtype(np.uint8)):
        raise NaqshError(
            f"features are of uint8 images with shape (N, C, H, W), got {images.dtype} with "
            f"shape {tuple(images.shape)}; scale [0, 1] by 255 and round"
        )


def _extract(
    extractor: FeatureExtractor, images: Array, batch: int, progress: Count | None
) -> Tensor:
    parts: list[Tensor] = []
    for start in range(0, len(images), batch):
        pictures = as_tensor(images[start : start + batch])
        with torch.inference_mode():
            part = extractor(pictures).to("cpu", torch.float32)
        if part.ndim != 2 or len(part) != len(pictures):
            raise NaqshError(
                f"features {extractor.name!r} gave shape {tuple(part.shape)} for "
                f"{len(pictures)} images; an extractor returns one row an image"
            )
        finite = torch.isfinite(part).all(dim=1)
        if not finite.all():
            first = start + int(torch.nonzero(~finite)[0, 0])
            raise NaqshError(
                f"features {extractor.name!r} of image {first} are not finite; "
                "check its weights, or take other features"
            )
        parts.append(part)
        if progress is not None:
            progress(start + len(pictures), len(images))
    # Out of inference mode, so that whoever gets the result may compute with it freely.
    return torch.cat(parts).clone()


def picture_fingerprint(images: Array) -> str:
    """Hash of images by content: type, shape and every byte, 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{tuple(images.shape)}".encode())
    rows = max(1, 2**24 // max(1, math.prod(images.shape[1:])))
    for start in range(0, len(images), rows):
        part = as_tensor(images[start : start + rows]).cpu().contiguous()
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()[:16]


def network_fingerprint(network: torch.nn.Module, *more: str) -> str:
    """Hash of a network's parameters and buffers by name and content, 16 hexadecimal digits.

    Args:
        network: what computes the features.
        more: what else determines them, for example the version of the preprocessing.
    """
    digest = hashlib.sha256("\0".join(more).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
