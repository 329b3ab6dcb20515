"""Checkpoints: everything that the next step depends on, written whole or not at all.

The weights lie in safetensors with the recipe in the header, so that the file alone can be opened;
what the optimisers remember lies in another. ``state.json`` holds the SHA-256 of both, which is
compared before a run resumes from them. No generator state is kept: see :mod:`naqsh.core.noise`.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from naqsh.core.errors import NaqshError
from naqsh.core.spec import Layout
from naqsh.io import aside
from naqsh.io.files import sync, whole_folder, write_json
from naqsh.io.foreign import read_json, require_there, sha256
from naqsh.io.values import from_json
from naqsh.runs import moments, records, tensors
from naqsh.runs.folder import AVERAGE, STATE, WEIGHTS, RunFolder

KEEP_LAST = 2
COUNTS = "counts"
"""The text in a header that holds how many training images have each label."""


@dataclass
class State:
    """What a checkpoint says beside tensors.

    Attributes:
        step: optimiser steps done.
        seconds: training time until now, over all sessions.
        best: the least until now of what the best weights are told by, and its step.
        pending: sums of the losses since the last record, see :class:`naqsh.training.log.Pending`.
    """

    step: int = 0
    seconds: float = 0.0
    best: tuple[float, int] | None = None
    pending: dict[str, tuple[float, int]] = field(default_factory=dict)


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
        header: texts for the weights' header: the recipe, the images' shape and the classes; the
            step is added to them.

    Raises:
        NaqshError: the disk is full or not writable; what stood before still stands.
    """
    texts = header | {"step": str(state.step)}
    with _writing(folder, f"the checkpoint of step {state.step}", bool(folder.steps())):
        folder.checkpoints.mkdir(exist_ok=True)  # in the run's folder, which is never made anew
        _save(folder.checkpoint(state.step), state, method, average, optimizers, texts)
    # One of a later step could not be read, or the run would have gone on from there.
    drop_old(folder, state.step)
    for step in folder.steps():
        if step > state.step:
            shutil.rmtree(folder.checkpoint(step), ignore_errors=True)


def _save(
    path: Path,
    state: State,
    method: nn.Module,
    average: nn.Module | None,
    optimizers: dict[str, torch.optim.Optimizer],
    texts: dict[str, str],
) -> None:
    with whole_folder(path) as place:
        tensors.save(place / WEIGHTS, method.state_dict(), texts)
        if average is not None:
            tensors.save(place / AVERAGE, average.state_dict(), texts)
        moments.save(place / moments.FILE, optimizers)
        digests = {file.name: sha256(file) for file in sorted(place.iterdir())}
        write_json(place / STATE, records.plain(records.Saved(**vars(state), sha256=digests)))


def drop_old(folder: RunFolder, step: int) -> None:
    """Remove all checkpoints until a step but for the last; a kill may have left some half gone."""
    for old in [done for done in folder.steps() if done <= step][:-KEEP_LAST]:
        shutil.rmtree(folder.checkpoint(old), ignore_errors=True)


def save_best(folder: RunFolder, step: int, method: nn.Module, header: dict[str, str]) -> None:
    """Write the weights of `step`, which did best on held-out images until now.

    Args:
        header: as for :func:`save`; the step is added to it.

    Raises:
        NaqshError: the disk is full or not writable; what stood before still stands.
    """
    with (
        _writing(folder, f"the best weights, of step {step},", folder.best.exists()),
        aside.folder(folder.best) as place,
    ):
        new = place / folder.best.name
        tensors.save(new, method.state_dict(), header | {"step": str(step)})
        sync(new)
        new.replace(folder.best)


@contextlib.contextmanager
def _writing(folder: RunFolder, what: str, another: bool) -> Iterator[None]:
    """Say in one line that a file could not be written; each library has its own error for it."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError, NaqshError) as error:
        cause = error.__cause__ if isinstance(error, NaqshError) and error.__cause__ else error
        reason = str(cause).strip().splitlines()[0]
        stands = "the one before it stands. " if another else ""
        raise NaqshError(
            f"cannot write {what} in {folder.path}: {reason}; {stands}Make room there, then the "
            "same command resumes"
        ) from error


def load_weights(path: Path, method: nn.Module) -> dict[str, str]:
    """Fill a method from a safetensors file; returns the texts in its header.

    Raises:
        NaqshError: it is missing or damaged, or of other networks.
    """
    found, header = tensors.read(path, method.state_dict())
    method.load_state_dict(found)
    return header


def restore(
    folder: RunFolder,
    step: int,
    method: nn.Module,
    average: nn.Module | None,
    optimizers: dict[str, torch.optim.Optimizer],
) -> tuple[State, dict[str, str]]:
    """Fill method, average and optimisers from one step's checkpoint.

    Returns:
        what it says beside tensors, and the texts in the weights' header.

    Raises:
        NaqshError: a file is missing, damaged or not the one that was written, or belongs to other
            networks.
    """
    place = folder.checkpoint(step)
    state = read_state(folder, step)
    _compare(place)
    header = load_weights(place / WEIGHTS, method)
    if average is not None:
        load_weights(place / AVERAGE, average)
    moments.load(place, optimizers)
    return state, header


def read_state(folder: RunFolder, step: int) -> State:
    """What one step's checkpoint says beside tensors; NaqshError when it is damaged."""
    path = folder.checkpoint(step) / STATE
    saved = _saved(path)
    if saved.step != step:
        raise NaqshError(f"{path} is of step {saved.step}: the checkpoint is not whole")
    return State(saved.step, saved.seconds, saved.best, saved.pending)


def _saved(path: Path) -> records.Saved:
    plain = read_json(path)
    try:
        return records.read(records.Saved, plain)
    except NaqshError as error:
        raise NaqshError(f"{path} is damaged: {error}") from error


def require_own(file: Path) -> None:
    """Refuse a weights file that is not the one which was written into its checkpoint.

    Another run's is whole in itself, so only its digest in the checkpoint tells it.
    """
    state = file.parent / STATE
    digest = _saved(state).sha256.get(file.name) if state.exists() else None
    if digest is not None and digest != sha256(file):
        raise NaqshError(
            f"{file} is not the file that training wrote there: it is of another run, or has "
            "changed since; if it is what you want, copy it and name the copy instead of the run"
        )


def _compare(place: Path) -> None:
    """Refuse a checkpoint whose files are not those that were written."""
    digests = _saved(place / STATE).sha256
    for name in (WEIGHTS, AVERAGE, moments.FILE):
        if name not in digests:
            continue
        require_there(place / name, "the checkpoint")
        tensors.shapes(place / name)  # a file of another length is known before it is read
        if digests[name] != sha256(place / name):
            raise NaqshError(f"{place / name} is damaged: it has changed since it was written")


def sweep(folder: RunFolder) -> None:
    """Remove what a kill left half written; the caller holds the folder."""
    for place in (folder.path, folder.checkpoints, folder.grids):
        aside.sweep(place, alone=True)


def header(
    recipe_yaml: str,
    layout: Layout,
    counts: Sequence[int] = (),
) -> dict[str, str]:
    """The texts that make a weights file complete without anything beside it.

    Args:
        recipe_yaml: the whole recipe.
        layout: the columns of the training batches.
        counts: how many training images have each label; empty where there are none.
    """
    texts = {"recipe": recipe_yaml}
    texts |= {"shape": json.dumps(layout.shape), "classes": json.dumps(layout.classes)}
    texts |= {"caption": json.dumps(layout.caption)} if layout.caption else {}
    texts |= {"second": json.dumps(layout.second)} if layout.second else {}
    texts |= {"paired": json.dumps(layout.paired)} if layout.paired else {}
    texts |= {"extent": json.dumps(layout.extent)} if layout.extent else {}
    return texts | ({COUNTS: json.dumps(list(counts))} if counts else {})


def counts(header: Mapping[str, str], classes: int) -> list[int]:
    """How many training images have each label, from a header; empty in one of before they were.

    Raises:
        ValueError: they are not one whole number for each of `classes` labels.
    """
    found: list[int] = from_json(header.get(COUNTS, "[]"))
    whole = isinstance(found, list) and all(type(n) is int and 0 <= n < 1 << 62 for n in found)
    if not whole or (found and (len(found) != classes or not any(found))):
        raise ValueError(f"its counts of labels are not those of {classes} classes")
    return found
