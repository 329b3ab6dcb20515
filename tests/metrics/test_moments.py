"""Streaming moments against numpy on everything at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from naqsh.core.errors import NaqshError
from naqsh.metrics.moments import Moments


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=2, max_size=8).filter(lambda s: sum(s) >= 2),
    offset=st.sampled_from([0.0, 1e3, -1e6]),
    seed=st.integers(0, 2**31),
)
def test_any_division_gives_the_moments_of_the_whole(sizes, offset, seed):
    table = np.random.default_rng(seed).normal(offset, 2.0, size=(sum(sizes), 5))
    streamed, left, right = Moments(5), Moments(5), Moments(5)
    for index, part in enumerate(np.split(table, np.cumsum(sizes)[:-1])):
        streamed.update(part)
        (left if index % 2 else right).update(part)
    left.merge(right)
    for moments in (streamed, left):
        assert moments.n == len(table)
        np.testing.assert_allclose(moments.mean, table.mean(0), rtol=1e-13, atol=1e-13)
        # Numbers of size 1e6 carry 1e-10 each; their squares summed naively would carry 1e-4.
        np.testing.assert_allclose(moments.covariance, np.cov(table.T), rtol=0, atol=1e-8)


def test_float32_features_are_summed_in_float64():
    table = torch.full((3000, 2), 0.1) + torch.tensor([1000.0, 0.0])
    moments = Moments.of(table)
    # In float32 the sum of 3,000 numbers near 1000 would be off by about 0.1 a number.
    assert moments.mean[0] == pytest.approx(float(table[0, 0]), rel=1e-14)
    assert moments.covariance.abs().max() < 1e-20


def test_moments_that_cannot_be():
    moments = Moments(3)
    with pytest.raises(NaqshError, match="at least 2 images, got 0"):
        _ = moments.covariance
    with pytest.raises(NaqshError, match="4 columns, the moments so far 3"):
        moments.update(np.zeros((2, 4)))
    with pytest.raises(NaqshError, match="cannot be merged"):
        moments.merge(Moments(4))
    with pytest.raises(NaqshError, match="NaN or infinity in 1 of 2 rows"):
        moments.update(np.array([[0, 0, np.inf], [0, 0, 0]]))
    with pytest.raises(ValueError, match="dimension"):
        Moments(0)
