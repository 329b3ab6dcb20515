"""DDIM: a family of processes with the same marginals, one of which adds no noise."""

import functools
import math

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.samplers.ancestral import Ancestral
from naqsh.diffusion.samplers.ddim import Ddim
from naqsh.diffusion.schedule import Linear
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot, Said
from naqsh.report.draw.palette import colour
from naqsh.report.words import Words

LESSON = Lesson("ddim", number=17, questions=("family", "eta", "deterministic", "inversion"))

SCHEDULE = Linear()
MODES = Mixture(SCHEDULE, [(-1.0,), (1.0,)], [0.2, 0.2], [0.7, 0.3])
"""Two modes on a line."""

WIDTH = 0.5
NORMAL = Mixture(SCHEDULE, [(0.0,)], [WIDTH])
"""Normal data, under which the deterministic path has a closed form."""

SHAPE = (1, 1, 1)
COUNT = 2000


def bars() -> Tensor:
    """Alpha bar for t = 0..1000, from the betas alone."""
    betas = torch.cat([torch.zeros(1, dtype=torch.float64), SCHEDULE.betas()])
    return (1 - betas).cumprod(0)


def member(eta: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of q(x_{t-1} | x_t, x_0), t = 2..1000: the factors of x_0 and of x_t, and the variance."""
    bar, before = bars()[2:], bars()[1:-1]
    variance = eta**2 * (1 - before) / (1 - bar) * (1 - bar / before)
    of_x = ((1 - before - variance) / (1 - bar)).sqrt()
    return before.sqrt() - of_x * bar.sqrt(), of_x, variance


def path(
    eta: float, start: Tensor, data: Mixture = MODES, steps: int = 100, seed: int = 8
) -> list[tuple[float, Tensor]]:
    """Times and x, shape (N,), of Naqsh's DDIM from `start` (N, 1, 1, 1) on."""
    kept = [(1000.0, start.flatten())]
    Ddim(steps, eta=eta)(
        data,
        Noise(seed, len(start)),
        SHAPE,
        start=start,
        callback=lambda _, time, x, __: kept.append((time, x.flatten())),
    )
    return kept


@LESSON.check
def marginals() -> Check:
    """With data of one point Naqsh's DDIM at eta 0.6 has x_s of the right mean and variance."""
    point = 0.5
    known = Mixture(SCHEDULE, [(point,)], [1e-9])
    kept = path(0.6, Noise(1, 20_000).normal(*SHAPE).double(), known, steps=20)
    drawn, said = [], []
    for place in (5, 10, 15, 19):
        time, x = kept[place]
        alpha, sigma = (float(number) for number in SCHEDULE(time))
        drawn += [x, (x - alpha * point) ** 2]
        said += [alpha * point, sigma**2]
    return Check.of_mean(torch.stack(drawn, 1).numpy(), np.array(said))


def remembered(eta: float) -> Tensor:
    """The factor of x_0 in E(x_t | x_{t-1}, x_0), t = 2..1000, by covariances."""
    _, of_x, _ = member(eta)
    bar, before = bars()[2:], bars()[1:-1]
    slope = of_x * (1 - bar) / (1 - before)
    return bar.sqrt() - slope * before.sqrt()


@LESSON.check
def markov_only_at_one() -> Check:
    """At eta 1, and at no less, x_t forgets x_0 given x_{t-1}: the factor is 0 at 999 times."""
    return Check(remembered(1.0).numpy(), np.zeros(999), 1e-12)


@LESSON.check
def eta_one_is_the_posterior() -> Check:
    """The family's factors at eta 1 against DDPM's posterior by its own formulas."""
    bar, before = bars()[2:], bars()[1:-1]
    alpha = bar / before
    beta = 1 - alpha
    said = (
        before.sqrt() * beta / (1 - bar),
        alpha.sqrt() * (1 - before) / (1 - bar),
        beta * (1 - before) / (1 - bar),
    )
    return Check(torch.stack(member(1.0)).numpy(), torch.stack(said).numpy(), 1e-12)


@LESSON.check
def eta_one_is_ddpm() -> Check:
    """Samples of Naqsh's DDIM at eta 1 and of its DDPM sampler from the same noise, 100 steps."""
    start = Noise(2, 50).normal(*SHAPE).double()
    ours = Ddim(100, eta=1.0)(MODES, Noise(3, 50), SHAPE, start=start)
    ddpm = Ancestral(100, variance="small")(MODES, Noise(3, 50), SHAPE, start=start)
    return Check(ours.flatten().numpy(), ddpm.flatten().numpy(), 1e-9)


def ratio(times: Tensor) -> Tensor:
    """Noise over signal."""
    alpha, sigma = SCHEDULE(times)
    return sigma / alpha


@LESSON.check
def euler() -> Check:
    """Naqsh's DDIM in 25 steps against Euler's method for x / alpha by noise over signal."""
    start = Noise(4, 20).normal(*SHAPE).double()
    ours = Ddim(25)(MODES, Noise(4, 20), SHAPE, start=start)
    times = SCHEDULE.times(25)
    s, alpha = ratio(times), SCHEDULE(times)[0]
    scaled = start / alpha[0]
    for i in range(25):
        slope = MODES(alpha[i] * scaled, float(times[i])).epsilon
        scaled = scaled + (s[i + 1] - s[i]) * slope
    return Check(ours.flatten().numpy(), scaled.flatten().numpy(), 1e-9)


@LESSON.check
def ode() -> Check:
    """Where the path of normal data ends: its closed form against a Runge-Kutta solver."""
    s = float(ratio(torch.tensor(1000.0).double()))
    solved = solve_ivp(
        lambda at, x: at * x / (WIDTH**2 + at**2), (s, 0.0), [s * 0.8], rtol=1e-10, atol=1e-12
    )
    closed = s * 0.8 * WIDTH / math.hypot(WIDTH, s)
    # The solver's local errors of 1e-10 of x add up over fewer than a thousand steps.
    return Check(closed, float(solved.y[0, -1]), 1e-7 * s)


@LESSON.check
def product() -> Check:
    """Naqsh's DDIM on normal data in 50 steps against the product of its steps' factors."""
    start = torch.ones(1, *SHAPE, dtype=torch.float64)
    ours = float(Ddim(50)(NORMAL, Noise(0, 1), SHAPE, start=start))
    times = SCHEDULE.times(50)
    s = ratio(times)
    factors = 1 + (s[1:] - s[:-1]) * s[:-1] / (WIDTH**2 + s[:-1] ** 2)
    return Check(ours, float(factors.prod() / SCHEDULE(times)[0][0]), 1e-9)


def there_and_back(steps: int, rounds: int) -> float:
    """Largest error of noise that was made an image and inverted."""
    sampler = Ddim(steps)
    start = torch.linspace(-2, 2, 41, dtype=torch.float64).view(-1, *SHAPE)
    images = sampler(MODES, Noise(0, 41), SHAPE, start=start)
    back = sampler.invert(MODES, images, rounds=rounds)
    return float((back - start).abs().max())


@LESSON.check
def inverse() -> Check:
    """From noise to images and back by solving each step: nothing is lost."""
    return Check(there_and_back(100, 40), 0.0, 1e-6)


@functools.cache
def true_quantiles() -> Tensor:
    """Quantiles of the two modes at COUNT places."""
    x = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    below = 0.7 * torch.special.ndtr((x + 1) / 0.2) + 0.3 * torch.special.ndtr((x - 1) / 0.2)
    places = (torch.arange(COUNT).double() + 0.5) / COUNT
    return x[torch.searchsorted(below, places)]


@functools.cache
def distance(steps: int, eta: float) -> float:
    """W1 of samples from the data; starts are quantiles of noise, so eta 0 has no chance in it."""
    places = (torch.arange(COUNT).double() + 0.5) / COUNT
    start = torch.special.ndtri(places).view(-1, *SHAPE)
    x = Ddim(steps, eta=eta)(MODES, Noise(9, COUNT), SHAPE, start=start)
    return float((x.flatten().sort().values - true_quantiles()).abs().mean())


@functools.cache
def agreement(eta: float) -> float:
    """Share of 500 starts that end in one mode in 10 and in 250 steps."""
    start = Noise(5, 500).normal(*SHAPE).double()
    few, many = (
        Ddim(steps, eta=eta)(MODES, Noise(6, 500), SHAPE, start=start) for steps in (10, 250)
    )
    return float(((few > 0) == (many > 0)).double().mean())


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Errors by steps and by eta."""
    found = {
        f"w_{steps}_{key}": distance(steps, eta)
        for steps in (5, 10, 20, 50, 100)
        for key, eta in (("0", 0.0), ("1", 1.0))
    }
    found |= {"agree_0": agreement(0.0), "agree_1": agreement(1.0)}
    exact = WIDTH / math.hypot(WIDTH, float(ratio(torch.tensor(1000.0).double())))
    alpha = float(SCHEDULE(1000.0)[0])
    start = torch.ones(1, *SHAPE, dtype=torch.float64)
    for steps in (25, 50, 100, 200):
        got = float(Ddim(steps)(NORMAL, Noise(0, 1), SHAPE, start=start))
        found[f"error_{steps}"] = abs(got - exact / alpha)
    found["end"] = exact / alpha
    found["memory"] = float(remembered(0.0)[98])
    for steps in (20, 100):
        for rounds in (1, 5):
            found[f"back_{steps}_{rounds}"] = there_and_back(steps, rounds)
    return found


@LESSON.figure
def paths(words: Words) -> Figure:
    """Paths from the same starts without and with fresh noise."""
    plots = []
    start = torch.linspace(-2, 2, 11, dtype=torch.float64).view(-1, *SHAPE)
    titles: tuple[tuple[float, Said], ...] = (
        (0.0, ("η = 0: DDIM", "η = ۰: DDIM")),
        (1.0, ("η = 1: DDPM", "η = ۱: DDPM")),
    )
    for eta, title in titles:
        walked = path(eta, start)
        plot = Plot(words, x=("time t", "زمان t"), y=("x_t", "x_t"), title=title)
        for one in torch.stack([x for _, x in walked], 1):
            plot.line([time for time, _ in walked], one, colour=colour(0), linewidth=0.9)
        plot.axes.invert_xaxis()
        plots.append(plot)
    return Figure(plots, columns=2)


@LESSON.figure
def errors(words: Words) -> Figure:
    """Distance of samples from the data by steps."""
    y = ("Wasserstein distance", "فاصله‌ی واسرشتاین")
    plot = Plot(words, x=("steps", "گام‌ها"), y=y, log="xy")
    for eta in (0.0, 0.5, 1.0):
        label = f"η = {words.local(str(eta))}"
        counts = (5, 10, 20, 50, 100)
        values = [distance(steps, eta) for steps in counts]
        plot.line(counts, values, (label, label), marker="o", markersize=3)
    return Figure([plot])
