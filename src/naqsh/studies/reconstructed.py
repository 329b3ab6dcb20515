"""What is measured of a method that reconstructs images and makes none: its reconstructions.

The reconstruction's Fréchet distance (rFID by Inception's features) is that of test images there
and back to the test images. It is the least that a model of the method's latents can come to.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from naqsh.core.abilities import Reconstructs
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.method import Method
from naqsh.training.rows import seen

Pixels = NDArray[np.uint8]


class ThereAndBack(nn.Module):
    """A method as a network of its own, whose evaluations can be counted.

    Args:
        method: with reconstructions.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> Tensor:
        """Images in the method's value range to reconstructions in [0, 1]."""
        assert isinstance(self.method, Reconstructs)
        return self.method.reconstruct(images)

    def through(self, images: Pixels, machine: Machine) -> Callable[[int], Tensor]:
        """What gives the first so many of some uint8 images there and back, on the CPU."""
        return partial(self._first, images, machine)

    @torch.inference_mode()
    def _first(self, images: Pixels, machine: Machine, count: int) -> Tensor:
        place, parts = torch.device(machine.device), []
        self.method.to(place).eval()
        for first in range(0, count, machine.batch):
            rows = images[first : min(first + machine.batch, count)]
            parts.append(self(seen(rows, self.method.value_range, place)).float().cpu())
            machine.progress("reconstructions", first + len(rows), count)
        return torch.cat(parts)


def require(method: Method, name: str, sampling: Mapping[str, Any] | None) -> ThereAndBack:
    """The method's way there and back.

    Args:
        method: that makes no images from noise.
        name: of its recipe.
        sampling: options of sampling that were given.

    Raises:
        NaqshError: it does not reconstruct images either, or was given an option.
    """
    for option in sampling or {}:
        raise NaqshError(f"{name} makes no images from noise: it takes no {option}")
    if not isinstance(method, Reconstructs):
        raise NaqshError(f"{name} makes no images: there is nothing to measure")
    return ThereAndBack(method)


def note(name: str, n: int, images: str) -> str:
    """What a reader must know of such measures.

    Args:
        name: of the recipe.
        n: images.
        images: what they are, in words.
    """
    return (
        f"{name} makes no images from noise: measured are its reconstructions of {n:,} images of "
        f"{images}, and the speed is that of images there and back"
    )
