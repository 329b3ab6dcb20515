r"""Solvers of the probability-flow equation: Euler, Heun and DPM-Solver++(2M), for any denoiser.

With :math:`y = x/\alpha` and :math:`u = \sigma/\alpha` the equation whose solutions have the
distribution of :math:`x_t` at every time is

.. math:: \frac{dy}{du} = \hat\epsilon(x, t).

That is EDM's form, for a schedule that keeps the signal. Where signal is lost on the way u grows
without bound: the cosine schedule ends at u = 20,000, and a step from there to u = 6 would turn an
error of the slope, however small, into one of thousands. There the same equation is solved in
:math:`y = x/(\alpha + \sigma)`, :math:`u = \sigma/(\alpha + \sigma)`, which lies in [0, 1], where

.. math:: \frac{dy}{du} = \hat\epsilon(x, t) - \hat x_0(x, t)

is flow matching's velocity. Euler's step is the same in either, :math:`x_s = \alpha_s \hat x_0 +
\sigma_s \hat\epsilon`, and is DDIM's with :math:`\eta = 0`. Heun's averages the slope at both ends,
and takes Euler's into the clean picture, where there is no noise to divide by.

DPM-Solver++(2M) uses that the equation is linear but for :math:`\hat x_0`. With :math:`\lambda =
\ln \alpha/\sigma`, step :math:`h = \lambda_s - \lambda_t`, the step before :math:`h'` and what was
seen then :math:`\hat x_0'`,

.. math:: D = \Bigl(1 + \frac{h}{2h'}\Bigr) \hat x_0 - \frac{h}{2h'} \hat x_0', \qquad
   x_s = \frac{\sigma_s}{\sigma_t} x_t - \alpha_s (e^{-h} - 1) D,

with :math:`D = \hat x_0` in the first and the last step.

All have the shape of :mod:`naqsh.diffusion.samplers`. Euler and Heun can throw the picture back
towards noise before each step (`churn`, Karras et al., algorithm 2), which makes up for errors.

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364, algorithms 1 and 2.
    DPM-Solver++ (Lu et al., 2022), arXiv:2211.01095, algorithm 2.
    Flow Matching for Generative Modeling (Lipman et al., 2023), arXiv:2210.02747, equation 1.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Shape
from naqsh.diffusion.denoiser import Denoises, Prediction
from naqsh.diffusion.samplers import Callback, Walk, begin, see, walk
from naqsh.diffusion.schedule import Schedule, Spacing


@dataclass(frozen=True)
class Churn:
    """How much fresh noise comes in before each step (Karras et al., 2022, algorithm 2).

    Attributes:
        amount: in the whole of sampling; 0 takes no chance after the start.
        least: sigma/alpha below which none is added.
        most: sigma/alpha above which none is added.
        scale: standard deviation of the fresh noise.
    """

    amount: float = 0.0
    least: float = 0.0
    most: float = math.inf
    scale: float = 1.0

    def __post_init__(self) -> None:
        if min(self.amount, self.least, self.scale) < 0:
            raise NaqshError("churn's numbers must be at least 0")


@torch.no_grad()
def euler(
    denoiser: Denoises,
    noise: Noise,
    shape: Shape,
    *,
    steps: int,
    spacing: Spacing | None = None,
    labels: Tensor | None = None,
    clip: bool = False,
    start: Tensor | None = None,
    callback: Callback | None = None,
    churn: Churn = Churn(),
) -> Tensor:
    """Euler's method, of first order; one evaluation a step."""
    way = walk(denoiser.schedule, steps, spacing)
    x = begin(denoiser, noise, shape, start)
    for i in range(len(way)):
        x, here = _churned(x, noise, way, i, churn, denoiser.schedule)
        seen = see(denoiser, x, here, 0, labels, clip)
        x = way.alpha[i + 1] * seen.x0 + way.sigma[i + 1] * seen.epsilon
        if callback:
            callback(i, way.times[i + 1], x, seen.x0)
    return x


@torch.no_grad()
def heun(
    denoiser: Denoises,
    noise: Noise,
    shape: Shape,
    *,
    steps: int,
    spacing: Spacing | None = None,
    labels: Tensor | None = None,
    clip: bool = False,
    start: Tensor | None = None,
    callback: Callback | None = None,
    churn: Churn = Churn(),
) -> Tensor:
    """Heun's method, of second order; two evaluations a step, one in the last."""
    way = walk(denoiser.schedule, steps, spacing)
    straight = way.alpha[0] < way.alpha[-1]
    x = begin(denoiser, noise, shape, start)
    for i in range(len(way)):
        x, here = _churned(x, noise, way, i, churn, denoiser.schedule)
        seen = see(denoiser, x, here, 0, labels, clip)
        alpha, sigma = way.alpha[i + 1], way.sigma[i + 1]
        reached = alpha * seen.x0 + sigma * seen.epsilon
        if i + 1 < len(way):
            after = see(denoiser, reached, way, i + 1, labels, clip)
            before, there = (
                _scale(here.alpha[0], here.sigma[0], straight),
                _scale(alpha, sigma, straight),
            )
            width = sigma / there - here.sigma[0] / before
            slope = (_slope(seen, straight) + _slope(after, straight)) / 2
            reached = there * (x / before + width * slope)
        x = reached
        if callback:
            callback(i, way.times[i + 1], x, seen.x0)
    return x


def _scale(alpha: float, sigma: float, straight: bool) -> float:
    """What x is divided by to be y."""
    return alpha + sigma if straight else alpha


def _slope(seen: Prediction, straight: bool) -> Tensor:
    """The derivative of y by u."""
    return seen.epsilon - seen.x0 if straight else seen.epsilon


def _churned(
    x: Tensor, noise: Noise, way: Walk, i: int, churn: Churn, schedule: Schedule
) -> tuple[Tensor, Walk]:
    """The picture with fresh noise, and where it then is, as a walk of that one time."""
    here = Walk([way.times[i]], [way.alpha[i]], [way.sigma[i]])
    ratio = way.sigma[i] / way.alpha[i] if way.alpha[i] else math.inf
    if not churn.amount or not churn.least <= ratio <= churn.most or ratio == math.inf:
        return x, here
    more = ratio * (1 + min(churn.amount / len(way), math.sqrt(2) - 1))
    t = schedule.time(-2 * math.log(more))
    alpha, sigma = (float(number) for number in schedule(t))
    more = sigma / alpha  # schedules of steps have no more noise than at their end
    fresh = churn.scale * math.sqrt(max(0.0, more**2 - ratio**2))
    x = alpha * (x / way.alpha[i] + fresh * noise.normal(*x.shape[1:]).to(x))
    return x, Walk([float(t)], [alpha], [sigma])


@torch.no_grad()
def dpm_solver_pp_2m(
    denoiser: Denoises,
    noise: Noise,
    shape: Shape,
    *,
    steps: int,
    spacing: Spacing | None = None,
    labels: Tensor | None = None,
    clip: bool = False,
    start: Tensor | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DPM-Solver++(2M), of second order with one evaluation a step."""
    way = walk(denoiser.schedule, steps, spacing)
    half_log_snr = (
        denoiser.schedule.log_snr(torch.tensor(way.times, dtype=torch.float64, device="cpu")) / 2
    ).tolist()
    x = begin(denoiser, noise, shape, start)
    previous, last_h = x, math.inf
    for i in range(len(way)):
        seen = see(denoiser, x, way, i, labels, clip)
        h = half_log_snr[i + 1] - half_log_snr[i]
        # The first step has no step before it; the last one is endless, h = inf.
        part = h / (2 * last_h) if 0 < i < len(way) - 1 else 0.0
        guess = torch.lerp(seen.x0, previous, -part) if part else seen.x0
        x = way.sigma[i + 1] / way.sigma[i] * x - way.alpha[i + 1] * math.expm1(-h) * guess
        previous, last_h = seen.x0, h
        if callback:
            callback(i, way.times[i + 1], x, seen.x0)
    return x
