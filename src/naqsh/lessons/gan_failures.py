"""Three failures of GANs, in the smallest games that show them, and remedies on a ring of modes."""

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh import data as sets
from naqsh.data.points import coordinates
from naqsh.lessons.gan_objective import fading
from naqsh.lessons.lesson import Check, Lesson
from naqsh.lessons.plots import Figure, Plot, Said
from naqsh.metrics import Gaussians
from naqsh.report.words import Words
from naqsh.runs.records import Circle
from naqsh.studies.failures import dirac
from naqsh.studies.failures.remedies import recipes
from naqsh.studies.failures.side_by_side import SideBySide

LESSON = Lesson(
    "gan-failures",
    number=4,
    questions=("collapse", "non-convergence", "vanishing", "remedies"),
)

MODES = 8
STEPS, SAMPLES = 250, 1000


def js_of_collapse(kept: int, modes: int) -> float:
    """JS of the even distribution on `modes` places from the even one on `kept` of them."""
    both = math.log(2 * kept / (modes + kept)) * kept / modes
    rest = math.log(2) * (modes - kept) / modes
    return (both + rest + math.log(2 * modes / (modes + kept))) / 2


@LESSON.check
def cost_of_collapse() -> Check:
    """JS of a generator that keeps 1..8 of 8 modes: the closed form against the definition."""
    found, said = [], []
    for kept in range(1, MODES + 1):
        p, q = np.full(MODES, 1 / MODES), np.zeros(MODES)
        q[:kept] = 1 / kept
        middle = (p + q) / 2
        kls = [(a[a > 0] * np.log(a[a > 0] / middle[a > 0])).sum() for a in (p, q)]
        found.append(js_of_collapse(kept, MODES))
        said.append(sum(kls) / 2)
    return Check(found, said, 1e-12)


@LESSON.check
def packs() -> Check:
    """JS of packs of m samples of 7 of 8 modes: the closed form with powers, and all packs."""
    found, said = [], []
    for size in (1, 2, 3):
        total = 0.0
        for pack in itertools.product(range(MODES), repeat=size):
            p = MODES**-size
            q = 7.0**-size if max(pack) < 7 else 0.0
            middle = (p + q) / 2
            total += (p * math.log(p / middle) + (q * math.log(q / middle) if q else 0)) / 2
        found.append(js_of_collapse(7**size, MODES**size))
        said.append(total)
    return Check(found, said, 1e-12)


@functools.cache
def played(name: str) -> Circle:
    """A game of the Dirac-GAN."""
    return dirac.play(name)


def flat(pairs: tuple[tuple[float, float], ...]) -> list[float]:
    """Real and imaginary parts in one list."""
    return [number for pair in pairs for number in pair]


@LESSON.check
def circling() -> Check:
    """Eigenvalues at rest of the Dirac-GAN, four games: autograd against the formula."""
    games = [played(name) for name in dirac.GAMES]
    found = [number for game in games for number in flat(game.eigenvalues)]
    said = [number for game in games for number in flat(game.published)]
    return Check(found, said, 1e-7)


@LESSON.check
def growing() -> Check:
    """By what a step of 0.2 of the Wasserstein Dirac-GAN grows the distance from rest."""
    return Check(played("wasserstein").growth, math.sqrt(1 + dirac.STEP**2), 1e-12)


def unrolled(steps: int, rate: float) -> Callable[[Tensor], Tensor]:
    """Where both players of f = x y lead from (x, y), x looking `steps` of y's steps ahead."""

    def field(point: Tensor) -> Tensor:
        def ahead(x: Tensor, y: Tensor) -> Tensor:
            for _ in range(steps):
                y = y + rate * torch.func.grad(lambda v: x * v)(y)
            return x * y

        x, y = point
        return torch.stack([-torch.func.grad(ahead)(x, y), x])

    return field


@LESSON.check
def unrolling() -> Check:
    """Trace and determinant of the unrolled game's field: by autograd, and -2 k eta and 1."""
    found, said = [], []
    for steps, rate in ((0, 0.1), (1, 0.1), (5, 0.1), (10, 0.05)):
        at_rest = torch.func.jacrev(unrolled(steps, rate))(torch.zeros(2, dtype=torch.float64))
        found += [float(at_rest.trace()), float(at_rest.det())]
        said += [-2 * steps * rate, 1.0]
    return Check(found, said, 1e-12)


REMEDIES: dict[str, Said] = {
    "plain": ("plain GAN", "GAN ساده"),
    "minibatch": ("minibatch discrimination", "تمیز دسته‌ای"),
    "unrolled": ("unrolled, 3 steps", "بازکردن، ۳ گام"),
    "mgan-falling": ("eight generators, falling rates", "هشت مولد، نرخ کاهشی"),
    "spectral-norm": ("spectral normalisation", "نرمال‌سازی طیفی"),
    "gradient-penalty": ("gradient penalty", "جریمه‌ی گرادیان"),
    "feature-matching": ("feature matching", "تطبیق ویژگی"),
    "r3gan": ("balance: R3GAN's loss, no momentum, falling rates", "توازن: زیان R3GAN"),
}


@functools.cache
def trained(remedy: str) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Samples after :data:`STEPS` of a remedy on the ring, (N, 2), and what they are worth."""
    ring = sets.load("ring")
    assert ring.mixture is not None
    training = SideBySide(recipes("ring", remedy, (0,), STEPS), ring)
    means = torch.tensor(ring.mixture.means, dtype=torch.float64)
    good, nearest = (Gaussians(means, sigma) for sigma in (ring.mixture.sigma, math.inf))
    seen = []
    for step in (STEPS * 9 // 10, STEPS):
        training.advance(step)
        seen.append(coordinates(training.samples(SAMPLES)[0], ring.extent))
    before, after = (nearest.of(torch.from_numpy(points)).numpy() for points in seen)
    of = good.of(torch.from_numpy(seen[-1])).numpy()
    spread = np.bincount(after, minlength=MODES)
    worth = {
        "modes": float(len(np.unique(of[of >= 0]))),
        "near": float((spread >= SAMPLES / 100).sum()),
        "good": float((of >= 0).mean()),
        "moved": float((before != after).mean()),
    }
    return np.asarray(seen[-1], dtype=np.float64), worth


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Costs of collapse, of circling, and what the remedies come to."""
    found = {f"js_{kept}": js_of_collapse(kept, MODES) for kept in (1, 4, 7)}
    found |= {f"pack_{size}": js_of_collapse(7**size, MODES**size) for size in (2, 4, 8)}
    found["steps"] = STEPS
    for name in ("minimax", "r1"):
        game = played(name)
        found |= {f"{name}_real": game.eigenvalues[0][0], f"{name}_growth": game.growth}
        found[f"{name}_imaginary"] = abs(game.eigenvalues[0][1])
    for remedy in REMEDIES:
        for what, value in trained(remedy)[1].items():
            found[f"{remedy.replace('-', '_')}_{what}"] = value
    steps, minimax, other, _ = fading()
    found |= {"looked": steps[-1], "minimax_first": minimax[0], "minimax_last": minimax[-1]}
    found |= {"other_first": other[0], "other_last": other[-1]}
    return found


@LESSON.figure
def circles(words: Words) -> Figure:
    """Paths of the Dirac-GAN."""
    titles: dict[str, Said] = {
        "minimax": ("minimax", "مینیماکس"),
        "non-saturating": ("non-saturating", "اشباع‌ناپذیر"),
        "r1": ("with the penalty R1", "با جریمه‌ی R1"),
    }
    plots = []
    for name, title in titles.items():
        plot = Plot(words, x=("θ", "θ"), y=("ψ", "ψ"), title=title)
        path = np.array(played(name).path)
        plot.line(path[:, 0], path[:, 1], linewidth=0.9)
        plot.axes.plot(*path[0], "o", color=plot.colour(), markersize=4)
        plots.append(plot)
    return Figure(plots, columns=3, small=True)


@LESSON.figure
def ring(words: Words) -> Figure:
    """Samples of each remedy."""
    plots = []
    for remedy, title in REMEDIES.items():
        plot = Plot(words, title=title, image=True, size=(2.1, 2.1))
        at = np.linspace(0, 2 * np.pi, MODES, endpoint=False)
        plot.points(np.cos(at), np.sin(at), markersize=9, alpha=0.3)
        points = trained(remedy)[0][:500]
        plot.points(points[:, 0], points[:, 1], markersize=1.5)
        plot.axes.set_xlim(-1.7, 1.7)
        plot.axes.set_ylim(-1.7, 1.7)
        plots.append(plot)
    return Figure(plots, columns=4, small=True)
