"""How long `naqsh --help` takes, against the time limit of 0.3 seconds.

The peer is `python -c "import torch"`: what a command line pays that imports PyTorch at its top.
"""

import statistics
import subprocess
import sys
import time

TARGET = 1.0
LIMIT = 0.3
ROUNDS = 9


def seconds(*command: str) -> float:
    """Wall time of a command."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - begun


def main() -> int:
    ours = statistics.median(seconds("-m", "naqsh", "--help") for _ in range(ROUNDS))
    torch = statistics.median(seconds("-c", "import torch") for _ in range(3))
    print(f"naqsh --help {ours:.3f} s; import torch {torch:.3f} s; limit {LIMIT} s")
    ratio = LIMIT / ours
    print(f"startup: ratio {ratio:.1f} (target {TARGET})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
