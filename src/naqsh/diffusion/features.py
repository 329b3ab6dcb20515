r"""What the U-Net of a diffusion model sees in an image: features of its way back up.

An image is drowned in a little noise, always the same, and the network looks at it once at each of
a few levels; the outputs of the residual blocks on its way up are the features (Baranchuk et al.,
2022, arXiv:2112.03126, section 3). One noise for all images keeps the features of equal places
comparable.

Levels are told by noise over signal, :math:`\sigma/\alpha`, which means the same under every
schedule. The paper's times 50, 150 and 250 of 1000 are 0.18, 0.52 and 0.96.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from naqsh.core.noise import Noise
from naqsh.core.seeds import derive
from naqsh.diffusion.denoiser import Denoiser
from naqsh.networks.unet import UNet
from naqsh.networks.unet_blocks import Stage

LEVELS = (0.18, 0.52, 0.96)
"""Noise over signal at the paper's times."""


def blocks(network: nn.Module) -> list[Stage]:
    """The residual blocks of a U-Net's way up, coarsest first; none of another network."""
    if not isinstance(network, UNet):
        return []
    return [part for part in network.up if isinstance(part, Stage)]


def times(denoiser: Denoiser, levels: Sequence[float]) -> list[float]:
    """The time of each level: the nearest that the schedule has, where it has whole ones."""
    found = [float(denoiser.schedule.time(-2 * math.log(level))) for level in levels]
    if denoiser.schedule.levels is None:
        return found
    return [float(min(max(round(t), 1), denoiser.schedule.levels)) for t in found]


def features(
    denoiser: Denoiser, x0: Tensor, levels: Sequence[float], seed: int = 0
) -> list[Tensor]:
    """The feature maps of images, level by level and in each the coarsest first.

    Args:
        denoiser: whose network is a U-Net.
        x0: clean images or latents with shape (N, C, H, W).
        levels: noise over signal.
        seed: of the noise.

    Returns:
        maps with shapes (N, C_k, h, w).
    """
    epsilon = Noise(derive(seed, "features"), 1, device=x0.device).normal(*x0.shape[1:])
    found: list[Tensor] = []

    def keep(module: nn.Module, given: object, made: Tensor) -> None:
        found.append(made.contiguous())

    hooks = [block.register_forward_hook(keep) for block in blocks(denoiser.network)]
    try:
        for t in times(denoiser, levels):
            alpha, sigma = (float(part) for part in denoiser.schedule(t))
            denoiser(alpha * x0 + sigma * epsilon, t)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def channels(denoiser: Denoiser, space: Sequence[int], levels: Sequence[float]) -> list[int]:
    """How many channels each map of :func:`features` has, for x0 of shape (C, H, W)."""
    place = next(denoiser.parameters()).device
    with torch.no_grad():
        return [len(m[0]) for m in features(denoiser, torch.zeros(1, *space, device=place), levels)]
