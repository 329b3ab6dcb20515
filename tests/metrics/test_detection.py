"""AUROC, average precision, F1 and thresholds, against scikit-learn and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from naqsh.core.errors import NaqshError
from naqsh.metrics import detection

# Few values, so that most scores are tied.
LABELLED = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(LABELLED)
def test_against_scikit_learn_with_ties(rows):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    # Sums of at most 40 terms in double precision.
    assert detection.auroc(scores, labels) == pytest.approx(
        roc_auc_score(labels, scores), abs=1e-12
    )
    expected = average_precision_score(labels, scores)
    assert detection.average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    best = detection.best_f1(scores, labels)
    assert best.f1 == pytest.approx(f1.max(), abs=1e-12)
    assert f1_score(labels, scores > best.threshold) == pytest.approx(best.f1, abs=1e-12)
    false, true = detection.roc(scores, labels)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose([false, true], [fpr, tpr], atol=1e-12)


def test_by_hand():
    scores, labels = [1, 2, 2, 3], [False, True, False, True]
    # Pairs: 2 > 1, 2 = 2, 3 > 1, 3 > 2: 3.5 of 4.
    assert detection.auroc(scores, labels) == 3.5 / 4
    # Level 3: precision 1, half of the recall; level 2: precision 2/3, the other half.
    assert detection.average_precision(scores, labels) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert detection.best_f1(scores, labels) == detection.Best(0.8, 1.0, 2 / 3, 1.0)
    assert detection.auroc([5, 5, 5], [True, False, True]) == 0.5
    assert detection.auroc([0, -math.inf, math.inf], [False, False, True]) == 1


def test_all_flagged_may_be_best():
    best = detection.best_f1([0, 0, 0], [True, True, False])
    assert best.f1 == pytest.approx(0.8)
    assert best.threshold < 0


def test_two_gaussians_in_closed_form():
    """N(d, 1) against N(0, 1) has AUROC Phi(d / sqrt 2)."""
    random = np.random.default_rng(0)
    n, shift = 40_000, 1.0
    scores = np.concatenate([random.normal(size=n), random.normal(shift, size=n)])
    labels = np.repeat([False, True], n)
    # The standard error at n = 40,000 is below sqrt(1 / 12 n) x 2 = 0.003.
    assert detection.auroc(scores, labels) == pytest.approx(norm.cdf(shift / 2**0.5), abs=0.009)


def test_pixels_of_many_pictures():
    random = np.random.default_rng(1)
    masks = random.random((5, 12, 12)) < 0.1
    maps = random.random((5, 12, 12)) + masks
    expected = roc_auc_score(masks.ravel(), maps.ravel())
    assert detection.auroc(maps, masks) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 60), st.floats(0.01, 0.99))
def test_threshold_is_exceeded_seldom_enough(count, rate):
    """Of n + 1 exchangeable scores each is last with equal chance: count the false alarms."""
    scores = np.arange(count + 1.0)
    alarms = [
        scores[last] > detection.threshold_at(np.delete(scores, last), rate)
        for last in range(count + 1)
    ]
    possible = rate >= 1 / (count + 1)
    # Below 1 / (n + 1) no threshold can promise it: the largest of n + 1 is always above the rest.
    assert np.mean(alarms) <= (rate if possible else 1 / (count + 1)) + 1e-9
    if possible:  # and it is not wasteful: one more false alarm would be too many
        assert np.mean(alarms) > rate - 1 / (count + 1) - 1e-9


def test_threshold_by_hand():
    assert detection.threshold_at(range(1, 20), 0.05) == 19
    assert detection.threshold_at(range(1, 40), 0.05) == 38
    assert detection.threshold_at([7.0], 0.05) == 7


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=30))
def test_rank_correlation(rows):
    a, b = zip(*rows, strict=True)
    if min(len(set(a)), len(set(b))) == 1:
        assert detection.rank_correlation(a, b) == 0
    else:
        assert detection.rank_correlation(a, b) == pytest.approx(spearmanr(a, b)[0], abs=1e-12)


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda: detection.auroc([1, 2], [True, True]), "both normal images and anomalies"),
        (lambda: detection.auroc([1, math.nan], [True, False]), "1 of 2 scores are not a number"),
        (lambda: detection.best_f1([1.0], [False]), "both"),
        (lambda: detection.threshold_at([], 0.1), "needs scores"),
        (lambda: detection.threshold_at([1.0], 0), "between 0 and 1"),
    ],
)
def test_bad_input(do, words):
    with pytest.raises(NaqshError, match=words):
        do()
    with pytest.raises(ValueError, match="2 scores, but 1 labels"):
        detection.auroc([1, 2], [True])
