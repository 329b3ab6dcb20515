"""The Frechet distance against closed forms, a general matrix root and pytorch-fid."""

import ast
import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch

from naqsh.core.errors import NaqshError
from naqsh.metrics.frechet import frechet_distance, frechet_distance_features
from naqsh.metrics.moments import Moments


def covariance(d, condition, seed):
    """Eigenvalues spread evenly in the logarithm over `condition`, in a random basis."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator)).Q
    values = torch.logspace(-np.log10(condition), 0, d, dtype=torch.float64)
    result = (basis * values) @ basis.T
    return (result + result.T) / 2


def peer_function():
    """pytorch-fid's function, read from its source: its module imports torchvision beside it."""
    spec = importlib.util.find_spec("pytorch_fid")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("pytorch-fid is not installed (pip install naqsh[parity])")
    if "disp" not in inspect.signature(scipy.linalg.sqrtm).parameters:
        pytest.skip(f"pytorch-fid needs sqrtm(disp=), which SciPy {scipy.__version__} lacks")
    source = (Path(spec.submodule_search_locations[0]) / "fid_score.py").read_text()
    tree = ast.parse(source)
    tree.body = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "calculate_frechet_distance"
    ]
    scope = {"np": np, "linalg": scipy.linalg}
    exec(compile(tree, "fid_score.py", "exec"), scope)
    return scope["calculate_frechet_distance"]


@pytest.mark.parametrize("spread", [1.0, 1e4, 1e8])
def test_diagonal_gaussians_have_a_closed_form(spread):
    generator = torch.Generator().manual_seed(0)
    d = 50
    mean_a, mean_b = torch.randn(2, d, dtype=torch.float64, generator=generator)
    exponents = torch.rand(2, d, dtype=torch.float64, generator=generator)
    var_a, var_b = spread**exponents
    expected = ((mean_a - mean_b) ** 2 + (var_a.sqrt() - var_b.sqrt()) ** 2).sum()
    value = frechet_distance(mean_a, var_a.diag(), mean_b, var_b.diag())
    assert value == pytest.approx(float(expected), rel=1e-10)


def test_one_dimension_by_hand():
    # (1 - 4)^2 + (2 - 5)^2 with standard deviations 2 and 5.
    assert frechet_distance([1.0], [[4.0]], [4.0], [[25.0]]) == pytest.approx(18.0, rel=1e-14)


@pytest.mark.parametrize("condition", [1e1, 1e3, 1e4, 1e5, 1e6, 1e7, 1e10])
def test_gaussians_joined_by_a_transport_map(condition):
    # If T is positive definite and S_b = T S_a T, then x -> T x carries one Gaussian to the other
    # optimally, and the trace of the root is tr(T S_a): a closed form without shared eigenvectors.
    s_a, transport = covariance(60, condition, 1), 2 * covariance(60, 10.0, 2)
    s_b = transport @ s_a @ transport
    expected = s_a.trace() + s_b.trace() - 2 * (transport @ s_a).trace()
    zero = torch.zeros(60)
    assert frechet_distance(zero, s_a, zero, s_b) == pytest.approx(float(expected), rel=1e-10)
    assert frechet_distance(zero, s_b, zero, s_a) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
def test_equals_pytorch_fid_in_2048_dimensions():
    peer = peer_function()
    s_a, s_b = covariance(2048, 1e3, 1), covariance(2048, 1e3, 2)
    mean_a, mean_b = torch.zeros(2048), torch.full((2048,), 0.01)
    expected = peer(mean_a.numpy(), s_a.numpy(), mean_b.numpy(), s_b.numpy())
    assert frechet_distance(mean_a, s_a, mean_b, s_b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("condition", [1e1, 1e3, 1e4, 1e5, 1e6, 1e7, 1e9, 1e15])
def test_zero_between_equal_moments(condition):
    s = 100 * covariance(300, condition, 3)
    mean = torch.linspace(-5, 5, 300)
    assert frechet_distance(mean, s, mean, s) <= 1e-8


@pytest.mark.parametrize(("n", "m"), [(20, 20), (20, 500), (500, 20)])
def test_rank_deficient_covariances(n, m):
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(n, 100, dtype=torch.float64, generator=generator)
    b = torch.randn(m, 100, dtype=torch.float64, generator=generator) + 1
    left, right = Moments.of(a), Moments.of(b)
    value = frechet_distance(left.mean, left.covariance, right.mean, right.covariance)
    # A zero eigenvalue known to d * 1e-16 leaves its square root in the sum, 1e-7 for each of 81.
    assert value == pytest.approx(frechet_distance_features(a, b), abs=1e-5)
    assert frechet_distance(left.mean, left.covariance, left.mean, left.covariance) <= 1e-8
    assert frechet_distance_features(a, a) <= 1e-8


def test_a_point_against_a_gaussian():
    cov = covariance(30, 10.0, 0)
    value = frechet_distance(torch.zeros(30), torch.zeros(30, 30), torch.ones(30), cov)
    assert value == pytest.approx(30 + float(cov.trace()), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(60, 80), (12, 80), (80, 12), (12, 15), (2, 2)])
def test_features_and_moments_agree(n, m):
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(n, 30, dtype=torch.float64, generator=generator)
    b = 2 * torch.randn(m, 30, dtype=torch.float64, generator=generator)
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    roots = np.linalg.eigvals(cov_a @ cov_b).real.clip(min=0) ** 0.5
    difference = a.mean(0) - b.mean(0)
    expected = float(difference @ difference) + cov_a.trace() + cov_b.trace() - 2 * roots.sum()
    # Zero eigenvalues of the plain product come out at about 1e-16 * 40, their roots at 6e-8.
    assert frechet_distance_features(a, b) == pytest.approx(expected, abs=4e-6)
    assert frechet_distance_features(a, b) == pytest.approx(frechet_distance_features(b, a))


def test_large_offset_does_not_cost_digits():
    generator = torch.Generator().manual_seed(2)
    a = torch.randn(400, 8, dtype=torch.float64, generator=generator)
    b = 1.5 * torch.randn(300, 8, dtype=torch.float64, generator=generator)
    near = frechet_distance_features(a, b)
    # An offset of 1e6 leaves 1e-10 of each number.
    assert frechet_distance_features(a + 1e6, b + 1e6) == pytest.approx(near, rel=1e-8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.zeros(3), np.eye(3), np.zeros(4), np.eye(4)), "first moments are of 3"),
        ((np.zeros(3), np.eye(4), np.zeros(3), np.eye(3)), r"\(d,\) and \(d, d\)"),
        ((np.full(3, np.nan), np.eye(3), np.zeros(3), np.eye(3)), "NaN or infinity"),
        ((np.zeros(2), np.array([[1, 1], [0, 1]]), np.zeros(2), np.eye(2)), "not symmetric"),
        ((np.zeros(2), -np.eye(2), np.zeros(2), np.eye(2)), "none below zero"),
    ],
)
def test_moments_that_cannot_be(arguments, words):
    with pytest.raises(NaqshError, match=words):
        frechet_distance(*arguments)


def test_features_that_cannot_be():
    good = np.random.default_rng(0).normal(size=(10, 4))
    bad = good.copy()
    bad[3, 1] = np.nan
    with pytest.raises(NaqshError, match=r"second features hold NaN.*row 3"):
        frechet_distance_features(good, bad)
    with pytest.raises(NaqshError, match="1 row, this metric needs at least 2"):
        frechet_distance_features(good[:1], good)
    with pytest.raises(NaqshError, match="4 columns and second features 3"):
        frechet_distance_features(good, good[:, :3])
    with pytest.raises(NaqshError, match=r"shape \(n, d\)"):
        frechet_distance_features(good[0], good)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(">f8"),
        lambda a: a.astype(">f4"),
        lambda a: a.astype(np.longdouble),
        lambda a: np.round(100 * a + 500).astype(np.uint16),
        lambda a: np.round(100 * a).astype(">i4"),
        lambda a: a[::-1, ::-1],
        lambda a: np.asfortranarray(a),
    ],
)
def test_tables_of_any_numbers_are_read(change):
    table = np.random.default_rng(0).normal(size=(40, 3))
    given = change(table)
    plain = np.ascontiguousarray(given, dtype=np.float64)
    assert frechet_distance_features(given, table) == frechet_distance_features(plain, table)


def test_tables_of_anything_else_are_refused():
    for table in (np.array([["a"], ["b"]]), np.ones((2, 2), complex), np.array([[None], [1]])):
        with pytest.raises(NaqshError, match="takes numbers"):
            frechet_distance_features(table, np.eye(2))
