r"""The forward process: one step, a jump from the clean image, and the step back given both ends.

Let :math:`s < t` be two times of a schedule. Noise is added by

.. math:: q(x_t \mid x_s) = \mathcal N(\alpha_{t|s} x_s, \sigma_{t|s}^2 I), \quad
   \alpha_{t|s} = \frac{\alpha_t}{\alpha_s}, \quad
   \sigma_{t|s}^2 = \sigma_t^2 - \alpha_{t|s}^2 \sigma_s^2
   = \sigma_t^2 \left(1 - e^{\lambda_t - \lambda_s}\right),

with :math:`\lambda = \ln \alpha^2 / \sigma^2`; in DDPM's neighbours this is :math:`\sqrt{1 -
\beta_t}` and :math:`\beta_t`. By Bayes' rule the way back is a normal too,

.. math:: q(x_s \mid x_t, x_0) = \mathcal N(\mu, \tilde\sigma^2 I), \quad
   \tilde\sigma^2 = \frac{\sigma_{t|s}^2 \sigma_s^2}{\sigma_t^2},

.. math:: \mu = \frac{\alpha_s \sigma_{t|s}^2}{\sigma_t^2} x_0
   + \frac{\alpha_{t|s} \sigma_s^2}{\sigma_t^2} x_t
   = \frac{1}{\alpha_{t|s}} \left(x_t - \frac{\sigma_{t|s}^2}{\sigma_t} \epsilon\right),

the first form of the clean image, the second of the noise in :math:`x_t`.

The interface, `t` and `s` floats or tensors with shape (N,)::

    q_sample(x0, t, epsilon, schedule)          # x_t from x_0
    q_step(x_s, t, epsilon, schedule, s=None)   # x_t from x_s; s is t - 1 unless given
    posterior(schedule, t, s) -> Posterior      # float64 coefficients; .mean(x_t, x0)

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, equations 2, 4, 6,
    7 and 11.
    Variational Diffusion Models (Kingma et al., 2021), arXiv:2107.00630, appendix A: any two times.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.diffusion.schedule import Schedule


def spread(number: Tensor, like: Tensor) -> Tensor:
    """One number for all images, or one for each with shape (N,), made to multiply `like`.

    A number for all stays where it is, on the CPU: kernels take it as an argument, without a copy.
    """
    if number.dim() == 0:
        return number
    return number.to(like).view(-1, *[1] * (like.dim() - 1))


def q_sample(x0: Tensor, t: Tensor | float, epsilon: Tensor, schedule: Schedule) -> Tensor:
    """Jump from the clean image to time t (Ho et al., 2020, equation 4).

    Args:
        x0: images with shape (N, C, H, W).
        t: times of the schedule, one for all or shape (N,).
        epsilon: standard normal, shape of `x0`.
        schedule: says how much of each is kept.

    Returns:
        noisy images with the shape and dtype of `x0`.
    """
    alpha, sigma = schedule(t)
    return spread(alpha, x0) * x0 + spread(sigma, x0) * epsilon


def q_step(
    x_s: Tensor,
    t: Tensor | float,
    epsilon: Tensor,
    schedule: Schedule,
    s: Tensor | float | None = None,
) -> Tensor:
    """One forward step, from time s to t (Ho et al., 2020, equation 2).

    Args:
        x_s: images at time s with shape (N, C, H, W).
        t: times, one for all or shape (N,).
        epsilon: standard normal, shape of `x_s`.
        schedule: says how much of each is kept.
        s: earlier times; t - 1, the step before, unless given.

    Returns:
        images at time t with the shape and dtype of `x_s`.
    """
    kept, variance = transition(schedule, t, t - 1 if s is None else s)
    return spread(kept, x_s) * x_s + spread(variance.sqrt(), x_s) * epsilon


def transition(schedule: Schedule, t: Tensor | float, s: Tensor | float) -> tuple[Tensor, Tensor]:
    r"""Signal kept :math:`\alpha_{t|s}` and variance added :math:`\sigma_{t|s}^2`, float64."""
    (alpha_t, sigma_t), (alpha_s, _) = schedule(t), schedule(s)
    # Differences of log-SNR keep their digits where sigma_t and sigma_s are nearly equal.
    added = -torch.expm1(schedule.log_snr(t) - schedule.log_snr(s))
    return alpha_t / alpha_s, sigma_t**2 * added


@dataclass(frozen=True)
class Posterior:
    """Coefficients of q(x_s | x_t, x_0), float64, each with the shape of the times.

    Attributes:
        of_x0: what multiplies the clean image in the mean.
        of_x: what multiplies x_t in the mean.
        variance: of q(x_s | x_t, x_0), DDPM's beta tilde; 0 where s is 0.
        added: variance of q(x_t | x_s), DDPM's beta.
        widest: variance of x_s given x_t alone where the data are standard normal; `added` where
            signal and noise make up variance 1 at every time.
        kept: signal kept from s to t.
        sigma: noise at t.
    """

    of_x0: Tensor
    of_x: Tensor
    variance: Tensor
    added: Tensor
    widest: Tensor
    kept: Tensor
    sigma: Tensor

    def mean(self, x_t: Tensor, x0: Tensor) -> Tensor:
        """The mean, shape of `x_t`, from the clean image (Ho et al., 2020, equation 7)."""
        return spread(self.of_x0, x0) * x0 + spread(self.of_x, x_t) * x_t

    def mean_of_epsilon(self, x_t: Tensor, epsilon: Tensor) -> Tensor:
        """The mean, shape of `x_t`, from the noise in `x_t` (Ho et al., 2020, equation 11)."""
        removed = spread(self.added / self.sigma, epsilon) * epsilon
        return (x_t - removed) / spread(self.kept, x_t)


def posterior(schedule: Schedule, t: Tensor | float, s: Tensor | float) -> Posterior:
    """The distribution of x_s given x_t and x_0, for times s < t."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule(t), schedule(s)
    kept, added = transition(schedule, t, s)
    new, old = added / sigma_t**2, (sigma_s / sigma_t) ** 2
    widest = added * (alpha_s**2 + sigma_s**2) / (alpha_t**2 + sigma_t**2)
    return Posterior(alpha_s * new, kept * old, new * sigma_s**2, added, widest, kept, sigma_t)
