"""A trained run: the folder that training leaves, opened to draw images from its method."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naqsh.captions.encoder import TextEncoder
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.machine import Machine
from naqsh.core.method import Method
from naqsh.core.printable import short
from naqsh.core.progress import Progress, silent
from naqsh.core.spec import Layout
from naqsh.io.files import flat, read_records
from naqsh.io.foreign import read_lines
from naqsh.recipes.recipe import Recipe
from naqsh.runs import checkpoint, loading, origin, packed, sampling
from naqsh.runs.folder import RunFolder
from naqsh.runs.sampling import SAMPLE_BATCH

WEIGHTS = ("last", "best")
"""Which weights of a run can be opened."""


MAY_CHANGE = {"name", "data.name", "training.epochs", "training.steps"}
"""What of a run's recipe may be another than in its weights: names, and how long it is trained."""


class _Gone(NaqshError):
    """A file of weights that is there no more."""


class Trained:
    """A run folder, opened: its recipe, its curves, its method and samples of it.

    Args:
        folder: of the run.
        weights: the ``last``, or those that did ``best`` on held-out images.

    Raises:
        NaqshError: there are no such weights.
    """

    def __init__(
        self, folder: RunFolder, weights: str = "last", recipe: Recipe | None = None
    ) -> None:
        if weights not in WEIGHTS:
            raise one_of("weights", weights, WEIGHTS)
        if weights == "best":
            folder.require_best()
        self.folder, self.weights = folder, weights
        self.recipe = recipe or loading.recipe_of(folder)
        self._method: Method | None = None
        self._step: int | None = None
        self._layout: Layout | None = None

    def __repr__(self) -> str:
        return f"naqsh.open({str(self.folder.named)!r})"

    @property
    def method(self) -> Method:
        """The trained method in eval mode, with averaged weights where the run has them.

        It is loaded once, onto the CPU, and is one module from then on: what samples or measures
        the run on another device moves it there, and leaves it there.

        Raises:
            NaqshError: there are no weights yet, they are damaged, or of other networks.
        """
        if self._method is None:
            # Training may go on meanwhile, and drop this checkpoint for the next.
            for _ in range(3):
                file = self.weights_file
                with contextlib.suppress(_Gone):
                    self._step, self._method = self._load(file)
                    return self._method
            raise NaqshError(f"{file} is missing: the checkpoint is not whole")
        return self._method

    def _load(self, file: Path) -> tuple[int, Method]:
        with self._while_there(file):
            method, header = loading.load(file)
        ours, theirs = self.recipe.method.kind, header.recipe.method.kind
        if ours != theirs:
            raise NaqshError(
                f"{file} holds a method of kind {theirs}, and {self.folder.recipe} is of kind "
                f"{ours}: they are of different runs"
            )
        with self._while_there(file):
            checkpoint.require_own(file)
        if self.weights == "best":
            self._require_alike(file, header)
        self._layout = header.layout
        return self._step_of(file, header), method

    @staticmethod
    @contextlib.contextmanager
    def _while_there(file: Path) -> Iterator[None]:
        """Tell what is wrong with a file from that a training has just dropped it."""
        try:
            yield
        except NaqshError as error:
            raise error if file.exists() else _Gone(str(error)) from error

    def _require_alike(self, file: Path, header: loading.Header) -> None:
        """Refuse best weights of another recipe, whose checkpoint has no digest of them.

        What a run that went on had otherwise, its diagnosis says.
        """
        there, here = flat(header.recipe.to_dict()), flat(self.recipe.to_dict())
        said = {row.get("metric") for row in read_lines(self.folder.diagnosis)}
        for key in here | there:
            if there.get(key) != here.get(key) and key not in MAY_CHANGE | said:
                raise NaqshError(
                    f"{file} was trained with {key} {short(there.get(key))}, the run with "
                    f"{short(here.get(key))}: it is of another run, or recipe.yaml was edited; if "
                    "it is what you want, copy it and name the copy instead of the run"
                )

    def _step_of(self, file: Path, header: loading.Header) -> int:
        """The step that a file of weights is of; of older ones their folder says it."""
        if header.step is not None:
            return header.step
        if file.parent.parent == self.folder.checkpoints:
            return int(file.parent.name)
        raise NaqshError(f"{file} has a header that does not fit: it says no step")

    @property
    def layout(self) -> Layout:
        """The columns of the batches that it was trained on."""
        assert self.method
        assert self._layout is not None
        return self._layout

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that it was trained on; none where images had no labels."""
        return self.layout.classes

    @property
    def encoder(self) -> TextEncoder:
        """What makes embeddings of sentences for the method.

        :func:`naqsh.captions.encoder.typed` takes it with what a user typed.

        Raises:
            NaqshError: the run has none, or its file is damaged.
        """
        return origin.encoder(self.folder)

    @property
    def weights_file(self) -> Path:
        """The file that the method is read from."""
        if self.weights == "best":
            return self.folder.require_best()
        steps = self.folder.steps()
        if not steps:
            raise NaqshError(f"{self.folder.path} has no checkpoint yet; train it further")
        return self.folder.weights(steps[-1] if self._step is None else self._step)

    @property
    def step(self) -> int:
        """The step that the weights are of: those that were read, once they are.

        A run may be trained further meanwhile; what is made with the weights read is still of
        their step.
        """
        if self._step is None:
            file = self.weights_file
            return self._step_of(file, loading.read_header(file))
        return self._step

    def images(
        self, split: origin.Split, data: str | None = None, home: Path | str | None = None
    ) -> origin.Found:
        """The images that a run is measured against, found wherever they are and known by content.

        Everything that measures a trained run gets its images here. They are looked for under the
        recipe's name, where they lay as seen from the run's folder, and beside it; the fingerprint
        in ``run.json`` decides.

        Args:
            split: ``train`` or ``test``.
            data: a name, folder or file to take them from instead (`--data`): for images that have
                moved, or to measure against others on purpose.
            home: where named sets are looked for first (`--data-home`).

        Returns:
            ``images``, the data set in the run's size and channels; ``note``, a sentence to show
            and to keep with the result where they are not those of the training, else None.

        Raises:
            NaqshError: they are not found, or others are found and were not asked for by `data`.
        """
        return origin.find(self.recipe, self.folder, split, data, home)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        first: int = 0,
        batch: int = SAMPLE_BATCH,
        device: str = "cpu",
        progress: Progress | None = None,
        **options: Any,
    ) -> Tensor:
        """Images first..first + n - 1 of a seed; `n` and `batch` change each by rounding at most.

        Args:
            n: how many.
            seed: of the noise; image k of a seed is the same image in every call.
            first: the number of the first one.
            batch: how many at a time.
            device: where they are made.
            progress: called with how many are drawn.
            options: what the method's ``sample`` takes beside the noise, such as a class by its
                number or name, ``label="cat"``; those of a sampler stand beside its name:
                ``sampler="heun", steps=18, churn=40``.

        Returns:
            float32 in [0, 1] with shape (n, C, H, W), on the CPU.

        Raises:
            NaqshError: the method makes no images, or a number does not fit.
        """
        sampling.require_room(n, self.method.shape, "take fewer at a time")
        drawn = sampling.batches(
            self.method,
            self.recipe.name,
            n,
            options,
            Machine(device, batch, seed, progress=progress or silent),
            classes=self.classes,
            first=first,
        )
        return torch.cat(list(drawn))

    @property
    def curves(self) -> dict[str, list[float | None]]:
        """Every curve as a column: ``pandas.DataFrame(run.curves)`` makes a table of it.

        Returns:
            of each record ``step``, ``epoch``, ``seen`` (images), ``seconds``, ``speed`` (images a
            second) and each loss by phase and term, such as ``critic.total``; None where a record
            has no such value. All lists are of one length.
        """
        records = [
            {name: value for name, value in record.items() if isinstance(value, int | float)}
            | record.get("losses", {})
            for record in read_records(self.folder.metrics)
        ]
        names = dict.fromkeys(name for record in records for name in record)
        return {name: [record.get(name) for record in records] for name in names}

    def best_validation(self) -> float | None:
        """The least validation loss; None for a method that has none."""
        curve = self.curves.get("validation.total", [])
        return min((value for value in curve if value is not None), default=None)


def open_trained(path: Path | str, weights: str = "last") -> Trained:
    """The run in a folder or a file, for what measures it; raises as :func:`naqsh.open`."""
    return Trained(packed.folder(path), weights)
