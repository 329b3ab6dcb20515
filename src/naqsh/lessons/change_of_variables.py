"""Change of variables: densities of transformed numbers, and the Jacobians of coupling layers."""

import functools
import math

import numpy as np
import torch
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from naqsh.flows.change_of_variables import (
    affine_of_uniform,
    exponential_of_uniform,
    log_abs_det_jacobian,
)
from naqsh.flows.coupling import Coupling
from naqsh.lessons.lesson import Check, Figure, Lesson, Words
from naqsh.lessons.plots import Plot

LESSON = Lesson(
    "change-of-variables", number=20, questions=("one-dimension", "jacobian", "couplings")
)

DRAWS = 40_000
BINS = 16
DIMENSIONS = 6
FLOAT64 = float(np.finfo(np.float64).eps)
END = math.exp(2)


@functools.cache
def _drawn(seed: int, high: float) -> np.ndarray:
    """Draws of Z ~ U(0, high)."""
    return np.random.default_rng(seed).uniform(0, high, DRAWS)


def _inside(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """In which bin each number lies, as 0 and 1, shape (N, bins)."""
    return (x[:, None] >= edges[:-1]) & (x[:, None] < edges[1:])


def _midpoints(low: float, high: float, count: int) -> tuple[Tensor, float]:
    """Places of the midpoint rule, float64, and their distance."""
    step = (high - low) / count
    return low + step * (torch.arange(count, dtype=torch.float64) + 0.5), step


@LESSON.check
def straight_sampled() -> Check:
    """Shares of draws of 2Z + 1 in 16 bins, and Naqsh's density integrated over them."""
    edges = np.linspace(1, 3, BINS + 1)
    middle = torch.from_numpy((edges[1:] + edges[:-1]) / 2)
    expected = affine_of_uniform(middle).numpy() * np.diff(edges)  # constant within a bin
    return Check.of_mean(_inside(2 * _drawn(0, 1.0) + 1, edges), expected)


@LESSON.check
def curved_sampled() -> Check:
    """Shares of draws of exp Z in 16 bins, and what the density says of them."""
    edges = np.linspace(1, END, BINS + 1)
    return Check.of_mean(_inside(np.exp(_drawn(1, 2.0)), edges), np.diff(np.log(edges)) / 2)


@LESSON.check
def curved_total() -> Check:
    """The integral of Naqsh's density of exp Z, and 1."""
    x, step = _midpoints(1, END, 10_000)
    # The midpoint rule errs by at most h^2 (b - a) / 24 max |f''|, and f'' = 1/x^3 is at most 1.
    error = step**2 * (END - 1) / 24
    return Check(step * float(exponential_of_uniform(x).sum()), 1.0, error)


@LESSON.check
def curved_mean() -> Check:
    """The mean of draws of exp Z, and the integral of x p(x)."""
    return Check.of_mean(np.exp(_drawn(1, 2.0)), (END - 1) / 2)


@LESSON.check
def linear() -> Check:
    """The density of A Z for normal Z: by the determinant, and the normal with covariance A A'."""
    rng = np.random.default_rng(2)
    a, x = rng.normal(size=(3, 3)), rng.normal(size=(50, 3))
    z = np.linalg.solve(a, x.T).T
    changed = -(z**2).sum(1) / 2 - 1.5 * math.log(2 * math.pi) - math.log(abs(np.linalg.det(a)))
    known = multivariate_normal(np.zeros(3), a @ a.T).logpdf(x)
    # Solving with A A' loses as many digits as its condition number has, of terms this large.
    lost = np.linalg.cond(a) ** 2 * (1 + np.abs(known).max())
    return Check(changed, known, 27 * FLOAT64 * lost)


@LESSON.check
def polar() -> Check:
    """The Jacobian of polar coordinates: by autograd, and the radius."""
    rng = np.random.default_rng(3)
    places = torch.from_numpy(np.stack([rng.uniform(0.1, 3, 50), rng.uniform(0, 6, 50)], 1))

    def flat(given: Tensor) -> Tensor:
        r, angle = given.unbind(1)
        return torch.stack([r * angle.cos(), r * angle.sin()], 1)

    found = log_abs_det_jacobian(flat, places).numpy()
    # cos^2 + sin^2 and two products are rounded; a matrix of columns 1 and r has condition 10.
    return Check(found, places[:, 0].log().numpy(), 8 * 10 * FLOAT64)


def _coupling(seed: int, *, affine: bool, first: bool) -> Coupling:
    """A coupling of 6 numbers whose conditioner is random, in float64."""
    generator = torch.Generator().manual_seed(seed)
    half = DIMENSIONS // 2
    layers = nn.Sequential(
        nn.Linear(half, 16), nn.Tanh(), nn.Linear(16, 2 * half if affine else half)
    ).double()
    for weight in layers.parameters():
        weight.data = 0.7 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    kept, changed = torch.arange(half), torch.arange(half, DIMENSIONS)
    return Coupling(*((kept, changed) if first else (changed, kept)), layers, affine)


@functools.cache
def _places() -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(40, DIMENSIONS, generator=generator, dtype=torch.float64)


def _allowed(layer: Coupling | nn.Sequential) -> np.ndarray:
    """What rounding may change a log-determinant by: D^3 eps times the condition number."""
    places = _places()

    def image(x: Tensor) -> Tensor:
        return _through(layer, x)[0]

    jacobians = [
        torch.autograd.functional.jacobian(image, place[None])[0, :, 0] for place in places
    ]
    conditions = np.array([float(torch.linalg.cond(jacobian)) for jacobian in jacobians])
    return DIMENSIONS**3 * FLOAT64 * conditions


def _through(layer: Coupling | nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
    """z and the log-determinant, shape (N,), of a coupling or of several in turn."""
    total = torch.zeros(len(x), dtype=x.dtype)
    for one in [layer] if isinstance(layer, Coupling) else layer:
        x, log_factors = one(x)
        total = total + log_factors.sum(1)
    return x, total


def _compared(layer: Coupling | nn.Sequential) -> Check:
    """The sum of a layer's log-factors against the determinant of its whole Jacobian."""
    whole = log_abs_det_jacobian(lambda x: _through(layer, x)[0], _places())
    said = _through(layer, _places())[1].detach()
    return Check(whole.numpy(), said.numpy(), _allowed(layer))


@LESSON.check
def additive() -> Check:
    """The log-determinant of an additive coupling by autograd, and 0."""
    layer = _coupling(5, affine=False, first=True)
    whole = log_abs_det_jacobian(lambda x: layer(x)[0], _places())
    return Check(whole.numpy(), 0.0, _allowed(layer))


@LESSON.check
def affine() -> Check:
    """The log-determinant of an affine coupling by autograd, and the sum of its scales."""
    return _compared(_coupling(6, affine=True, first=True))


@LESSON.check
def stacked() -> Check:
    """Three affine couplings in turns: the whole Jacobian, and the sum over the layers."""
    layers = [_coupling(seed, affine=True, first=seed % 2 == 0) for seed in (6, 7, 8)]
    return _compared(nn.Sequential(*layers))


@LESSON.check
def undone() -> Check:
    """Three couplings forward and back, and the numbers that went in."""
    layers = [_coupling(seed, affine=True, first=seed % 2 == 0) for seed in (6, 7, 8)]
    with torch.no_grad():
        z = _places()
        for layer in layers:
            z = layer(z)[0]
        largest = float(z.abs().max())
        for layer in reversed(layers):
            z = layer.inverse(z)
    # Each layer rounds a few times; going back multiplies by up to 1/0.05 where a factor shrank.
    return Check(z.numpy(), _places().numpy(), 6 * FLOAT64 * (1 + largest) * 20**3)


@LESSON.numbers
def numbers() -> dict[str, float]:
    """What the text shows besides."""
    x, step = _midpoints(1, END, 10_000)
    layer = _coupling(6, affine=True, first=True)
    factors = layer(_places())[1].detach().exp()
    return {
        "draws": DRAWS,
        "end": END,
        "mean": (END - 1) / 2,
        "forgotten": step * len(x) / 2,
        "least": float(factors.min()),
        "most": float(factors.max()),
        "image_cubed": float((3 * 32 * 32) ** 3),
    }


@LESSON.figure
def densities(words: Words) -> Figure:
    """Draws of both exercises, and their densities."""
    plots = []
    for title, drawn, high, density in (
        ("X = 2Z + 1", 2 * _drawn(0, 1.0) + 1, 3.0, affine_of_uniform),
        ("X = exp Z", np.exp(_drawn(1, 2.0)), END, exponential_of_uniform),
    ):
        plot = Plot(words, title=(title, title), x=("x", "x"), y=("density", "چگالی"))
        counts, edges = np.histogram(drawn, 40, (1, high), density=True)
        plot.bars(counts, edges, ("draws", "نمونه‌ها"))
        x = torch.linspace(0.5, high + 0.5, 800, dtype=torch.float64)
        plot.line(x, density(x), ("formula", "رابطه"))
        plots.append(plot)
    return Figure(plots)


@LESSON.figure
def cells(words: Words) -> Figure:
    """A square grid, and what an additive and an affine coupling make of it."""
    plots = []
    for title, scaled in (
        (("before", "پیش از لایه"), None),
        (("additive coupling", "لایه‌ی جفتی جمعی"), False),
        (("affine coupling", "لایه‌ی جفتی آفین"), True),
    ):
        plot = Plot(words, title=title, size=(2.6, 2.6), x=("a", "a"), y=("b", "b"))
        colour = plot.colour()
        along = np.linspace(-1, 1, 60)
        for place in np.linspace(-1, 1, 11):
            for a, b in ((along, np.full(60, place)), (np.full(60, place), along)):
                shift = 0.6 * np.sin(2.5 * a) if scaled is not None else 0.0
                factor = np.exp(0.9 * np.cos(2.5 * a) - 0.3) if scaled else 1.0
                plot.axes.plot(a, factor * b + shift, color=colour, linewidth=0.8)
        plot.axes.set_aspect("equal", "datalim")
        plots.append(plot)
    return Figure(plots, small=True)
