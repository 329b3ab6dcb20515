r"""Samplers that go from noise to pictures, for any denoiser: ancestral, DDIM and its inverse.

All have one shape::

    sampler(denoiser, noise, shape, *, steps, spacing=None, labels=None, clip=False,
            start=None, callback=None, ...) -> Tensor

    denoiser: see :class:`naqsh.diffusion.denoiser.Denoises`
    noise:    of N pictures; the start is its first draw, further draws come in the order of steps
    shape:    (C, H, W)
    steps:    how many; `spacing` says where, by the schedule's own choice unless given
    labels:   passed on to the denoiser
    clip:     cut the denoiser's clean picture to [-1, 1] at every step
    start:    x at the schedule's end, instead of noise; its dtype is kept
    callback: called after every step as callback(index, time, x, x0): the step from 0, the time now
              reached, the picture there, the clean picture that was seen on the way
    returns   x at time 0, shape (N, C, H, W), in the denoiser's range of values, not cut

Every sampler by its name, with its number of network evaluations, is in
:mod:`naqsh.diffusion.catalogue`.

A step from t to s, with :math:`\hat x_0` and :math:`\hat\epsilon` seen at t:

* :func:`ancestral`: draws from p(x_s | x_t) (:mod:`naqsh.diffusion.reverse`);
* :func:`ddim`: :math:`x_s = \alpha_s \hat x_0 + \sqrt{\sigma_s^2 - \eta^2 \tilde\sigma^2}\,
  \hat\epsilon + \eta \tilde\sigma z`, where :math:`\tilde\sigma^2` is the variance of
  :math:`q(x_s \mid x_t, x_0)`. At :math:`\eta = 1` it is the ancestral sampler of small variance.

Coefficients are computed on the CPU in float64 and reach the device as arguments of its kernels;
nothing in the loop waits for it.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, algorithm 2.
    Denoising Diffusion Implicit Models (Song et al., 2021), arXiv:2010.02502, equations 12 and 16.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Shape
from naqsh.diffusion.denoiser import Denoises, Prediction
from naqsh.diffusion.process import Posterior, posterior
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.schedule import Schedule, Spacing

Callback = Callable[[int, float, Tensor, Tensor], None]
"""What a sampler tells after a step: its index, the time reached, the picture there, seen x0."""


@dataclass(frozen=True)
class Walk:
    """The times of a sampler with their signal and noise, as plain numbers, all (steps + 1,)."""

    times: list[float]
    alpha: list[float]
    sigma: list[float]

    def __len__(self) -> int:
        return len(self.times) - 1


def walk(schedule: Schedule, steps: int, spacing: Spacing | None) -> Walk:
    """The times from the schedule's end to 0 in `steps` steps."""
    times = schedule.times(steps, spacing)
    alpha, sigma = schedule(times)
    return Walk(times.tolist(), alpha.tolist(), sigma.tolist())


def begin(denoiser: Denoises, noise: Noise, shape: Shape, start: Tensor | None) -> Tensor:
    """Where sampling begins: `start`, or noise of the schedule's deviation, float32."""
    return noise.normal(*shape) * denoiser.schedule.prior if start is None else start


def see(
    denoiser: Denoises, x: Tensor, way: Walk, i: int, labels: Tensor | None, clip: bool
) -> Prediction:
    """What the denoiser sees in `x` at the `i`-th time."""
    seen = denoiser(x, way.times[i], labels)
    return seen.clipped(x, way.alpha[i], way.sigma[i]) if clip else seen


@torch.no_grad()
def ancestral(
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
    variance: Variance | None = None,
) -> Tensor:
    """DDPM's sampler: a draw from each reverse step, the mean alone in the last.

    Args:
        variance: of a reverse step; the denoiser's own unless given.
    """
    kind = variance or denoiser.variance
    way = walk(denoiser.schedule, steps, spacing)
    step = _steps(denoiser.schedule, way)
    of_x0, of_x = step.of_x0.tolist(), step.of_x.tolist()
    small, large = step.variance.tolist(), step.widest.tolist()
    x = begin(denoiser, noise, shape, start)
    for i in range(len(way)):
        seen = see(denoiser, x, way, i, labels, clip)
        x = of_x0[i] * seen.x0 + of_x[i] * x
        if i + 1 < len(way):
            deviation = _deviation(small[i], large[i], kind, seen.fraction)
            x = x + deviation * noise.normal(*shape).to(x)
        if callback:
            callback(i, way.times[i + 1], x, seen.x0)
    return x


def _steps(schedule: Schedule, way: Walk) -> Posterior:
    """The posterior of every step, its coefficients with shape (steps,)."""
    times = torch.tensor(way.times, dtype=torch.float64, device="cpu")
    return posterior(schedule, times[:-1], times[1:])


def _deviation(
    small: float, large: float, kind: Variance, fraction: Tensor | None
) -> Tensor | float:
    """Standard deviation of a reverse step, a number a pixel where it is learnt."""
    if kind != "learned":
        return math.sqrt(small if kind == "small" else large)
    if fraction is None:
        raise NaqshError("this denoiser learnt no variance; use variance small or large")
    return (fraction * (math.log(large / small) / 2)).exp() * math.sqrt(small)


@torch.no_grad()
def ddim(
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
    eta: float = 0.0,
) -> Tensor:
    """DDIM: `eta` 0 takes no chance after the start, 1 is ancestral sampling of small variance."""
    if not 0 <= eta <= 1:
        raise NaqshError(f"eta must lie in [0, 1], got {eta}")
    way = walk(denoiser.schedule, steps, spacing)
    variance = _steps(denoiser.schedule, way).variance.tolist()
    x = begin(denoiser, noise, shape, start)
    for i in range(len(way)):
        fresh = eta * math.sqrt(variance[i])
        seen = see(denoiser, x, way, i, labels, clip)
        kept = math.sqrt(max(0.0, way.sigma[i + 1] ** 2 - fresh**2))
        x = way.alpha[i + 1] * seen.x0 + kept * seen.epsilon
        if fresh:
            x = x + fresh * noise.normal(*shape).to(x)
        if callback:
            callback(i, way.times[i + 1], x, seen.x0)
    return x


@torch.no_grad()
def invert(
    denoiser: Denoises,
    images: Tensor,
    *,
    steps: int,
    spacing: Spacing | None = None,
    labels: Tensor | None = None,
    clip: bool = False,
    rounds: int = 5,
    callback: Callback | None = None,
) -> Tensor:
    r"""The noise from which :func:`ddim` with `eta` 0 and the same steps makes given pictures.

    Each step back is the :math:`x_t` that DDIM's step takes to :math:`x_s`. With :math:`z = x /
    (\alpha + \sigma)` and :math:`w = \sigma / (\alpha + \sigma)` that is

    .. math:: z_t = z_s + (w_t - w_s) \bigl(\hat\epsilon(x_t, t) - \hat x_0(x_t, t)\bigr),

    found by putting the last guess on the right; the first guess is :math:`z_s`.

    Args:
        denoiser: what sees noise.
        images: in the denoiser's range of values with shape (N, C, H, W).
        steps: as in :func:`ddim`.
        spacing: as in :func:`ddim`.
        labels: passed on to the denoiser.
        clip: as in :func:`ddim`; without it a schedule that ends in nearly no signal, as the cosine
            does, makes of a small error in epsilon a large one in the picture.
        rounds: how often the right side is put in, one network evaluation each. One solves the
            equation forwards by Euler's method, as in the paper; more come as near as one likes to
            DDIM's exact inverse where steps are short.
        callback: as in :func:`ddim`, on the way to noise.

    Returns:
        x at the schedule's end, shape and dtype of `images`.

    Raises:
        NaqshError: no round.
    """
    if rounds < 1:
        raise NaqshError(f"need at least 1 round, got {rounds}")
    way = walk(denoiser.schedule, steps, spacing)
    x = images
    for i in reversed(range(len(way))):
        there, here = way.alpha[i] + way.sigma[i], way.alpha[i + 1] + way.sigma[i + 1]
        width = way.sigma[i] / there - way.sigma[i + 1] / here
        z = x / here
        guess = there * z
        for _ in range(rounds):
            seen = see(denoiser, guess, way, i, labels, clip)
            guess = there * (z + width * (seen.epsilon - seen.x0))
        x = guess
        if callback:
            callback(len(way) - 1 - i, way.times[i], x, seen.x0)
    return x
