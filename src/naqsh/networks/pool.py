"""The pool of past fakes that CycleGAN's discriminators are shown beside the newest.

While the pool is not full, each image is stored and given back. From then on a coin decides: half
of the images are given back as they came, the other half take the place of a stored one, drawn
evenly, which is given back instead.

References:
    Learning from Simulated and Unsupervised Images through Adversarial Training (Shrivastava et
    al., 2017), arXiv:1612.07828, section 2.3.
"""

import torch
from torch import Tensor, nn

from naqsh.core import ranks
from naqsh.core.noise import Noise
from naqsh.core.spec import Shape


class Pool(nn.Module):
    """Past fakes, kept with the weights: a run that resumes has them, and every rank has the same.

    Args:
        size: how many; 0 gives every image back as it came.
        shape: (C, H, W) of an image.
    """

    images: Tensor
    stored: Tensor

    def __init__(self, size: int, shape: Shape) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("stored", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, fakes: Tensor, noise: Noise) -> Tensor:
        """As many images, some of the past; image by image in the order of the whole batch.

        Args:
            fakes: this rank's, float32 with shape (N, C, H, W).
            noise: of these images.
        """
        if not self.size:
            return fakes
        count, start = len(fakes), ranks.number() * len(fakes)
        # Each rank does to its pool what all of them are given, with the numbers of all.
        fakes = ranks.joined(fakes)
        wide = Noise(noise.seed, len(fakes), noise.first - start, noise.device)
        wide.draws, noise.draws = noise.draws, noise.draws + 2
        coins, slots = wide.uniform() > 0.5, wide.integers(self.size)
        found = [self._one(*of) for of in zip(fakes, coins, slots, strict=True)]
        return torch.stack(found[start : start + count])

    def _one(self, fake: Tensor, coin: Tensor, slot: Tensor) -> Tensor:
        """The image that is given back; nothing is read back from the device."""
        full = self.stored >= self.size
        slot = torch.where(full, slot, self.stored)[None]
        there = self.images.index_select(0, slot)[0]
        past = full & coin
        self.images.index_copy_(0, slot, torch.where(full & ~coin, there, fake)[None])
        self.stored.add_(~full)
        return torch.where(past, there, fake)
