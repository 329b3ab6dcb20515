"""Copies of the logged numbers for TensorBoard or Weights & Biases, where a user asks for them.

``metrics.jsonl`` stays the truth; a sink that fails to import is an error before the first step.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from naqsh.core.errors import NaqshError, one_of


class Sink(Protocol):
    """Where numbers go beside the run folder."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of one record."""

    def close(self) -> None:
        """Write out what is still held."""


class TensorBoard:
    """Event files in ``RUN/tensorboard``, for ``tensorboard --logdir RUN``."""

    def __init__(self, folder: Path, name: str, recipe: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder / "tensorboard")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar a number; ``critic.total`` becomes ``critic/total``."""
        for name, value in values.items():
            self._writer.add_scalar(name.replace(".", "/", 1), value, step)

    def close(self) -> None:
        """Flush the event file."""
        self._writer.close()


class WeightsAndBiases:
    """A run in ``RUN/wandb``, offline unless WANDB_MODE says otherwise: no log-in is needed."""

    def __init__(self, folder: Path, name: str, recipe: Mapping[str, Any]) -> None:
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        self._run = wandb.init(
            project="naqsh", name=name, dir=folder, config=dict(recipe), mode=mode, resume="allow"
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """All numbers of a record at once."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


SINKS: dict[str, Callable[[Path, str, Mapping[str, Any]], Sink]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


def sink(kind: str, folder: Path, name: str, recipe: Mapping[str, Any]) -> Sink:
    """The sink called `kind`.

    Raises:
        NaqshError: an unknown kind, or its package is not installed.
    """
    if kind not in SINKS:
        raise one_of("tracker", kind, SINKS)
    try:
        return SINKS[kind](folder, name, recipe)
    except ImportError:
        raise NaqshError(
            f"{kind} is not installed: pip install 'naqsh[tracking]', or leave out --tracking"
        ) from None
