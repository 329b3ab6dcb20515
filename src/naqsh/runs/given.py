"""Images as a user hands them over in Python: arrays, tensors, PIL images, files and folders."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.data import decoding, pixels, walking
from naqsh.io import places

LUMA = (0.299, 0.587, 0.114)
"""Parts of red, green and blue in grey (ITU-R 601-2)."""


def tensors(images: Any, channels: int) -> list[Tensor]:
    """Each of the images, brought to a number of channels.

    Args:
        images: a path of an image or of a folder of images; a PIL image; an array or tensor of
            shape (H, W), (C, H, W), (H, W, C), (N, H, W), (N, C, H, W) or (N, H, W, C) with C 1 or
            3, uint8, bool or float in [0, 1]; or a sequence of any of these.
        channels: 1 or 3.

    Returns:
        of each image uint8, or float32 in [0, 1], with shape (C, H, W).

    Raises:
        NaqshError: there are none, or they are something else.
    """
    if isinstance(images, str | os.PathLike):
        return [decoded(file, channels) for file in files(images)]
    if isinstance(images, Image.Image):
        return [torch.from_numpy(decoding.of_picture(images, "given", channels))]
    if isinstance(images, Sequence):
        found = [tensor for part in images for tensor in tensors(part, channels)]
    elif isinstance(images, Tensor | np.ndarray):
        found = [_coloured(image, channels) for image in _axes(_values(images))]
    else:
        raise NaqshError(
            f"images are arrays, tensors, PIL images or paths, not {type(images).__name__}"
        )
    if not found:
        raise NaqshError("there are no images; give at least one")
    return found


def files(source: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The image, or the images of a folder, that a path names.

    Raises:
        NaqshError: there is nothing at the path, or no image in the folder.
    """
    path = places.expanded(os.fspath(source))
    if path.is_dir():
        found = walking.walk(path)
        inside = [file for name in found.inside for file in found.inside[name]]
        if not (found.loose or inside):
            said = "; ".join(("", *found.notes()))
            raise NaqshError(
                f"{path} has no images (files ending in {' '.join(decoding.SUFFIXES)}){said}"
            )
        return (*found.loose, *inside)
    if not path.exists():
        raise NaqshError(f"there is no {path}; give an image or a folder of images")
    return (path,)


def decoded(file: Path, channels: int) -> Tensor:
    """One file as uint8 with shape (channels, H, W); raises as :func:`decoding.decode`."""
    return torch.from_numpy(np.array(decoding.decode(file, str(file), channels).pixels))


def _values(images: Any) -> Tensor:
    """The same numbers as uint8, or as float32 in [0, 1]."""
    tensor = (
        images.detach().cpu() if isinstance(images, Tensor) else torch.from_numpy(images.copy())
    )
    if tensor.dtype == torch.uint8:
        return tensor
    if tensor.dtype == torch.bool:
        return tensor.to(torch.uint8) * 255
    if not tensor.is_floating_point():
        raise NaqshError(f"images are uint8, or float in [0, 1], not {tensor.dtype}")
    low, high = (float(tensor.min()), float(tensor.max())) if tensor.numel() else (0.0, 0.0)
    if not -1e-3 <= low <= high <= 1 + 1e-3:
        raise NaqshError(
            f"images of float are in [0, 1], and these go from {low:g} to {high:g}; scale them"
        )
    return tensor.to(torch.float32).clamp(0, 1)


def _axes(images: Tensor) -> Tensor:
    """The same images with shape (N, C, H, W)."""
    shape = tuple(images.shape)
    if images.ndim == 2:
        images = images[None, None]
    elif images.ndim == 3:
        one = shape[0] in (1, 3) or shape[2] in (1, 3)
        images = images[None] if one else images[:, None]
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.permute(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in shape:
        raise NaqshError(
            f"images have shape (N, C, H, W) or (N, H, W, C) with 1 or 3 channels, or are one of "
            f"these, not {shape}"
        )
    return images


def _coloured(image: Tensor, channels: int) -> Tensor:
    if len(image) == channels:
        return image
    if image.dtype == torch.uint8:
        return torch.from_numpy(pixels.recolour(image[None].numpy(), channels)[0])
    if channels == 3:
        return image.expand(3, -1, -1)
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(0, keepdim=True)
