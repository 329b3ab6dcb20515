r"""The reverse step p(x_s | x_t): its variance, and how many nats it costs.

A denoiser's :math:`\hat x_0` makes the reverse step the normal with the mean of
:math:`q(x_s \mid x_t, \hat x_0)` and one of three variances:

* ``small``: that of :math:`q(x_s \mid x_t, x_0)`, right where the data are one point;
* ``large``: right where the data are standard normal, :math:`\sigma_{t|s}^2 (\alpha_s^2 +
  \sigma_s^2) / (\alpha_t^2 + \sigma_t^2)`, which is DDPM's :math:`\beta_t` where variance is
  preserved;
* ``learned``: :math:`\exp(v \ln \text{large} + (1 - v) \ln \text{small})`, v from the network.

In the step into the clean image the small one is 0. A fixed variance is the large one there, the
noise that is left: the bound of an exact denoiser is 0.1 bits tighter by it than by the released
codes' choice, the small variance of the step before. That one is the least of a learnt variance, as
there. The step's term of the bound is

.. math:: L = \mathrm{KL}\bigl(q(x_s \mid x_t, x_0) \,\|\, p(x_s \mid x_t)\bigr)

or, into the clean image, :math:`-\ln p(x_0 \mid x_1)`, a normal summed over each of 256 grey
levels' bins, of which the two outermost are open.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, equations 5, 8
    and 13.
    Improved Denoising Diffusion Probabilistic Models (Nichol and Dhariwal, 2021),
    arXiv:2102.09672, equation 15.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.special import log_ndtr

from naqsh.diffusion.process import Posterior, posterior, spread
from naqsh.diffusion.schedule import Schedule

Variance = Literal["small", "large", "learned"]


def log_variance(
    step: Posterior, floor: float, kind: Variance, like: Tensor, fraction: Tensor | None = None
) -> Tensor:
    """Logarithm of the reverse step's variance.

    Args:
        step: q(x_s | x_t, x_0).
        floor: the least of a learnt variance where `step` goes into the clean image.
        kind: which variance.
        like: images with shape (N, C, H, W), for dtype and shape.
        fraction: the place between the two extremes, where it is learnt; shape of `like`.

    Returns:
        what multiplies `like`: one number, one an image, or one a pixel.
    """
    inner = step.variance > 0
    if kind == "small":
        return spread(torch.where(inner, step.variance, step.widest).log(), like)
    large = spread(step.widest.log(), like)
    if kind == "large":
        return large
    assert fraction is not None, "this denoiser did not learn its variance"
    small = spread(torch.where(inner, step.variance, floor).log(), like)
    return small * (1 - fraction) + large * fraction


def step_divergence(step: Posterior, x0: Tensor, guess: Tensor, log_variance: Tensor) -> Tensor:
    """KL of the reverse step from q(x_s | x_t, x_0), in nats a number.

    Args:
        step: q(x_s | x_t, x_0), not into the clean image.
        x0: clean images with shape (N, C, H, W).
        guess: what the denoiser takes them for, same shape.
        log_variance: of the reverse step.

    Returns:
        mean over each image, shape (N,).
    """
    # The means differ by the guess alone; subtracting them would lose digits.
    shift = spread(step.of_x0, x0) * (x0 - guess)
    ratio = spread(step.variance.clamp(min=torch.finfo(torch.float64).tiny).log(), x0)
    ratio = ratio - log_variance
    nats = (ratio.exp() - 1 - ratio + shift.square() * (-log_variance).exp()) / 2
    return nats.flatten(1).mean(1)


def level_nats(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Minus log-probability of 256 grey levels under a normal, in nats a number.

    Args:
        x0: images of grey levels in [-1, 1] with shape (N, C, H, W).
        mean: of the normal, same shape.
        log_variance: of the normal.

    Returns:
        mean over each image, shape (N,).
    """
    scale = (-log_variance / 2).exp()
    upper, lower = (x0 - mean + 1 / 255) * scale, (x0 - mean - 1 / 255) * scale
    # By symmetry a bin above the mean is one below it, where the tail keeps its digits.
    near = torch.where(x0 > mean, -lower, upper)
    far = torch.where(x0 > mean, -upper, lower)
    inside = log_ndtr(near) + (-torch.expm1(log_ndtr(far) - log_ndtr(near))).log()
    edge = torch.where(x0 > 0, log_ndtr(-lower), log_ndtr(upper))
    return -torch.where(x0.abs() > 0.999, edge, inside).flatten(1).mean(1)


def step_nats(
    schedule: Schedule,
    x0: Tensor,
    t: Tensor,
    guess: Tensor,
    kind: Variance,
    fraction: Tensor | None = None,
) -> Tensor:
    """The term of the variational bound of the step from t to t - 1, in nats a number.

    Args:
        schedule: with levels.
        x0: images of grey levels in [-1, 1] with shape (N, C, H, W).
        t: whole times from 1 with shape (N,), on the device of `x0`.
        guess: what the denoiser takes them for, same shape.
        kind: which variance.
        fraction: where the variance is learnt.

    Returns:
        mean over each image, shape (N,).
    """
    assert schedule.levels, "continuous time has no step to t - 1"
    step = posterior(schedule, t, t - 1)
    least = floor(schedule.times(schedule.levels), schedule)
    variance = log_variance(step, least, kind, x0, fraction)
    inner = step_divergence(step, x0, guess, variance)
    return torch.where(t > 1, inner, level_nats(x0, guess, variance))


def floor(times: Tensor, schedule: Schedule) -> float:
    """The small variance of the last step but one of falling `times`; of the one step, if alone."""
    if len(times) == 2:
        return float(posterior(schedule, *times.tolist()).widest)
    return float(posterior(schedule, *times[-3:-1].tolist()).variance)
