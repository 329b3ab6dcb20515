"""A run: the object that opens the folder which training a recipe leaves."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from naqsh.core import world as distributed
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.method import Method
from naqsh.core.noise import derive
from naqsh.io import inline
from naqsh.io import png as pictures
from naqsh.io.foreign import read_bytes
from naqsh.recipes import recipe as recipe_module
from naqsh.recipes.recipe import Recipe
from naqsh.runs import checkpoint, loading, origin, packed, sampling
from naqsh.runs.folder import RunFolder, read_records
from naqsh.runs.origin import load as load_data
from naqsh.runs.sampling import SAMPLE_BATCH, Progress, sample_options

if TYPE_CHECKING:
    from naqsh.studies.detection import Detection
    from naqsh.studies.evaluated import Evaluation

__all__ = ["WEIGHTS", "Run", "build", "data_of", "load_data", "open", "sample_options"]

WEIGHTS = ("last", "best")
"""Which weights of a run can be opened."""


def data_of(
    run: "Run",
    split: origin.Split,
    data: str | None = None,
    home: Path | str | None = None,
) -> origin.Found:
    """The images that a run is measured against, found wherever they are and known by content.

    Everything that measures a trained run gets its images here. They are looked for under the
    recipe's name, where they lay as seen from the run's folder, and beside it; the fingerprint in
    ``run.json`` decides.

    Args:
        run: whose images.
        split: ``train`` or ``test``.
        data: a name, folder or file to take them from instead (`--data`): for images that have
            moved, or to measure against others on purpose.
        home: where named sets are looked for first (`--data-home`).

    Returns:
        ``images``, the data set in the run's size and channels; ``note``, a sentence to show and to
        keep with the result where they are others than the run was trained on, else None.

    Raises:
        NaqshError: they are not found, or others are found and were not asked for by `data`.
    """
    return origin.find(run.recipe, run.folder, split, data, home)


def build(recipe: Recipe, shape: tuple[int, int, int], classes: int) -> Method:
    """A recipe's method with fresh weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(recipe.training.seed, "init"))
        try:
            return recipe.method.build(shape, classes)
        except ValueError as error:
            raise NaqshError(
                f"{recipe.name} on pictures of {readable_size(shape)}: {error}"
            ) from error


def readable_size(shape: tuple[int, int, int]) -> str:
    """The shape (C, H, W) of pictures as people say it: height by width by channels."""
    return f"{shape[1]}x{shape[2]}x{shape[0]}"


def open(path: Path | str, weights: str = "last") -> "Run":
    """The run in a folder, or in one file.

    Args:
        path: the folder; a zip of one, as `naqsh export` makes it; or a weights file. What is
            measured of a file is kept in the cache, and one line says where.
        weights: the ``last``, or those that did ``best`` on held-out pictures.

    Raises:
        NaqshError: there is no run, or it kept no such weights.
    """
    return Run(packed.folder(path), weights)


class _Gone(NaqshError):
    """A file of weights that is there no more."""


class Run:
    """A run folder, opened: it samples and reports without anything beside it."""

    def __init__(
        self, folder: RunFolder, weights: str = "last", recipe: Recipe | None = None
    ) -> None:
        if weights not in WEIGHTS:
            raise one_of("weights", weights, WEIGHTS)
        if weights == "best":
            folder.require_best()
        self.folder, self.weights = folder, weights
        self.recipe = recipe or recipe_module.of_run(folder)
        self._method: Method | None = None
        self._step: int | None = None

    def __repr__(self) -> str:
        return f"naqsh.open({str(self.folder.named)!r})"

    @property
    def method(self) -> Method:
        """The trained method on the CPU in eval mode: averaged weights where the run has them.

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
        try:
            method, header = loading.load(file)
        except NaqshError as error:
            raise error if file.exists() else _Gone(str(error)) from error
        ours, theirs = self.recipe.method.kind, header.recipe.method.kind
        if ours != theirs:
            raise NaqshError(
                f"{file} holds a method of kind {theirs}, and {self.folder.recipe} is of kind "
                f"{ours}: they are of different runs"
            )
        return self._step_of(file, header), method

    def _step_of(self, file: Path, header: loading.Header) -> int:
        """The step that a file of weights is of; of older ones their folder says it."""
        if header.step is not None:
            return header.step
        if file.parent.parent == self.folder.checkpoints:
            return int(file.parent.name)
        raise NaqshError(f"{file} has a header that does not fit: it says no step")

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
            seed: which endless row of images.
            first: the number of the first one.
            batch: how many at a time.
            device: where they are made.
            progress: told how many are drawn.
            options: what the method's ``sample`` takes beside the noise.

        Returns:
            float32 in [0, 1] with shape (n, C, H, W), on the CPU.

        Raises:
            NaqshError: the method makes no pictures, or a number does not fit.
        """
        sampling.require_room(n, self.method.shape, "take fewer at a time")
        drawn = sampling.batches(
            self.method,
            self.recipe.name,
            n,
            options,
            seed=seed,
            first=first,
            batch=batch,
            device=device,
            progress=progress,
        )
        return torch.cat(list(drawn))

    def show(self, n: int = 16, *, columns: int | None = None, **options: Any) -> pictures.Grid:
        """Samples as a grid that a notebook shows at the end of a cell.

        Args:
            n: how many.
            columns: images in a row; by default as square as can be.
            options: as for :meth:`sample`.
        """
        caption = f"{self.recipe.name} after {self.step} steps"
        return pictures.Grid(self.sample(n, **options), caption, columns)

    def save_samples(
        self,
        n: int,
        *,
        seed: int = 0,
        out: Path | str | None = None,
        folder: Path | str | None = None,
        overwrite: bool = False,
        columns: int | None = None,
        batch: int = SAMPLE_BATCH,
        device: str = "auto",
        progress: Progress | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write samples as one captioned grid, or each as a PNG of its own in a folder.

        Args:
            n: how many.
            seed: which images.
            out: the grid's file; ``samples.png`` in the run folder by default.
            folder: a new or empty folder for single images instead of a grid; they are in it when
                the last is drawn, or none is.
            overwrite: replace the images in the folder, or a file that Naqsh did not write.
            columns: images in a row of the grid.
            batch: how many at a time.
            device: where they are made.
            progress: told how many are drawn.
            options: what the method's ``sample`` takes beside the noise.

        Returns:
            the file or folder that was written.

        Raises:
            NaqshError: as :meth:`sample`, or something stands where they should be written.
        """
        if columns is not None and columns < 1:
            raise NaqshError(f"a grid needs at least 1 column, got {columns}")
        path = Path(folder or out or self.folder.path / "samples.png")
        sampling.require_target(path, bool(folder), overwrite or not (folder or out))
        with distributed.join(device) as world:
            drawn = sampling.batches(
                self.method,
                self.recipe.name,
                n,
                options or {},
                seed=seed,
                batch=batch,
                device=str(world.device),
                progress=progress,
            )
            if folder:
                sampling.write_each(path, drawn, overwrite)
                return path
            pixels = pictures.to_pixels(torch.cat(list(drawn)).numpy())
        caption = f"{self.recipe.name} after {self.step} steps: {n} samples of seed {seed}"
        pictures.save_grid(path, pixels, caption, columns)
        return path

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

    def _repr_html_(self) -> str:
        steps = self.folder.steps()
        about = {
            "recipe": self.recipe.name,
            "method": self.recipe.method.kind,
            "data": self.recipe.data.name,
            "trained": f"{steps[-1]:,} steps" if steps else "no checkpoint yet",
            "weights": self.weights,
        }
        piece = inline.facts(str(self.folder.named), about)
        grid = self.folder.grid(steps[-1]) if steps else None
        if grid and grid.is_file():
            piece += inline.image(read_bytes(grid, 256 << 20), f"samples after {steps[-1]} steps")
        return piece

    def best_validation(self) -> float | None:
        """The least validation loss; None for a method that has none."""
        best = checkpoint.read_state(self.folder, self.folder.steps()[-1]).best
        return best[0] if best else None

    def evaluate(
        self, metrics: str | Iterable[str] = "all", *, features: str | None = None, **options: Any
    ) -> "Evaluation":
        """Measure samples against real images; see :func:`naqsh.studies.evaluation.evaluate`.

        Args:
            metrics: one name or several.
            features: by which features; by default those of the run's data set.
            options: what else :func:`naqsh.studies.evaluation.evaluate` takes.
        """
        from naqsh.studies import evaluation

        names = [metrics] if isinstance(metrics, str) else metrics
        return evaluation.evaluate(self, names, features=features, **options)

    def detect(self, source: str, **options: Any) -> "Detection":
        """Score pictures for what is unlike the run's own; see :func:`naqsh.studies.detection.detect`."""
        from naqsh.studies import detection

        return detection.detect(self, source, **options)

    def export(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the run to one file, without optimiser state; see :mod:`naqsh.runs.export`.

        Args:
            path: ``.zip`` takes the recipe, weights, logs, results and the images of reports;
                ``.safetensors`` the weights alone, by which it opens too.
            overwrite: replace a file that stands there and is no such zip.
        """
        from naqsh.runs import export

        return export.write(self.folder, Path(path), weights=self.weights, overwrite=overwrite).path

    def report(
        self,
        out: Path | str | None = None,
        *,
        language: str = "en",
        notebook: Path | str | None = None,
    ) -> Path:
        """Write the run's report, one self-contained HTML file; returns where it is.

        Args:
            out: the file; ``report.html`` in the run folder by default.
            language: ``en`` or ``fa``.
            notebook: a file ending in ``.ipynb`` to write the same to, executed.
        """
        from naqsh import report

        path = Path(out) if out else self.folder.path / "report.html"
        report.write(self.folder.path, path, language)
        if notebook:
            report.write_notebook(self.folder.path, Path(notebook), language)
        return path
