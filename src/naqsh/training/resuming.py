"""Where a run goes on: its newest whole checkpoint, and the records until then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from naqsh.core.errors import NaqshError
from naqsh.io.files import read_until, rewrite_lines
from naqsh.runs import checkpoint
from naqsh.runs.checkpoint import State
from naqsh.runs.folder import RunFolder

Records = list[dict[str, Any]]


def newest(
    folder: RunFolder,
    method: nn.Module,
    average: nn.Module | None,
    optimizers: dict[str, torch.optim.Optimizer],
    say: Callable[[str], None],
) -> tuple[State, dict[str, str]]:
    """Fill all from the newest checkpoint that can be read.

    Returns:
        its state and the texts in the weights' header; a fresh state where there is none.

    Raises:
        NaqshError: there are checkpoints, and none can be read.
    """
    steps = folder.steps()
    for step in reversed(steps):
        try:
            return checkpoint.restore(folder, step, method, average, optimizers)
        except NaqshError as error:
            say(f"{error}; going back to the checkpoint before it")
    if steps:
        raise NaqshError(f"no checkpoint in {folder.checkpoints} can be read")
    return State(), {}


def forget(folder: RunFolder, step: int) -> tuple[Records, Records]:
    """Drop what was recorded after `step`; returns the records that stay: numbers, and stages."""
    checkpoint.sweep(folder)
    checkpoint.drop_old(folder, step)
    stay: dict[Path, Records] = {}
    for path in (folder.stages, folder.diagnosis, folder.metrics):
        stay[path] = read_until(path, step)
        rewrite_lines(path, stay[path])
    return stay[folder.metrics], stay[folder.stages]
