"""Memory that steps free and take again.

The C library of most Linux systems gives freed memory back to the system where it ends the heap,
and large blocks at once. Each step then faults the same pages in anew, one by one, which the kernel
clears first: with two threads a tenth of a training step of a small U-Net, and more of a pass of
its network alone. Kept, they are there for the next step. The most that a process ever takes is the
same either way.
"""

import ctypes
import functools

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Of ``mallopt(3)``."""

LARGEST = 32 << 20
"""Bytes of the largest block that the C library may keep; its own limit."""

NEVER = (1 << 31) - 1
"""Free bytes at the heap's end from which on they are given back: the largest number it takes."""


@functools.cache
def keep_freed() -> bool:
    """From now on this process keeps what it frees; whether the C library lets itself be told."""
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return False
    return bool(tell(TRIM_THRESHOLD, NEVER) and tell(MMAP_THRESHOLD, LARGEST))
