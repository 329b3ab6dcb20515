r"""Normalisation layers of flows: per channel an affine map that a batch determines.

With mean m and deviation s of a channel over the batch (and over the pixels, if it has several),

.. math:: z = e^{\gamma}\, \frac{x - m}{s} + \beta, \qquad
   \log \frac{\partial z}{\partial x} = \gamma - \log s,

for each number of the channel. :class:`ActNorm` takes m and s from the first batch that it is
trained on and keeps them; :class:`BatchNormFlow` takes them from each batch while it learns,
gradients and all, and from running averages otherwise.

What a batch normalisation tells while it learns is not the density of one image, because m and s
hang on the others; in evaluation it is.

With several ranks both take their statistics over all of them, so N ranks learn as one would on
the same batch. A batch that is accumulated in parts is another matter: ActNorm sees its first part,
BatchNormFlow each part alone.

References:
    Glow (Kingma and Dhariwal, 2018), arXiv:1807.03039, section 3.1: ActNorm.
    Density estimation using Real NVP (Dinh et al., 2017), arXiv:1605.08803, section 3.7.
    Masked Autoregressive Flow (Papamakarios et al., 2017), arXiv:1705.07057, appendix B.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from naqsh.core import ranks
from naqsh.flows.bijection import Bijection


class Normalise(Bijection):
    """What both layers share: the numbers learnt, the statistics, and the map itself.

    Args:
        channels: how many statistics of a kind there are; D for vectors.
        pixels: how many neighbouring numbers of a vector share them: D = channels * pixels.
        epsilon: added to the variance, so that a channel without any has a finite factor.

    Attributes:
        mean, variance: what inverse and evaluation use, with shape (channels,).
        log_scale, shift: gamma and beta, with shape (channels,).
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, pixels: int = 1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.pixels, self.epsilon = channels, pixels, epsilon
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    @abstractmethod
    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance that training normalises x, shape (N, channels, pixels), by."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Towards the base density; see the module's text."""
        parts = x.view(-1, self.channels, self.pixels)
        mean, variance = self.statistics(parts) if self.training else (self.mean, self.variance)
        log_factor = self.log_scale - (variance + self.epsilon).log() / 2
        # Centred before it is scaled: where the mean is large, little is left of m * e^gamma / s.
        z = (parts - mean[:, None]) * log_factor.exp()[:, None] + self.shift[:, None]
        return z.flatten(1), log_factor.repeat_interleave(self.pixels).expand_as(x)

    def inverse(self, z: Tensor) -> Tensor:
        """Undo what evaluation does, in training too."""
        parts = z.view(-1, self.channels, self.pixels)
        log_factor = self.log_scale - (self.variance + self.epsilon).log() / 2
        x = (parts - self.shift[:, None]) * (-log_factor).exp()[:, None] + self.mean[:, None]
        return x.flatten(1)


class ActNorm(Normalise):
    """Statistics of the first batch in training; nothing is normalised before.

    They are buffers beside the learnt numbers, not their first values as in Glow: the same map, and
    an average of the weights takes them over at once.

    Attributes:
        seen: whether that batch has been.
    """

    seen: Tensor

    def __init__(self, channels: int, pixels: int = 1, epsilon: float = 1e-5) -> None:
        super().__init__(channels, pixels, epsilon)
        self.register_buffer("seen", torch.tensor(False))

    @torch.no_grad()
    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The first batch's, whichever batch this is."""
        mean, variance, _ = moments(x)
        # A condition in Python would read the flag back from the device in every step.
        self.mean.copy_(torch.where(self.seen, self.mean, mean))
        self.variance.copy_(torch.where(self.seen, self.variance, variance))
        self.seen.fill_(True)
        return self.mean.clone(), self.variance.clone()


class BatchNormFlow(Normalise):
    """Statistics of each batch in training, their running averages otherwise.

    Args:
        channels, pixels, epsilon: as for :class:`Normalise`.
        momentum: weight of a new batch in the running averages.
    """

    def __init__(
        self, channels: int, pixels: int = 1, epsilon: float = 1e-5, momentum: float = 0.1
    ) -> None:
        super().__init__(channels, pixels, epsilon)
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum must lie in (0, 1], got {momentum}")
        self.momentum = momentum

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """This batch's; raises ValueError for a single number, which has no variance."""
        mean, variance, count = moments(x)
        if count == 1:
            raise ValueError("batch normalisation needs more than one value a channel")
        with torch.no_grad():
            self.mean.lerp_(mean, self.momentum)
            # As PyTorch's: the running average is of the unbiased estimate.
            self.variance.lerp_(variance * (count / (count - 1)), self.momentum)
        return mean, variance


def moments(x: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean and biased variance of each channel over batch, pixels and all ranks.

    Args:
        x: shape (N, channels, pixels), N the same on every rank.

    Returns:
        both with shape (channels,), differentiable, and of how many numbers each is.
    """
    count = ranks.count() * x.shape[0] * x.shape[2]
    mean = ranks.total(x.sum((0, 2))) / count
    squares = (x - mean[:, None]).square().sum((0, 2))
    return mean, ranks.total(squares) / count, count
