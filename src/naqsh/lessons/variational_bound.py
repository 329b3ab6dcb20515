"""The variational bound of a diffusion model: its terms, and what of them DDPM trains."""

import functools
import math

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.diffusion.bound import bound, prior_nats
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.process import posterior, q_sample
from naqsh.diffusion.reverse import step_divergence, step_nats
from naqsh.diffusion.schedule import Linear
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.lessons.reverse_process import DATA as MODES
from naqsh.lessons.reverse_process import LINE, log_density, not_gaussian, reverse
from naqsh.report.words import Words

LESSON = Lesson("variational-bound", number=14, questions=("terms", "mse", "dropped", "richer"))

SCHEDULE = Linear()
SHORT = Linear(40, 0.001, 0.35)
WIDTH = 0.5
DATA = Mixture(SHORT, [(0.0,)], [WIDTH])
"""Normal data on a line, whose denoiser and whose model's density have closed forms."""
DATA.variance = "large"

X0 = 101 / 127.5 - 1
"""A grey level."""

LAST = 1000
NATS = math.log(2)
ZERO, ONE = torch.tensor([0.0, 1.0], dtype=torch.float64)
COARSE = torch.linspace(-6, 6, 6001, dtype=torch.float64)


def log_normal(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log-density of N(mean, variance)."""
    return -((x - mean) ** 2) / (2 * variance) - (2 * math.pi * variance).log() / 2


@LESSON.check
def telescoping() -> Check:
    """Both ways to write the bound's inside are equal on each of 1,000 random paths of 6 steps."""
    steps = 6
    betas = torch.linspace(0.05, 0.5, steps, dtype=torch.float64)
    bars = torch.cat([torch.ones(1).double(), (1 - betas).cumprod(0)])
    noise = Noise(0, 1000)
    x = [0.7 * noise.normal().double() + 0.2]
    for beta in betas:
        x.append((1 - beta).sqrt() * x[-1] + beta.sqrt() * noise.normal().double())

    def model(t: int) -> Tensor:  # any reverse step will do
        return log_normal(x[t - 1], 0.8 * x[t] + 0.1, betas[t - 1] * 0.7)

    last = log_normal(x[-1], ZERO, ONE)
    forward = [
        log_normal(x[t], (1 - betas[t - 1]).sqrt() * x[t - 1], betas[t - 1])
        for t in range(1, steps + 1)
    ]
    left = -last - sum(model(t) - forward[t - 1] for t in range(1, steps + 1))
    right = log_normal(x[-1], bars[-1].sqrt() * x[0], 1 - bars[-1]) - last - model(1)
    for t in range(2, steps + 1):
        beta, bar, before = betas[t - 1], bars[t], bars[t - 1]
        mean = (before.sqrt() * beta * x[0] + (1 - beta).sqrt() * (1 - before) * x[t]) / (1 - bar)
        variance = beta * (1 - before) / (1 - bar)
        right = right + log_normal(x[t - 1], mean, variance) - model(t)
    return Check(left.numpy(), right.numpy(), 1e-10)


@LESSON.check
def prior_term() -> Check:
    """L_T of DDPM's schedule, in nats a number: Naqsh's against quadrature of the definition."""
    alpha, sigma = SCHEDULE(LAST)
    line = torch.linspace(-9, 9, 9001, dtype=torch.float64)
    a = log_normal(line, alpha * X0, sigma**2)
    b = log_normal(line, ZERO, ONE)
    ours = prior_nats(SCHEDULE, torch.full((1, 1, 1, 1), X0, dtype=torch.float64))
    return Check(float(ours), float(torch.trapezoid(a.exp() * (a - b), line)), 1e-12)


@functools.cache
def parts() -> tuple[Tensor, Tensor]:
    """Naqsh's terms in nats for 4,000 draws of one grey level (N, S), and L_T."""
    count = 4000
    image = torch.full((count, 1, 1, 1), X0, dtype=torch.float64)
    found = bound(DATA, image, Noise(7, count), clip=False)
    return found.terms * NATS, found.prior[0] * NATS


def reverse_coefficient(t: Tensor) -> tuple[Tensor, Tensor]:
    """Of the exact denoiser's reverse step: the factor of x_t in its mean, and E(x_0)'s factor."""
    alpha, sigma = SHORT(t)
    kept = alpha * WIDTH**2 / (alpha**2 * WIDTH**2 + sigma**2)
    step = posterior(SHORT, t, t - 1)
    return step.of_x0 * kept + step.of_x, kept


def expected_terms() -> Tensor:
    """E L_{t-1} for t = 2..S in closed form, nats."""
    t = torch.arange(2, SHORT.steps + 1).double()
    alpha, sigma = SHORT(t)
    _, kept = reverse_coefficient(t)
    error = X0**2 * (1 - kept * alpha) ** 2 + kept**2 * sigma**2
    step = posterior(SHORT, t, t - 1)
    ratio = step.variance / step.widest
    return (ratio - 1 - ratio.log() + step.of_x0**2 * error / step.widest) / 2


@LESSON.check
def inner_terms() -> Check:
    """E L_{t-1} for t = 2..40: Naqsh's, from samples, against the closed form of normal data."""
    return Check.of_mean(parts()[0][:, 1:].numpy(), expected_terms().numpy())


def model_nats() -> float:
    """-ln p(x_0) of the same model, exactly: all of its steps are linear and normal."""
    variance = 1.0
    for t in range(SHORT.steps, 0, -1):
        time = torch.tensor(float(t), dtype=torch.float64)
        factor, _ = reverse_coefficient(time)
        variance = float(factor**2 * variance + posterior(SHORT, time, time - 1).widest)
    ends = (X0 + np.array([-1, 1]) / 255) / math.sqrt(variance)
    return -math.log(float(np.diff(ndtr(ends))[0]))


@LESSON.check
def bounded() -> Check:
    """-ln p(x_0) is at most the bound: the lesser of both is the exact one."""
    value = float(parts()[0].sum(1).mean() + parts()[1])
    return Check(min(value, model_nats()), model_nats(), 0.0)


@LESSON.check
def to_squared_noise() -> Check:
    """KL of a step by Naqsh against beta^2 / (2 s^2 alpha (1 - bar)) times the noise's error."""
    t = torch.tensor([2.0, 10.0, 100.0, 500.0, 1000.0], dtype=torch.float64)
    x0 = torch.tensor([0.3, -1.0, 0.8, 0.1, 0.5], dtype=torch.float64).view(5, 1, 1, 1)
    epsilon = torch.tensor([1.2, -0.4, 0.1, -2.0, 0.7], dtype=torch.float64).view(5, 1, 1, 1)
    error = torch.tensor([0.1, -0.2, 0.3, 0.05, 0.2], dtype=torch.float64).view(5, 1, 1, 1)
    alpha, sigma = (number.view(5, 1, 1, 1) for number in SCHEDULE(t))
    guess = (q_sample(x0, t, epsilon, SCHEDULE) - sigma * (epsilon + error)) / alpha
    step = posterior(SCHEDULE, t, t - 1)
    logs = step.variance.log().view(5, 1, 1, 1)
    ours = step_divergence(step, x0, guess, logs)
    return Check(ours.numpy(), (weights(t) * error.flatten() ** 2).numpy(), 1e-9)


def weights(t: Tensor) -> Tensor:
    """The bound's weight of the squared error of the noise, with the small variance."""
    betas = torch.cat([torch.zeros(1).double(), SCHEDULE.betas()])
    bars = (1 - betas).cumprod(0)
    at = t.long()
    beta, bar, before = betas[at], bars[at], bars[at - 1]
    variance = beta * (1 - before) / (1 - bar)
    return beta**2 / (2 * variance * (1 - beta) * (1 - bar))


@LESSON.check
def snr_form() -> Check:
    """The weight of the squared error of x_0 is half the fall of the signal-to-noise ratio."""
    t = torch.arange(2, LAST + 1).double()
    step = posterior(SCHEDULE, t, t - 1)
    left = step.of_x0**2 / (2 * step.variance)
    right = (SCHEDULE.log_snr(t - 1).exp() - SCHEDULE.log_snr(t).exp()) / 2
    return Check((left / right).numpy(), np.ones(len(t)), 1e-9)


@LESSON.check
def best_guess() -> Check:
    """The guess of least squared error of the noise at x_t = 0.3, by search, is E(noise | x_t)."""
    grid = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    x_t, t = torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64), 20.0
    # E (epsilon - guess)^2 given x_t, by the posterior of x_0 on a grid
    alpha, sigma = (float(number) for number in SHORT(t))
    x0 = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    share = (-(x0**2) / (2 * WIDTH**2) - (0.3 - alpha * x0) ** 2 / (2 * sigma**2)).softmax(0)
    epsilon = (0.3 - alpha * x0) / sigma
    error = ((epsilon[:, None] - grid) ** 2 * share[:, None]).sum(0)
    found = float(grid[error.argmin()])
    return Check(found, float(DATA(x_t, t).epsilon), float(grid[1] - grid[0]))


@LESSON.check
def richer_by_samples() -> Check:
    """KL of a long step from a mixture of two Gaussians: 100,000 samples against quadrature."""
    x_t, t, s = torch.zeros(1).double(), 250.0, 50.0
    density = reverse(x_t, t, s)[0]
    other = sum(
        w * (-((LINE - m) ** 2) / (2 * 0.3**2)).exp() / (0.3 * math.sqrt(2 * math.pi))
        for w, m in ((0.6, -0.9), (0.4, 0.8))
    )
    ratio = (density.clamp(min=1e-300) / other).log()
    cumulative = torch.cumulative_trapezoid(density, LINE)
    uniform = Noise(11, 100_000).uniform().double() * cumulative[-1]
    places = torch.searchsorted(cumulative, uniform).clamp(max=len(LINE) - 2)
    return Check.of_mean(ratio[places + 1].numpy(), float(torch.trapezoid(density * ratio, LINE)))


@functools.cache
def lost(steps: int) -> float:
    """Nats that Gaussian reverse steps lose on two modes, each the best there is, in `steps`."""
    # The last step is into a little noise: into the clean image the density needs no Gaussian.
    times = np.geomspace(1000, 5, steps + 1).round()
    total = 0.0
    for t, s in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        x = torch.linspace(-4, 4, 31, dtype=torch.float64)
        share = log_density(x, t).exp()
        total += float((share * not_gaussian(x, t, s, COARSE)).sum() / share.sum())
    return total


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Sizes of the terms, weights, and what richer steps would save and cost."""
    alpha, _ = SCHEDULE(LAST)
    terms, prior = parts()
    t = torch.tensor([2.0, 10.0, 100.0, 1000.0], dtype=torch.float64)
    w = weights(t)
    total = float(terms.sum(1).mean() + prior)
    found = {"kept": float(alpha), "prior_bits": prior_term().left / NATS, "steps": SHORT.steps}
    found |= {"total": total, "exact": model_nats(), "gap": total - model_nats()}
    found |= {"first": float(terms[:, 0].mean()), "inner": float(terms[:, 1:].sum(1).mean())}
    found |= {"prior_short": float(prior)}
    found |= {f"w_{int(time)}": float(weight) for time, weight in zip(t, w, strict=True)}
    found |= {f"lost_{n}": lost(n) for n in (2, 4, 8, 16)}
    found["covariance"] = 3072 * 3073 / 2
    found["cholesky"] = 3072**3 / 3
    found["deviation"] = richer_by_samples().tolerance / 4 * math.sqrt(100_000)
    return found


@functools.cache
def of_time() -> tuple[Tensor, Tensor, Tensor]:
    """Times, the bound's terms in nats of Naqsh's exact denoiser of two modes, and its errors."""
    count = 400
    noise = Noise(3, count)
    side = torch.where(noise.uniform() < 0.7, -1.0, 1.0)
    x0 = ((side + 0.15 * noise.normal()).clamp(-1, 1) * 127.5).round() / 127.5
    images = x0.view(-1, 1, 1, 1).double()
    times, terms, errors = [], [], []
    for time in np.unique(np.geomspace(1, 1000, 45).round()).tolist():
        t = torch.full((count,), time, dtype=torch.float64)
        epsilon = noise.normal(1, 1, 1).double()
        seen = MODES(q_sample(images, t, epsilon, SCHEDULE), t)
        times.append(time)
        terms.append(step_nats(SCHEDULE, images, t, seen.x0, "small").mean())
        errors.append((seen.epsilon - epsilon).square().mean())
    return torch.tensor(times), torch.stack(terms), torch.stack(errors)


@LESSON.figure
def terms(words: Words) -> Figure:
    """The bound's terms and the simple loss by time, and the weight between them."""
    times, nats, errors = of_time()
    x = ("step t", "گام t")
    left = Plot(words, x=x, log="xy", title=("one step's loss", "زیان یک گام"))
    left.line(times, nats, ("term of the bound, nats", "جمله‌ی کران، نت"))
    left.line(times, errors, ("simple loss", "زیان ساده"))
    t = torch.arange(2, LAST + 1).double()
    title = ("weight of the squared error of the noise", "وزن مربع خطای نویز")
    right = Plot(words, x=x, log="xy", title=title)
    right.line(t, weights(t), ("bound", "کران"))
    right.line(t, torch.ones_like(t), ("simple loss", "زیان ساده"))
    return Figure([left, right], columns=2)


@LESSON.figure
def steps(words: Words) -> Figure:
    """What Gaussian steps lose by their number."""
    x = ("reverse steps", "گام‌های رو به عقب")
    plot = Plot(words, x=x, y=("nats lost", "نت از دست‌رفته"))
    counts = [2, 4, 8, 16]
    plot.line(counts, [lost(n) for n in counts], marker="o", markersize=3)
    return Figure([plot])
