"""Jobs shared out to processes, each with one thread.

Small networks do not keep two threads busy in one operation, but two of them keep two processes so.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

import torch

from naqsh.core.progress import Count

J = TypeVar("J")
R = TypeVar("R")

LOOK = 0.5
"""Seconds between two looks at how far the jobs are."""

_told: Any = None


def each(
    work: Callable[[J, Callable[[float], None]], R],
    jobs: Sequence[J],
    workers: int,
    progress: Count,
) -> Iterator[R]:
    """What some work makes of each job, as they are done.

    Args:
        work: called with a job and with a function that it tells which part of it is done; with
            several workers it is a function of a module.
        jobs: what is to be done.
        workers: processes; with one the work is done in this one.
        progress: told how many thousandths of all jobs are done.
    """
    parts = 1000 * len(jobs)
    if min(workers, len(jobs)) <= 1:
        for n, job in enumerate(jobs):

            def tell(share: float, before: int = n) -> None:
                progress(round(1000 * (before + share)), parts)

            yield work(job, tell)
        return
    context = multiprocessing.get_context("spawn")
    shares = context.Array("d", len(jobs), lock=False)
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _begin, (shares,))
    try:
        left: set[Future[R]] = {pool.submit(_one, work, n, job) for n, job in enumerate(jobs)}
        while left:
            done, left = wait(left, LOOK, FIRST_COMPLETED)
            progress(round(1000 * sum(shares)), parts)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
            # The pool's own thread waits for it too: who comes second learns nothing at first.
            while process.is_alive():
                process.join(LOOK)


def _begin(shares: Any) -> None:
    """What a process does first: it ends with the one that began it, and leaves Ctrl-C to it."""
    global _told
    _told = shares
    torch.set_num_threads(1)
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _one(work: Callable[[J, Callable[[float], None]], R], number: int, job: J) -> R:
    def tell(share: float) -> None:
        _told[number] = share

    return work(job, tell)
