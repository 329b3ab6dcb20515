"""Variational autoencoders: the bound, its two parts, and a controller of one of them."""

import functools
import math

import numpy as np
import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.flows.posterior import Posterior, draw
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.lessons.small_vaes import RUNS, digits, distances, trained
from naqsh.methods import controlvae
from naqsh.report.draw.palette import colour
from naqsh.report.words import Words

LESSON = Lesson("vae", number=10, questions=("elbo", "quality-diversity", "kl-control", "curves"))

WEIGHT = torch.tensor([[1.2, -0.3], [0.5, 0.8], [-0.7, 0.4]], dtype=torch.float64)
SCALE = 0.6
X = torch.tensor([0.9, -0.4, 0.3], dtype=torch.float64)
"""Of a linear decoder p(x | z) = N(WEIGHT z, SCALE^2), and an observation."""

GUESS = Posterior(torch.tensor([[0.5, -0.2]]), torch.tensor([[-1.0, -0.4]]), torch.zeros(1, 0))
"""Some encoder's answer to X, by no means the best."""

VARIANCES = (4.0, 1.0, 0.3)
"""Of three independent coordinates of data, for a linear VAE."""

NOISE = 0.5
"""The variance of that VAE's pixels."""


def log_normal(x: Tensor, mean: Tensor, variance: float) -> Tensor:
    """Log-density of N(mean, variance I), summed over the last axis."""
    squares = ((x - mean) ** 2 / variance).sum(-1)
    return -squares / 2 - x.shape[-1] / 2 * math.log(2 * math.pi * variance)


def exact() -> tuple[float, Tensor, Tensor]:
    """ln p(X), and mean and covariance of p(z | X), of the linear decoder."""
    covariance = WEIGHT @ WEIGHT.T + SCALE**2 * torch.eye(3).double()
    of_x = torch.distributions.MultivariateNormal(torch.zeros(3).double(), covariance)
    precision = torch.eye(2).double() + WEIGHT.T @ WEIGHT / SCALE**2
    spread = precision.inverse()
    return float(of_x.log_prob(X)), spread @ WEIGHT.T @ X / SCALE**2, spread


def guess_bound() -> float:
    """The ELBO of GUESS in closed form."""
    mean, variance = GUESS.mean[0].double(), GUESS.log_variance[0].double().exp()
    # E |X - W z|^2 over q is the error of the mean and the spread that W carries over
    squares = ((X - WEIGHT @ mean) ** 2).sum() + (WEIGHT**2 @ variance).sum()
    fit = -squares / (2 * SCALE**2) - 1.5 * math.log(2 * math.pi * SCALE**2)
    kl = (mean**2 + variance - 1 - variance.log()).sum() / 2
    return float(fit - kl)


@LESSON.check
def gap() -> Check:
    """ln p(x) - ELBO against KL(q(z|x) || p(z|x)) in closed form."""
    log_p, mean, spread = exact()
    q = torch.distributions.MultivariateNormal(
        GUESS.mean[0].double(), GUESS.log_variance[0].double().exp().diag()
    )
    p = torch.distributions.MultivariateNormal(mean, spread)
    kl = torch.distributions.kl_divergence(q, p)
    return Check(log_p - guess_bound(), float(kl), 1e-10)


def draws(count: int) -> tuple[Tensor, Tensor]:
    """Naqsh's draws of GUESS's posterior, shape (count, 2), and log p(z) - log q(z|x), (count,)."""
    many = Posterior(*(part.expand(count, -1) for part in GUESS))
    drawn = draw(many, Noise(1, count).normal(2), None)
    return drawn.z.double(), drawn.ratio.double().sum(1)


@LESSON.check
def two_ways() -> Check:
    """E ln p(x, z)/q(z|x) by 200,000 of Naqsh's draws against reconstruction less closed KL."""
    z, ratio = draws(200_000)
    inside = log_normal(X, z @ WEIGHT.T, SCALE**2) + ratio
    return Check.of_mean(inside.numpy(), guess_bound())


@LESSON.check
def kl_of_latents() -> Check:
    """Naqsh's KL of each latent against quadrature of the definition."""
    ours = draw(GUESS, torch.zeros(1, 2), None).kl[0]
    z = torch.linspace(-12, 12, 24_001, dtype=torch.float64)[:, None]
    mean, deviation = GUESS.mean.double(), (GUESS.log_variance.double() / 2).exp()
    log_q = -(((z - mean) / deviation) ** 2) / 2 - deviation.log()
    inside = (log_q.exp() * (log_q + z**2 / 2)) / math.sqrt(2 * math.pi)
    # Naqsh's is float32.
    return Check(ours.numpy(), torch.trapezoid(inside, z, dim=0).numpy(), 1e-6)


@LESSON.check
def reparameterised() -> Check:
    """The gradient of E z^4 by the mean, through z = mean + deviation * noise, against 4 E z^3."""
    mean, deviation = 0.7, 0.8
    z = mean + deviation * Noise(2, 400_000).normal().double()
    return Check.of_mean((4 * z**3).numpy(), 4 * mean**3 + 12 * mean * deviation**2)


def importance(samples: int) -> float:
    """The mean over many repeats of the importance-weighted bound."""
    z, ratio = draws(400_000)
    weights = (log_normal(X, z @ WEIGHT.T, SCALE**2) + ratio).view(-1, samples)
    return float((weights.logsumexp(1) - math.log(samples)).mean())


def best_rates(beta: float) -> Tensor:
    """KL of each latent of a linear VAE with weight beta, found by an optimiser."""
    data = torch.tensor(VARIANCES, dtype=torch.float64)
    encode = torch.full((3,), 0.5, dtype=torch.float64, requires_grad=True)
    decode = torch.full((3,), 0.8, dtype=torch.float64, requires_grad=True)
    log_v = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [encode, decode, log_v],
        max_iter=2000,
        tolerance_grad=1e-13,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def rates() -> Tensor:
        return (encode**2 * data + log_v.exp() - 1 - log_v) / 2

    def loss() -> Tensor:
        optimizer.zero_grad()
        error = data * (1 - decode * encode) ** 2 + decode**2 * log_v.exp()
        value = (error / (2 * NOISE) + beta * rates()).sum()
        value.backward()
        return value

    optimizer.step(loss)
    return rates().detach()


def water(beta: float) -> Tensor:
    """The same in closed form: half the logarithm of variance over beta s^2, or nothing."""
    return ((torch.tensor(VARIANCES, dtype=torch.float64) / (beta * NOISE)).log() / 2).clamp(min=0)


@LESSON.check
def collapse() -> Check:
    """KLs of a linear VAE at beta 1 and 3 by an optimiser against the closed form."""
    found = torch.cat([best_rates(1.0), best_rates(3.0)])
    said = torch.cat([water(1.0), water(3.0)])
    # A collapsed latent's KL is flat around 0; others are as near as the root of rounding.
    return Check(found.numpy(), said.numpy(), 1e-5)


SET_POINT = 1.5


@functools.cache
def controlled() -> tuple[list[float], list[float]]:
    """KL and beta of Naqsh's controller on a VAE that follows its best KL with a lag."""
    controller = controlvae.Controller(0.01, 0.01, 0.0, math.inf, "directional")
    kl, kls, betas = float(water(0.05).sum()), [], []
    for _ in range(3000):
        beta = float(controller(torch.tensor(SET_POINT - kl, dtype=torch.float64)))
        controller.advance()
        kl += 0.02 * (float(water(max(beta, 0.01)).sum()) - kl)
        kls.append(kl)
        betas.append(beta)
    return kls, betas


@LESSON.check
def at_rest() -> Check:
    """Where the controller comes to rest: the set point, and the beta at which the KL is that."""
    kls, betas = controlled()
    # Two latents are alive: ln(4 / (beta s^2)) / 2 + ln(1 / (beta s^2)) / 2 is the set point.
    beta = math.sqrt(VARIANCES[0] * VARIANCES[1] * math.exp(-2 * SET_POINT)) / NOISE
    return Check([kls[-1], betas[-1]], [SET_POINT, beta], 1e-6)


@LESSON.check
def proportional() -> Check:
    """Naqsh's proportional term at three errors against Kp / (1 + exp e)."""
    found = []
    for error in (-3.0, 0.0, 2.0):
        controller = controlvae.Controller(0.01, 0.0, 0.0, math.inf, "directional")
        found.append(float(controller(torch.tensor(error, dtype=torch.float64))))
    return Check(found, [0.01 / (1 + math.exp(e)) for e in (-3.0, 0.0, 2.0)], 1e-12)


def recovery(rule: controlvae.AntiWindup, limit: int = 1500) -> int:
    """Steps until beta is above 1.5, after 500 steps of KL 0 under a set point of 18.

    From then on the KL is 10 above the set point.
    """
    controller = controlvae.Controller(0.01, 0.001, 1.0, math.inf, rule)
    for _ in range(500):
        controller(torch.tensor(18.0))
        controller.advance()
    for step in range(1, limit + 1):
        beta = float(controller(torch.tensor(-10.0)))
        controller.advance()
        if beta > 1.5:
            return step
    return limit


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Of the linear VAE, the controller, and the three trainings."""
    found = {"log_p": exact()[0], "elbo": guess_bound()}
    found |= {f"iw_{k}": importance(k) for k in (1, 10, 100)}
    found |= {f"dead_{int(beta)}": float((water(beta) == 0).sum()) for beta in (1.0, 3.0)}
    found |= {"set_point": SET_POINT, "beta_end": controlled()[1][-1]}
    found |= {"directional": recovery("directional"), "paper": recovery("paper")}
    found |= {"released": recovery("released"), "limit": 1500}
    for key, kl in RUNS.items():
        run = trained(kl)
        last = slice(-100, None)
        found[f"kl_{key}"] = float(np.mean(run.kl[last]))
        found[f"rec_{key}"] = float(np.mean(run.reconstruction[last]))
        found[f"beta_{key}"] = float(np.mean(run.beta[last]))
        found[f"samples_{key}"], found[f"again_{key}"] = distances(kl)
    return found


@LESSON.figure
def levels(words: Words) -> Figure:
    """Each latent's KL by beta."""
    plot = Plot(words, x=("β", "β"), y=("KL of a latent, nats", "KL یک متغیر نهان، نت"), log="x")
    betas = np.geomspace(0.1, 20, 200)
    rates = torch.stack([water(float(beta)) for beta in betas], 1)
    for variance, rate in zip(VARIANCES, rates, strict=True):
        written = words.local(str(variance))
        plot.line(betas, rate, (f"variance {written}", f"واریانس {written}"))
    return Figure([plot])


@LESSON.figure
def curves(words: Words) -> Figure:
    """KL, reconstruction and beta of the three trainings."""
    names = (
        ("KL, nats", "KL، نت"),
        ("reconstruction, nats", "بازسازی، نت"),
        ("weight β", "وزن β"),
    )
    plots = [Plot(words, x=("step", "گام"), title=name) for name in names]
    labels = {
        "low": ("set point 4", "مقدار مطلوب ۴"),
        "middle": ("set point 12", "مقدار مطلوب ۱۲"),
        "high": ("set point 30", "مقدار مطلوب ۳۰"),
    }
    for place, (key, kl) in enumerate(RUNS.items()):
        run = trained(kl)
        for plot, values in zip(plots, (run.kl, run.reconstruction, run.beta), strict=True):
            smooth = np.convolve(values, np.ones(10) / 10, "valid")
            plot.line(np.arange(len(smooth)) + 10, smooth, labels[key], colour=colour(place))
        plots[0].axes.axhline(kl, color=colour(place), linestyle=":", linewidth=0.9)
    plots[2].axes.set_ylim(0, 1.5)
    return Figure(plots, columns=3, small=True)


@LESSON.figure
def samples(words: Words) -> Figure:
    """Digits, reconstructions and samples of each set point."""
    rows = [digits()[:10].flatten(1)]
    for kl in RUNS.values():
        rows += [trained(kl).reconstructed[:10], trained(kl).samples[:10]]
    titles = (
        ("digits", "ارقام"),
        ("set point 4: reconstructions, samples", "مقدار مطلوب ۴: بازسازی‌ها، نمونه‌ها"),
        ("set point 12: reconstructions, samples", "مقدار مطلوب ۱۲: بازسازی‌ها، نمونه‌ها"),
        ("set point 30: reconstructions, samples", "مقدار مطلوب ۳۰: بازسازی‌ها، نمونه‌ها"),
    )
    plots = []
    for title, part in zip(titles, (rows[:1], rows[1:3], rows[3:5], rows[5:]), strict=True):
        plot = Plot(words, title=title, image=True, size=(4.2, 0.44 * len(part)))
        lines = [row.view(10, 8, 8).permute(1, 0, 2).reshape(8, 80) for row in part]
        plot.image(torch.cat(lines).numpy(), vmin=0, vmax=1)
        plots.append(plot)
    return Figure(plots, columns=2)
