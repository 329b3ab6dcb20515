r"""A network that is told an interval of time instead of one time.

The embedding of a network that knows one time t becomes the sum of two, of t and of the length of
the interval that ends there, :math:`e_1(t) + e_2(t - r)`. A time alone is an interval of length 0.

Derivatives by t go through the embedding, so its waves must be slow: at the rate of one that tells
1,000 levels of noise apart, the fastest has a slope of 1,000, which drowns what is learnt.

References:
    Mean Flows for One-step Generative Modeling (Geng et al., 2025), arXiv:2505.13447, table 1c:
    a network is best told t and t - r.
    Simplifying, Stabilizing and Scaling Continuous-Time Consistency Models (Lu and Song, 2024),
    arXiv:2410.11081, section 4.1: slow embeddings.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from naqsh.networks.unet_blocks import initialise

SLOWER = 0.01
"""By how much the waves are slower than those that tell 1,000 levels apart."""


class IntervalEmbedding(nn.Module):
    """The embedding of an interval, in the place of that of a time.

    Args:
        embed: of times from 0 to 1000 with shape (N,); kept as it is.
    """

    def __init__(self, embed: nn.Sequential) -> None:
        super().__init__()
        self.end, self.length = embed, deepcopy(embed)
        for layer in self.length:
            initialise(layer)

    def forward(self, time: Tensor) -> Tensor:
        """Embeddings with shape (N, D).

        Args:
            time: from 0 to 1000 with shape (N,), or the end and the length of N intervals, (N, 2).
        """
        pair = time if time.dim() == 2 else torch.stack([time, torch.zeros_like(time)], 1)
        end, length = (SLOWER * pair).unbind(1)
        out: Tensor = self.end(end) + self.length(length)
        return out
