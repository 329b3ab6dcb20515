"""The GAN's objective: both generator losses, the best discriminator, and what is minimised."""

import functools
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from naqsh.adversarial.objectives import OBJECTIVES
from naqsh.core.noise import Noise
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.report.words import Words

LESSON = Lesson(
    "gan-objective",
    number=2,
    questions=("losses", "monte-carlo", "optimal-discriminator", "minimum", "vanishing"),
)

PLAY = OBJECTIVES["non-saturating"]
LINE = torch.linspace(-9, 9, 3601, dtype=torch.float64)
"""Where p and q are integrated by the trapezoid rule."""

ROUNDING = 1e-9
BATCH = 64


def normal(x: Tensor, mean: float, width: float) -> Tensor:
    """The density of N(mean, width^2)."""
    return (-(((x - mean) / width) ** 2) / 2).exp() / (width * math.sqrt(2 * math.pi))


def real(x: Tensor) -> Tensor:
    """p: two modes."""
    return normal(x, -1.5, 0.6) / 2 + normal(x, 1.5, 0.6) / 2


def fake(x: Tensor) -> Tensor:
    """q: one mode, over one of p's and the middle."""
    return normal(x, 0.7, 0.9)


def points(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Independent points of p and q, each float64 with shape (count,)."""
    noise = Noise(seed, count)
    side = 1.5 - 3.0 * noise.integers(2).double()
    z = noise.normal(2).double()
    return side + 0.6 * z[:, 0], 0.7 + 0.9 * z[:, 1]


def best(x: Tensor) -> Tensor:
    """p / (p + q)."""
    return real(x) / (real(x) + fake(x))


def value(discriminator: Tensor) -> float:
    """V(D, G) by quadrature, of D's values on :data:`LINE`."""
    inside = real(LINE) * discriminator.log() + fake(LINE) * torch.log1p(-discriminator)
    return float(torch.trapezoid(inside, LINE))


def kl(a: Tensor, b: Tensor) -> float:
    """KL of two densities on :data:`LINE`."""
    return float(torch.trapezoid(a * (a / b).log(), LINE))


def jsd() -> float:
    """The Jensen-Shannon divergence of p and q from its definition."""
    p, q = real(LINE), fake(LINE)
    middle = (p + q) / 2
    return (kl(p, middle) + kl(q, middle)) / 2


def network() -> nn.Sequential:
    """A small discriminator of points on a line, its weights those of seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
        )
    return layers.double()


@functools.cache
def trained(steps: int = 800) -> tuple[nn.Sequential, Tensor]:
    """A discriminator after `steps` of Naqsh's loss on fresh points, and its D on the line."""
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    real_points, fake_points = (all_of.view(steps, -1, 1) for all_of in points(128 * steps, 1000))
    for x, y in zip(real_points, fake_points, strict=True):
        optimizer.zero_grad()
        PLAY.critic(net(x)[:, 0], net(y)[:, 0]).backward()
        optimizer.step()
    with torch.no_grad():
        return net, net(LINE[:, None])[:, 0].sigmoid()


@LESSON.check
def losses_on_logits() -> Check:
    """Naqsh's losses of logits against the definitions, with D as a probability."""
    d, e = torch.linspace(-4, 3, 50).double(), torch.linspace(-3, 4, 50).double()
    real_d, fake_d = d.sigmoid(), e.sigmoid()
    ours = [
        PLAY.critic(d, e),
        OBJECTIVES["minimax"].generator(None, e),
        PLAY.generator(None, e),
    ]
    defined = [
        -real_d.log().mean() - (1 - fake_d).log().mean(),
        (1 - fake_d).log().mean(),
        -fake_d.log().mean(),
    ]
    return Check(np.array(ours), np.array(defined), 1e-12)


@LESSON.check
def loss_slopes() -> Check:
    """Slopes by a fake's logit, -D and -(1 - D): autograd through Naqsh's losses."""
    d = torch.linspace(-8, 8, 33, dtype=torch.float64, requires_grad=True)
    found = []
    for objective in (OBJECTIVES["minimax"], PLAY):
        loss = objective.generator(None, d)
        found.append(torch.autograd.grad(loss, d)[0] * len(d))
    said = [-d.detach().sigmoid(), -(1 - d.detach().sigmoid())]
    return Check(torch.stack(found).numpy(), torch.stack(said).numpy(), 1e-12)


@LESSON.check
def estimate() -> Check:
    """V at the best D: the mean over 200,000 points of each kind against quadrature."""
    x, y = points(200_000, 1)
    terms = best(x).log() + torch.log1p(-best(y))
    return Check.of_mean(terms.numpy(), value(best(LINE)))


@functools.cache
def batches() -> tuple[float, float]:
    """Deviation of one term, and of means over batches of :data:`BATCH`, 4,000 of them."""
    x, y = points(4000 * BATCH, 2)
    terms = best(x).log() + torch.log1p(-best(y))
    return float(terms.std()), float(terms.view(-1, BATCH).mean(1).std())


@LESSON.check
def spread_of_batches() -> Check:
    """The deviation of a batch's estimate: that of one term over the root of the batch."""
    one, of_means = batches()
    # The deviation of n = 4000 normal numbers is off by 1 / sqrt(2 n), of the terms by far less.
    return Check(of_means, one / math.sqrt(BATCH), 4.5 * of_means / math.sqrt(8000))


@LESSON.check
def best_by_optimizer() -> Check:
    """D* = p / (p + q) on six places against Naqsh's loss minimised by L-BFGS."""
    real_counts, fake_counts = torch.tensor([1, 2, 6, 5, 4, 2]), torch.tensor([6, 2, 1, 5, 2, 4])
    places = torch.arange(6)
    of_real, of_fake = (places.repeat_interleave(n) for n in (real_counts, fake_counts))
    logits = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = PLAY.critic(logits[of_real], logits[of_fake])
        value.backward()
        return value

    optimizer.step(loss)
    # Near its least the loss is flat: it tells logits apart down to the root of its rounding.
    found = logits.detach().sigmoid()
    return Check((real_counts / (real_counts + fake_counts)).numpy(), found.numpy(), 1e-7)


@LESSON.check
def minimum() -> Check:
    """C(G): V at the best D against -2 ln 2 + 2 JSD, both by quadrature of their definitions."""
    return Check(value(best(LINE)), -2 * math.log(2) + 2 * jsd(), ROUNDING)


def lost() -> tuple[float, float]:
    """V(D*) - V(D) of the trained D, and the integral of (p + q) KL(D* || D)."""
    d, star = trained()[1], best(LINE)
    bernoulli = star * (star / d).log() + (1 - star) * ((1 - star) / (1 - d)).log()
    integral = torch.trapezoid((real(LINE) + fake(LINE)) * bernoulli, LINE)
    return value(star) - value(d), float(integral)


@LESSON.check
def gap() -> Check:
    """What a trained D misses of the maximum, against the integral of (p + q) KL(D* || D)."""
    return Check(*lost(), ROUNDING)


@functools.cache
def fading() -> tuple[list[int], list[float], list[float], list[float]]:
    """Steps of a discriminator alone, both generators' gradients then, and its mean D on fakes.

    Real points are N(3, 0.3^2), fakes theta + 0.3 z with theta = 0 held; the gradient is by theta.
    """
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    kept: list[int] = []
    minimax: list[float] = []
    other: list[float] = []
    seen: list[float] = []
    drawn = 0.3 * Noise(5, 1001).normal(2, 128, 1).double()
    for step, z in enumerate(drawn):
        x, y = 3 + z[0], z[1]
        if step in (0, 3, 10, 30, 100, 300, 1000):
            kept.append(step)
            with torch.no_grad():
                seen.append(float(net(y).sigmoid().mean()))
            for objective, into in ((OBJECTIVES["minimax"], minimax), (PLAY, other)):
                theta = torch.zeros((), dtype=torch.float64, requires_grad=True)
                loss = objective.generator(None, net(y + theta)[:, 0])
                into.append(abs(float(torch.autograd.grad(loss, theta)[0])))
        optimizer.zero_grad()
        PLAY.critic(net(x)[:, 0], net(y)[:, 0]).backward()
        optimizer.step()
    return kept, minimax, other, seen


def overflow() -> Iterator[tuple[str, float]]:
    """-ln(1 - D) of a fake's logit in float32, twice: by the definition and by softplus."""
    logit = torch.tensor([16.0])
    yield "logit", float(logit)
    yield "naive", float(-(1 - logit.sigmoid()).log())
    yield "softplus", float(torch.nn.functional.softplus(logit))


@LESSON.numbers
def numbers() -> dict[str, float]:
    """What the text tells of the experiments."""
    steps, minimax, other, seen = fading()
    found = dict(overflow())
    found |= {"jsd": jsd(), "value": value(best(LINE)), "log4": 2 * math.log(2)}
    found |= {"trained_value": value(trained()[1]), "lost": lost()[0]}
    found["trained_jsd"] = (value(trained()[1]) + 2 * math.log(2)) / 2
    found |= {"one": batches()[0], "batch": BATCH, "of_batch": batches()[1]}
    found |= {"steps": steps[-1], "minimax_first": minimax[0], "minimax_last": minimax[-1]}
    found |= {"other_first": other[0], "other_last": other[-1], "seen": seen[-1]}
    return found


@LESSON.figure
def losses(words: Words) -> Figure:
    """Both generator losses over D(G(z)), and their slopes by the logit."""
    d = np.linspace(0.005, 0.995, 300)
    axis = ("D(G(z))", "D(G(z))")
    left = Plot(words, x=axis, title=("loss of the generator", "تابع زیان مولد"))
    left.line(d, np.log1p(-d), ("minimax", "مینیماکس"))
    left.line(d, -np.log(d), ("non-saturating", "اشباع‌ناپذیر"))
    right = Plot(
        words, x=axis, title=("size of its slope by the logit", "اندازه‌ی شیب نسبت به لوجیت")
    )
    right.line(d, d, ("minimax", "مینیماکس"))
    right.line(d, 1 - d, ("non-saturating", "اشباع‌ناپذیر"))
    return Figure([left, right], columns=2)


@LESSON.figure
def discriminators(words: Words) -> Figure:
    """p, q, the best discriminator and a trained one."""
    plot = Plot(words, x=("x", "x"))
    seen = LINE.abs() < 4.5
    x = LINE[seen]
    plot.line(x, real(x), ("p, real", "p، واقعی"))
    plot.line(x, fake(x), ("q, generated", "q، تولیدشده"))
    plot.line(x, best(x), ("best discriminator", "بهترین تمیزدهنده"))
    plot.line(x, trained()[1][seen], ("trained network", "شبکه‌ی آموزش‌دیده"), dash="--")
    return Figure([plot])


@LESSON.figure
def vanishing(words: Words) -> Figure:
    """Both gradients while the discriminator alone is trained."""
    steps, minimax, other, _ = fading()
    x = ("steps of the discriminator", "گام‌های تمیزدهنده")
    plot = Plot(words, x=x, y=("gradient by θ", "گرادیان نسبت به θ"), log="xy")
    places = np.array(steps) + 1
    plot.line(places, minimax, ("minimax", "مینیماکس"), marker="o", markersize=3)
    plot.line(places, other, ("non-saturating", "اشباع‌ناپذیر"), marker="o", markersize=3)
    return Figure([plot])
