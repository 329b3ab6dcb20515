"""Several generators that share all layers but the first.

References:
    MGAN: Training Generative Adversarial Nets with Multiple Generators (Hoang et al., 2018),
    ICLR, section 3.2: parameter sharing. (There each generator also normalises its first features
    by itself; here a normalisation that follows the first layer is one of those that are shared.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Several(nn.Module):
    """Generators as one: image by image, one of them is asked.

    Args:
        generators: alike, each a sequence that begins with what latents enter; of all but the first
            of them the other layers are dropped.
    """

    def __init__(self, generators: Sequence[nn.Module]) -> None:
        super().__init__()
        layers = [list(generator.children()) for generator in generators]
        self.first = nn.ModuleList(first for first, *_ in layers)
        self.shared = nn.Sequential(*layers[0][1:])

    def forward(self, latents: Tensor, which: Tensor) -> Tensor:
        """One image from each latent.

        Args:
            latents: with shape (N, latent).
            which: the number of its generator, int64 with shape (N,).
        """
        begun = torch.stack([layer(latents) for layer in self.first], dim=1)
        images: Tensor = self.shared(begun[torch.arange(len(latents), device=which.device), which])
        return images
