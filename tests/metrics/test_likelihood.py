"""Bits a dimension against closed forms."""

import math

import numpy as np
import pytest

from naqsh.errors import NaqshError
from naqsh.metrics import likelihood


def of(log_prob, dimensions, **changes):
    given = {"kind": "exact", "of": "density", "value_range": (0.0, 1.0), "reference": "x test"}
    return likelihood(np.asarray(log_prob, dtype=np.float64), dimensions, **(given | changes))


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_a_uniform_density_has_eight_bits_whatever_the_scale(value_range):
    low, high = value_range
    nats = -12 * math.log(high - low)
    measured = of([nats] * 3, 12, value_range=value_range)
    assert measured.bits == pytest.approx(8, rel=1e-12)
    assert measured.bits_error == 0
    assert measured.nats == pytest.approx(nats)


def test_levels_and_coins_are_probabilities():
    assert of([-10 * math.log(256)] * 2, 10, of="levels").bits == pytest.approx(8, rel=1e-12)
    coin = of([-10 * math.log(2)] * 2, 10, of="black and white", value_range=(-1.0, 1.0))
    assert coin.bits == pytest.approx(1, rel=1e-12)
    assert "black and white" in str(coin)
    assert "bits/dim" not in str(coin)


def test_errors_are_those_of_a_mean():
    nats = np.random.default_rng(0).normal(-30, 4, 400)
    measured = of(nats, 5)
    assert measured.nats_error == pytest.approx(nats.std(ddof=1) / 20)
    assert measured.bits_error == pytest.approx(measured.nats_error / (5 * math.log(2)))
    assert measured.n == 400
    assert "exact; 400 of x test" in str(measured)


@pytest.mark.parametrize(
    ("log_prob", "words"),
    [([1.0], "at least 2"), ([1.0, math.nan, -math.inf], "2 of 3 log-likelihoods")],
)
def test_what_cannot_be_is_refused(log_prob, words):
    with pytest.raises(NaqshError, match=words):
        of(log_prob, 4)
