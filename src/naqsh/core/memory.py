"""Memory that steps free and take again, and the most that a process had of it.

The C library of most Linux systems gives freed memory back to the system where it ends the heap,
and large blocks at once. Each step then faults the same pages in anew, one by one, which the kernel
clears first: with two threads a tenth of a training step of a small U-Net, and more of a pass of
its network alone. Kept, they are there for the next step. The most that a process ever takes is the
same either way; but what is resident no longer says what is used, so whoever measures how much a
call takes has what was kept given back first.
"""

import contextlib
import ctypes
import functools
import re
from pathlib import Path

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


def reset_peak() -> int | None:
    """Measure the peak from now on: what is kept is given back, and the high-water mark set back.

    Where that is not allowed, or not Linux, the mark stays of the whole life of the process: an
    upper bound.

    Returns:
        The peak as it is now, in bytes.
    """
    with contextlib.suppress(TypeError, OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError), Path("/proc/self/clear_refs").open("r+") as file:
        file.write("5")  # back to what is resident now: proc(5)
    return peak()


def peak() -> int | None:
    """The most memory that was resident since :func:`reset_peak`; None where that is unknown."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    mark = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(mark[1]) << 10 if mark else None
