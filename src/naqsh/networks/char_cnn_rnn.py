"""Characters of a sentence to an embedding, by convolutions and a recurrent layer.

Three temporal convolutions with pooling after the first two bring 201 characters to 18 places; a
GRU goes over them, and the mean of its outputs, through a linear layer, is the embedding. At width
1 channels are the published ones: 384, 512 and 512.

Weights begin as He has them, in the first layer by its kernel alone: of all letters one is there at
a place. PyTorch's defaults count them all, and what the layers give is then little but their biases
(docs/architecture.md has what that did).

References:
    Learning Deep Representations of Fine-Grained Visual Descriptions (Reed et al., 2016),
    arXiv:1605.05395. Its recurrent layer is a plain one with ReLU; PyTorch's GRU stands in its
    place here.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

LENGTH = 201
"""Characters that are read; longer sentences are cut, shorter ones filled up."""


class CharCnnRnn(nn.Module):
    """Numbers of characters to an embedding.

    Args:
        letters: different characters; number 0 is none of them and stands for nothing.
        size: numbers in an embedding.
        width: factor of the channels.
    """

    def __init__(self, letters: int, size: int, width: float = 1.0) -> None:
        super().__init__()
        first, other = max(8, round(384 * width)), max(8, round(512 * width))
        self.letters, self.size, self.width = letters, size, width
        reading = nn.Conv1d(letters, first, 4)
        self.trunk = nn.Sequential(
            reading,
            nn.ReLU(),
            nn.MaxPool1d(3, 3),
            nn.Conv1d(first, other, 4),
            nn.ReLU(),
            nn.MaxPool1d(3, 3),
            nn.Conv1d(other, other, 4),
            nn.ReLU(),
        )
        _initialise(self.trunk)
        nn.init.normal_(reading.weight, std=math.sqrt(2 / reading.kernel_size[0]))
        self.recurrent = nn.GRU(other, other, batch_first=True)
        self.out = nn.Linear(other, size)

    def forward(self, characters: Tensor) -> Tensor:
        """Embeddings (N, size) of int64 characters in [0, letters], shape (N, 201)."""
        seen = one_hot(characters, self.letters + 1)[:, :, 1:].transpose(1, 2)
        places: Tensor = self.trunk(seen.to(self.out.weight.dtype)).transpose(1, 2)
        hidden, _ = self.recurrent(places)
        found: Tensor = self.out(hidden.mean(dim=1))
        return found


class ImageSide(nn.Module):
    """Images of 32x32 to embeddings, the other side of a joint embedding.

    Args:
        size: numbers in an embedding.
        width: channels of the last convolution.
    """

    def __init__(self, size: int, width: int = 64) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(3, width // 2, 5, 2, 2),
                nn.Conv2d(width // 2, width, 3, 2, 1),
                nn.Conv2d(width, width, 3, 2, 1),
            ]
        )
        _initialise(self.convolutions)
        self.out = nn.Linear(16 * width, size)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, size) of images in [-1, 1], shape (N, 3, 32, 32)."""
        for layer in self.convolutions:
            images = relu(layer(images))
        found: Tensor = self.out(images.flatten(1))
        return found


def _initialise(layers: Iterable[nn.Module]) -> None:
    """He's weights and no bias, for what a ReLU follows (He et al., 2015, arXiv:1502.01852)."""
    for layer in layers:
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def joint_loss(images: Tensor, captions: Tensor) -> Tensor:
    """The structured joint embedding loss, in both directions.

    .. math:: \\frac{1}{n^2} \\sum_{i \\ne j} \\max(0, 1 + s_{ij} - s_{ii})
        + \\max(0, 1 + s_{ji} - s_{ii}), \\qquad s_{ij} = \\langle image_i, caption_j \\rangle

    Args:
        images: embeddings, shape (n, d).
        captions: of the same n things, likewise.
    """
    scores = images @ captions.T
    own = scores.diagonal()
    by_image = relu(1 + scores - own[:, None])
    by_caption = relu(1 + scores - own[None, :])
    others = 1 - torch.eye(len(scores), device=scores.device)
    return ((by_image + by_caption) * others).mean()
