"""Intervals of AUROC and average precision: by hand, against other sources, and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score

from naqsh.core.errors import NaqshError
from naqsh.metrics import areas
from naqsh.metrics.detection import auroc

# Few values, so that most scores are tied, and the infinite ones that are allowed.
VALUES = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([-math.inf, math.inf]))
LABELLED = st.lists(st.tuples(VALUES, st.booleans()), min_size=2, max_size=25).filter(
    lambda rows: len({label for _, label in rows}) == 2
)
SIZES = [(109, 23), (23, 109), (23, 20), (20, 20), (60, 60)]


@given(LABELLED)
def test_placements_count_pairs(rows):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    a, b = scores[labels], scores[~labels]
    pairs = np.array([[float(x > y) + 0.5 * (x == y) for y in b] for x in a])
    anomalies, normal = areas.placements(scores, labels)
    np.testing.assert_allclose(anomalies, pairs.mean(1), atol=1e-12)
    np.testing.assert_allclose(normal, pairs.mean(0), atol=1e-12)
    assert anomalies.mean() == pytest.approx(auroc(scores, labels), abs=1e-12)


@given(LABELLED)
def test_intervals_hold_the_value_and_have_a_width(rows):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    for of in (areas.auroc_area, areas.precision_area):
        value, (low, high) = of(scores, labels)
        assert 0 <= low <= value <= high <= 1
        assert high - low > 1e-3
    # Anomalies and normal images change places where the scores are turned around.
    value, (low, high) = areas.auroc_area(scores, labels)
    turned, (lower, higher) = areas.auroc_area(-scores, labels)
    assert (turned, lower, higher) == pytest.approx((1 - value, 1 - high, 1 - low), abs=1e-9)


def test_variance_without_pseudo_images_is_delongs(monkeypatch):
    """S10 / m + S01 / n of DeLong et al. (1988), equation 3, from the matrix of all pairs."""
    monkeypatch.setattr(areas, "PSEUDO", 0.0)
    random = np.random.default_rng(0)
    scores, labels = random.integers(0, 9, 40).astype(float), np.arange(40) < 15
    pairs = np.subtract.outer(scores[labels], scores[~labels])
    kernel = (np.sign(pairs) + 1) / 2
    s10, s01 = kernel.mean(1).var(ddof=1), kernel.mean(0).var(ddof=1)
    own = [part - kernel.mean() for part in areas.placements(scores, labels)]
    assert areas.variance(*own) == pytest.approx(s10 / 15 + s01 / 25, rel=1e-12)


def test_variance_is_hanley_and_mcneils():
    """Their formula is exact for exponential scores; here the mean of ours over 400 samples."""
    random = np.random.default_rng(1)
    m, n, ratio = 60, 90, 3.0
    area = ratio / (1 + ratio)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    exact = area * (1 - area) + (m - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)
    labels = np.arange(m + n) < m
    found = []
    for _ in range(400):
        scores = random.exponential(np.where(labels, ratio, 1.0))
        own = [part - auroc(scores, labels) for part in areas.placements(scores, labels)]
        found.append(areas.variance(*own))
    # DeLong's is too large by a part of about 1 / m + 1 / n at most; pseudo images add
    # PSEUDO / 4 (1 / m^2 + 1 / n^2).
    error = np.std(found) / 20
    more = exact / (m * n) * (1 / m + 1 / n) + areas.PSEUDO / 4 * (1 / m**2 + 1 / n**2)
    assert -3 * error < np.mean(found) - exact / (m * n) < more + 3 * error


@given(LABELLED)
def test_influence_is_the_derivative_of_average_precision(rows):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    # scikit-learn takes no infinite scores; ranks have the same order.
    ranks = np.unique(scores, return_inverse=True)[1]

    def weighted(changed, step):
        weights = np.ones(len(labels))
        weights[changed] += step
        alike = labels == labels[changed]
        weights[alike] *= alike.sum() / weights[alike].sum()
        return average_precision_score(labels, ranks, sample_weight=weights)

    anomalies, normal = areas.precision_influence(scores, labels)
    for kind, influence in ((True, anomalies), (False, normal)):
        places = np.flatnonzero(labels == kind)
        step = 1e-4
        slopes = [(weighted(i, step) - weighted(i, -step)) / (2 * step) for i in places]
        # The error of a central difference is step^2 times the third derivative, below 30 here.
        np.testing.assert_allclose(influence, np.array(slopes) * len(places), atol=1e-5)


def coverage(of, truth, draws):
    """How often an interval holds the truth, and what it may be out by, of so many draws."""
    held = [low - 1e-12 <= truth <= high + 1e-12 for _, (low, high) in map(of, draws)]
    return np.mean(held), 2 * math.sqrt(0.95 * 0.05 / len(held))


@pytest.mark.parametrize("area", [0.7, 0.9, 0.98])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_auroc_is_covered(m, n, area):
    random = np.random.default_rng(12)
    labels = np.arange(m + n) < m
    shift = norm.ppf(area) * math.sqrt(2)
    draws = random.normal(np.where(labels, shift, 0.0), size=(1000, m + n))
    found, error = coverage(lambda scores: areas.auroc_area(scores, labels), area, draws)
    assert 0.93 - error <= found <= 0.97 + error


@pytest.mark.parametrize("area", [0.7, 0.9, 0.98])
@pytest.mark.parametrize(("m", "n", "spread"), [(23, 109, 2.0), (60, 60, 0.5), (23, 20, 2.0)])
def test_auroc_is_covered_where_spreads_differ(m, n, spread, area):
    random = np.random.default_rng(3)
    labels = np.arange(m + n) < m
    shift = norm.ppf(area) * math.hypot(1, spread)
    draws = random.normal(size=(1000, m + n)) * np.where(labels, spread, 1.0) + shift * labels
    found, error = coverage(lambda scores: areas.auroc_area(scores, labels), area, draws)
    assert 0.93 - error <= found <= 0.97 + error


@pytest.mark.parametrize(("m", "n"), [(109, 23), (23, 109), (23, 20), (60, 60)])
@pytest.mark.parametrize("area", [0.7, 0.9])
def test_average_precision_is_covered(m, n, area):
    random = np.random.default_rng(4)
    shift = norm.ppf(area) * math.sqrt(2)
    large = 2000
    many = np.arange(large * (m + n)) < large * m
    scores = random.normal(np.where(many, shift, 0.0))
    truth = average_precision_score(many, scores)  # within 0.001 of the limit
    labels = np.arange(m + n) < m
    draws = random.normal(np.where(labels, shift, 0.0), size=(1000, m + n))
    found, error = coverage(lambda row: areas.precision_area(row, labels), truth, draws)
    assert 0.93 - error <= found <= 0.98 + error


@pytest.mark.parametrize(("own", "other"), [(0.7, 0.7), (0.9, 0.8), (0.9, 0.9)])
@pytest.mark.parametrize("shared", [0.0, 0.5])
@pytest.mark.parametrize(("m", "n"), [(23, 109), (60, 60)])
def test_a_difference_is_covered(m, n, shared, own, other):
    random = np.random.default_rng(5)
    labels = np.arange(m + n) < m
    shifts = norm.ppf([[own], [other]]) * math.sqrt(2)
    common = math.sqrt(shared) * random.normal(size=(1000, 1, m + n))
    each = math.sqrt(1 - shared) * random.normal(size=(1000, 2, m + n))
    draws = common + each + shifts * labels
    found, error = coverage(lambda pair: areas.less(*pair, labels), own - other, draws)
    assert 0.93 - error <= found <= 0.97 + error


def test_a_difference_is_paired():
    """Scores that rank alike do not differ, though the AUROC of each is uncertain."""
    scores = np.random.default_rng(6).normal(size=60)
    labels = np.arange(60) < 20
    value, (low, high) = areas.less(scores, np.exp(scores), labels)
    one = areas.auroc_area(scores, labels).interval
    assert value == 0
    assert 0 < high - low < 0.3 * (one[1] - one[0])
    turned = areas.less(scores, -scores, labels)
    assert areas.less(-scores, scores, labels).value == -turned.value


@pytest.mark.parametrize(
    ("scores", "labels", "value", "least", "most"),
    [
        # All apart: not far below what a share of 20 of 20 would have, 0.83 (Clopper, Pearson).
        (np.arange(40), np.arange(40) >= 20, 1.0, 0.15, 0.25),
        (np.arange(40), np.arange(40) < 20, 0.0, 0.15, 0.25),
        (np.arange(400), np.arange(400) >= 200, 1.0, 0.01, 0.03),
        # All tied: no image tells, and few of them would have to differ to change it.
        (np.ones(40), np.arange(40) < 20, 0.5, 0.03, 0.2),
        # One image of a kind says nearly nothing, wherever it lies.
        (np.arange(2), [False, True], 1.0, 0.9, 1.0),
        (np.arange(21), np.arange(21) == 20, 1.0, 0.9, 1.0),
        (np.arange(21), np.arange(21) == 10, 0.5, 0.9, 1.0),
        (np.arange(21), np.arange(21) != 0, 1.0, 0.9, 1.0),
    ],
)
def test_where_little_is_known(scores, labels, value, least, most):
    found, (low, high) = areas.auroc_area(scores, labels)
    assert found == value
    assert low <= found <= high
    assert least <= high - low <= most


def test_two_perfect_scores_may_differ():
    labels = np.arange(40) < 20
    scores = labels + np.linspace(0, 0.5, 40)
    value, (low, high) = areas.less(scores, labels + np.linspace(0.5, 0, 40), labels)
    assert value == 0
    assert low < 0 < high
    # One image of each kind cannot tell the better score.
    value, (low, high) = areas.less([0, 1], [1, 0], [False, True])
    assert low < 0 < value == high == 1


@pytest.mark.parametrize("of", [areas.auroc_area, areas.precision_area])
def test_bad_input(of):
    with pytest.raises(NaqshError, match="1 of 2 scores are not a number"):
        of([1, math.nan], [True, False])
    with pytest.raises(NaqshError, match="both"):
        of([1, 2], [True, True])
    with pytest.raises(NaqshError, match="not a number"):
        areas.less([1, 2], [1, math.nan], [True, False])
