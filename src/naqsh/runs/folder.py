"""The run folder: what training leaves on disk, and how it is written whole or not at all.

=========================  ========================================================================
``recipe.yaml``            the recipe, with all its numbers
``run.json``               data set, parameters, memory, environment, the command
``networks.json``          each phase's layers: name, kind, output shape, parameters
``metrics.jsonl``          one record a logged interval: the truth for every curve
``diagnosis.jsonl``        what went wrong or looked wrong, in plain words, with the step
``stages.jsonl``           first, middle and last epoch: the grid's name, weight histograms
``grids/00000938.png``     images from fixed latents after that step
``evaluation.json``        what `naqsh evaluate` measured, each result by what it is of (`kept`)
``samplers.json``          what `naqsh samplers` measured, once it has; images beside it
``guidance.json``          what `naqsh samplers --guidance` measured, once it has
``bound.json``             what `naqsh bound` measured, once it has
``field.json``             what `naqsh field` measured, once it has; its drawings beside it
``translation.json``       what `naqsh evaluate` measured of a method that translates
``segmentation.json``      what `naqsh segment` measured, once it has; images beside it
``segmenter.safetensors``  the pixel classifiers that it fitted last
``editing.json``           what `naqsh edit` made of given images, with grids beside it
``detections/NAME/``       what `naqsh detect` found in one collection of images under one set of
                           terms: ``detection.json``, ``detection.csv`` and heat maps
``checkpoints/00000500/``  ``weights.safetensors``, what optimisers keep, ``state.json``
``text.safetensors``       the encoder of captions, where a method takes any
``best.safetensors``       the weights that did best on held-out images, where some are held out
=========================  ========================================================================

Nothing here needs PyTorch, so that a report opens at once.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from naqsh.core.errors import NaqshError, nearest, writing
from naqsh.io import headers
from naqsh.io.files import make_folder
from naqsh.io.foreign import read_json as read_json
from naqsh.io.foreign import read_lines as read_lines
from naqsh.io.foreign import read_text, require_inside, unreadable
from naqsh.io.values import from_yaml

FORMAT = 1

WEIGHTS, AVERAGE = "weights.safetensors", "average.safetensors"
"""The weights in a checkpoint, and their averages where a run keeps them."""

STATE = "state.json"
"""What a checkpoint says beside tensors."""


class RunFolder:
    """The files of one run, by name.

    Args:
        path: the folder.
        named: what the user named where it was unpacked from that file; by default the folder.
    """

    def __init__(self, path: Path | str, named: Path | None = None) -> None:
        self.path = Path(path)
        self.named = named or self.path
        self.recipe = self.path / "recipe.yaml"
        self.about = self.path / "run.json"
        self.networks = self.path / "networks.json"
        self.metrics = self.path / "metrics.jsonl"
        self.diagnosis = self.path / "diagnosis.jsonl"
        self.stages = self.path / "stages.jsonl"
        self.evaluation = self.path / "evaluation.json"
        self.samplers = self.path / "samplers.json"
        self.guidance = self.path / "guidance.json"
        self.bound = self.path / "bound.json"
        self.field = self.path / "field.json"
        self.translation = self.path / "translation.json"
        self.segmentation = self.path / "segmentation.json"
        self.segmenter = self.path / "segmenter.safetensors"
        self.editing = self.path / "editing.json"
        self.detections = self.path / "detections"
        self.grids = self.path / "grids"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best.safetensors"
        self.text = self.path / "text.safetensors"

    def exists(self) -> bool:
        """Whether a run was begun here: there is its recipe, or weights that hold it."""
        return self.recipe.is_file() or bool(self._weights())

    def require(self) -> "RunFolder":
        """This folder, or a NaqshError when it holds no run."""
        if not self.path.is_dir():
            raise NaqshError(f"no run at {self.path}: {self._instead()}")
        if not self.exists():
            raise NaqshError(
                f"{self.path} is no run: it has no recipe.yaml and no weights; `naqsh train` "
                "makes them"
            )
        self.require_own()
        return self

    def require_own(self) -> None:
        """Refuse a folder whose parts lie elsewhere: a stranger's links must not lead us there.

        Its files are looked at when they are read; here are those that are written to.
        """
        parts = [self.checkpoints, self.grids, self.detections, self.path / ".lock"]
        parts += [self.checkpoint(step) for step in self.steps()]
        for part in parts:
            if os.path.lexists(part):
                require_inside(part, self.path)

    def _instead(self) -> str:
        """Why there is no run, and which folder may have been meant."""
        if self.path.is_file():
            inside = RunFolder(self.path.absolute().parent).exists()
            return f"it is a file{f' of a run; give the folder {self.path.parent}' * inside}"
        if RunFolder(Path("runs") / self.path).exists():
            return f"there is no such folder; did you mean {Path('runs') / self.path}?"
        beside = self.path.parent
        runs = (
            [f.name for f in beside.iterdir() if RunFolder(f).exists()] if beside.is_dir() else []
        )
        near = nearest(self.path.name, runs)
        meant = (
            f"; did you mean {' or '.join(str(beside / name) for name in near)}?" if near else ""
        )
        return f"there is no such folder{meant}"

    def read_recipe(self) -> dict[str, Any]:
        """The recipe as plain data."""
        try:
            plain = from_yaml(self.recipe_text())
        except ValueError as error:
            raise NaqshError(f"{self.recipe} is damaged: {error}") from error
        if not isinstance(plain, dict):
            raise NaqshError(f"{self.recipe} is damaged: it holds no named values")
        return plain

    def recipe_text(self) -> str:
        """The recipe as YAML: of ``recipe.yaml``, or where that is gone of the newest weights.

        Raises:
            NaqshError: neither can be read.
        """
        if os.path.lexists(self.recipe):
            return read_text(self.recipe)
        why = ""
        for file in self._weights():
            try:
                return headers.ours(file)["recipe"]
            except NaqshError as error:
                why = why or f": {error}"
        raise NaqshError(f"{self.path} has no recipe.yaml, and no weights that hold it{why}")

    def _weights(self) -> list[Path]:
        """Every file of weights that samples can be drawn by, the newest first."""
        files = [self.weights(step) for step in reversed(self.steps())]
        return [file for file in (*files, self.best) if file.is_file()]

    def require_best(self) -> Path:
        """The file of the weights that did best, or a NaqshError where there is none."""
        if not self.best.exists():
            raise NaqshError(
                f"{self.path} has no best weights: no images were held out, or no epoch has ended; "
                "take the last, or train with training.validation 0.1"
            )
        return self.best

    def weights(self, step: int) -> Path:
        """The file of weights that samples of a step are drawn by: the averages where there are."""
        averaged = self.checkpoint(step) / AVERAGE
        return averaged if averaged.exists() else self.checkpoint(step) / WEIGHTS

    def steps(self) -> list[int]:
        """The steps that have a whole checkpoint, rising."""
        if not self.checkpoints.is_dir():
            return []
        try:
            names = [entry.name for entry in self.checkpoints.iterdir() if entry.is_dir()]
        except OSError as error:
            raise unreadable(self.checkpoints, error) from error
        return sorted(int(name) for name in names if re.fullmatch("[0-9]{8,18}", name))

    def checkpoint(self, step: int) -> Path:
        """The folder of one step's checkpoint."""
        return self.checkpoints / f"{step:08d}"

    def grid(self, step: int) -> Path:
        """The grid of images after one step."""
        return self.grids / f"{step:08d}.png"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, so that two trainings never write to it at once.

        A folder that was made for it, and in which nothing was written, goes again: what is refused
        leaves nothing.
        """
        new = not self.path.exists()
        make_folder(self.path)
        self.require_own()
        lock = filelock.FileLock(self.path / ".lock", timeout=0)
        with writing(self.path / ".lock"):
            try:
                lock.acquire()
            except filelock.Timeout:
                raise NaqshError(
                    f"another training writes to {self.path}; wait for it or give another --out"
                ) from None
        try:
            yield
        finally:
            lock.release()
            if new and [entry.name for entry in self.path.glob("*")] in ([], [".lock"]):
                with contextlib.suppress(OSError):  # another training may have begun in it
                    (self.path / ".lock").unlink(missing_ok=True)
                    self.path.rmdir()
