"""Attention of short rows in bfloat16 on a CPU: our formula against PyTorch's kernel.

Timed are both ways, forward and backward, in rounds that alternate; ratios are of medians. Beside
them, the kernel in float32. Target: 3 times as fast as the kernel up to 64 rows.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from naqsh.networks.attend import attend

TARGET, ROUNDS, IMAGES = 3.0, 9, 64
SIZES = ((49, 1, 96), (49, 4, 12), (64, 1, 48), (64, 4, 12), (256, 4, 12))
"""Rows, heads, numbers in a row of one head."""


def both_ways(
    kind: Callable[[Tensor, Tensor, Tensor], Tensor], given: list[Tensor]
) -> Callable[[], None]:
    """Attention and its gradients."""

    def call() -> None:
        kind(*given).sum().backward()

    return call


def main() -> int:
    """Print the table; 1 where a target is missed."""
    torch.manual_seed(0)
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print("  rows  heads  numbers   formula ms   kernel ms   ratio   kernel in float32 ms")
    missed = False
    for rows, heads, numbers in SIZES:
        wide = [torch.randn(IMAGES, heads, rows, numbers, requires_grad=True) for _ in range(3)]
        short = [one.detach().bfloat16().requires_grad_() for one in wide]
        calls = (
            both_ways(attend, short),
            both_ways(scaled_dot_product_attention, short),
            both_ways(scaled_dot_product_attention, wide),
        )
        seconds: list[list[float]] = [[] for _ in calls]
        for _ in range(ROUNDS + 1):
            for call, taken in zip(calls, seconds, strict=True):
                begun = time.perf_counter()
                call()
                taken.append(time.perf_counter() - begun)
        ours, theirs, single = (1000 * statistics.median(taken[1:]) for taken in seconds)
        ratio = theirs / ours
        missed |= rows <= 64 and ratio < TARGET
        print(f"{rows:6}{heads:7}{numbers:9}{ours:13.1f}{theirs:12.1f}{ratio:8.2f}{single:23.1f}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
