"""A U-Net trained from scratch to tell classes: what the same few images give without features."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from naqsh.core.noise import Noise
from naqsh.core.seeds import derive
from naqsh.data.labelled import VOID
from naqsh.diffusion.method import Denoising
from naqsh.networks.unet import UNet
from naqsh.studies.segmentation.updates import updates

UPDATES, IMAGES, RATE = 400, 8, 1e-3
"""Updates, images in one, and Adam's highest rate."""

SHIFT = 8
"""Images are moved by up to the part of their side that is one over this."""


def unet(method: Denoising, classes: int, seed: int) -> UNet:
    """A fresh U-Net of a method's sizes that gives a number a class."""
    spec = method.spec
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "scratch"))
        return UNet(
            method.shape,
            spec.width,
            spec.multipliers,
            blocks=spec.blocks,
            attention=spec.attention,
            heads=spec.heads,
            dropout=spec.dropout,
            outputs=classes,
        )


def fit(
    network: nn.Module, images: Tensor, masks: Tensor, flip: bool, seed: int
) -> Callable[[list[Tensor]], Tensor]:
    """Train a network to tell classes, on images moved about a little.

    Args:
        network: fresh; its time is always 0.
        images: in [-1, 1] with shape (N, C, H, W).
        masks: int64 with shape (N, H, W); pixels of no class are passed over.
        flip: whether it sees images flipped too.
        seed: of the order of images and how they are moved.

    Returns:
        what gives logits (N, 1, classes, H, W) of images, which stand alone in a list.
    """
    chance = Noise(derive(seed, "moved"), IMAGES, device=images.device)
    for _ in updates(network, UPDATES, RATE):
        rows = chance.integers(len(images))
        moved, seen = _moved(images[rows], masks[rows], flip, chance)
        cross_entropy(_logits(network, moved), seen, ignore_index=VOID).backward()
    return lambda maps: _logits(network, maps[0])[:, None]


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    out: Tensor = network(images, torch.zeros(len(images), device=images.device))
    return out


def _moved(images: Tensor, masks: Tensor, flip: bool, chance: Noise) -> tuple[Tensor, Tensor]:
    """Each image and its mask moved alike, mirrored at the edges, and some of them flipped."""
    height, width = images.shape[2:]
    most = max(1, min(height, width) // SHIFT)
    wide = pad(torch.cat([images, masks[:, None].to(images)], 1), (most,) * 4, mode="reflect")
    down, right, turned = (
        chance.integers(high).tolist() for high in (2 * most + 1, 2 * most + 1, 1 + flip)
    )
    parts = []
    for one, d, r, turn in zip(wide, down, right, turned, strict=True):
        cut = one[:, d : d + height, r : r + width]
        parts.append(cut.flip(2) if turn else cut)
    both = torch.stack(parts)
    return both[:, :-1], both[:, -1].long()
