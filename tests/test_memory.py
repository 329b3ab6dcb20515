"""What a step frees is there for the next one: the system clears no page of it twice."""

import subprocess
import sys

import pytest

from naqsh.core.memory import keep_freed

CYCLES = """
import ctypes, mmap, resource
from naqsh.core.memory import keep_freed
if {kept}:
    keep_freed()
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def cycle():
    held = []
    for _ in range(50):
        held.append(library.malloc(1 << 20))
        ctypes.memset(held[-1], 1, 1 << 20)
    while held:  # the last one first: so each ends the heap when it is freed
        library.free(held.pop())

for _ in range(3):
    cycle()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    cycle()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults / (5 * 50 * (1 << 20) / mmap.PAGESIZE))
"""


def faulted(kept: bool) -> float:
    """The part of the pages of 50 blocks of a MiB that is faulted in anew by each cycle."""
    code = CYCLES.format(kept=kept)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(not keep_freed(), reason="this C library does not let itself be told")
def test_what_is_freed_is_kept():
    assert faulted(kept=True) < 0.01


def test_where_the_library_has_no_such_call_nothing_is_done(monkeypatch):
    monkeypatch.setattr("naqsh.core.memory.ctypes.CDLL", lambda name: object())
    assert keep_freed.__wrapped__() is False
