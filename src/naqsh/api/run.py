"""A run folder, opened: all that can be done with it from Python and a notebook."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naqsh.api.making import Making
from naqsh.core import world as ranks
from naqsh.core.machine import Machine
from naqsh.core.progress import Progress, silent
from naqsh.io import inline
from naqsh.io.foreign import read_bytes
from naqsh.runs import translating

if TYPE_CHECKING:
    from naqsh.runs import translations
    from naqsh.studies.detection import Detection
    from naqsh.studies.evaluated import Evaluation
    from naqsh.studies.segmentation import Segmented
    from naqsh.studies.translated import Translated


class Run(Making):
    """A run folder, opened: it samples, shows, edits, evaluates, detects and reports."""

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

    def evaluate(
        self,
        metrics: str | Iterable[str] = "all",
        *,
        seed: int = 0,
        batch: int = 100,
        device: str = "cpu",
        data_home: Path | str | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> "Evaluation | Translated":
        """Measure samples against real images; ``evaluation.json`` in the run's folder grows.

        Of a method that translates every direction is measured, into ``translation.json``: see
        :func:`naqsh.studies.translation.study`, which then takes the options.

        Args:
            metrics: out of ``frechet kernel pr dc likelihood nearest``, or ``all``: whatever the
                method has.
            seed: of the samples.
            batch: images at a time.
            device: where it is computed: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
            data_home: where data sets are looked for first.
            progress: called with what is being done, how much of it is done, and of how much.
            options: what else :func:`naqsh.studies.evaluation.evaluate` takes, such as ``n``.

        Raises:
            NaqshError: as :func:`naqsh.studies.evaluation.evaluate`, or there is no such device.
        """
        from naqsh.studies import evaluation, translation

        machine = Machine(ranks.place(device), batch, seed, data_home, progress or silent)
        if translating.alone(self.method):
            return translation.study(self, metrics, machine, **options)
        return evaluation.evaluate(self, metrics, machine, **options)

    def detect(
        self,
        source: str,
        *,
        seed: int = 0,
        batch: int = 50,
        device: str = "cpu",
        data_home: Path | str | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> "Detection":
        """Score images for what is unlike those that the run was trained on.

        Args:
            source: what to examine: a folder, an image, or a data set's name.
            seed: of noise and choices.
            batch, device, data_home, progress: as for :meth:`evaluate`.
            options: what else :func:`naqsh.studies.detection.detect` takes, such as ``features``,
                ``score`` and ``false_alarms``.

        Raises:
            NaqshError: as :func:`naqsh.studies.detection.detect`, or there is no such device.
        """
        from naqsh.studies import detection

        machine = Machine(ranks.place(device), batch, seed, data_home, progress or silent)
        return detection.detect(self, source, machine, **options)

    def segment(
        self,
        labelled: int = 20,
        *,
        seed: int = 0,
        batch: int = 32,
        device: str = "cpu",
        data_home: Path | str | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> "Segmented":
        """Measure how well a diffusion model's features segment, from a few labelled images.

        Args:
            labelled: images that classifiers of pixels are trained on.
            seed: of draws, noise and weights.
            batch, device, data_home, progress: as for :meth:`evaluate`.
            options: what else :func:`naqsh.studies.segmentation.study` takes, such as ``data``,
                ``draws`` and ``levels``.

        Raises:
            NaqshError: as :func:`naqsh.studies.segmentation.study`, or there is no such device.
        """
        from naqsh.studies import segmentation

        machine = Machine(ranks.place(device), batch, seed, data_home, progress or silent)
        return segmentation.study(self, machine, labelled=labelled, **options)

    def save_segmentations(
        self, source: Path | str, out: Path | str, *, device: str = "auto", **options: Any
    ) -> "translations.Saved":
        """Segment image files by what :meth:`segment` fitted last.

        Args:
            source: an image, or a folder of images.
            out: a new folder for masks of class numbers, these over the image, and disagreement.
            device: where it is computed.
            options: ``overwrite`` and ``skip_broken``; see
                :func:`naqsh.studies.segmentation.apply`.
        """
        from naqsh.studies import segmentation

        return segmentation.apply(self, source, out, Machine(ranks.place(device)), **options)

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
        from naqsh.io import outputs

        if notebook:  # before the page is written
            outputs.require_name(Path(notebook), "notebook")
        path = Path(out) if out else self.folder.path / "report.html"
        report.write(self.folder.path, path, language)
        if notebook:
            report.write_notebook(self.folder.path, Path(notebook), language)
        return path
