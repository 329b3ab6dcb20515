"""Intervals cover what they say, by simulation: 0.93 to 0.97 where 0.95 is meant.

1,500 replications know a coverage of 0.95 to 0.0056 (standard deviation), so that a right interval
leaves the band once in 2,000 seeds; the seeds are fixed.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from naqsh.metrics.evaluate import measure
from naqsh.metrics.frechet import frechet_distance_features
from naqsh.metrics.influence import Influence, difference, wilson
from naqsh.metrics.kernel import kernel_distance, kernel_influence
from naqsh.metrics.manifold import manifold
from naqsh.metrics.uncertainty import frechet_influence, frechet_standard_error

REPLICATIONS, SOME = 1500, 600
WHERE = {"features": "x", "fingerprint": "0", "reference": "y"}

Table = NDArray[np.float64]


def real(rng: np.random.Generator, m: int) -> Table:
    return rng.normal(size=(m, 3)) * (1.0, 0.7, 0.5)


def made(rng: np.random.Generator, n: int) -> Table:
    return rng.normal(0.2, 0.8, size=(n, 3))


def covered(values: Table, errors: Table, truth: float | None = None) -> float:
    """How often value -+ 1.96 errors hold the truth, or the mean of all."""
    truth = values.mean() if truth is None else truth
    return float((np.abs(values - truth) <= 1.96 * errors).mean())


@pytest.fixture(autouse=True)
def one_thread() -> object:
    """Small tables: threads only cost."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_kernel_distance_given_the_reference() -> None:
    """Also where both distributions are the same, and by a right standard deviation."""
    rng = np.random.default_rng(0)
    for draw in (made, real):
        reference = real(rng, 60)
        found = [kernel_distance(reference, draw(rng, 500)) for _ in range(REPLICATIONS)]
        values, errors = np.array(found).T
        assert 0.93 <= covered(values, errors) <= 0.97
        assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.08)


def test_frechet_distance_given_the_reference() -> None:
    rng = np.random.default_rng(1)
    reference = real(rng, 80)
    tables = [made(rng, 250) for _ in range(REPLICATIONS)]
    values = np.array([frechet_distance_features(reference, table) for table in tables])
    errors = np.array([frechet_standard_error(reference, table) for table in tables])
    assert 0.93 <= covered(values, errors) <= 0.97


@pytest.mark.parametrize("name", ["precision", "density", "coverage"])
def test_measures_given_the_reference(name: str) -> None:
    rng = np.random.default_rng(2)
    reference = real(rng, 300)
    check(name, lambda: (reference, made(rng, 300)))


def test_recall_given_the_samples() -> None:
    rng = np.random.default_rng(3)
    generated = made(rng, 100)
    check("recall", lambda: (real(rng, 400), generated))


def test_coverages_error_is_its_spread() -> None:
    """The plain jackknife's is 1.25 times that here, which an interval may hide."""
    rng = np.random.default_rng(2)
    reference, count = real(rng, 300), 450
    found = [manifold(reference, made(rng, 150))["coverage"] for _ in range(count)]
    errors = [influence.standard_error for _, influence in found]
    spread = np.std([value for value, _ in found])
    # A standard deviation of 450 values is known to 1 / sqrt(900): three of these.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.1)


def check(name: str, draw: Callable[[], tuple[Table, Table]]) -> None:
    found = []
    for _ in range(SOME):
        measures = {m.name: m for m in measure(["pr", "dc"], *draw(), **WHERE)}
        found.append(measures[name])
    truth = np.mean([m.value for m in found])
    inside = [low <= truth <= high for low, high in (m.interval for m in found if m.interval)]
    assert len(inside) == SOME
    assert 0.93 <= np.mean(inside) <= 0.97


@pytest.mark.parametrize("kind", ["frechet", "kernel"])
def test_paired_differences_over_all_draws(kind: str) -> None:
    """Both models' images and the reference they share are drawn anew."""
    rng = np.random.default_rng(4)

    def one(reference: Table, table: Table) -> tuple[float, Influence]:
        if kind == "kernel":
            return kernel_influence(reference, table)
        return frechet_distance_features(reference, table), frechet_influence(reference, table)

    found, unpaired, shared = [], [], []
    for _ in range(REPLICATIONS):
        reference = real(rng, 100)
        a = one(reference, rng.normal(0.3, 0.8, size=(200, 3)))
        b = one(reference, rng.normal(0.25, 0.9, size=(200, 3)))
        found.append(difference(*a, *b))
        alone = [np.var(side[1].real, ddof=1) / 100 for side in (a, b)]
        unpaired.append(sum(alone))
        shared.append(np.var(a[1].real - b[1].real, ddof=1) / 100)
    values, errors = np.array(found).T
    assert 0.93 <= covered(values, errors) <= 0.97
    # What the shared reference does to both falls out, or nearly.
    assert np.mean(shared) < 0.6 * np.mean(unpaired)


VALUES: dict[str, Callable[[Table, Table], float]] = {
    "frechet": frechet_distance_features,
    "kernel": lambda a, b: kernel_distance(a, b).value,
}
INFLUENCES: dict[str, Callable[[Table, Table], Influence]] = {
    "frechet": frechet_influence,
    "kernel": lambda a, b: kernel_influence(a, b)[1],
}


@pytest.mark.parametrize("kind", VALUES)
def test_influences_are_what_leaving_an_image_out_does(kind: str) -> None:
    """Of image i, (n - 1) (all - without i), as the jackknife has it."""
    rng = np.random.default_rng(5)
    reference, table = real(rng, 150), made(rng, 140)
    value, found = VALUES[kind], INFLUENCES[kind](reference, table)
    whole = value(reference, table)
    for i in (0, 7, 100):
        without = whole - value(reference, np.delete(table, i, 0))
        other = whole - value(np.delete(reference, i, 0), table)
        # The jackknife differs by terms of 1/n of the influence's spread, and by a constant of the
        # bias; both small against it here.
        few = [0.12 * side.std() for side in found]
        assert found.generated[i] == pytest.approx(139 * without, abs=few[1])
        assert found.real[i] == pytest.approx(149 * other, abs=few[0])


def test_the_mean_term_has_its_factor() -> None:
    """Means far apart and little spread: the noise is that of the means, 2 |mu| s / sqrt(n)."""
    rng = np.random.default_rng(6)
    table = rng.normal((5.0, 0.0), 0.1, size=(4000, 2))
    reference = rng.normal(0, 0.1, size=(4000, 2))
    expected = 2 * 5 * 0.1 / math.sqrt(4000)
    # 4,000 values know their standard deviation to 1.1 %.
    assert frechet_standard_error(reference, table) == pytest.approx(expected, rel=0.05)


def test_wilson_is_the_published_interval() -> None:
    """Brown, Cai and DasGupta (2001), table for n = 10: 0 of 10 is [0, 0.278]."""
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    low, high = wilson(0.5, 40)
    assert (low + high) / 2 == pytest.approx(0.5)
    assert low == pytest.approx(0.352, abs=1e-3)
