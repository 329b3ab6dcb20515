"""Forward diffusion: from one noisy step to a jump over all. Maths and sources are in the texts."""

import functools
import math

import numpy as np
import torch
from scipy.stats import norm

from naqsh.diffusion.process import q_sample, q_step
from naqsh.diffusion.schedule import Cosine, Linear
from naqsh.lessons.lesson import Check, Figure, Lesson, Words
from naqsh.lessons.plots import Plot

LESSON = Lesson("forward-diffusion", number=12, questions=("closed-form", "limits", "use"))

SCHEDULE = Linear()
TIMES = (10, 250, 500, 1000)
START = 0.8
"""The pixel that the experiments begin with."""

DRAWS = 20_000
FLOAT64 = float(np.finfo(np.float64).eps)


def _variances() -> np.ndarray:
    return SCHEDULE.betas().numpy()


@functools.cache
def _walked(draws: int, seed: int) -> np.ndarray:
    """Draws of x_0 to x_T by single steps, shape (T + 1, draws)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.full((draws,), START, dtype=torch.float64)
    seen = [x]
    for t in range(1, SCHEDULE.steps + 1):
        epsilon = torch.randn(draws, generator=generator, dtype=torch.float64)
        seen.append(q_step(seen[-1], float(t), epsilon, SCHEDULE))
    return torch.stack(seen).numpy()


@LESSON.check
def sum_of_gaussians() -> Check:
    """The density of a sum of two independent Gaussians: integrated, and by the rule."""
    a, b = 0.6, 0.35
    y = np.linspace(-3, 3, 25)
    # A Gaussian is 0 in float64 beyond 12 of its deviations, and the rectangle rule's error on one
    # falls like exp(-2 (pi a / step)^2): what is left is rounding, of 24,001 terms.
    x, step = np.linspace(-12, 12, 24_001, retstep=True)
    integrated = step * (norm.pdf(x, 0, a) * norm.pdf(y[:, None] - x, 0, b)).sum(axis=1)
    return Check(integrated, norm.pdf(y, 0, math.hypot(a, b)), len(x) * FLOAT64)


@LESSON.check
def product() -> Check:
    """Signal and noise after every step: the recursion of one step, and Naqsh's schedule."""
    signal, variance, walked = 1.0, 0.0, []
    for beta in _variances():
        signal, variance = math.sqrt(1 - beta) * signal, (1 - beta) * variance + beta
        walked.append((signal, variance))
    alpha, sigma = SCHEDULE(torch.arange(1, SCHEDULE.steps + 1))
    # Each of 1,000 steps rounds three times, by half a unit of the last digit of numbers below 1.
    jumped = np.stack([alpha.numpy(), sigma.numpy() ** 2], axis=1)
    return Check(np.array(walked), jumped, 3 * SCHEDULE.steps * FLOAT64)


@LESSON.check
def mean() -> Check:
    """The mean of pixels that went step by step, and the closed form's."""
    alpha, _ = SCHEDULE(torch.tensor(TIMES))
    return Check.of_mean(_walked(DRAWS, 0)[list(TIMES)].T, alpha.numpy() * START)


@LESSON.check
def variance() -> Check:
    """The variance of pixels that went step by step, and the closed form's."""
    alpha, sigma = SCHEDULE(torch.tensor(TIMES))
    away = _walked(DRAWS, 0)[list(TIMES)].T - alpha.numpy() * START
    return Check.of_mean(away**2, sigma.numpy() ** 2)


@LESSON.check
def shape() -> Check:
    """The fourth moment of what single steps gave, standardised: 3 for a Gaussian alone."""
    alpha, sigma = SCHEDULE(torch.tensor(TIMES))
    z = (_walked(DRAWS, 0)[list(TIMES)].T - alpha.numpy() * START) / sigma.numpy()
    return Check.of_mean(z**4, 3.0)


@LESSON.check
def decay() -> Check:
    """The logarithm of what is left of the signal: summed, and by three terms of its series."""
    beta = _variances()
    series = -(beta + beta**2 / 2 + beta**3 / 3).sum()
    rest = (beta**4 / 4 / (1 - beta)).sum()  # the series beyond is below a geometric one
    return Check(np.log1p(-beta).sum(), series, float(rest))


@LESSON.check
def divergence() -> Check:
    """KL of q(x_T | x_0) from the standard normal: by quadrature, and in closed form."""
    alpha, sigma = (float(part) for part in SCHEDULE(float(SCHEDULE.steps)))
    x, step = np.linspace(-12, 12, 24_001, retstep=True)
    q = norm.logpdf(x, alpha * START, sigma)
    integrated = step * float((np.exp(q) * (q - norm.logpdf(x))).sum())
    kept = alpha**2
    return Check(integrated, (kept * START**2 - kept - math.log1p(-kept)) / 2, len(x) * FLOAT64)


@LESSON.check
def undone() -> Check:
    """The clean pixel out of x_t and its noise, by Naqsh's jump in float32."""
    generator = torch.Generator().manual_seed(1)
    x0 = torch.rand(1000, generator=generator) * 2 - 1
    epsilon = torch.randn(1000, generator=generator)
    t = torch.randint(1, SCHEDULE.steps + 1, (1000,), generator=generator)
    alpha, sigma = SCHEDULE(t)
    x_t = q_sample(x0, t, epsilon, SCHEDULE)
    found = (x_t.double() - sigma * epsilon.double()) / alpha
    # Two factors, two products and a sum were rounded in float32, of numbers below 5; what that
    # leaves is divided by alpha.
    return Check(found.numpy(), x0.double().numpy(), 5 * 5 * 2.0**-24 / alpha.numpy())


@LESSON.numbers
def numbers() -> dict[str, float]:
    """What the text shows besides."""
    beta = _variances()
    found = {
        "first": beta[0],
        "last": beta[-1],
        "start": START,
        "draws": DRAWS,
        "added": beta.sum(),
        "without": 1 + beta.sum(),
        "cosine": float(Cosine()(1000.0)[0] ** 2),
        "linear": float(SCHEDULE(1000.0)[0] ** 2),
        "needed": math.log(1e-4) / math.log(0.98),
        "needed_whole": math.ceil(math.log(1e-4) / math.log(0.98)),
    }
    for t in TIMES:
        alpha, sigma = (float(part) for part in SCHEDULE(float(t)))
        found |= {f"alpha_{t}": alpha, f"sigma_{t}": sigma, f"snr_{t}": alpha**2 / sigma**2}
    for name, schedule in (("linear", SCHEDULE), ("cosine", Cosine())):
        found[f"{name}_even"] = float(schedule.time(0.0))  # where signal and noise are equal
    return found


@LESSON.figure
def paths(words: Words) -> Figure:
    """Single pixels on their way, and where the closed form says that they are."""
    steps = np.arange(SCHEDULE.steps + 1)
    alpha, sigma = (part.numpy() for part in SCHEDULE(torch.from_numpy(steps)))
    plot = Plot(words, x=("step t", "گام t"), y=("pixel", "مقدار پیکسل"))
    colour, other = plot.colour(), plot.colour()
    for path in _walked(DRAWS, 0).T[:12]:
        plot.axes.plot(steps[::4], path[::4], color=other, linewidth=0.5, alpha=0.6)
    plot.label(("twelve pixels, step by step", "دوازده پیکسل، گام به گام"), other)
    plot.band(steps, alpha * START - 2 * sigma, alpha * START + 2 * sigma, colour)
    label = ("mean and two deviations in closed form", "میانگین و دو انحراف معیار از رابطه‌ی بسته")
    plot.line(steps, alpha * START, label, colour=colour)
    return Figure([plot])


@LESSON.figure
def densities(words: Words) -> Figure:
    """The density of x_t where the data are two points."""
    plots = []
    x = np.linspace(-4, 4, 400)
    for t in (20, 150, 400, 1000):
        alpha, sigma = (float(part) for part in SCHEDULE(float(t)))
        title = (f"t = {t}", f"t = {words.local(str(t))}")
        plot = Plot(words, title=title, x=("pixel", "مقدار پیکسل"), y=("density", "چگالی"))
        density = sum(w * norm.pdf(x, alpha * at, sigma) for at, w in ((-0.8, 0.3), (0.8, 0.7)))
        plot.line(x, density, ("of x at time t", "چگالی x در زمان t"))
        label = ("standard normal", "نرمال استاندارد")
        plot.line(x, norm.pdf(x), label, dash=":")
        plots.append(plot)
    return Figure(plots, columns=2)


@LESSON.figure
def schedules(words: Words) -> Figure:
    """What is left of the signal under two schedules."""
    steps = torch.arange(SCHEDULE.steps + 1)
    share = Plot(
        words,
        title=("signal", "سیگنال"),
        x=("step t", "گام t"),
        y=("share of variance", "سهم از واریانس"),
    )
    ratio = Plot(
        words,
        title=("signal over noise", "نسبت سیگنال به نویز"),
        x=("step t", "گام t"),
        y=("logarithm", "لگاریتم"),
    )
    for schedule, label in (
        (SCHEDULE, ("linear (DDPM)", "خطی (DDPM)")),
        (Cosine(), ("cosine", "کسینوسی")),
    ):
        alpha, _ = schedule(steps)
        share.line(steps, alpha**2, label)
        ratio.line(steps[1:], schedule.log_snr(steps[1:]), label)
    return Figure([share, ratio])
