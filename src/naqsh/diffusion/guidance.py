r"""Classifier-free guidance: a denoiser that leans towards what a label or a caption adds.

.. math:: \hat\epsilon = \hat\epsilon(x_t, t, \varnothing)
   + w \,\bigl(\hat\epsilon(x_t, t, c) - \hat\epsilon(x_t, t, \varnothing)\bigr)

The scale w = 0 ignores the label, 1 is the plain conditional denoiser, more exaggerates. For this
the network learns both: in training a part of the labels is replaced by one more label, `null`, and
of captions by an embedding that is learnt.

At high noise guidance draws all images of a label to the same few, which costs diversity, and at
low noise it does nothing. So it may be limited to an interval of noise over signal, low <
:math:`\sigma/\alpha \le` high; outside of it w is 1, at half the cost.

The interface::

    drop(labels, noise, chance, null) -> labels        # in training
    Guided(denoiser, scale, null)(x_t, t, labels)      # in sampling; all samplers take it

References:
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598, equation 6, with
    w there equal to w - 1 here.
    Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in Diffusion
    Models (Kynkäänniemi et al., 2024), arXiv:2404.07724, equation 5.
"""

import torch
from torch import Tensor, nn

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoises, Prediction
from naqsh.diffusion.process import spread
from naqsh.networks.conditional import repeated

Interval = tuple[float, float]
"""The least and the most noise over signal; the first is left out, the second is in."""


def drop(labels: Tensor, noise: Noise, chance: float, null: int | Tensor) -> Tensor:
    """Labels (N,) or embeddings (N, d), each replaced by `null` with the given chance."""
    hidden = noise.uniform() < chance
    return torch.where(hidden.view(-1, *(1,) * (labels.dim() - 1)), null, labels)


class Guided(nn.Module):
    """A denoiser under guidance; one pass of the network over twice the images.

    Args:
        denoiser: trained with and without labels.
        scale: 0 ignores labels, 1 is the plain conditional denoiser.
        null: the label that stands for none, or the embedding that stands for no caption.
        interval: of noise over signal, outside of which the scale is 1; None is everywhere.

    Raises:
        NaqshError: an interval that begins below 0 or ends before it begins.
    """

    def __init__(
        self,
        denoiser: Denoises,
        scale: float,
        null: int | Tensor,
        interval: Interval | None = None,
    ) -> None:
        super().__init__()
        if interval and not 0 <= interval[0] <= interval[1]:
            raise NaqshError(
                "an interval of guidance is LOW,HIGH of noise over signal with 0 <= LOW <= HIGH, "
                f"got {interval[0]:g},{interval[1]:g}"
            )
        self.denoiser, self.scale, self.null, self.interval = denoiser, scale, null, interval
        self.schedule, self.variance = denoiser.schedule, denoiser.variance

    def forward(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        """What is seen in `x_t` with shape (N, C, H, W); a learnt variance is the label's own."""
        if labels is None:
            return self.denoiser(x_t, t, repeated(self.null, len(x_t), x_t.device))
        scale = self._scale(t)
        if self.interval and not isinstance(scale, Tensor) and scale == 1:
            return self.denoiser(x_t, t, labels)
        both = torch.cat([labels, repeated(self.null, len(x_t), x_t.device).to(labels)])
        times = torch.cat([t, t]) if isinstance(t, Tensor) and t.dim() else t
        seen = self.denoiser(torch.cat([x_t, x_t]), times, both)
        (x0, plain_x0), (epsilon, plain_epsilon) = seen.x0.chunk(2), seen.epsilon.chunk(2)
        fraction = None if seen.fraction is None else seen.fraction.chunk(2)[0]
        weight = spread(scale, x0).to(x0) if isinstance(scale, Tensor) else scale
        return Prediction(
            torch.lerp(plain_x0, x0, weight), torch.lerp(plain_epsilon, epsilon, weight), fraction
        )

    def _scale(self, t: float | Tensor) -> float | Tensor:
        """The scale at a time; a tensor where each image has a time of its own."""
        if self.interval is None:
            return self.scale
        alpha, sigma = self.schedule(t)
        ratio = sigma / alpha  # infinite where no signal is left
        inside = (ratio > self.interval[0]) & (ratio <= self.interval[1])
        if isinstance(t, Tensor):
            return torch.where(inside, self.scale, 1.0)
        return self.scale if bool(inside) else 1.0
