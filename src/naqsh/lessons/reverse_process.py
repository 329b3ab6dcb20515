"""The reverse process: when it is Gaussian, and the posterior by which it is estimated."""

import math

import torch
from torch import Tensor

from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.process import posterior, q_sample, transition
from naqsh.diffusion.schedule import Linear
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.report.words import Words

LESSON = Lesson("reverse-process", number=13, questions=("gaussian", "through-x0", "posterior"))

SCHEDULE = Linear()
DATA = Mixture(SCHEDULE, [(-1.0,), (1.0,)], [0.15, 0.15], [0.7, 0.3])
"""Two narrow modes on a line, of weights 0.7 and 0.3."""

T, FAR = 250.0, 50.0
"""The time at which steps back are looked at, and where a long one comes from."""

SEEN = torch.tensor([-1.2, -0.3, 0.0, 0.4, 1.1], dtype=torch.float64)
"""Values of x_t."""

LINE = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
"""Values of x_s for the trapezoid rule; a 250th of the narrowest density's width apart at most."""

ROUNDING = 1e-8


def images(x: Tensor) -> Tensor:
    """Points on a line, shape (N,), as images of one pixel."""
    return x.view(-1, 1, 1, 1)


def log_density(x: Tensor, t: float) -> Tensor:
    """ln q_t of points with shape (N,)."""
    return DATA.log_density(images(x), t)


def reverse(x_t: Tensor, t: float, s: float, line: Tensor = LINE) -> Tensor:
    """q(x_s | x_t) on `line`, shape (L,), by Bayes' rule: a row for each `x_t`, shape (N, L)."""
    kept, added = (float(number) for number in transition(SCHEDULE, t, s))
    logs = log_density(line, s) - (x_t[:, None] - kept * line) ** 2 / (2 * added)
    density = (logs - logs.max(1, keepdim=True).values).exp()
    return density / torch.trapezoid(density, line)[:, None]


def cumulants(
    x_t: Tensor, t: float, s: float, line: Tensor = LINE
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and third central moment of q(x_s | x_t) by quadrature."""
    density = reverse(x_t, t, s, line)
    mean = torch.trapezoid(density * line, line)
    away = line - mean[:, None]
    second, third = (torch.trapezoid(density * away**n, line) for n in (2, 3))
    return mean, second, third


def slopes(x_t: Tensor, t: float) -> list[Tensor]:
    """The first three derivatives of ln q_t at `x_t`, the first of them Naqsh's score."""
    x = x_t.clone().requires_grad_()
    sigma = float(SCHEDULE(t)[1])
    score = DATA(images(x), t).score(sigma).flatten()
    (second,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), x)
    return [score.detach(), second.detach(), third]


def not_gaussian(x_t: Tensor, t: float, s: float, line: Tensor = LINE) -> Tensor:
    """KL of q(x_s | x_t) from the Gaussian with its mean and variance, nats, shape (N,)."""
    density = reverse(x_t, t, s, line)
    _, variance, _ = cumulants(x_t, t, s, line)
    entropy = -torch.trapezoid(torch.xlogy(density, density), line)
    return (2 * math.pi * math.e * variance).log() / 2 - entropy


@LESSON.check
def mean_by_score() -> Check:
    """E(x_s | x_t) = (x_t + beta score) / kept, by Naqsh's exact score, against quadrature."""
    kept, added = transition(SCHEDULE, T, T - 1)
    said = (SEEN + added * slopes(SEEN, T)[0]) / kept
    return Check(said.numpy(), cumulants(SEEN, T, T - 1)[0].numpy(), ROUNDING)


@LESSON.check
def variance_by_score() -> Check:
    """Var(x_s | x_t) = beta (1 + beta score') / kept^2 against quadrature; a long step."""
    kept, added = transition(SCHEDULE, T, FAR)
    said = added * (1 + added * slopes(SEEN, T)[1]) / kept**2
    return Check(said.numpy(), cumulants(SEEN, T, FAR)[1].numpy(), ROUNDING)


@LESSON.check
def third_by_score() -> Check:
    """The third cumulant (beta / kept)^3 score'' against quadrature; a long step."""
    kept, added = transition(SCHEDULE, T, FAR)
    said = (added / kept) ** 3 * slopes(SEEN, T)[2]
    return Check(said.numpy(), cumulants(SEEN, T, FAR)[2].numpy(), ROUNDING)


POINTS = torch.tensor([-1.0, 0.2, 1.1], dtype=torch.float64)
"""A data set of three points."""


def three_points(x_t: float, t: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weights q(x_0 | x_t), the densities q(x_{t-1} | x_t, x_0) (3, L), and their mixture (L,)."""
    alpha, sigma = (float(number) for number in SCHEDULE(t))
    weights = (-((x_t - alpha * POINTS) ** 2) / (2 * sigma**2)).softmax(0)
    step = posterior(SCHEDULE, t, t - 1)
    mean = step.mean(torch.full_like(POINTS, x_t), POINTS)
    each = normal(LINE, mean[:, None], step.variance)
    return weights, each, (weights[:, None] * each).sum(0)


def normal(x: Tensor, mean: Tensor | float, variance: Tensor | float) -> Tensor:
    """The density of N(mean, variance)."""
    variance = torch.as_tensor(variance, dtype=torch.float64)
    return (-((x - mean) ** 2) / (2 * variance)).exp() / (2 * math.pi * variance).sqrt()


def kl(a: Tensor, b: Tensor) -> Tensor:
    """KL of densities on :data:`LINE`, by rows; b must not vanish where a does not."""
    return torch.trapezoid(torch.xlogy(a, a) - torch.xlogy(a, b.clamp(min=1e-300)), LINE)


@LESSON.check
def average_divergence() -> Check:
    """E KL(q(. | x_t, x_0) || p) - KL(q(. | x_t) || p) is the same for six different p."""
    weights, each, mixed = three_points(0.15, 120.0)
    found = []
    for shift in (-0.05, 0.0, 0.1):
        for variance in (0.03, 0.08):
            p = normal(LINE, shift, variance)
            found.append((weights * kl(each, p)).sum() - kl(mixed, p))
    information = (weights * kl(each, mixed)).sum()
    return Check(torch.stack(found).numpy(), float(information), ROUNDING)


@LESSON.check
def mean_through_x0() -> Check:
    """Naqsh's posterior mean at E(x_0 | x_t), by its exact denoiser, against quadrature."""
    guess = DATA(images(SEEN), T).x0.flatten()
    said = posterior(SCHEDULE, T, FAR).mean(SEEN, guess)
    return Check(said.numpy(), cumulants(SEEN, T, FAR)[0].numpy(), ROUNDING)


@LESSON.check
def variance_through_x0() -> Check:
    """beta tilde plus the spread of x_0 given x_t, against the formula by the score."""
    step = posterior(SCHEDULE, T, FAR)
    alpha, sigma = SCHEDULE(T)
    # Var(x_0 | x_t) by Tweedie at time t itself, where the kept signal is alpha
    of_x0 = sigma**2 * (1 + sigma**2 * slopes(SEEN, T)[1]) / alpha**2
    kept, added = transition(SCHEDULE, T, FAR)
    right = added * (1 + added * slopes(SEEN, T)[1]) / kept**2
    return Check((step.variance + step.of_x0**2 * of_x0).numpy(), right.numpy(), 1e-12)


def by_regression(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The posterior from the joint Gaussian of (x_{t-1}, x_t) given x_0: of x_0, of x_t, variance.

    No square is completed: regression of the one on the other by their covariance.
    """
    betas = torch.cat([torch.zeros(1, dtype=torch.float64), SCHEDULE.betas()])
    bars = (1 - betas).cumprod(0)
    beta, bar, before = betas[t], bars[t], bars[t - 1]
    covariance, variance = (1 - beta).sqrt() * (1 - before), 1 - bar
    slope = covariance / variance
    return before.sqrt() - slope * bar.sqrt(), slope, (1 - before) - covariance**2 / variance


@LESSON.check
def posterior_coefficients() -> Check:
    """Naqsh's coefficients of q(x_{t-1} | x_t, x_0) for t = 2..1000 against regression."""
    t = torch.arange(2, SCHEDULE.steps + 1)
    step = posterior(SCHEDULE, t.double(), t.double() - 1)
    ours = torch.stack([step.of_x0, step.of_x, step.variance])
    return Check(ours.numpy(), torch.stack(by_regression(t)).numpy(), 1e-12)


@LESSON.check
def posterior_by_bayes() -> Check:
    """Mean and variance at t = 250 by quadrature of Bayes' rule, against the closed forms."""
    x0, x_t = 0.8, -0.1
    kept, added = transition(SCHEDULE, T, T - 1)
    alpha, sigma = SCHEDULE(T - 1)
    density = normal(torch.tensor(x_t).double(), kept * LINE, added) * normal(
        LINE, alpha * x0, sigma**2
    )
    density = density / torch.trapezoid(density, LINE)
    mean = torch.trapezoid(density * LINE, LINE)
    variance = torch.trapezoid(density * (LINE - mean) ** 2, LINE)
    step = posterior(SCHEDULE, T, T - 1)
    said = step.mean(torch.tensor([x_t]).double(), torch.tensor([x0]).double())
    return Check([float(mean), float(variance)], [float(said), float(step.variance)], ROUNDING)


@LESSON.check
def two_forms() -> Check:
    """The mean by x_0 and the mean by the noise, both Naqsh's, at four times."""
    t = torch.tensor([2.0, 50.0, 400.0, 1000.0], dtype=torch.float64)
    x0 = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64).view(4, 1, 1, 1)
    epsilon = torch.tensor([1.2, -0.4, 0.1, -2.0], dtype=torch.float64).view(4, 1, 1, 1)
    x_t = q_sample(x0, t, epsilon, SCHEDULE)
    step = posterior(SCHEDULE, t, t - 1)
    return Check(step.mean(x_t, x0).numpy(), step.mean_of_epsilon(x_t, epsilon).numpy(), 1e-12)


MIDDLE = torch.zeros(1, dtype=torch.float64)


@LESSON.numbers
def numbers() -> dict[str, float]:
    """How far steps of different length are from a Gaussian, and their variances."""
    found = {"t": T, "far": FAR, "beta": float(transition(SCHEDULE, T, T - 1)[1])}
    for key, s in (("one", T - 1), ("ten", T - 10), ("fifty", T - 50), ("long", FAR)):
        _, added = transition(SCHEDULE, T, s)
        _, variance, third = cumulants(torch.tensor([-0.1]).double(), T, s)
        found[f"added_{key}"] = float(added)
        found[f"skew_{key}"] = abs(float(third / variance**1.5))
        found[f"kl_{key}"] = float(not_gaussian(torch.tensor([-0.1]).double(), T, s))
    step = posterior(SCHEDULE, T, FAR)
    found["small"], found["large"] = float(step.variance), float(step.widest)
    found["true"] = float(cumulants(MIDDLE, T, FAR)[1])
    return found


@LESSON.figure
def densities(words: Words) -> Figure:
    """q(x_s | x_t = 0) for a short and a long step, with the Gaussians of their moments."""
    plots = []
    for s, title in (
        (T - 10, ("ten steps back", "ده گام به عقب")),
        (FAR, ("two hundred steps back", "دویست گام به عقب")),
    ):
        density = reverse(MIDDLE, T, s)[0]
        mean, variance, _ = cumulants(MIDDLE, T, s)
        width = 5 * float(variance.sqrt())
        near = (LINE - float(mean)).abs() < width
        plot = Plot(words, x=("earlier value x_s", "مقدار پیشین x_s"), title=title)
        x = LINE[near][::20]
        plot.line(x, density[near][::20], ("true reverse step", "گام واقعی رو به عقب"))
        label = ("Gaussian of its mean and variance", "گاوسی با همان میانگین و واریانس")
        plot.line(x, normal(x, mean, variance), label, dash="--")
        plots.append(plot)
    return Figure(plots, columns=2)


@LESSON.figure
def variances(words: Words) -> Figure:
    """beta, beta tilde and the true variance of one step by time."""
    t = torch.arange(2.0, 1001.0, dtype=torch.float64)
    step = posterior(SCHEDULE, t, t - 1)
    plot = Plot(words, x=("step t", "گام t"), y=("over β", "نسبت به β"), log="x")
    plot.line(t, step.widest / step.added, ("large: β", "بزرگ: β"))
    plot.line(t, step.variance / step.added, ("small: β̃", "کوچک: β̃"))
    places = [2, 3, 5, 8, 13, 20, 35, 60, 100, 170, 300, 500, 1000]
    true = []
    for place in places:
        kept, added = transition(SCHEDULE, float(place), place - 1.0)
        x = float(SCHEDULE(float(place))[0]) * torch.tensor([-1.0], dtype=torch.float64)
        true.append(float((1 + added * slopes(x, float(place))[1]) / kept**2))
    plot.line(places, true, ("two modes, x at one of them", "دو مد، x روی یکی"), dash="--")
    return Figure([plot])
