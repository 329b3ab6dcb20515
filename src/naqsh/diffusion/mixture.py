r"""The best denoiser of a mixture of Gaussians, and with it the exact score at every noise level.

Noise widens a Gaussian and moves its mean, so that :math:`x_t` is of a mixture as well, of
:math:`\mathcal N(\alpha \mu_k, p_k)` with :math:`p_k = \alpha^2 s_k^2 + \sigma^2`. Any sampler can
be put under it, and what a network has learnt be held against it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from naqsh.diffusion.denoiser import Prediction
from naqsh.diffusion.process import spread
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.schedule import Schedule


class Mixture:
    """What a denoiser would see that knew a mixture of isotropic Gaussians.

    Args:
        schedule: of the noise.
        means: of each Gaussian, with shape (K, D).
        deviations: standard deviation of each along every axis, K numbers.
        weights: of each, K numbers that sum to 1; equal unless given.
    """

    variance: Variance = "small"

    def __init__(
        self,
        schedule: Schedule,
        means: Sequence[Sequence[float]],
        deviations: Sequence[float],
        weights: Sequence[float] | None = None,
    ) -> None:
        self.schedule = schedule
        self.means = torch.tensor(means, dtype=torch.float64, device="cpu")
        self.deviations = torch.tensor(deviations, dtype=torch.float64, device="cpu")
        equal = [1 / len(self.means)] * len(self.means)
        self.weights = torch.tensor(weights or equal, dtype=torch.float64, device="cpu")

    def __call__(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        """The expected clean image and noise of `x_t` with shape (N, C, H, W), C H W = D."""
        alpha, sigma = (spread(number, x_t.flatten(1)).double() for number in self.schedule(t))
        of_each, away = self._log_parts(x_t, alpha, sigma)
        share = of_each.softmax(1)[:, :, None]
        variances = self._variances(alpha, sigma)[..., None]
        epsilon = (share * away * sigma[..., None] / variances).sum(1)
        kept = alpha[..., None] * self.deviations.to(x_t.device)[:, None] ** 2 / variances
        x0 = (share * (self.means.to(x_t.device) + kept * away)).sum(1)
        return Prediction(x0.view_as(x_t).to(x_t), epsilon.view_as(x_t).to(x_t))

    def log_density(self, x_t: Tensor, t: float | Tensor) -> Tensor:
        """Of `x_t` with shape (N, C, H, W) at time `t`: float64 with shape (N,)."""
        alpha, sigma = (spread(number, x_t.flatten(1)).double() for number in self.schedule(t))
        dimensions = self.means.shape[1]
        of_each, _ = self._log_parts(x_t, alpha, sigma)
        return of_each.logsumexp(1) - dimensions / 2 * math.log(2 * math.pi)

    def _log_parts(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted log-densities (N, K) but for a constant, and ways from the means (N, K, D)."""
        variances = self._variances(alpha, sigma)
        away = x_t.flatten(1).double()[:, None] - alpha[..., None] * self.means.to(x_t.device)
        far = away.square().sum(2) / variances + self.means.shape[1] * variances.log()
        return self.weights.to(x_t.device).log() - far / 2, away

    def _variances(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Of each Gaussian with its noise, shape (N or nothing, K)."""
        return alpha**2 * self.deviations.to(alpha.device) ** 2 + sigma**2
