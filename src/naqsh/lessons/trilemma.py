"""The trilemma: quality, diversity and speed of four families, and what stands in their way."""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from naqsh.core.abilities import Samples
from naqsh.core.batch import Batch
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam
from naqsh.core.spec import Layout
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.samplers.ddim import Ddim
from naqsh.diffusion.schedule import Cosine, Linear
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot, Said
from naqsh.methods import coupling, diffusion, gan, vae
from naqsh.metrics import Gaussians, frechet_distance
from naqsh.metrics.manifold import PrecisionRecall, precision_recall
from naqsh.report.words import Words
from naqsh.studies import exact

LESSON = Lesson("trilemma", number=11, questions=("corners", "families", "measured"))

MODES, RADIUS, SIGMA = 8, 1.0, 0.15
"""Of a ring of Gaussians in the plane."""


def means() -> Tensor:
    """The means of the ring's modes, (MODES, 2)."""
    angle = torch.arange(MODES) * (2 * math.pi / MODES)
    return RADIUS * torch.stack([angle.cos(), angle.sin()], 1)


def ring(count: int, seed: int) -> Tensor:
    """Points of the ring, (count, 2)."""
    noise = Noise(seed, count)
    return means()[noise.integers(MODES)] + SIGMA * noise.normal(2)


@LESSON.check
def modes_kept() -> Check:
    """Naqsh's precision and recall of real points without two modes of eight, and 1 and 6/8."""
    points = (means()[:, None] + 0.01 * Noise(1, MODES).normal(40, 2)).flatten(0, 1)
    found = precision_recall(points, points[: 40 * 6])
    return Check([found.precision, found.recall], [1.0, 6 / 8], 0)


SCALES = (0.5, 0.8, 1.2, 1.5)


@LESSON.check
def narrow_or_wide() -> Check:
    """Naqsh's Frechet distance of N(0, I) and N(0, s^2 I) in 16 dimensions, and 16 (1 - s)^2."""
    zero, one = torch.zeros(16).double(), torch.eye(16).double()
    found = [frechet_distance(zero, one, zero, s**2 * one) for s in SCALES]
    return Check(found, [16 * (1 - s) ** 2 for s in SCALES], 1e-9)


APART, NARROW = 1.0, 0.2
"""Two modes of equal weight at -APART and APART, of deviation NARROW."""


def density(x: Tensor) -> Tensor:
    """Of the two modes."""
    parts = [
        torch.distributions.Normal(place, NARROW).log_prob(x).exp() for place in (-APART, APART)
    ]
    return sum(parts, torch.zeros_like(x)) / 2


GRID = torch.linspace(-6, 6, 12_001, dtype=torch.float64)


def likeliest() -> tuple[float, float]:
    """Mean and deviation of the normal with the least KL(p || q), by an optimiser."""
    at = torch.tensor([0.3, -0.5], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [at],
        max_iter=200,
        tolerance_grad=1e-13,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        q = torch.distributions.Normal(at[0], at[1].exp())
        value: Tensor = -torch.trapezoid(density(GRID) * q.log_prob(GRID), GRID)
        value.backward()
        return value

    optimizer.step(loss)
    mean, log_deviation = at.tolist()
    return mean, math.exp(log_deviation)


@LESSON.check
def covering() -> Check:
    """The likeliest normal by an optimiser against the data's mean and deviation."""
    # The least of a smooth function is known to the root of its rounding.
    return Check(likeliest(), [0.0, math.hypot(APART, NARROW)], 1e-6)


def between(deviation: float) -> float:
    """The share of N(0, deviation^2) that is farther than three NARROW from both modes."""
    ends = torch.tensor([APART - 3 * NARROW, APART + 3 * NARROW]).double() / deviation
    inner, outer = (float(below) for below in torch.special.ndtr(ends))
    return 2 * inner - 1 + 2 * (1 - outer)


@LESSON.check
def spread_splits() -> Check:
    """Var E(x0 | x_t) and E Var(x0 | x_t) by 50,000 of Naqsh's answers against the variance."""
    schedule = Linear()
    model = Mixture(schedule, [(-APART,), (APART,)], [NARROW] * 2)
    time = float(schedule.time(0.0))
    alpha, sigma = (float(part) for part in schedule(time))
    noise = Noise(2, 50_000)
    clean = (2.0 * noise.integers(2) - 1).double() * APART + NARROW * noise.normal().double()
    x = alpha * clean + sigma * noise.normal().double()
    answer = model(x.view(-1, 1, 1, 1), time).x0.flatten()
    # The posterior is a mixture of two normals of one variance, with these means and weights.
    around = alpha**2 * NARROW**2 + sigma**2
    kept = alpha * NARROW**2 / around
    places = torch.tensor([-APART, APART]).double()
    weight = (-((x[:, None] - alpha * places) ** 2) / (2 * around)).softmax(1)
    centres = places + kept * (x[:, None] - alpha * places)
    within = NARROW**2 * sigma**2 / around + (weight * centres**2).sum(1) - answer**2
    return Check.of_mean((answer**2 + within).numpy(), APART**2 + NARROW**2)


GAP = 0.6
"""Half of the empty part between two heaps of data."""


def bridge(slope: float) -> float:
    """The least share of samples in the gap where a map of noise is no steeper than `slope`."""
    return float(2 * torch.special.ndtr(torch.tensor(GAP / slope).double()) - 1)


@LESSON.check
def crossing() -> Check:
    """Samples of the map that crosses the gap as steeply as it may, 100,000, against the bound."""
    z = Noise(3, 100_000).normal().double()
    inside = [((slope * z).abs() < GAP).double() for slope in (1.0, 5.0, 25.0)]
    return Check.of_mean(
        torch.stack(inside, 1).numpy(), np.array([bridge(s) for s in (1.0, 5.0, 25.0)])
    )


@LESSON.check
def one_step() -> Check:
    """Naqsh's DDIM in one step from 41 starts against the mean of all data."""
    model = Mixture(Linear(), [(-APART,), (APART,)], [NARROW] * 2, [0.3, 0.7])
    start = torch.linspace(-2, 2, 41, dtype=torch.float64).view(-1, 1, 1, 1)
    x = Ddim(1)(model, Noise(0, 41), (1, 1, 1), start=start).flatten()
    # Log-odds move by 2 alpha x, weights by at most a quarter of it, the mean by twice that, so by
    # 2 alpha for |x| <= 2; the modes' own width adds 0.04 alpha |x|.
    alpha = float(Linear()(1000.0)[0])
    return Check(x.numpy(), np.full(41, 0.4 * APART), 3 * alpha)


COUNTS = (3, 10, 30, 100)


@functools.cache
def lost(steps: int) -> float:
    """W1 of Naqsh's DDIM with an exact denoiser from two unequal modes, see naqsh.studies.exact."""
    return exact.measured(Ddim(steps), Linear())[0]


EXTENT, STEPS, SAMPLES = 1.6, 300, 1000
LAYOUT = Layout((2, 1, 1), extent=EXTENT)


def _dense(*sizes: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    parts: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        parts += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*parts[:-1])


def _vae() -> Method:
    """Naqsh's VAE with normal outputs of learnt scale, with dense networks of points."""
    spec = vae.Spec(likelihood="gaussian", learn_scale=True, latent=2)
    method = spec.build(Layout((1, 8, 8)))
    method.encoder = nn.Sequential(nn.Flatten(), _dense(2, 64, 64, 4))
    method.decoder = nn.Sequential(_dense(2, 64, 64, 2), nn.Unflatten(1, (2, 1, 1)))
    return method


def _fresh(name: str) -> tuple[Method, float]:
    """A method with fresh networks and its learning rate."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "vae":
            return _vae(), 5e-3
        if name == "gan":
            adam = Adam(1e-3, (0.5, 0.999))
            return gan.Spec(latent=2, generator=adam, critic=adam).build(LAYOUT), 1e-3
        if name == "flow":
            return coupling.Spec(network="dense", blocks=4, hidden=32).build(LAYOUT), 5e-3
        return diffusion.Spec(Cosine(), parameterisation="v").build(LAYOUT), 1e-2


@dataclass(frozen=True)
class Trained:
    """What a family's samples are worth.

    Attributes:
        points: (SAMPLES, 2).
        good: the share within three deviations of a mode.
        modes: how many have a fortieth of the samples nearest to them.
        of_real: precision and recall against as many real points.
    """

    points: Tensor
    good: float
    modes: int
    of_real: PrecisionRecall


@functools.cache
def trained(name: str) -> Trained:
    """A family after STEPS of 256 points."""
    method, rate = _fresh(name)
    low, high = method.value_range
    phases = method.phases()
    optimizers = [
        p.optimizer.build(p.parameters())
        if name == "gan"
        else torch.optim.Adam(p.parameters(), rate)
        for p in phases
    ]
    method.train()
    for step in range(STEPS):
        points = (ring(256, step + 1) / EXTENT + 1) / 2 * (high - low) + low
        batch = Batch(points.view(-1, 2, 1, 1), None, Noise(1000 + step, 256))
        for phase, optimizer in zip(phases, optimizers, strict=True):
            if name != "gan":  # in the second half the rate falls to nothing
                optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / STEPS))
            optimizer.zero_grad()
            phase.loss(batch, step)["total"].backward()
            nn.utils.clip_grad_norm_(phase.parameters(), 10.0)
            optimizer.step()
    method.eval()
    assert isinstance(method, Samples)
    with torch.no_grad():
        made = (2 * method.sample(Noise(5, SAMPLES)).view(-1, 2) - 1) * EXTENT
    return worth(made)


def worth(points: Tensor) -> Trained:
    """What some points, (SAMPLES, 2), are worth as samples of the ring."""
    good = float((Gaussians(means(), SIGMA).of(points) >= 0).double().mean())
    heaps = Gaussians(means(), math.inf).of(points).bincount(minlength=MODES)
    held = int((heaps >= SAMPLES / 40).sum())
    return Trained(points, good, held, precision_recall(ring(SAMPLES, 77), points))


NAMES: dict[str, Said] = {
    "vae": ("VAE", "VAE"),
    "gan": ("GAN", "GAN"),
    "flow": ("flow (RealNVP)", "جریان (RealNVP)"),
    "diffusion": ("diffusion", "پخش"),
}


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Bounds, losses by steps, and the four families."""
    wide = math.hypot(APART, NARROW)
    found = {"between": between(wide), "deviation": wide, "floor": exact.floor()}
    found |= {f"bridge_{slope}": bridge(float(slope)) for slope in (1, 5, 25)}
    found |= {f"lost_{steps}": lost(steps) for steps in COUNTS}
    cases = {name: trained(name) for name in NAMES} | {"real": worth(ring(SAMPLES, 78))}
    for name, case in cases.items():
        found |= {f"good_{name}": case.good, f"modes_{name}": case.modes}
        found |= {f"precision_{name}": case.of_real.precision}
        found |= {f"recall_{name}": case.of_real.recall}
    return found | {"steps": STEPS, "samples": SAMPLES}


@LESSON.figure
def samples(words: Words) -> Figure:
    """Samples of the four families."""
    plots = []
    for name, title in NAMES.items():
        plot = Plot(words, title=title, size=(2.6, 2.4))
        x, y = trained(name).points.T
        plot.points(x, y, markersize=1.5)
        plot.points(*means().T, markersize=5, alpha=0.6)
        plot.axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5))
        plots.append(plot)
    return Figure(plots, columns=4, small=True)


@LESSON.figure
def steps(words: Words) -> Figure:
    """What few steps lose, with an exact denoiser."""
    y = ("Wasserstein distance", "فاصله‌ی واسرشتاین")
    plot = Plot(words, x=("evaluations", "ارزیابی‌ها"), y=y, log="xy")
    plot.line(COUNTS, [lost(n) for n in COUNTS], ("DDIM", "DDIM"), marker="o", markersize=3)
    plot.line(COUNTS, [exact.floor()] * len(COUNTS), ("exact draws", "نمونه‌های دقیق"), dash="--")
    return Figure([plot])


@LESSON.figure
def gap(words: Words) -> Figure:
    """Samples that must lie in the gap, by how steep the map may be."""
    x = ("steepest slope of the map", "تندترین شیب نگاشت")
    plot = Plot(words, x=x, y=("share in the gap", "سهم درون شکاف"), log="xy")
    slopes = np.geomspace(0.5, 100, 60)
    plot.line(slopes, [bridge(float(slope)) for slope in slopes])
    return Figure([plot])
