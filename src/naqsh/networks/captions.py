"""The captions that images are drawn for where nobody typed one, kept with a network's weights."""

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout

KEPT = 1000
"""Captions at most: with 1,024 numbers each they take 4 MB."""


def require_captions(layout: Layout) -> Layout:
    """The layout, if it has captions; else ValueError."""
    if not layout.caption:
        raise ValueError(
            "it needs captions, and these images have none; take `shapes`, or a folder with a "
            "text file beside each image"
        )
    return layout


class Captions(nn.Module):
    """Embeddings of captions, from which each image draws one.

    Args:
        size: numbers in an embedding.
    """

    kept: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(KEPT, size))
        self.register_buffer("count", torch.ones((), dtype=torch.int64))

    def keep(self, embeddings: Tensor) -> None:
        """From now on draw from these, (N, size); from `KEPT` evenly chosen ones if N is more."""
        chosen = embeddings
        if len(embeddings) > KEPT:
            chosen = embeddings[torch.arange(KEPT) * len(embeddings) // KEPT]
        self.kept[: len(chosen)] = chosen.to(self.kept)
        self.count.fill_(len(chosen))

    def of(self, batch: Batch) -> Tensor:
        """The captions of a batch, shape (N, size)."""
        assert batch.captions is not None, "Spec.build refuses images without captions"
        return batch.captions

    def draw(self, noise: Noise) -> Tensor:
        """One embedding for each of the noise's streams, shape (N, size)."""
        chance = noise.uniform().double() * self.count
        return self.kept[chance.long()]
