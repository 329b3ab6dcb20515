"""FID: what the Fréchet distance is, how it is computed, and what else it depends on."""

import functools
import math

import numpy as np
import torch
from scipy.linalg import sqrtm
from scipy.special import gammaln
from scipy.stats import norm
from sklearn.datasets import load_digits

from naqsh.lessons.lesson import Check, Figure, Lesson, Words
from naqsh.lessons.plots import Plot
from naqsh.metrics.frechet import frechet_distance, frechet_distance_features
from naqsh.metrics.kernel import kernel_distance

LESSON = Lesson(
    "fid", number=9, questions=("definition", "computation", "bias", "depends", "trust")
)

DIMENSIONS = 6
FEW, TRIALS = 8, 4000
COUNTS = (80, 120, 180, 270, 400, 600, 880)
REPEATS = 12
FLOAT64 = float(np.finfo(np.float64).eps)


@functools.cache
def _moments() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and covariance of two normals in 6 dimensions."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(2 * DIMENSIONS, DIMENSIONS)) for _ in range(2))
    means = rng.normal(size=(2, DIMENSIONS))
    return means[0], a.T @ a / 12, means[1], b.T @ b / 12


def _lost() -> float:
    """What rounding may change a distance of these two by, of roots of their covariances."""
    _, a, _, b = _moments()
    condition = math.sqrt(np.linalg.cond(a) * np.linalg.cond(b))
    return float(DIMENSIONS**3 * FLOAT64 * condition * (np.trace(a) + np.trace(b)))


@LESSON.check
def one_dimension() -> Check:
    """The distance of two normals on the line: by moving mass in order, and Naqsh's."""
    z, step = np.linspace(-12, 12, 24_001, retstep=True)
    moved = (1.0 + 0.5 * z) - (-0.5 + 1.25 * z)  # the quantiles of both at one level
    integral = step * float((moved**2 * norm.pdf(z)).sum())
    ours = frechet_distance(
        np.array([1.0]), np.array([[0.25]]), np.array([-0.5]), np.array([[1.5625]])
    )
    return Check(integral, ours, len(z) * FLOAT64)


@LESSON.check
def root() -> Check:
    """Naqsh's distance in 6 dimensions, and the formula with a library's matrix root."""
    m, a, n, b = _moments()
    product = np.real(np.trace(sqrtm(a @ b)))
    known = float(((m - n) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * product)
    return Check(frechet_distance(m, a, n, b), known, _lost())


def _transport() -> np.ndarray:
    """The matrix of the best map from one normal to the other."""
    _, a, _, b = _moments()
    half = np.real(sqrtm(a))
    back = np.linalg.inv(half)
    return np.asarray(back @ np.real(sqrtm(half @ b @ half)) @ back)


@LESSON.check
def carried() -> Check:
    """T A T, the covariance after the best map, and B."""
    _, a, _, b = _moments()
    matrix = _transport()
    lost = np.linalg.cond(a) * DIMENSIONS**3 * FLOAT64 * np.abs(b).max()
    return Check(matrix @ a @ matrix, b, float(lost))


@LESSON.check
def cost() -> Check:
    """What the best map costs, the mean of |T x - x|^2, and Naqsh's distance of the same mean."""
    m, a, _, b = _moments()
    matrix = _transport() - np.eye(DIMENSIONS)
    return Check(float(np.trace(matrix @ a @ matrix)), frechet_distance(m, a, m, b), 10 * _lost())


def _expected() -> float:
    """The mean distance of two samples of 8 standard normal numbers."""
    log_c4 = math.log(2 / (FEW - 1)) / 2 + gammaln(FEW / 2) - gammaln((FEW - 1) / 2)
    return 2 / FEW + 2 - 2 * math.exp(2 * log_c4)


@LESSON.check
def bias() -> Check:
    """The mean distance of two samples of one normal, 8 numbers each, and what theory expects."""
    drawn = np.random.default_rng(1).normal(size=(TRIALS, 2, FEW, 1))
    found = [frechet_distance_features(first, second) for first, second in drawn]
    return Check.of_mean(found, _expected())


@LESSON.check
def unbiased() -> Check:
    """The mean kernel distance of two samples of one normal, 8 vectors each, and 0."""
    drawn = np.random.default_rng(2).normal(size=(1000, 2, FEW, 3))
    return Check.of_mean([kernel_distance(first, second).value for first, second in drawn], 0.0)


def _whitened(table: np.ndarray) -> np.ndarray:
    """The table with mean 0 and covariance 1, exactly but for rounding."""
    table = table - table.mean(0)
    return np.asarray(table @ np.linalg.inv(np.linalg.cholesky(np.cov(table.T))).T)


@functools.cache
def _lookalikes() -> tuple[np.ndarray, np.ndarray]:
    """Corners of a square with some width, and a normal, of equal mean and covariance."""
    rng = np.random.default_rng(3)
    corners = rng.choice([-1.0, 1.0], size=(2000, 2)) + 0.1 * rng.normal(size=(2000, 2))
    return _whitened(corners), _whitened(rng.normal(size=(2000, 2)))


@LESSON.check
def blind() -> Check:
    """The distance of four narrow modes from a normal of equal mean and covariance, and 0."""
    # The traces are 2 each, and Naqsh's distance of equal moments is 0 to 1e-11 of them.
    return Check(frechet_distance_features(*_lookalikes()), 0.0, 4e-11)


@functools.cache
def _digits() -> np.ndarray:
    """scikit-learn's 8x8 digits in [0, 1], in an order of chance, shape (N, 64)."""
    pixels = load_digits().data / 16
    return np.asarray(pixels[np.random.default_rng(4).permutation(len(pixels))])


@functools.cache
def _by_count() -> np.ndarray:
    """Distances of n digits from n others, shape (counts, repeats)."""
    rng = np.random.default_rng(5)
    rows = []
    for count in COUNTS:
        row = []
        for _ in range(REPEATS):
            order = rng.permutation(len(_digits()))
            first, second = _digits()[order[:count]], _digits()[order[count : 2 * count]]
            row.append(frechet_distance_features(first, second))
        rows.append(row)
    return np.array(rows)


def _resized(images: np.ndarray, how: str) -> np.ndarray:
    """Images made half as large and as large as before, shape (N, 64)."""
    given = torch.from_numpy(images).view(-1, 1, 8, 8)
    style = {"mode": how} if how == "nearest" else {"mode": how, "antialias": True}
    small = torch.nn.functional.interpolate(given, size=4, **style)
    large = torch.nn.functional.interpolate(small, size=8, **style)
    return large.flatten(1).numpy()


@LESSON.numbers
def numbers() -> dict[str, float]:
    """Distances of digits that were changed, and the bias by the number of images."""
    half = len(_digits()) // 2
    real, others = _digits()[:half], _digits()[half:]
    changed = {
        "floor": others,
        "levels": np.rint(others * 3) / 3,
        "nearest": _resized(others, "nearest"),
        "bilinear": _resized(others, "bilinear"),
    }
    found = {name: frechet_distance_features(real, images) for name, images in changed.items()}
    found["memorised"] = frechet_distance_features(real, real)
    means = _by_count().mean(1)
    limit = np.polyfit(1 / np.array(COUNTS), means, 1)[1]
    return found | {
        "few": means[0],
        "many": means[-1],
        "limit": float(limit),
        "least": COUNTS[0],
        "most": COUNTS[-1],
        "half": half,
        "theory": _expected(),
    }


@LESSON.figure
def by_count(words: Words) -> Figure:
    """The distance of real digits from other real digits, by their number."""
    plot = Plot(words, x=("images n", "تعداد تصویر n"), y=("distance", "فاصله"))
    found = _by_count()
    colour, label = plot.colour(), ("mean of 12 draws", "میانگین ۱۲ بار")
    plot.line(COUNTS, found.mean(1), label, colour=colour, marker="o")
    plot.band(COUNTS, found.min(1), found.max(1), colour)
    slope, limit = np.polyfit(1 / np.array(COUNTS), found.mean(1), 1)
    x = np.linspace(COUNTS[0], COUNTS[-1], 100)
    plot.line(x, limit + slope / x, ("a line in 1/n", "خطی بر حسب یک n‌ام"), dash="--")
    return Figure([plot])


@LESSON.figure
def lookalikes(words: Words) -> Figure:
    """Two clouds of equal mean and covariance."""
    plots = []
    for cloud, title in zip(
        _lookalikes(), (("four modes", "چهار مد"), ("a normal", "نرمال")), strict=True
    ):
        plot = Plot(words, title=title, size=(2.6, 2.4))
        plot.points(cloud[:600, 0], cloud[:600, 1], markersize=1.5)
        plot.axes.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5))
        plots.append(plot)
    return Figure(plots, small=True)
