r"""Denoisers: a network, what it is asked to predict, and its loss.

At time t a network sees :math:`x_t = \alpha x_0 + \sigma \epsilon` and gives F. What F stands for
is the parameterisation; each is one linear map from :math:`(x_0, \epsilon)` to the target, and one
from :math:`(x_t, F)` back. With :math:`s` the standard deviation of the data and :math:`p =
\alpha^2 s^2 + \sigma^2` the variance of :math:`x_t`:

======== ======================================================= ===================================
kind     target                                                  predicted :math:`x_0`
======== ======================================================= ===================================
epsilon  :math:`\epsilon`                                        :math:`(x_t - \sigma F)/\alpha`
x0       :math:`x_0`                                             :math:`F`
v        :math:`\alpha \epsilon - \sigma x_0`                    :math:`(\alpha x_t - \sigma F) /
                                                                 (\alpha^2 + \sigma^2)`
velocity :math:`\epsilon - x_0`                                  :math:`(x_t - \sigma F) /
                                                                 (\alpha + \sigma)`
score    :math:`-\epsilon/\sigma`                                 :math:`(x_t + \sigma^2 F)/\alpha`
edm      :math:`(\sigma x_0 - \alpha s^2 \epsilon)/(s \sqrt p)`  :math:`(\alpha s^2 x_t + \sigma s
                                                                 \sqrt p\, F)/p`
======== ======================================================= ===================================

The last also divides the network's input by :math:`\sqrt p`. Of an image with D numbers the loss
is :math:`w(t) \|F - F^\star\|^2 / D`, with

* ``simple``: w = 1. This is DDPM's simple loss for epsilon, EDM's weights
  :math:`(\sigma^2 + s^2)/(\sigma s)^2` for edm, flow matching's loss for velocity;
* ``noise``: what makes it the squared error of epsilon whatever F stands for; for the score this is
  NCSN's :math:`\sigma^2`;
* ``min-snr``: :math:`\min(\mathrm{SNR}, \gamma)` times the squared error of :math:`x_0`;
* ``vlb``: no such square but T times the step's term of the variational bound in nats a number, so
  that its mean over the times is the bound but for the prior's term. It needs a schedule of whole
  steps, and images of 256 grey levels in [-1, 1].

With a learnt variance the network gives 2C channels; the second half says where in log space the
variance lies between the two extremes (:mod:`naqsh.diffusion.reverse`), and 0.001 times the bound
in bits is added, in which the mean takes no gradient.

The interface::

    denoiser = Denoiser(network, schedule, parameterisation="epsilon", weighting="simple",
                        gamma=5.0, variance="large", sigma_data=0.5)
    prediction = denoiser(x_t, t, labels=None)   # t: float or (N,); .x0, .epsilon, .fraction
    prediction.score(sigma)                      # gradient of the log-density of x_t
    losses, t = denoiser.loss(images, noise, labels=None)       # per image (N,), their times (N,)
    losses = denoiser.loss_at(images, t, noise, labels=None)    # at given times

    network(x, condition, labels) -> Tensor      # condition: float32 (N,), schedule.condition(t)

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, equations 12, 14.
    Improved Denoising Diffusion Probabilistic Models (Nichol and Dhariwal, 2021),
    arXiv:2102.09672, equations 15 and 16.
    Progressive Distillation (Salimans and Ho, 2022), arXiv:2202.00512, section 4: v.
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364, table 1.
    Efficient Diffusion Training via Min-SNR Weighting Strategy (Hang et al., 2023),
    arXiv:2303.09556, equation 8.
    Flow Matching for Generative Modeling (Lipman et al., 2023), arXiv:2210.02747, equation 23.
    Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon, 2019),
    arXiv:1907.05600, equations 5 and 6: the score, and weights sigma^2.
    A Connection Between Score Matching and Denoising Autoencoders (Vincent, 2011),
    doi:10.1162/NECO_a_00142.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.process import q_sample, spread
from naqsh.diffusion.reverse import Variance, step_nats
from naqsh.diffusion.schedule import Schedule

Parameterisation = Literal["epsilon", "x0", "v", "velocity", "score", "edm"]
Weighting = Literal["simple", "noise", "min-snr", "vlb"]

HYBRID = 0.001
"""Weight of the bound beside the simple loss, where the variance is learnt."""


@dataclass(frozen=True)
class Form:
    """A parameterisation at some times: every map in it is linear. All have the times' shape.

    Attributes:
        x0: multiplies (x_t, F); the sum is the clean image.
        epsilon: multiplies (x_t, F); the sum is the noise.
        target: multiplies (x_0, epsilon); the sum is what F should be.
        scale: multiplies what the network sees, or None for 1.
    """

    x0: tuple[Tensor, Tensor]
    epsilon: tuple[Tensor, Tensor]
    target: tuple[Tensor, Tensor]
    scale: Tensor | None = None


def form(kind: Parameterisation, alpha: Tensor, sigma: Tensor, sigma_data: float = 0.5) -> Form:
    """The maps of a parameterisation where signal and noise are `alpha` and `sigma`."""
    one, zero = torch.ones_like(alpha), torch.zeros_like(alpha)
    if kind == "epsilon":
        return Form((1 / alpha, -sigma / alpha), (zero, one), (zero, one))
    if kind == "x0":
        return Form((zero, one), (1 / sigma, -alpha / sigma), (one, zero))
    if kind == "v":
        p = alpha**2 + sigma**2
        return Form((alpha / p, -sigma / p), (sigma / p, alpha / p), (-sigma, alpha))
    if kind == "velocity":
        p = alpha + sigma
        return Form((1 / p, -sigma / p), (1 / p, alpha / p), (-one, one))
    if kind == "score":
        return Form((1 / alpha, sigma**2 / alpha), (zero, -sigma), (zero, -1 / sigma))
    s = sigma_data
    p = alpha**2 * s**2 + sigma**2
    root = p.sqrt()
    return Form(
        (alpha * s**2 / p, sigma * s / root),
        (sigma / p, -alpha * s / root),
        (sigma / (s * root), -alpha * s / root),
        1 / root,
    )


@lru_cache(maxsize=4096)
def _form_once(kind: Parameterisation, schedule: Schedule, t: float, sigma_data: float) -> Form:
    """The maps at one time, which samplers come back to for every batch."""
    return form(kind, *schedule(t), sigma_data)


def combine(factors: tuple[Tensor, Tensor], first: Tensor, second: Tensor) -> Tensor:
    """The sum of two images, each multiplied by its factor, one for all or one for each."""
    return spread(factors[0], first) * first + spread(factors[1], second) * second


@dataclass(frozen=True)
class Prediction:
    """What a denoiser sees in a noisy image.

    Attributes:
        x0: the expected clean image, shape (N, C, H, W).
        epsilon: the expected noise, same shape; alpha x0 + sigma epsilon is the noisy image.
        fraction: where log-variance lies between the least (0) and the most (1), where it is
            learnt; same shape, not cut.
    """

    x0: Tensor
    epsilon: Tensor
    fraction: Tensor | None = None

    def score(self, sigma: float | Tensor) -> Tensor:
        r"""The gradient of the log-density of the noisy image, shape (N, C, H, W).

        :math:`-\hat\epsilon / \sigma`, whatever the signal is: by x_t itself. By :math:`x_t /
        \alpha`, an image that kept its signal, it is alpha times as much.

        Args:
            sigma: the noise in the noisy image, one for all or shape (N,).
        """
        return -self.epsilon / (spread(sigma, self.epsilon) if isinstance(sigma, Tensor) else sigma)

    def clipped(self, x_t: Tensor, alpha: float, sigma: float) -> "Prediction":
        """The clean image cut to [-1, 1], and the noise that is then in `x_t`."""
        x0 = self.x0.clamp(-1, 1)
        return replace(self, x0=x0, epsilon=(x_t - alpha * x0) / sigma)


class Denoises(Protocol):
    """All that samplers, bounds and likelihoods need of a denoiser."""

    schedule: Schedule
    variance: Variance

    def __call__(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        """What is seen in `x_t` with shape (N, C, H, W) at time `t`, one for all or (N,)."""
        ...


class Denoiser(nn.Module):
    """A network that is trained to see the clean image in a noisy one.

    Args:
        network: (noisy images, condition (N,), labels or None) to images; to twice the channels
            where the variance is learnt.
        schedule: of the noise.
        parameterisation: what the network's output stands for.
        weighting: of the loss over time.
        gamma: where ``min-snr`` cuts.
        variance: of the reverse steps.
        sigma_data: standard deviation of the images' values, for ``edm``.

    Raises:
        NaqshError: a combination that cannot work.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        *,
        parameterisation: Parameterisation = "epsilon",
        weighting: Weighting = "simple",
        gamma: float = 5.0,
        variance: Variance = "large",
        sigma_data: float = 0.5,
    ) -> None:
        super().__init__()
        name = type(schedule).__name__
        bounded = weighting == "vlb" or variance == "learned"
        if bounded and schedule.levels is None:
            raise NaqshError(
                f"the {name} schedule has no steps, so no bound to train by; use weighting simple, "
                "noise or min-snr, and variance small or large"
            )
        if parameterisation in ("epsilon", "score") and not float(schedule(schedule.end)[0]):
            raise NaqshError(
                f"the {name} schedule ends in noise alone, where {parameterisation} says nothing "
                "of the image; use parameterisation velocity, v, x0 or edm"
            )
        self.network, self.schedule = network, schedule
        self.parameterisation: Parameterisation = parameterisation
        self.weighting, self.gamma = weighting, gamma
        self.variance: Variance = variance
        self.sigma_data = sigma_data

    def forward(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        """What the network sees in noisy images.

        Args:
            x_t: with shape (N, C, H, W).
            t: a number for all images, or one for each with shape (N,), on their device.
            labels: passed on to the network.

        Returns:
            the clean images and the noise, in the dtype of `x_t` also under autocast.
        """
        maps = self._form(t)
        output, fraction = self._output(x_t, t, maps, labels)
        x0, epsilon = combine(maps.x0, x_t, output), combine(maps.epsilon, x_t, output)
        return Prediction(x0, epsilon, fraction)

    def loss(
        self, images: Tensor, noise: Noise, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The weighted loss of each image at a time of its own.

        Args:
            images: clean images with shape (N, C, H, W).
            noise: of these N images; draws the times, then epsilon.
            labels: passed on to the network.

        Returns:
            losses and times, each with shape (N,).
        """
        t = self.schedule.draw(noise)
        return self.loss_at(images, t, noise, labels), t

    def loss_at(
        self, images: Tensor, t: Tensor, noise: Noise, labels: Tensor | None = None
    ) -> Tensor:
        """The weighted loss of each image at given times, both with shape (N,).

        The times are whole where the schedule is.
        """
        epsilon = noise.normal(*images.shape[1:]).to(images)
        x_t = q_sample(images, t, epsilon, self.schedule)
        maps = self._form(t)
        output, fraction = self._output(x_t, t, maps, labels)
        if self.weighting == "vlb":
            return self._bound(images, t, combine(maps.x0, x_t, output), fraction)
        errors = output - combine(maps.target, images, epsilon)
        losses = errors.square().flatten(1).mean(1)
        if self.weighting == "noise":
            losses = losses * (maps.epsilon[1] ** 2).to(losses)
        if self.weighting == "min-snr":
            snr = self.schedule.log_snr(t).exp().clamp(max=self.gamma)
            losses = losses * (snr * maps.x0[1] ** 2).to(losses)
        if fraction is None:
            return losses
        guess = combine(maps.x0, x_t, output.detach())
        return losses + HYBRID / math.log(2) * self._bound(images, t, guess, fraction)

    def _bound(self, images: Tensor, t: Tensor, guess: Tensor, fraction: Tensor | None) -> Tensor:
        """T times the bound's term at `t`, in nats a number, shape (N,)."""
        assert self.schedule.levels, "refused when it was built"
        nats = step_nats(self.schedule, images, t, guess, self.variance, fraction)
        return self.schedule.levels * nats

    def _form(self, t: float | Tensor) -> Form:
        if isinstance(t, Tensor):
            return form(self.parameterisation, *self.schedule(t), self.sigma_data)
        return _form_once(self.parameterisation, self.schedule, t, self.sigma_data)

    def _output(
        self, x_t: Tensor, t: float | Tensor, maps: Form, labels: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The network's output in the dtype of `x_t`, and where the learnt variance lies."""
        seen = x_t if maps.scale is None else spread(maps.scale, x_t) * x_t
        condition = self.schedule.condition(t)
        if condition.dim() == 0 and condition.device.type == "cpu":
            # Filled in by a kernel: a copy would make the host wait.
            condition = torch.full((1,), float(condition), device=x_t.device)
        condition = condition.expand(len(x_t))
        output: Tensor = self.network(seen, condition, labels).to(x_t.dtype)
        if self.variance != "learned":
            return output, None
        output, place = output.chunk(2, dim=1)
        return output, (place + 1) / 2
