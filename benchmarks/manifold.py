"""Precision, recall, density and coverage at n = 10,000, d = 64: ours against the prdc package.

Each runs in processes of its own, by turns, and is charged the peak of resident memory, imports
included, and the best of its times, imports excluded. Target: no slower, with at most a quarter of
the memory, and the same four numbers.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time

N, DIMENSION, K = 10_000, 64, 5
TARGET_SPEED, TARGET_MEMORY = 1.0, 4.0
REPEATS = 3
NAMES = ("precision", "recall", "density", "coverage")


def measure(which: str) -> dict[str, float]:
    """In a process of its own: the four numbers, the time and the peak memory."""
    import resource

    import numpy as np

    rng = np.random.default_rng(0)
    real = rng.normal(size=(N, DIMENSION))
    generated = 1.05 * rng.normal(size=(N, DIMENSION))
    if which == "prdc":
        from prdc import compute_prdc

        start = time.perf_counter()
        result = compute_prdc(real, generated, nearest_k=K)
    else:
        from naqsh.metrics.manifold import manifold

        start = time.perf_counter()
        result = {name: value for name, (value, _) in manifold(real, generated, k=K).items()}
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    values = {name: float(value) for name, value in result.items()}
    return values | {"seconds": seconds, "bytes": peak}


def run(which: str) -> dict[str, float]:
    command = [sys.executable, __file__, which]
    # Waiting threads should sleep rather than spin, or other load on the machine decides the time.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    print(
        f"{which}: {result['seconds']:.2f} s, {result['bytes'] / 2**20:.0f} MiB, "
        + ", ".join(f"{n} {result[n]:.6f}" for n in NAMES)
    )
    return result


def main() -> int:
    if importlib.util.find_spec("prdc") is None:
        print("manifold: prdc is not installed (pip install prdc)")
        return 2
    rounds = [(run("prdc"), run("naqsh")) for _ in range(REPEATS)]
    theirs, ours = rounds[0]
    speed = min(r[0]["seconds"] for r in rounds) / min(r[1]["seconds"] for r in rounds)
    memory = max(r[0]["bytes"] for r in rounds) / max(r[1]["bytes"] for r in rounds)
    print(f"manifold, speed: ratio {speed:.1f} (target {TARGET_SPEED})")
    print(f"manifold: ratio {memory:.1f} (target {TARGET_MEMORY})")
    if any(theirs[name] != ours[name] for name in NAMES):
        print("the values differ", file=sys.stderr)
        return 1
    return 0 if speed >= TARGET_SPEED and memory >= TARGET_MEMORY else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        sys.exit(main())
