r"""Denoisers: a network, what it is asked to predict, and its loss.

At time t a network sees :math:`x_t = \alpha x_0 + \sigma \epsilon` and gives F, which stands for
one of several things (:mod:`naqsh.diffusion.parameterisation`). Of an image with D numbers the loss
is :math:`w(t) \|F - F^\star\|^2 / D`, weighted over time (:mod:`naqsh.diffusion.weighting`), or

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
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.parameterisation import Form, Parameterisation, combine, form, form_once
from naqsh.diffusion.process import q_sample, spread
from naqsh.diffusion.reverse import Variance, step_nats
from naqsh.diffusion.schedule import Schedule
from naqsh.diffusion.weighting import Weighting, Weights

HYBRID = 0.001
"""Weight of the bound beside the simple loss, where the variance is learnt."""


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
        importance: whether times are drawn as often as they weigh, and then count alike.
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
        importance: bool = False,
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
        if importance and (bounded or weighting == "simple" or parameterisation == "score"):
            raise NaqshError(
                "importance draws times by their weights: it goes with weighting noise or min-snr, "
                "variance small or large, and any parameterisation but score"
            )
        self.network, self.schedule = network, schedule
        self.parameterisation: Parameterisation = parameterisation
        self.weighting, self.importance = weighting, importance
        self.weights = Weights(weighting, schedule, parameterisation, sigma_data, gamma)
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
        t, correction = self.draw(noise)
        losses = self.loss_at(images, t, noise, labels)
        return (losses if correction is None else losses * correction.to(losses)), t

    def draw(self, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """A time for each image to be trained at, shape (N,).

        Returns:
            the times, and what losses at them are multiplied by so that their mean is that over the
            schedule's own times; None for nothing.
        """
        return self.weights.draw(noise) if self.importance else (self.schedule.draw(noise), None)

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
        if self.weighting != "simple":
            losses = losses * self.weights(t, maps).to(losses)
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
        return form_once(self.parameterisation, self.schedule, t, self.sigma_data)

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
