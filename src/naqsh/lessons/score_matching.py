"""Score matching and Langevin dynamics: what a score is, how it is learnt, how one walks by it."""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.levels import ratio, step_size, variance_after
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.samplers.langevin import Langevin, plain
from naqsh.diffusion.schedule import Geometric
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.report.words import Words

LESSON = Lesson(
    "score-matching",
    number=19,
    questions=(
        "score",
        "low-density",
        "noise-conditioning",
        "annealing",
        "hypotheses",
        "steps",
    ),
)

LEVELS = Geometric(20.0, 0.5, 20)
MODES = Mixture(LEVELS, [(-5.0,), (5.0,)], [1.0, 1.0], [0.2, 0.8])
"""Two modes, far apart, of weights 0.2 and 0.8."""

NEAR = Mixture(Geometric(2.0, 0.3, 5), [(-1.0,), (1.2,)], [0.5, 0.7], [0.4, 0.6])
"""Two modes that overlap."""

LINE = torch.linspace(-15, 15, 30_001, dtype=torch.float64)
TIME = 3.0
"""A level of NEAR's noise."""


def points(x: Tensor) -> Tensor:
    """Numbers (N,) as images of one pixel."""
    return x.view(-1, 1, 1, 1)


def density(x: Tensor) -> Tensor:
    """Of NEAR with its noise at TIME."""
    return NEAR.log_density(points(x), TIME).exp()


def score(data: Mixture, x: Tensor, t: float) -> Tensor:
    """Naqsh's exact score at numbers (N,)."""
    return data(points(x), t).score(float(data.schedule(t)[1])).flatten()


GUESSES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: -x,
    lambda x: torch.tanh(2 * x) - x / 2,
    lambda x: torch.zeros_like(x),
    lambda x: torch.sin(3 * x),
)
"""Models of a score, none of them good."""


@LESSON.check
def by_parts() -> Check:
    """Half E (s - score)^2 less E (s^2 / 2 + s') is one constant for four models s."""
    p, true = density(LINE), score(NEAR, LINE, TIME)
    found = []
    for guess in GUESSES:
        x = LINE.clone().requires_grad_()
        s = guess(x)
        (slope,) = torch.autograd.grad(s.sum() + 0 * x.sum(), x)
        s = s.detach()
        error, known = p * (s - true) ** 2 / 2, p * (s**2 / 2 + slope)
        found.append(float(torch.trapezoid(error - known, LINE)))
    return Check(found, float(torch.trapezoid(p * true**2, LINE)) / 2, 1e-8)


def noise_alone() -> tuple[float, float]:
    """sigma at TIME, and E score^2 there by quadrature."""
    fisher = torch.trapezoid(density(LINE) * score(NEAR, LINE, TIME) ** 2, LINE)
    return float(NEAR.schedule(TIME)[1]), float(fisher)


@LESSON.check
def denoising() -> Check:
    """E (s + noise / sigma)^2 less E (s - score)^2 for four models s, from 200,000 draws."""
    noise = Noise(1, 200_000)
    side = noise.uniform().double() < 0.4
    z = noise.normal(2).double()
    clean = torch.where(side, -1 + 0.5 * z[:, 0], 1.2 + 0.7 * z[:, 0])
    sigma, fisher = noise_alone()
    x = clean + sigma * z[:, 1]
    true = score(NEAR, x, TIME)
    gaps = [(g(x) + z[:, 1] / sigma) ** 2 - (g(x) - true) ** 2 for g in GUESSES]
    return Check.of_mean(torch.stack(gaps, 1).numpy(), 1 / sigma**2 - fisher)


class Exact(nn.Module):
    """NEAR's score as a network that is told the level."""

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None) -> Tensor:
        """The score of images (N, 1, 1, 1) at TIME."""
        return score(NEAR, x.double().flatten(), TIME).view_as(x).to(x)


@LESSON.check
def least_loss() -> Check:
    """Naqsh's loss of NCSN for the exact score: not 0 but 1 - sigma^2 E score^2."""
    loss = Denoiser(Exact(), NEAR.schedule, parameterisation="score", weighting="noise")
    noise = Noise(2, 100_000)
    side = noise.uniform() < 0.4
    z = noise.normal()
    clean = torch.where(side, -1 + 0.5 * z, 1.2 + 0.7 * z).double()
    times = torch.full((len(clean),), TIME, dtype=torch.float64)
    sigma, fisher = noise_alone()
    losses = loss.loss_at(points(clean), times, noise)
    return Check.of_mean(losses.detach().numpy(), 1 - sigma**2 * fisher)


@LESSON.check
def tweedie() -> Check:
    """(E(clean | x) - x) / sigma^2 by Naqsh's denoiser against autograd of the log-density."""
    x = torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(NEAR.log_density(points(x), TIME).sum(), x)
    at = x.detach()
    sigma = float(NEAR.schedule(TIME)[1])
    expected = NEAR(points(at), TIME).x0.flatten()
    return Check(((expected - at) / sigma**2).numpy(), slope.numpy(), 1e-10)


@LESSON.check
def blind_to_weights() -> Check:
    """Near each of two far modes the score is the same whatever the modes weigh."""
    even = Mixture(LEVELS, [(-5.0,), (5.0,)], [1.0, 1.0])
    x = torch.cat([torch.linspace(-7, -3, 21), torch.linspace(3, 7, 21)]).double()
    # With variance 1.25 the other mode's share is at most 4 exp(-(8^2 - 2^2) / 2.5), at 3, and
    # the two modes' scores differ by 10 / 1.25.
    allowed = 4 * math.exp(-24) * 8
    return Check(score(MODES, x, 1.0).numpy(), score(even, x, 1.0).numpy(), allowed)


@LESSON.check
def stationary() -> Check:
    """Mean square of Naqsh's Langevin chains in N(0, v), against v / (1 - a / 2v)."""
    v, size = 0.8, 0.4
    start = math.sqrt(v) * Noise(3, 50_000).normal(1, 1, 1).double()
    *_, last = plain(lambda x: -x / v, start, Noise(4, 50_000), size, 40)
    return Check.of_mean((last.flatten() ** 2).numpy(), v / (1 - size / (2 * v)))


@LESSON.check
def level_variance() -> Check:
    """NCSNv2's variance after a level of T steps by Naqsh, against the recursion step by step."""
    found, said = [], []
    for gamma, inner, size in ((1.1, 5, 0.1), (1.6, 3, 0.3), (2.0, 10, 0.05)):
        variance = gamma**2
        for _ in range(inner):
            variance = (1 - size) ** 2 * variance + 2 * size
        found.append(variance_after(size, gamma, inner))
        said.append(variance)
    return Check(found, said, 1e-12)


@functools.cache
def digits() -> Tensor:
    """The 1,797 digits of 8x8 pixels that scikit-learn brings, float64 (N, 64) in [-1, 1]."""
    return torch.from_numpy(load_digits().images).flatten(1) / 8 - 1


def hypotheses(x: Tensor, sigma: float) -> Tensor:
    """How probable each digit is as what noise has made `x` of, shape (M, 64) to (M, N)."""
    return (-(torch.cdist(x, digits()) ** 2) / (2 * sigma**2)).softmax(1)


@LESSON.check
def average_of_hypotheses() -> Check:
    """The score of noisy digits: Naqsh's for a mixture of points against the weighted mean."""
    count, sigma = 200, 1.5
    chosen = digits()[:count]
    known = Mixture(Geometric(sigma, 0.1, 2), chosen.tolist(), [1e-6] * count)
    x = chosen[:8] + sigma * Noise(5, 8).normal(64).double()
    ours = known(x.view(8, 1, 8, 8), 2.0).score(sigma).flatten(1)
    weights = (-((x[:, None] - chosen) ** 2).sum(2) / (2 * sigma**2)).softmax(1)
    mean = (weights[:, :, None] * (chosen - x[:, None])).sum(1) / sigma**2
    return Check(ours.numpy(), mean.numpy(), 1e-8)


SIGMAS = np.geomspace(0.3, 20, 15)


@functools.cache
def how_many() -> list[float]:
    """The exponential of the entropy of the hypotheses by sigma, a geometric mean over digits."""
    found = []
    for place, sigma in enumerate(SIGMAS.tolist()):
        x = digits()[::40] + sigma * Noise(60 + place, len(digits()[::40])).normal(64).double()
        share = hypotheses(x, sigma)
        found.append(float((-torch.xlogy(share, share).sum(1)).mean().exp()))
    return found


CHAINS = 1000


@functools.cache
def shares() -> dict[str, float]:
    """The share of chains in the mode of weight 0.8, plain and annealed, and evaluations."""
    noise = Noise(6, CHAINS)
    start = 16 * noise.uniform(1, 1, 1).double() - 8
    *_, walked = plain(lambda x: score(MODES, x.flatten(), 1.0).view_as(x), start, noise, 0.1, 400)
    annealed = Langevin(20, inner=20, size=0.1, denoise=False)(MODES, Noise(7, CHAINS), (1, 1, 1))
    return {
        "start": float((start > 0).double().mean()),
        "plain": float((walked > 0).double().mean()),
        "annealed": float((annealed > 0).double().mean()),
    }


def quantiles(data: Mixture, t: float) -> Tensor:
    """Of the density at a time, CHAINS of them."""
    p = data.log_density(points(LINE), t).exp()
    below = torch.cumulative_trapezoid(p, LINE)
    places = (torch.arange(CHAINS).double() + 0.5) / CHAINS
    return LINE[torch.searchsorted(below, places).clamp(max=len(LINE) - 2) + 1]


BUDGET = 120
SPLITS = (2, 4, 8, 15, 30, 60, 120)


@functools.cache
def error(levels: int) -> float:
    """W1 of annealed chains from the density of the last level, with BUDGET evaluations."""
    schedule = Geometric(20.0, 0.5, levels)
    data = Mixture(schedule, [(-5.0,), (5.0,)], [1.0, 1.0], [0.2, 0.8])
    walk = Langevin(levels, inner=BUDGET // levels, denoise=False)
    x = walk(data, Noise(8, CHAINS), (1, 1, 1)).flatten().double()
    return float((x.sort().values - quantiles(data, 1.0)).abs().mean())


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Shares, hypotheses, levels and errors."""
    found = {f"share_{name}": share for name, share in shares().items()}
    found |= {"sigma": noise_alone()[0], "least": 1 - noise_alone()[0] ** 2 * noise_alone()[1]}
    many = how_many()
    found |= {"few_sigma": SIGMAS[0], "few": many[0], "many_sigma": SIGMAS[-1], "many": many[-1]}
    middle = len(many) // 2
    found |= {"middle_sigma": SIGMAS[middle], "middle": many[middle]}
    found |= {"ratio": ratio(784), "size": step_size(ratio(784), 5)}
    found["levels"] = 1 + math.ceil(math.log(16.9 / 0.01) / math.log(ratio(784)))
    found |= {f"error_{levels}": error(levels) for levels in SPLITS}
    mean = digits().mean(0, keepdim=True)
    nearest = torch.cdist(digits()[:200], digits())
    nearest.fill_diagonal_(math.inf)
    found["mean_far"] = float(torch.cdist(mean, digits()).min())
    found["digit_far"] = float(nearest.min(1).values.mean())
    return found


@LESSON.figure
def chains(words: Words) -> Figure:
    """Chains of plain and of annealed dynamics in two far modes."""
    noise = Noise(6, 12)
    start = 16 * noise.uniform(1, 1, 1).double() - 8
    walk = plain(lambda x: score(MODES, x.flatten(), 1.0).view_as(x), start, noise, 0.1, 400)
    first = torch.stack([start.flatten(), *[x.flatten() for x in walk]])
    second: list[Tensor] = []
    Langevin(20, inner=20, size=0.1, denoise=False)(
        MODES, Noise(7, 12), (1, 1, 1), callback=lambda _, __, x, ___: second.append(x.flatten())
    )
    plots = []
    titles = (("plain", "ساده"), ("annealed", "بازپخت‌شده"))
    kept = (first[::20], torch.stack(second))
    for title, walked in zip(titles, kept, strict=True):
        plot = Plot(words, x=("evaluations", "ارزیابی‌ها"), y=("x", "x"), title=title)
        colour = plot.colour()
        for chain in walked.T:
            plot.line(20 * np.arange(1, 1 + len(chain)), chain, colour=colour, linewidth=0.8)
        plots.append(plot)
    return Figure(plots, columns=2)


@LESSON.figure
def counts(words: Words) -> Figure:
    """How many digits a noisy one may come from, by the noise."""
    y = ("digits in question", "تعداد ارقام محتمل")
    plot = Plot(words, x=("noise σ", "نویز σ"), y=y, log="xy")
    plot.line(SIGMAS, how_many(), marker="o", markersize=3)
    return Figure([plot])


@LESSON.figure
def budget(words: Words) -> Figure:
    """The error of 120 evaluations by how they are shared between levels and steps."""
    x, y = ("levels of noise", "سطح‌های نویز"), ("Wasserstein distance", "فاصله‌ی واسرشتاین")
    plot = Plot(words, x=x, y=y, log="xy")
    plot.line(SPLITS, [error(levels) for levels in SPLITS], marker="o", markersize=3)
    return Figure([plot])
