r"""Classifier-free guidance: a denoiser that leans towards what a label adds.

.. math:: \hat\epsilon = \hat\epsilon(x_t, t, \varnothing)
   + w \,\bigl(\hat\epsilon(x_t, t, c) - \hat\epsilon(x_t, t, \varnothing)\bigr)

The scale w = 0 ignores the label, 1 is the plain conditional denoiser, more exaggerates. For this
the network learns both: in training a part of the labels is replaced by one more label, `null`.

The interface::

    drop(labels, noise, chance, null) -> labels        # in training
    Guided(denoiser, scale, null)(x_t, t, labels)      # in sampling; all samplers take it

References:
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598, equation 6, with
    w there equal to w - 1 here.
"""

import torch
from torch import Tensor, nn

from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoises, Prediction


def drop(labels: Tensor, noise: Noise, chance: float, null: int) -> Tensor:
    """Labels with shape (N,), each replaced by `null` with the given chance."""
    return torch.where(noise.uniform() < chance, null, labels)


class Guided(nn.Module):
    """A denoiser under guidance; one pass of the network over twice the images.

    Args:
        denoiser: trained with and without labels.
        scale: 0 ignores labels, 1 is the plain conditional denoiser.
        null: the label that stands for none.
    """

    def __init__(self, denoiser: Denoises, scale: float, null: int) -> None:
        super().__init__()
        self.denoiser, self.scale, self.null = denoiser, scale, null
        self.schedule, self.variance = denoiser.schedule, denoiser.variance

    def forward(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        """What is seen in `x_t` with shape (N, C, H, W); a learnt variance is the label's own."""
        if labels is None:
            labels = torch.full((len(x_t),), self.null, device=x_t.device)
            return self.denoiser(x_t, t, labels)
        both = torch.cat([labels, torch.full_like(labels, self.null)])
        times = torch.cat([t, t]) if isinstance(t, Tensor) and t.dim() else t
        seen = self.denoiser(torch.cat([x_t, x_t]), times, both)
        (x0, plain_x0), (epsilon, plain_epsilon) = seen.x0.chunk(2), seen.epsilon.chunk(2)
        fraction = None if seen.fraction is None else seen.fraction.chunk(2)[0]
        return Prediction(
            torch.lerp(plain_x0, x0, self.scale),
            torch.lerp(plain_epsilon, epsilon, self.scale),
            fraction,
        )
