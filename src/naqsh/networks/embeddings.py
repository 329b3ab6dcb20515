r"""Numbers to vectors: the sinusoidal embedding of time.

For a time t and :math:`h = d/2` frequencies that fall geometrically from 1 to 1/10000,

.. math:: e(t) = (\sin \omega_0 t, \dots, \sin \omega_{h-1} t, \cos \omega_0 t, \dots,
   \cos \omega_{h-1} t), \qquad \omega_j = 10000^{-j/(h-1)}.

Near times have near embeddings at low frequencies and are told apart at high ones. Nothing in it
needs t to be whole.

References:
    Attention Is All You Need (Vaswani et al., 2017), arXiv:1706.03762, section 3.5.
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, whose released
    code orders sines before cosines and divides by h - 1.
"""

import math

import torch
from torch import Tensor, nn

LONGEST = 10_000.0
"""The slowest wave's length over the fastest one's."""


class Sinusoidal(nn.Module):
    """The embedding of real-valued times; it has nothing to learn.

    Args:
        dimension: length of an embedding, even and at least 4.
    """

    frequencies: Tensor

    def __init__(self, dimension: int) -> None:
        super().__init__()
        if dimension < 4 or dimension % 2:
            raise ValueError(f"an embedding has an even length of at least 4, got {dimension}")
        half = dimension // 2
        exponents = torch.arange(half, dtype=torch.float64) / (half - 1)
        frequencies = torch.exp(-math.log(LONGEST) * exponents).float()
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, time: Tensor) -> Tensor:
        """Times with shape (N,) to float32 with shape (N, dimension)."""
        # In bfloat16 the times 999 and 1000 are one: the angles need float32, also under autocast.
        wide = torch.promote_types(self.frequencies.dtype, torch.float32)
        angle = time.to(wide)[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=1)
