"""What a run's network sees in images, and what a segmenter says of it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.seeds import derive
from naqsh.diffusion import features
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.method import Denoising
from naqsh.networks.pixel_heads import disagreement, vote
from naqsh.runs.trained import Trained

Maps = list[Tensor]
Look = Callable[[Tensor], Maps]
"""Images (N, C, H, W) in [-1, 1] to feature maps."""

Segmenter = Callable[[Maps], Tensor]
"""Feature maps to logits of all members, (N, members, classes, H, W)."""


HIDDEN = 1 << 14
"""Pixels at a time: an ensemble has 640 hidden numbers for each."""


def require(run: Trained) -> Denoising:
    """The run's method; raises NaqshError where it has no features of a U-Net."""
    method = run.method
    if isinstance(method, Denoising) and features.blocks(method.denoiser.network):
        return method
    raise NaqshError(
        f"{run.recipe.name} has no U-Net that denoises images, and features are its; take a run of "
        "ddpm-textured-shapes or another diffusion model"
    )


def looking(method: Denoising, denoiser: Denoiser, levels: Sequence[float], seed: int) -> Look:
    """The features that a denoiser sees in a method's images."""

    @torch.no_grad()
    def look(images: Tensor) -> Maps:
        noise = Noise(derive(seed, "clean"), len(images), device=images.device)
        x0 = method.clean(Batch(images, None, noise))
        return features.features(denoiser, x0, levels, seed)

    return look


@torch.no_grad()
def predicted(segmenter: Segmenter, maps: Maps) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Votes and disagreement, a few images at a time: hidden layers are large."""
    some = max(1, HIDDEN // maps[-1][0, 0].numel())
    masks, unsure = [], []
    for start in range(0, len(maps[0]), some):
        logits = segmenter([m[start : start + some] for m in maps])
        masks.append(vote(logits).to(torch.uint8).cpu().numpy())
        unsure.append(disagreement(logits).float().cpu().numpy())
    return np.concatenate(masks), np.concatenate(unsure)
