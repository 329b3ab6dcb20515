"""MAF and IAF: autoregression by masks, which direction is quick, and how the other becomes so."""

import functools
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import solve_triangular
from scipy.stats import multivariate_normal, norm
from torch import Tensor

from naqsh.data.points import drawn
from naqsh.flows.autoregressive import Autoregressive, Inverse
from naqsh.flows.change_of_variables import log_abs_det_jacobian
from naqsh.flows.method import Chain, normal_terms
from naqsh.lessons.lesson import Check, Figure, Lesson, Words
from naqsh.lessons.plots import Plot

LESSON = Lesson("maf-iaf", number=21, questions=("autoregression", "masks", "sampling", "times"))

SIZE = 8
"""Dimensions of the small map that identities are checked on."""

TIMED, HIDDEN, BATCH = 256, 128, 32
"""Dimensions, hidden units and images of what is timed."""

STEPS, LEARNT = 1200, 256
FLOAT64 = float(np.finfo(np.float64).eps)


@functools.cache
def _map() -> Autoregressive:
    """A map of 8 numbers with random weights, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Autoregressive(SIZE, (24, 24)).double()
    made.made.output.weight.data *= 50  # a flow begins near the identity, which would show little
    return made


@functools.cache
def _numbers() -> Tensor:
    """40 vectors of normal numbers, float64."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(40, SIZE, generator=generator, dtype=torch.float64)


@functools.cache
def _back() -> Tensor:
    """What the map makes these vectors of, by D passes; each is right in one more dimension."""
    with torch.no_grad():
        return _map().naive_inverse(_numbers())


def _gaussian() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A mean, the lower triangular root of a covariance, and 30 vectors."""
    rng = np.random.default_rng(2)
    root = np.tril(rng.normal(size=(4, 4)))
    root[np.diag_indices(4)] = 0.5 + rng.random(4)
    return rng.normal(size=4), root, rng.normal(size=(30, 4))


@LESSON.check
def chain_rule() -> Check:
    """A normal's log-density as a whole, and as a sum of conditionals by linear regression."""
    mean, root, x = _gaussian()
    covariance = root @ root.T
    total = np.zeros(len(x))
    for i in range(4):
        before = covariance[:i, :i]
        slopes = np.linalg.solve(before, covariance[:i, i]) if i else np.zeros(0)
        expected = mean[i] + (x[:, :i] - mean[:i]) @ slopes
        left = covariance[i, i] - covariance[:i, i] @ slopes
        total += norm.logpdf(x[:, i], expected, np.sqrt(left))
    whole = multivariate_normal(mean, covariance).logpdf(x)
    lost = np.linalg.cond(covariance) * (1 + np.abs(whole).max())
    return Check(total, whole, 4**3 * FLOAT64 * lost)


@LESSON.check
def cholesky() -> Check:
    """The same normal as an affine autoregressive map: z of each conditional, and L^-1 (x - m)."""
    mean, root, x = _gaussian()
    covariance = root @ root.T
    z = np.zeros_like(x)
    for i in range(4):
        slopes = np.linalg.solve(covariance[:i, :i], covariance[:i, i]) if i else np.zeros(0)
        shift = mean[i] + (x[:, :i] - mean[:i]) @ slopes
        z[:, i] = (x[:, i] - shift) / np.sqrt(covariance[i, i] - covariance[:i, i] @ slopes)
    solved = solve_triangular(root, (x - mean).T, lower=True).T
    lost = np.linalg.cond(covariance) * (1 + np.abs(solved).max())
    return Check(z, solved, 4**3 * FLOAT64 * lost)


@functools.cache
def _dependence() -> np.ndarray:
    """How strongly shift and scale of i depend on x_j, the largest over 40 places, (D, D)."""
    made, x = _map().made, _numbers().clone().requires_grad_()
    rows = []
    for i in range(SIZE):
        both = [
            torch.autograd.grad(made(x)[:, i, part].sum(), x, materialize_grads=True)[0]
            for part in (0, 1)
        ]
        rows.append(torch.stack(both).abs().amax(dim=(0, 1)))
    return torch.stack(rows).numpy()


@LESSON.check
def masked() -> Check:
    """Derivatives of the parameters of x_i by x_i and all after it, by autograd, and 0."""
    return Check(_dependence()[np.triu_indices(SIZE)], 0.0, 0.0)


@LESSON.check
def seen() -> Check:
    """How many of the other derivatives are not 0, and how many there are."""
    below = _dependence()[np.tril_indices(SIZE, -1)]
    return Check(float((below > 0).sum()), float(SIZE * (SIZE - 1) / 2), 0.0)


def _condition() -> np.ndarray:
    """The condition number of the map's Jacobian at each place."""

    def z(x: Tensor) -> Tensor:
        return _map()(x)[0]  # type: ignore[no-any-return]

    found = [torch.autograd.functional.jacobian(z, x[None])[0, :, 0] for x in _numbers()]
    return np.array([float(torch.linalg.cond(one)) for one in found])


@LESSON.check
def triangular() -> Check:
    """The log-determinant of the whole Jacobian, and the sum of the map's log-factors."""
    whole = log_abs_det_jacobian(lambda x: _map()(x)[0], _numbers())
    said = _map()(_numbers())[1].sum(1).detach()
    return Check(whole.numpy(), said.numpy(), SIZE**3 * FLOAT64 * _condition())


@LESSON.check
def passes() -> Check:
    """x found by D passes and put through the map once, and the z that it was made of."""
    with torch.no_grad():
        z, log_factors = _map()(_back())
    # A last digit of x is divided by the scale, and shifts depend on all x before.
    scale = float((log_factors.exp() + 1).max() * (1 + _back().abs().max()))
    return Check(z.numpy(), _numbers().numpy(), 24 * 24 * FLOAT64 * scale**2)


@LESSON.check
def swept() -> Check:
    """Naqsh's inverse, which computes every unit once, and that of D passes."""
    with torch.no_grad():
        quick = _map().inverse(_numbers())
        log_factors = _map()(_back())[1]
    scale = float((1 + (-log_factors).exp()).max() * (1 + _back().abs().max()))
    return Check(quick.numpy(), _back().numpy(), 24 * 24 * FLOAT64 * scale**2)


@LESSON.check
def turned() -> Check:
    """Log-determinants of a map and of the map turned round, at the same pair: their sum is 0."""
    inner, x = _map(), _numbers()
    with torch.no_grad():
        z, there = inner(x)
        back = Inverse(inner)(z)[1]
    scale = float((1 + (-there).exp()).max() * (1 + x.abs().max()))
    total = there.sum(1) + back.sum(1)
    return Check(total.numpy(), 0.0, SIZE * 24 * 24 * FLOAT64 * scale**2)


@functools.cache
def _trained() -> tuple[Chain, list[float]]:
    """A MAF of four blocks that has learnt two half moons, and its loss in nats a point."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        flow = Chain([Autoregressive(2, (32, 32), reverse=k % 2 == 1) for k in range(4)])
    points = torch.from_numpy(drawn("moons", "train", 4096)[0]).float()
    order = torch.Generator().manual_seed(4)
    optimizer = torch.optim.Adam(flow.parameters(), 5e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    losses = []
    for _ in range(STEPS):
        batch = points[torch.randint(len(points), (LEARNT,), generator=order)]
        loss = -normal_terms(*flow.normalise(batch)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        losses.append(float(loss.detach()))
    return flow, losses


def _log_density(x: Tensor) -> Tensor:
    flow, _ = _trained()
    with torch.no_grad():
        return normal_terms(*flow.normalise(x)).sum(1)


@LESSON.check
def total() -> Check:
    """The integral of the learnt density, by draws of a broad normal, and 1."""
    broad, centre = 1.2, torch.tensor([0.5, 0.25])
    x = centre + broad * torch.randn(100_000, 2, generator=torch.Generator().manual_seed(5))
    drawn_from = norm.logpdf((x - centre).numpy(), scale=broad).sum(1)
    return Check.of_mean(np.exp(_log_density(x).double().numpy() - drawn_from), 1.0)


def _milliseconds(call: Callable[[], object]) -> float:
    """The median of five calls after one to warm up."""
    call()
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.median(seconds)


@functools.cache
def _times() -> dict[str, float]:
    """Milliseconds of a training step and of sampling, of a MAF and an IAF of one network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        inner = Autoregressive(TIMED, (HIDDEN, HIDDEN))
    maf, iaf = Chain([inner]), Chain([Inverse(inner)])
    x = torch.randn(BATCH, TIMED, generator=torch.Generator().manual_seed(7))

    def step(flow: Chain) -> None:
        (-normal_terms(*flow.normalise(x)).sum(1).mean()).backward()

    found = {"maf_step": _milliseconds(lambda: step(maf))}
    found["iaf_step"] = _milliseconds(lambda: step(iaf))
    with torch.no_grad():
        found["maf_sample"] = _milliseconds(lambda: maf(x))
        found["maf_naive"] = _milliseconds(lambda: maf(x, "naive"))
        found["iaf_sample"] = _milliseconds(lambda: iaf(x))
    return found


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Times on this machine, and what was learnt of the moons."""
    found = dict(_times())
    found["ratio"] = found["maf_naive"] / found["maf_sample"]
    test = torch.from_numpy(drawn("moons", "test", 2000)[0]).float()
    gaussian = multivariate_normal(test.mean(0).numpy(), np.cov(test.T.numpy()))
    found["learnt"] = float(_log_density(test).mean())
    found["gaussian"] = float(gaussian.logpdf(test.numpy()).mean())
    return found | {"dimensions": TIMED, "hidden": HIDDEN, "batch": BATCH, "steps": STEPS}


@LESSON.figure
def dependence(words: Words) -> Figure:
    """Which inputs the parameters of which dimension see."""
    plot = Plot(words, x=("input j", "ورودی j"), y=("parameters of i", "پارامترهای i"), size=(3, 3))
    plot.image(
        (_dependence() > 0).astype(float),
        cmap="Blues",
        vmin=0,
        vmax=1.4,
        extent=(0.5, SIZE + 0.5, SIZE + 0.5, 0.5),
    )
    plot.axes.grid(False)
    return Figure([plot], small=True)


@LESSON.figure
def progress(words: Words) -> Figure:
    """How far x is from right after each pass of the naive inverse, dimension by dimension."""
    plot = Plot(
        words,
        x=("passes", "گذر"),
        y=("largest error", "بزرگ‌ترین خطا"),
        log="y",
    )
    inner, z, x = _map(), _numbers(), torch.zeros_like(_numbers())
    errors = []
    with torch.no_grad():
        for _ in range(SIZE + 1):
            errors.append((x - _back()).abs().amax(0).numpy())
            shift, raw = inner.made(x).unbind(-1)
            x = inner.affine.inverse(z, shift, raw)
    table = np.maximum(np.array(errors), 1e-17)
    for i in (0, 2, 4, 7):
        label = (f"dimension {i + 1}", f"بعد {words.local(str(i + 1))}")
        plot.line(range(SIZE + 1), table[:, i], label, marker="o", markersize=3)
    return Figure([plot])


@LESSON.figure
def moons(words: Words) -> Figure:
    """Points, the density that was learnt, and samples of it."""
    flow, _ = _trained()
    points = drawn("moons", "test", 800)[0]
    latents = torch.randn(800, 2, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        samples = flow(latents).numpy()
    plots = [
        Plot(words, title=title, size=(2.6, 2.2))
        for title in (("data", "داده‌ها"), ("density", "چگالی"), ("samples", "نمونه‌ها"))
    ]
    side = np.linspace(-1.5, 2.5, 100), np.linspace(-1.2, 1.7, 80)
    grid = torch.from_numpy(np.stack(np.meshgrid(*side), -1).reshape(-1, 2)).float()
    density = _log_density(grid).exp().reshape(80, 100).numpy()
    for plot, cloud in ((plots[0], points), (plots[2], samples)):
        plot.points(cloud[:, 0], cloud[:, 1], markersize=1.5)
    extent = (-1.5, 2.5, -1.2, 1.7)
    plots[1].image(density, cmap="Blues", origin="lower", extent=extent, aspect="auto")
    for plot in plots:
        plot.axes.set(xlim=extent[:2], ylim=extent[2:])
    return Figure(plots, small=True)
