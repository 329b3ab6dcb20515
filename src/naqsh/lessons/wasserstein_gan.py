"""Wasserstein GANs: duality, what clipping spoils, and what the gradient penalty costs."""

import functools
import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from naqsh.adversarial.objectives import OBJECTIVES
from naqsh.adversarial.penalties import clip, gradients, interpolates, lipschitz
from naqsh.core.noise import Noise
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot
from naqsh.report.words import Words

LESSON = Lesson("wasserstein-gan", number=5, questions=("repairs", "duality", "remains", "penalty"))

Points = NDArray[np.float64]

WASSERSTEIN = OBJECTIVES["wasserstein"]
BOUND, LAMBDA = 0.1, 10.0
"""Of clipped weights, and the penalty's weight."""


def cloud(count: int, seed: int, dimensions: int = 2) -> Points:
    """Standard normal points, shape (count, dimensions)."""
    return Noise(seed, count).normal(dimensions).double().numpy()


REAL, FAKE = cloud(12, 1), 0.7 * cloud(12, 2) + np.array([1.5, -0.5])
"""Two small sets of as many points."""


def matched(real: Points, fake: Points) -> tuple[float, NDArray[np.int64]]:
    """W1 of two sets of as many points, and the fake that each real one is carried to."""
    costs = cdist(real, fake)
    rows, columns = linear_sum_assignment(costs)
    return float(costs[rows, columns].mean()), columns


@functools.cache
def dual() -> tuple[float, Points]:
    """W1 as the best 1-Lipschitz critic of REAL and FAKE, and its values: a linear programme."""
    points = np.concatenate([REAL, FAKE])
    count = len(points)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    rows = np.zeros((len(pairs), count))
    for row, (i, j) in zip(rows, pairs, strict=True):
        row[i], row[j] = 1, -1
    away = cdist(points, points)
    limits = [away[i, j] for i, j in pairs]
    weights = np.concatenate([np.full(12, -1 / 12), np.full(12, 1 / 12)])
    # A critic is known but for a constant: its first value is 0.
    bounds = [(0.0, 0.0)] + [(None, None)] * (count - 1)
    best = linprog(weights, A_ub=rows, b_ub=limits, bounds=bounds)
    return -float(best.fun), np.asarray(best.x)


@LESSON.check
def duality() -> Check:
    """W1 by the cheapest assignment against W1 by the best 1-Lipschitz critic."""
    return Check(matched(REAL, FAKE)[0], dual()[0], 1e-8)


@LESSON.check
def slope_one() -> Check:
    """The best critic falls by just the distance from each real point to the fake it goes to."""
    critic, (_, to) = dual()[1], matched(REAL, FAKE)
    away = np.linalg.norm(REAL - FAKE[to], axis=1)
    return Check(critic[:12] - critic[12:][to], away, 1e-8)


@LESSON.check
def envelope() -> Check:
    """The derivative of W1 as all fakes are shifted: by finite differences, and by the critic."""
    way, step = np.array([0.6, 0.8]), 1e-5
    ahead, behind = (matched(REAL, FAKE + s * way)[0] for s in (step, -step))
    _, to = matched(REAL, FAKE)
    lines = FAKE[to] - REAL
    said = (lines @ way / np.linalg.norm(lines, axis=1)).mean()
    # A distance of 0.05 or more has a third derivative below 1,200: an error of 1,200 step^2 / 6
    # at most, of which the mean over twelve has a twelfth.
    return Check((ahead - behind) / (2 * step), said, 1e-8)


@LESSON.check
def one_line() -> Check:
    """On a line W1 of 500 points by assignment against the mean distance of sorted ones."""
    a, b = cloud(500, 3, 1), 1.3 * cloud(500, 4, 1) + 0.4
    said = np.abs(np.sort(a, axis=0) - np.sort(b, axis=0)).mean()
    return Check(matched(a, b)[0], float(said), 1e-10)


@LESSON.check
def overshoot() -> Check:
    """The slope of a linear critic under Naqsh's gradient penalty, against 1 + gap / 2 lambda."""
    gap, slope = 3.0, torch.zeros(1, dtype=torch.float64, requires_grad=True)
    fake = Noise(5, 64).normal(1, 1, 1).double()
    real = fake + gap
    share = Noise(6, 64).uniform(1, 1, 1).double()
    optimizer = torch.optim.LBFGS([slope], max_iter=50, tolerance_grad=1e-12)

    def loss() -> Tensor:
        optimizer.zero_grad()
        between = interpolates(real, fake, share)
        norms = gradients(slope * between.flatten(), between).norm(dim=1)
        scores = (slope * real.flatten(), slope * fake.flatten())
        value = WASSERSTEIN.critic(*scores) + LAMBDA * lipschitz(norms)
        value.backward()
        return value

    optimizer.step(loss)
    return Check(float(slope.detach()), 1 + gap / (2 * LAMBDA), 1e-8)


def ring(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points of eight Gaussians on a circle, and of one in its middle, each (count, 2)."""
    noise = Noise(seed, count)
    angle = noise.integers(8).float() * (2 * np.pi / 8)
    z = noise.normal(4)
    real = torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * z[:, :2]
    return real, 0.2 * z[:, 2:]


@functools.cache
def trained(kind: str, steps: int = 400) -> nn.Sequential:
    """A critic of the ring against its middle, clipped or with the gradient penalty."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = (2, 64, 64, 64, 1)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    rate = 1e-3
    optimizer = torch.optim.RMSprop(net.parameters(), rate)
    reals, fakes = (points.view(steps, -1, 2) for points in ring(128 * steps, 7))
    shares = Noise(8, steps).uniform(128, 1, 1, 1)
    for real, fake, share in zip(reals, fakes, shares, strict=True):
        loss = WASSERSTEIN.critic(net(real)[:, 0], net(fake)[:, 0])
        if kind == "penalty":
            between = interpolates(real[..., None, None], fake[..., None, None], share)
            scores = net(between.flatten(1))[:, 0]
            loss = loss + LAMBDA * lipschitz(gradients(scores, between).norm(dim=1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if kind == "clipped":
            clip(net, BOUND)
    return net


def estimate(kind: str) -> tuple[float, Points]:
    """The critic's difference of means on fresh points, and sizes of its slopes between them."""
    real, fake = ring(500, 9)
    net = trained(kind)
    between = interpolates(
        real[..., None, None], fake[..., None, None], Noise(10, 500).uniform(1, 1, 1)
    )
    slopes = gradients(net(between.flatten(1))[:, 0], between).norm(dim=1)
    told = WASSERSTEIN.critic(net(real)[:, 0], net(fake)[:, 0])
    return -float(told.detach()), slopes.detach().double().numpy()


def weights(kind: str) -> Points:
    """All weights of a trained critic."""
    parts = [part.detach().flatten() for part in trained(kind).parameters()]
    return torch.cat(parts).double().numpy()


def gain(bound: float, depth: int, width: int = 64) -> float:
    """The slope of a ReLU network whose weights are all plus or minus `bound`, over 100 draws."""
    found = []
    for seed in range(100):
        noise = Noise(100 + seed, depth)
        signs = 2.0 * noise.integers(2, width, width).double() - 1
        x = Noise(300 + seed, 1).normal(width).double()[0].requires_grad_()
        h = x
        for matrix in signs:
            h = (bound * matrix @ h).relu()
        (slope,) = torch.autograd.grad(h.sum(), x)
        found.append(float(slope.norm()))
    return float(np.mean(found))


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Of the critics, of sampling, and of depth."""
    real, fake = (points.double().numpy() for points in ring(500, 9))
    found = {"exact": matched(real, fake)[0], "bound": BOUND, "lambda": LAMBDA}
    for kind in ("clipped", "penalty"):
        told, slopes = estimate(kind)
        found |= {f"{kind}_told": told, f"{kind}_slope": float(slopes.mean())}
        found[f"{kind}_spread"] = float(slopes.std())
    found["at_bound"] = float((np.abs(weights("clipped")) > 0.99 * BOUND).mean())
    for dimensions in (1, 2, 10, 50):
        apart = matched(cloud(200, 11, dimensions), cloud(200, 12, dimensions))[0]
        found[f"chance_{dimensions}"] = apart
    for key, bound in (("low", 0.1), ("high", 0.3)):
        found |= {f"{key}_{depth}": gain(bound, depth) for depth in (2, 10)}
    return found


@LESSON.figure
def critics(words: Words) -> Figure:
    """Weights and slopes of a clipped critic and of one with the penalty."""
    left = Plot(words, x=("weight", "وزن"), title=("weights, clipped", "وزن‌ها، بریده"))
    left.bars(*np.histogram(weights("clipped"), bins=41))
    middle = Plot(words, x=("weight", "وزن"), title=("weights, penalty", "وزن‌ها، با جریمه"))
    middle.bars(*np.histogram(weights("penalty"), bins=41))
    title = ("slopes between real and fake", "شیب‌ها میان واقعی و ساختگی")
    right = Plot(words, x=("size of the gradient", "اندازه‌ی گرادیان"), title=title)
    right.bars(*np.histogram(estimate("clipped")[1], bins=30), ("clipped", "بریده"))
    right.bars(*np.histogram(estimate("penalty")[1], bins=30), ("penalty", "با جریمه"))
    return Figure([left, middle, right], columns=3, small=True)


@LESSON.figure
def plan(words: Words) -> Figure:
    """The cheapest assignment of the two small sets."""
    plot = Plot(words, x=("x₁", "x₁"), y=("x₂", "x₂"))
    _, to = matched(REAL, FAKE)
    for a, b in zip(REAL, FAKE[to], strict=True):
        plot.axes.plot([a[0], b[0]], [a[1], b[1]], color="#9b9ba3", linewidth=0.8)
    plot.points(REAL[:, 0], REAL[:, 1], ("real", "واقعی"))
    plot.points(FAKE[:, 0], FAKE[:, 1], ("generated", "تولیدشده"))
    return Figure([plot])
