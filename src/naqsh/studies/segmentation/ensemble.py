"""An ensemble of pixel classifiers, trained on the pixels of a few labelled images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from naqsh.core.noise import Noise
from naqsh.core.seeds import derive
from naqsh.data.labelled import VOID
from naqsh.networks.pixel_heads import PixelHeads, at
from naqsh.studies.segmentation.updates import updates

STEPS, PIXELS, RATE = 300, 128, 3e-3
"""Updates, pixels that each member sees in one, and Adam's highest rate."""

TABLE = 1 << 26
"""Most numbers of the table of training pixels' features: 256 MiB."""


@dataclass(frozen=True)
class Ensemble:
    """A trained ensemble for images of one size.

    Attributes:
        heads: its members.
        size: height and width of the images.
    """

    heads: PixelHeads
    size: tuple[int, int]

    def __call__(self, maps: list[Tensor]) -> Tensor:
        """Feature maps of N images to logits with shape (N, members, classes, H, W)."""
        return self.heads.on_maps(maps, self.size)


def fit(maps: list[Tensor], masks: Tensor, classes: int, members: int, seed: int) -> Ensemble:
    """An ensemble trained on pixels of labelled images.

    Args:
        maps: their features.
        masks: int64 with shape (N, H, W); pixels of no class are passed over.
        classes: how many there are.
        members: of the ensemble.
        seed: of weights and of the order of pixels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "heads"))
        heads = PixelHeads([m.shape[1] for m in maps], classes, members).to(masks.device)
    size = (masks.shape[1], masks.shape[2])
    table, targets = _pixels(maps, masks, seed)
    heads.standardise(table)
    chance = Noise(derive(seed, "batches"), members, device=masks.device)
    for _ in updates(heads, STEPS, RATE):
        rows = chance.integers(len(table), PIXELS)
        logits = heads(table[rows])
        # The sum over members: each has weights of its own, so none sees another's gradients.
        (cross_entropy(logits.flatten(0, 1), targets[rows].flatten()) * members).backward()
    return Ensemble(heads, size)


def _pixels(maps: list[Tensor], masks: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Features (P, C) and classes (P,) of all labelled pixels, or of as many as the memory has."""
    pixels, width = masks[0].numel(), sum(m.shape[1] for m in maps)
    each = max(1, min(pixels, TABLE // (width * len(masks))))
    order = Noise(derive(seed, "pixels"), len(masks), device=masks.device).uniform(pixels)
    chosen = order.argsort(1)[:, :each]
    targets = masks.flatten(1).gather(1, chosen).flatten()
    table = at(maps, chosen, (masks.shape[1], masks.shape[2])).flatten(0, 1)
    known = targets != VOID
    return table[known], targets[known]
