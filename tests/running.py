"""Commands in processes of their own, which may be killed; started by a fork, not by an import.

A server process imports PyTorch once and forks for each command, so that a test can afford a dozen.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from naqsh.runs.folder import RunFolder

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["naqsh.training.launch", "torch._dynamo"])
PATIENCE = 120.0
LOG_EVERY = 2
"""Steps between two records, and two checkpoints, in these processes."""


def start(
    command: list[str],
    log: Path,
    death: tuple[Any, ...] | None = None,
    environment: dict[str, str] | None = None,
) -> ForkServerProcess:
    """Begin `naqsh` with these words.

    Args:
        command: the words after `naqsh`.
        log: what it prints is added to this file.
        death: ("step", n) is killed as step n begins, ("fsync", n) in the n-th wait for the disk,
            ("after", s) after s seconds; ("signal", n, number, …) gets the signals in step n.
        environment: variables to set.
    """
    arguments = (command, str(log), death, environment or {})
    process = CONTEXT.Process(target=_command, args=arguments)
    process.start()
    return process


def ended(process: ForkServerProcess) -> int | None:
    """The exit code; minus the signal's number for a process that was killed."""
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError("the process did not end")
    code = process.exitcode
    process.close()
    return code


def naqsh(command: list[str], log: Path, death: tuple[Any, ...] | None = None) -> int | None:
    """Run `naqsh` to its end; returns the exit code."""
    return ended(start(command, log, death))


def _command(
    command: list[str], log: str, death: tuple[Any, ...] | None, environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    target = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    torch.set_num_threads(1)
    from naqsh import cli
    from naqsh.training import loop

    loop.LOG_EVERY = LOG_EVERY
    loop.CHECKPOINT_SECONDS = -1.0  # at every record
    if death:
        _arrange(*death)
    sys.exit(cli.main(command))


def _arrange(kind: str, when: float, *numbers: int) -> None:
    """See to it that this process dies, or is told to, at a given moment."""
    from naqsh.training.loop import Trainer

    pid, step, fsync, calls = os.getpid(), Trainer.step, os.fsync, [0]

    def counted_step(trainer: Trainer) -> None:
        if kind in ("step", "signal") and trainer.state.step == when:
            for number in numbers or [signal.SIGKILL]:
                os.kill(pid, number)
        step(trainer)

    def counted_fsync(descriptor: int) -> None:
        calls[0] += 1
        if kind == "fsync" and calls[0] == when:
            os.kill(pid, signal.SIGKILL)
        fsync(descriptor)

    def later() -> None:
        time.sleep(when)
        os.kill(pid, signal.SIGKILL)

    Trainer.step, os.fsync = counted_step, counted_fsync  # type: ignore[method-assign]
    if kind == "after":
        threading.Thread(target=later, daemon=True).start()


def free_port() -> int:
    """A port that nothing listened to a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def everything(folder: Path) -> dict[str, Any]:
    """All that the newest checkpoint of a run holds, by name."""
    run = RunFolder(folder)
    place = run.checkpoint(run.steps()[-1])
    found: dict[str, Any] = {"step": run.steps()[-1]}
    for path in place.glob("*.safetensors"):
        found |= {f"{path.stem}.{name}": value for name, value in load_file(path).items()}
    return found


def differences(a: dict[str, Any], b: dict[str, Any]) -> set[str]:
    """The names under which two results of :func:`everything` differ, even by one bit."""
    return {
        name
        for name in a.keys() | b.keys()
        if not (
            torch.equal(a[name], b[name])
            if isinstance(a.get(name), torch.Tensor) and isinstance(b.get(name), torch.Tensor)
            else name in a and name in b and a[name] == b[name]
        )
    }


def ranks(size: int, work: Callable[..., None], *arguments: Any) -> list[int | None]:
    """Run `work(rank, *arguments)` in processes that are the ranks of one world.

    Returns:
        the exit code of each rank.
    """
    port = free_port()
    processes = [
        CONTEXT.Process(target=_as_rank, args=(rank, size, port, dict(os.environ), work, arguments))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    return [ended(process) for process in processes]


def _as_rank(
    rank: int,
    size: int,
    port: int,
    environment: dict[str, str],
    work: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    # The server of forks has the environment of the first test that asked it, and so its cache.
    os.environ |= environment
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    work(rank, *arguments)
