"""Latents of the training images, made once by a method's frozen part and kept in the cache.

They lie beside the decoded images (:mod:`naqsh.data.cache`), under all that they are of: the
images, whether each is there mirrored too, the weights of what made them, and what their rounding
may depend on. So a run that goes on finds those that it began with, or makes the same ones again.
Of one set those of one encoder are kept; the next ones take their place.

They are made as a step would make them, in its numbers and as many at a time: a loss of kept
latents is that of latents made in the step, up to rounding. Where images are cut out of larger ones
at random, none are kept, and none where a run sees too few images for that to pay.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from naqsh.core.abilities import LearnsLatents
from naqsh.core.errors import NaqshError
from naqsh.core.frozen import Frozen
from naqsh.core.method import Method
from naqsh.core.precision import autocast
from naqsh.data import DataSet, cache, notes
from naqsh.io.progress import progress
from naqsh.metrics.features import network_fingerprint
from naqsh.recipes.recipe import Recipe
from naqsh.training import parents
from naqsh.training.rows import seen

MADE = 1
"""Raised when frozen parts of the same weights give other latents than before."""


def kept(
    recipe: Recipe,
    method: Method,
    data: DataSet,
    due: int,
    part: int,
    dtype: torch.dtype,
    device: torch.device,
) -> NDArray[np.float32] | None:
    """Latents of the training images, out of the cache or made for it.

    Args:
        recipe: what is trained; says whether images are mirrored or cut.
        method: with its parents' weights, on the device.
        data: the N training images.
        due: images that the whole run sees.
        part: images that are encoded at a time.
        dtype: in which networks multiply.
        device: where.

    Returns:
        float32 with shape (N, C', H', W'), a read-only memory map; where images are mirrored
        (2 N, C', H', W'), the second half of mirrored images. None where the method learns no
        latents, where making them does not pay, and, with a note, where they cannot be kept.
    """
    turns = (False, True) if recipe.data.flip else (False,)
    count = len(turns) * len(data)
    if not isinstance(method, LearnsLatents) or recipe.data.crop or due <= count:
        return None

    @torch.no_grad()
    def encoded(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        images = seen(pixels, method.value_range, device)
        with autocast(dtype, device):
            latents: NDArray[np.float32] = method.frozen_latents(images).float().cpu().numpy()
        return latents

    def chunks() -> Iterator[NDArray[np.float32]]:
        with progress("encoding the images, once", count, "images") as advance:
            for turned in turns:
                for start in range(0, len(data), part):
                    pixels = data.images[start : start + part]
                    yield encoded(pixels[..., ::-1] if turned else pixels)
                    advance(len(pixels))

    def build() -> cache.Content:
        _, *space = encoded(data.images[:1]).shape
        channels, height, width = space
        return cache.Content((count, channels, height, width), None, chunks(), dtype="float32")

    rounding = (str(dtype), device.type, part, torch.get_num_threads())
    version = cache.key(MADE, method.value_range, _makers(recipe, method), rounding)
    place = f"latents-{cache.key(data.fingerprint, recipe.data.flip)}"
    try:
        return cache.pictures(place, version, build).images
    except NaqshError as error:
        notes.say([f"latents are not kept, and every batch is encoded anew: {error}"])
        return None


def _makers(recipe: Recipe, method: Method) -> list[str]:
    """Digests of all that a method has frozen: of its weights, and of the files they came from."""
    frozen = [module for module in method.modules() if isinstance(module, Frozen)]
    files = [parent.sha256 for _, parent in parents.named(recipe)]
    return [*map(network_fingerprint, frozen), *files]
