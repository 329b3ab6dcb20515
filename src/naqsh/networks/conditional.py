r"""What networks are told: layers of generators that take a label, and embeddings for others.

In class-conditional batch normalisation the statistics are those of the whole batch, and the scale
and shift that follow are a class's own, :math:`y = \gamma_c\,\hat x + \beta_c`. Where a generator
has no normalisation, an embedding of the label stands beside the latent.

A denoiser or a VAE is told by a vector (:func:`embedding`): a learnt one of each label and one more
for "no label", or what two layers make of a caption's embedding, with a learnt one that stands for
"no caption". A generator is a :class:`Chain` of layers, of which those that are
:class:`Labelled` take the labels.

References:
    A Learned Representation for Artistic Style (Dumoulin et al., 2017), arXiv:1610.07629, equation
    5, with classes for styles.
    cGANs with Projection Discriminator (Miyato and Koyama, 2018), arXiv:1802.05637, section 4.
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598: "none".
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Labelled(nn.Module):
    """A layer that takes labels, int64 with shape (N,), beside what it is given."""


class Chain(nn.Sequential, Labelled):
    """Layers one after another; labels go to those that take them."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer gives; `labels` as the labelled layers need them."""
        for layer in self:
            x = layer(x, labels) if isinstance(layer, Labelled) else layer(x)
        return x


class ClassNorm(Labelled):
    """Batch normalisation whose scale and shift are a class's own.

    Args:
        norm: without scale and shift, of `features` channels.
        features: channels.
        classes: how many labels there are.
    """

    def __init__(self, norm: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.table = nn.Embedding(classes, 2 * features)
        scale, shift = self.table.weight.data.chunk(2, dim=1)
        nn.init.ones_(scale)
        nn.init.zeros_(shift)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """x with shape (N, features, ...), of these labels, to the same shape."""
        shape = (*x.shape[:2], *(1,) * (x.dim() - 2))
        scale, shift = self.table(labels).view(len(x), 2, -1).unbind(1)
        told: Tensor = self.norm(x) * scale.view(shape) + shift.view(shape)
        return told


def batch_norm(features: int, classes: int, dimensions: int) -> nn.Module:
    """Batch normalisation, class-conditional where there are classes.

    Args:
        features: channels of what comes.
        classes: how many labels there are; 0 for none.
        dimensions: 1 for shape (N, features), 2 for shape (N, features, H, W).
    """
    kind = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm1d
    if not classes:
        return kind(features)
    return ClassNorm(kind(features, affine=False), features, classes)


class Beside(Labelled):
    """Puts an embedding of the label beside a latent.

    Args:
        classes: how many labels there are.
        width: numbers in the embedding.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(classes, width)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Latents with shape (N, d) to (N, d + width)."""
        return torch.cat([latents, self.table(labels)], dim=1)


class Told(nn.Module):
    """A caption's embedding as a vector.

    Args:
        size: numbers in the embedding.
        length: of the vector.
    """

    def __init__(self, size: int, length: int) -> None:
        super().__init__()
        # Embeddings have mean 0, so that zero says the least.
        self.null = nn.Parameter(torch.zeros(size))
        self.layers = nn.Sequential(nn.Linear(size, length), nn.SiLU(), nn.Linear(length, length))

    def forward(self, captions: Tensor) -> Tensor:
        """Embeddings with shape (N, size) to vectors with shape (N, length)."""
        vectors: Tensor = self.layers(captions)
        return vectors


def embedding(classes: int, captions: int, length: int) -> nn.Embedding | Told | None:
    """What makes a vector of what a network is told; None where that is nothing.

    Args:
        classes: how many labels there are; label `classes` means "none".
        captions: numbers in a caption's embedding, where there are no labels.
        length: of the vector.
    """
    if classes:
        return nn.Embedding(classes + 1, length)
    return Told(captions, length) if captions else None


def null(told: nn.Embedding | Told) -> int | Tensor:
    """What stands for no label or for no caption, shape (size,)."""
    return told.null if isinstance(told, Told) else told.num_embeddings - 1


def repeated(null: int | Tensor, count: int, device: torch.device) -> Tensor:
    """No label of each of `count` images, shape (count,), or no caption, (count, size)."""
    if isinstance(null, Tensor):
        return null.expand(count, -1)
    return torch.full((count,), null, device=device)
