"""The kernel distance against a direct double loop."""

import numpy as np
import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.metrics import kernel
from naqsh.metrics.kernel import kernel_distance


def direct(x, y):
    """Equation by equation, one pair at a time."""
    d = x.shape[1]

    def k(u, v):
        return (float(u @ v) / d + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    xy = sum(k(u, v) for u in x for v in y) / (n * m)
    return xx + yy - 2 * xy


@pytest.mark.parametrize(("n", "m", "d"), [(12, 17, 3), (25, 9, 8), (4, 4, 1)])
def test_equals_a_double_loop(n, m, d, monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK", 5)  # so that blocks have borders here
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, d)), rng.normal(0.3, 1.2, size=(m, d))
    assert kernel_distance(x, y).value == pytest.approx(direct(x, y), rel=1e-12)


def test_unbiased():
    rng = np.random.default_rng(1)
    results = [
        kernel_distance(rng.normal(size=(200, 4)), rng.normal(0.3, 1, size=(200, 4)))
        for i in range(100)
    ]
    values = np.array([r.value for r in results])
    # E k of independent x ~ N(a, I), y ~ N(b, I) is a cubic polynomial in a.b, |a|^2 and |b|^2.
    true = direct_expectation(0.0, 0.0) + direct_expectation(0.3, 0.3)
    true -= 2 * direct_expectation(0.0, 0.3)
    assert abs(values.mean() - true) < 4 * values.std() / 10


def direct_expectation(a, b, d=4):
    """E (x.y / d + 1)^3 of independent x ~ N(a 1, I), y ~ N(b 1, I) in d dimensions.

    With s = x.y: E s = m = d a b; E s^2 = m^2 + d (1 + a^2 + b^2); and, from the third cumulants
    of a product of two normals, E (s - m)^3 = 6 d a b.
    """
    m, v = d * a * b, d * (1 + a * a + b * b)
    third = m**3 + 3 * m * v + 6 * d * a * b
    return third / d**3 + 3 * (m * m + v) / d**2 + 3 * m / d + 1


def test_the_value_does_not_depend_on_the_type():
    x, y = torch.randn(2, 40, 6, generator=torch.Generator().manual_seed(0))
    as_numpy = kernel_distance(x.double().numpy(), y.double().numpy())
    assert as_numpy == pytest.approx(kernel_distance(x, y), rel=1e-12)


def test_input_that_cannot_be():
    x = np.zeros((10, 3))
    with pytest.raises(NaqshError, match=r"second features have 3 rows.*at least 4"):
        kernel_distance(x, x[:3])
    with pytest.raises(NaqshError, match="3 columns and second features 2"):
        kernel_distance(x, x[:, :2])
