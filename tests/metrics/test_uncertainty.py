"""Standard error, bootstrap and extrapolation against fresh samples and a plain bootstrap."""

import numpy as np
import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.core.seeds import derive
from naqsh.metrics.frechet import frechet_distance_features
from naqsh.metrics.uncertainty import frechet_bootstrap, frechet_infinity, frechet_standard_error


def draw(n, d, generator, scale=1.0, offset=0.0):
    """Correlated, skewed features with a falling spectrum."""
    spectrum = torch.arange(1, d + 1, dtype=torch.float64) ** -0.5
    x = torch.randn(n, d, dtype=torch.float64, generator=generator) * spectrum
    return scale * (x + 0.5 * x.roll(1, dims=1).relu()) + offset


@pytest.mark.parametrize(("n", "d", "most"), [(600, 16, 1.3), (60, 40, 2.0), (40, 60, 2.0)])
def test_standard_error_is_the_spread_over_fresh_samples(n, d, most):
    generator = torch.Generator().manual_seed(0)
    real = draw(800, d, generator)
    values, errors = [], []
    for _ in range(60):
        generated = draw(n, d, generator, scale=1.2, offset=0.05)
        values.append(frechet_distance_features(real, generated))
        errors.append(frechet_standard_error(real, generated))
    # Sixty values know their spread to 9 %. What is beyond the first order of the expansion makes
    # the error too large, not too small, where n is near d.
    assert 0.75 < np.mean(errors) / np.std(values, ddof=1) < most


@pytest.mark.parametrize(("n", "d"), [(80, 10), (30, 40), (60, 40)])
def test_bootstrap_equals_measuring_the_resamples(n, d):
    generator = torch.Generator().manual_seed(1)
    real, generated = draw(100, d, generator), draw(n, d, generator, 1.3)
    draws = torch.Generator().manual_seed(derive(5, "uncertainty"))
    expected = [
        frechet_distance_features(real, generated[torch.randint(n, (n,), generator=draws)])
        for _ in range(4)
    ]
    # Repeated images make zero eigenvalues, each of which may leave 1e-8 of the largest.
    assert frechet_bootstrap(real, generated, 4, seed=5).tolist() == pytest.approx(
        expected, abs=1e-5
    )


def test_bootstrap_and_jackknife_agree_on_large_samples():
    generator = torch.Generator().manual_seed(2)
    real, generated = draw(500, 5, generator), draw(2000, 5, generator, scale=1.3)
    spread = float(frechet_bootstrap(real, generated, 300).std())
    assert frechet_standard_error(real, generated) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize(("n", "d"), [(400, 20), (120, 60)])
def test_extrapolation_removes_the_bias(n, d):
    generator = torch.Generator().manual_seed(3)
    pairs = [(draw(n, d, generator), draw(n, d, generator)) for _ in range(30)]
    plain = np.mean([frechet_distance_features(a, b) for a, b in pairs])
    extrapolated = [frechet_infinity(a, b, seed=i) for i, (a, b) in enumerate(pairs)]
    # The true distance is zero.
    assert plain > 0.05
    assert abs(np.mean(extrapolated)) < 0.15 * plain


def test_extrapolation_keeps_a_true_distance():
    generator = torch.Generator().manual_seed(4)
    a = torch.randn(3000, 8, dtype=torch.float64, generator=generator)
    b = torch.randn(3000, 8, dtype=torch.float64, generator=generator) * 1.5 + 1
    # (1.5 - 1)^2 + 1 for each of 8; the spread at n = 3,000 is about 0.1.
    assert frechet_infinity(a, b) == pytest.approx(10.0, abs=0.4)
    assert frechet_infinity(a, b, seed=1) != frechet_infinity(a, b, seed=2)


def test_input_that_cannot_be():
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(NaqshError, match="at least 6"):
        frechet_infinity(x, x[:5])
    with pytest.raises(NaqshError, match="generated features have 1 row,"):
        frechet_standard_error(x, x[:1])
    with pytest.raises(NaqshError, match="at least 2 resamples"):
        frechet_bootstrap(x, x, replicates=1)
    with pytest.raises(NaqshError, match="columns"):
        frechet_bootstrap(x, x[:, :2])


def test_the_extrapolation_is_the_same_to_the_bit_each_time():
    """LAPACK's least squares is not: its last digit depends on where its memory lies."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(30, 3, generator=generator) for _ in range(2))
    kept, found = [], set()
    for number in range(100):
        found.add(frechet_infinity(a, b))
        kept.append(bytearray(number % 97 + 1))
    assert len(found) == 1
