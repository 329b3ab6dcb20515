r"""The variational bound of a diffusion model, term by term.

With the times :math:`0 = t_0 < t_1 < \dots < t_S`,

.. math:: -\log p(x_0) \le \underbrace{\mathrm{KL}\bigl(q(x_{t_S} \mid x_0) \,\|\, p(x_{t_S})\bigr)
   }_{L_S} + \sum_{i=2}^{S} \underbrace{E_q\, \mathrm{KL}\bigl(q(x_{t_{i-1}} \mid x_{t_i}, x_0) \,\|
   \, p(x_{t_{i-1}} \mid x_{t_i})\bigr)}_{L_{i-1}}
   \underbrace{- E_q \log p(x_0 \mid x_{t_1})}_{L_0}.

:math:`L_S` has no parameters; every KL is that of two normals in closed form; :math:`L_0` sums a
normal over the bin of each grey level (:mod:`naqsh.diffusion.reverse`). Each expectation is taken
from one sample. Any times give a bound; those of training, all of them, give the paper's. Where
time is continuous the steps lie evenly in log-SNR, whatever the schedule, down to noise as wide as
a grey level: families are then told apart by their models, not by where steps happen to lie.

The interface::

    parts = bound(denoiser, images, noise, labels=None, steps=None, spacing=None, clip=True)
    parts.total, parts.prior     # bits a number, shape (N,)
    parts.terms, parts.errors    # by time, shape (N, S); terms[:, 0] is L_0
    parts.times                  # (S,), rising
    KIND                         # "lower bound", of the log-likelihood

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, equations 5 and
    13.
    Variational Diffusion Models (Kingma et al., 2021), arXiv:2107.00630, equation 11: any times.
"""

import math

import torch
from torch import Tensor

from naqsh.core.abilities import BoundParts, LogProbKind
from naqsh.core.noise import Noise
from naqsh.core.progress import Count
from naqsh.diffusion.denoiser import Denoises
from naqsh.diffusion.process import posterior, q_sample
from naqsh.diffusion.reverse import floor, level_nats, log_variance, step_divergence
from naqsh.diffusion.schedule import Schedule, Spacing

KIND: LogProbKind = "lower bound"

STEPS = 1000
"""Steps of the bound under schedules that have none of their own."""

LEVEL = 2 / 255
"""Distance of two grey levels in [-1, 1]."""


class Terms:
    """What the bound's steps cost, one evaluation of the network each.

    Args:
        denoiser: what sees the images; its own variance is that of the reverse steps.
        images: of 256 grey levels in [-1, 1] with shape (N, C, H, W).
        times: of the bound's steps, as :func:`placed` gives them.
        labels: passed on to the denoiser.
        clip: cut the denoiser's clean image to [-1, 1].
    """

    def __init__(
        self, denoiser: Denoises, images: Tensor, times: Tensor, labels: Tensor | None, clip: bool
    ) -> None:
        self._denoiser, self._images, self._labels, self._clip = denoiser, images, labels, clip
        self._exact = images.double()
        self._least = floor(times, denoiser.schedule)

    def at(
        self, t: Tensor | float, s: Tensor | float, epsilon: Tensor, last: bool
    ) -> tuple[Tensor, Tensor]:
        """The term of the steps from times t to s.

        Args:
            t: one time for all images, or shape (N,).
            s: likewise, earlier.
            epsilon: the noise at t, shape of the images.
            last: whether the steps go into the clean image.

        Returns:
            nats a number, float64 with shape (N,), and the noise that the network sees.
        """
        schedule, exact = self._denoiser.schedule, self._exact
        step = posterior(schedule, t, s)
        seen = self._denoiser(q_sample(self._images, t, epsilon, schedule), t, self._labels)
        guess = (seen.x0.clamp(-1, 1) if self._clip else seen.x0).double()
        fraction = None if seen.fraction is None else seen.fraction.double()
        variance = log_variance(step, self._least, self._denoiser.variance, exact, fraction)
        if last:
            return level_nats(exact, guess, variance), seen.epsilon
        return step_divergence(step, exact, guess, variance), seen.epsilon


@torch.no_grad()
def bound(
    denoiser: Denoises,
    images: Tensor,
    noise: Noise,
    *,
    labels: Tensor | None = None,
    steps: int | None = None,
    spacing: Spacing | None = None,
    clip: bool = True,
    progress: Count | None = None,
) -> BoundParts:
    """Every term of the bound; one network evaluation a time.

    Args:
        denoiser: what sees the image; its own variance is that of the reverse steps.
        images: of 256 grey levels in [-1, 1] with shape (N, C, H, W).
        noise: of these N images; drawn from once a time, from the noisiest on.
        labels: passed on to the denoiser.
        steps: how many; all where the schedule has whole steps, else 1000.
        spacing: where they lie; see :func:`placed`.
        clip: cut the denoiser's clean image to [-1, 1].
        progress: called after each time with how many are done, and of how many.
    """
    schedule = denoiser.schedule
    times = placed(schedule, steps, spacing)
    cost = Terms(denoiser, images, times, labels, clip)
    terms, errors = [], []
    for t, s in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        epsilon = noise.normal(*images.shape[1:]).to(images)
        nats, seen = cost.at(t, s, epsilon, last=s == 0)
        terms.append(nats)
        errors.append((seen - epsilon).double().square().flatten(1).mean(1))
        if progress:
            progress(len(terms), len(times) - 1)
    by_time = torch.stack(terms[::-1], 1) / math.log(2)
    prior = prior_nats(schedule, images.double()) / math.log(2)
    return BoundParts(times[:-1].flip(0), by_time, prior, torch.stack(errors[::-1], 1))


def placed(schedule: Schedule, steps: int | None = None, spacing: Spacing | None = None) -> Tensor:
    """The times of the bound's steps: float64 on the CPU with shape (steps + 1,), falling to 0.

    Args:
        schedule: whole times of its own, if it has steps; else evenly in log-SNR down to noise as
            wide as a level, for less of it tells nothing of levels.
        steps: how many; all where the schedule has whole steps, else 1000.
        spacing: instead of that.
    """
    if spacing or schedule.levels:
        return schedule.times((schedule.levels or STEPS) if steps is None else steps, spacing)
    least, most = schedule.extent
    ends = math.log(most), math.log(max(least, LEVEL))
    ratio = torch.linspace(*ends, steps or STEPS, dtype=torch.float64, device="cpu")
    times = torch.cat([schedule.time(-2 * ratio), ratio.new_zeros(1)])
    times[0] = schedule.end
    return times


def prior_nats(schedule: Schedule, images: Tensor) -> Tensor:
    """KL of q(x_T | x_0) from the noise that sampling begins with, nats a number, shape (N,)."""
    alpha, sigma = (float(number) / schedule.prior for number in schedule(schedule.end))
    squares = (alpha * images).square().flatten(1).mean(1)
    # log(1 + d) keeps the digits of a variance that is nearly the prior's.
    excess = sigma**2 - 1
    return (squares + excess - math.log1p(excess)) / 2
