"""Checkpoints: everything that the next step depends on, written whole or not at all.

The weights lie in safetensors with the recipe in the header, so that the file alone can be opened;
optimiser state is read with ``weights_only``. No generator state is kept: see :mod:`naqsh.noise`.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from naqsh.errors import NaqshError
from naqsh.runfolder import RunFolder, read_json, sync, whole_folder, write_json

WEIGHTS, AVERAGE = "weights.safetensors", "average.safetensors"
OPTIMIZERS, STATE = "optimizers.pt", "state.json"
KEEP_LAST = 2


@dataclass
class State:
    """What a checkpoint says beside tensors.

    Attributes:
        step: optimiser steps done.
        seconds: training time until now, over all sessions.
        best: the least validation loss until now and its step.
    """

    step: int = 0
    seconds: float = 0.0
    best: tuple[float, int] | None = None


def save(
    folder: RunFolder,
    state: State,
    method: nn.Module,
    average: nn.Module | None,
    optimizers: dict[str, torch.optim.Optimizer],
    header: dict[str, str],
) -> None:
    """Write one step's checkpoint aside, sync and rename it; then drop old ones.

    Args:
        header: texts for the weights' header: the recipe, the pictures' shape and the classes.

    Raises:
        NaqshError: the disk is full or not writable; what stood before still stands.
    """
    states = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
    with (
        _writing(folder, f"the checkpoint of step {state.step}"),
        whole_folder(folder.checkpoint(state.step)) as aside,
    ):
        save_weights(aside / WEIGHTS, method, header)
        if average is not None:
            save_weights(aside / AVERAGE, average, header)
        torch.save(states, aside / OPTIMIZERS)
        write_json(aside / STATE, vars(state))
    # One of a later step could not be read, or the run would have gone on from there.
    done = [step for step in folder.steps() if step <= state.step]
    for step in set(folder.steps()) - set(done[-KEEP_LAST:]):
        shutil.rmtree(folder.checkpoint(step), ignore_errors=True)


def save_best(folder: RunFolder, step: int, method: nn.Module, header: dict[str, str]) -> None:
    """Write the weights of `step`, which did best on held-out pictures until now.

    Args:
        header: as for :func:`save`; the step is added to it.

    Raises:
        NaqshError: the disk is full or not writable; what stood before still stands.
    """
    aside = folder.best.with_name(f".{folder.best.name}.{os.getpid()}.part")
    with _writing(folder, f"the best weights, of step {step},"):
        try:
            save_weights(aside, method, header | {"step": str(step)})
            sync(aside)
            aside.replace(folder.best)
        finally:
            aside.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(folder: RunFolder, what: str) -> Iterator[None]:
    """Say in one line that a file could not be written; each library has its own error for it."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise NaqshError(
            f"cannot write {what} in {folder.path}: {reason}; the one before it stands. Make room "
            "there, then the same command goes on"
        ) from error


def save_weights(path: Path, method: nn.Module, header: dict[str, str]) -> None:
    """Write a method's state to a safetensors file with texts in its header."""
    tensors = {name: tensor.contiguous() for name, tensor in method.state_dict().items()}
    save_file(tensors, path, metadata=header)


def load_weights(path: Path, method: nn.Module) -> None:
    """Fill a method from a safetensors file; NaqshError when it is damaged or of other networks."""
    try:
        method.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise NaqshError(f"{path} is missing: the checkpoint is not whole") from None
    except SafetensorError as error:
        raise NaqshError(f"{path} is damaged: {error}") from error
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise NaqshError(f"{path} holds other networks than its recipe: {reason}") from error


def restore(
    folder: RunFolder,
    step: int,
    method: nn.Module,
    average: nn.Module | None,
    optimizers: dict[str, torch.optim.Optimizer],
) -> State:
    """Fill method, average and optimisers from one step's checkpoint.

    Raises:
        NaqshError: a file is missing or damaged, or belongs to other networks.
    """
    place = folder.checkpoint(step)
    load_weights(place / WEIGHTS, method)
    if average is not None:
        load_weights(place / AVERAGE, average)
    _load_optimizers(place / OPTIMIZERS, optimizers)
    plain = read_json(place / STATE)
    try:
        best = plain["best"] and (float(plain["best"][0]), int(plain["best"][1]))
        state = State(int(plain["step"]), float(plain["seconds"]), best)
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise NaqshError(f"{place / STATE} is damaged: {error!r}") from error
    if state.step != step:
        raise NaqshError(f"{place / STATE} is of step {state.step}: the checkpoint is not whole")
    return state


def _load_optimizers(path: Path, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    try:
        plain: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(plain[name])
    except FileNotFoundError:
        raise NaqshError(f"{path} is missing: the checkpoint is not whole") from None
    except Exception as error:  # torch.load raises many types for a damaged or foreign file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NaqshError(f"{path} is damaged or not ours: {reason}") from error


def sweep(folder: RunFolder) -> None:
    """Remove what a kill left half written."""
    for place in (folder.path, folder.checkpoints, folder.grids):
        for part in place.glob(".*.part"):
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink()


def header(
    recipe_yaml: str, shape: tuple[int, int, int], classes: tuple[str, ...]
) -> dict[str, str]:
    """The texts that make a weights file complete without anything beside it."""
    return {"recipe": recipe_yaml, "shape": json.dumps(shape), "classes": json.dumps(classes)}
