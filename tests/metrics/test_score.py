"""The classifier score at its extremes, by hand, and on what is no table of probabilities."""

import math

import numpy as np
import pytest

from naqsh.core.errors import NaqshError
from naqsh.metrics.score import classifier_score


def test_extremes():
    assert classifier_score(np.eye(10)) == pytest.approx(10)
    assert classifier_score(np.full((7, 10), 0.1)) == pytest.approx(1)
    assert classifier_score(np.tile(np.eye(10)[:1], (7, 1))) == pytest.approx(1)


def test_by_hand():
    p = np.array([[0.9, 0.1], [0.4, 0.6]])
    mean = p.mean(0)
    expected = math.exp(np.mean([sum(q * math.log(q / m) for q, m in zip(r, mean)) for r in p]))  # noqa: B905
    assert classifier_score(p) == pytest.approx(expected, rel=1e-14)
    assert classifier_score(p.astype(np.float32)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("p", [[[2.0, -1.0], [0.5, 0.5]], [[3.0, 4.0], [1.0, 2.0]]])
def test_scores_are_not_probabilities(p):
    with pytest.raises(NaqshError, match="apply a softmax"):
        classifier_score(np.array(p))
