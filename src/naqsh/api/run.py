"""A run folder, opened: all that can be done with it from Python and a notebook."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from naqsh.core import world as ranks
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.progress import Progress, silent
from naqsh.data.points import coordinates
from naqsh.io import inline, png
from naqsh.io.foreign import read_bytes
from naqsh.io.scatter import Scatter
from naqsh.runs import captioned, given, plane, sampling, translating, translations
from naqsh.runs.sampling import SAMPLE_BATCH
from naqsh.runs.trained import Trained

if TYPE_CHECKING:
    from naqsh.data import DataSet
    from naqsh.studies import editing
    from naqsh.studies.detection import Detection
    from naqsh.studies.evaluated import Evaluation
    from naqsh.studies.segmentation import Segmented
    from naqsh.studies.translated import Translated


class Run(Trained):
    """A run folder, opened: it samples, shows, evaluates, detects and reports."""

    def show(
        self, n: int | None = None, *, columns: int | None = None, **options: Any
    ) -> png.Grid | Scatter:
        """Samples as a grid that a notebook shows at the end of a cell; points as a scatter plot.

        Args:
            n: how many; 16 by default, 2,000 points.
            columns: images in a row; by default as square as can be.
            options: as for :meth:`sample`.
        """
        caption, extent = f"{self.recipe.name} after {self.step} steps", self.layout.extent
        if not extent:
            return png.Grid(self.sample(n or 16, **options), caption, columns)
        if columns is not None:
            raise NaqshError("columns is for images, and this run makes points; leave it out")
        drawn, real = self.sample(n or plane.SHOWN, **options), self._real()
        under = None if real is None else plane.below(real)
        return Scatter(coordinates(drawn.numpy(), extent), extent, under, caption)

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

        Points are written as a scatter plot, or as a table of coordinates: a float64 ``.npy`` of
        shape (n, 2), or a ``.csv`` with the columns x and y.

        Args:
            n: how many.
            seed: which images.
            out: the grid's file; ``samples.png`` in the run folder by default. Of points the name
                ends in ``.png``, ``.csv`` or ``.npy``.
            folder: a new or empty folder for single images instead of a grid; they are in it when
                the last is drawn, or none is.
            overwrite: replace the images in the folder, or a file that Naqsh did not write.
            columns: images in a row of the grid.
            batch, device, progress, options: as for :meth:`sample`.

        Returns:
            the file or folder that was written.

        Raises:
            NaqshError: as :meth:`sample`, or something stands where they should be written.
        """
        if columns is not None and columns < 1:
            raise NaqshError(f"a grid needs at least 1 column, got {columns}")
        path = Path(folder or out or self.folder.path / "samples.png")
        extent, replace = self.layout.extent, overwrite or not (folder or out)
        if extent:
            plane.require_target(path, replace, columns=columns, folder=folder)
        else:
            sampling.require_target(path, bool(folder), replace)
        with ranks.join(device) as world:
            drawn = sampling.batches(
                self.method,
                self.recipe.name,
                n,
                options or {},
                Machine(str(world.device), batch, seed, progress=progress or silent),
                classes=self.classes,
            )
            if folder:
                sampling.write_each(path, drawn, overwrite)
                return path
            whole = torch.cat(list(drawn))
        caption = f"{self.recipe.name} after {self.step} steps: {n} samples of seed {seed}"
        if extent:
            plane.write(path, whole, extent, self._real(), caption)
        else:
            png.save_grid(path, png.to_pixels(whole.numpy()), caption, columns)
        return path

    def sample_captions(
        self,
        captions: Sequence[str],
        n: int = 1,
        *,
        seed: int = 0,
        batch: int = SAMPLE_BATCH,
        device: str = "cpu",
        **options: Any,
    ) -> Tensor:
        """Images of captions, of a run whose method follows them.

        Args:
            captions: sentences.
            n: images of each; image k of a seed has the same noise under every caption.
            seed: of the noise.
            batch: how many at a time.
            device: where they are made.
            options: what the method's ``sample`` takes beside the noise: guidance, a sampler.

        Returns:
            float32 in [0, 1] with shape (captions, n, C, H, W), on the CPU.

        Raises:
            NaqshError: the run follows no captions, or one cannot be a caption.
        """
        embeddings, _ = captioned.embedded(self, captions)
        sampling.require_room(len(captions) * n, self.method.shape, "take fewer at a time")
        machine = Machine(ranks.place(device), batch, seed)
        made = captioned.each(self, embeddings, n, machine, options)
        return torch.stack([stages[-1] for stages in made])

    def save_captions(
        self,
        captions: Sequence[str],
        n: int = 8,
        *,
        seed: int = 0,
        batch: int = SAMPLE_BATCH,
        device: str = "auto",
        progress: Progress | None = None,
        **where: Any,
    ) -> "captioned.Saved":
        """Write images of captions as rows with their captions under them.

        Args:
            captions: sentences.
            n: images of each.
            seed, batch, device: as for :meth:`sample_captions`.
            progress: called with how many are drawn.
            where: ``out``, ``folder``, ``overwrite`` and ``options`` of sampling; see
                :func:`naqsh.runs.captioned.save`.
        """
        machine = Machine(ranks.place(device), batch, seed, progress=progress or silent)
        return captioned.save(self, captions, n, machine, **where)

    def _real(self) -> "DataSet | None":
        """The training images, where they are to be had."""
        with contextlib.suppress(NaqshError):
            return self.images("train").images
        return None

    def translate(
        self,
        images: Any,
        to: str | None = None,
        *,
        batch: int = translating.BATCH,
        device: str = "cpu",
    ) -> Tensor:
        """Images of one domain as images of the other, of a run whose method translates.

        Args:
            images: a path of an image or a folder; a PIL image; an array or tensor with shape
                (C, H, W) or (N, C, H, W), or with the channels last, uint8 or float in [0, 1]; or
                a list of any of these. All are of one size, which need not be that of training.
            to: the domain, ``A``, ``B`` or its name; by default the method's usual one.
            batch: how many at a time.
            device: where they are translated.

        Returns:
            float32 in [0, 1] with shape (N, C, H, W), on the CPU.

        Raises:
            NaqshError: the method does not translate, or not to this domain; or the images are
                too small, of several sizes, or none.
        """
        method = translating.require(self)
        to = translating.direction(self, to)
        found = given.tensors(images, translating.channels(self.layout, translating.OTHER[to]))
        sizes = sorted({(image.shape[2], image.shape[1]) for image in found})
        if len(sizes) > 1:
            raise NaqshError(
                f"the images have {len(sizes)} sizes, among them {sizes[0][0]}x{sizes[0][1]} and "
                f"{sizes[-1][0]}x{sizes[-1][1]}, and one tensor holds one; translate them one by "
                "one, or with save_translations"
            )
        translating.require_size(method, sizes[0][1], sizes[0][0], "an image")
        place = ranks.place(device)
        made = translating.each(method, enumerate(found), [to], batch=batch, device=place)
        return torch.stack([stages[0] for _, stages in made])

    def save_translations(
        self, source: Path | str, to: str | None = None, *, device: str = "auto", **options: Any
    ) -> "translations.Saved":
        """Translate image files into files; see :func:`naqsh.runs.translations.save`.

        Args:
            source: an image, or a folder of images.
            to: the domain, ``A``, ``B`` or its name; by default the method's usual one.
            device: where they are translated.
            options: what else that function takes, such as `out` or `folder`.
        """
        return translations.save(self, source, to, device=ranks.place(device), **options)

    def edit(
        self,
        images: Any,
        *,
        mask: Any = None,
        strength: float | None = None,
        blend: Any = None,
        n: int | None = None,
        jump: int | None = None,
        resamples: int | None = None,
        caption: str | None = None,
        seed: int = 0,
        batch: int = SAMPLE_BATCH,
        device: str = "cpu",
        **sampling: Any,
    ) -> Tensor:
        """Edit images without training: fill a mask, make strokes an image, blend two.

        Args:
            images, mask, strength, blend, n, jump, resamples, caption: see
                :func:`naqsh.studies.editing.edit`.
            seed: of the noise.
            batch: how many at a time.
            device: where it is done.
            sampling: as for :meth:`sample`, such as ``label`` and ``guidance``.

        Returns:
            float32 in [0, 1] with shape (images, n, C, H, W), on the CPU. Times 255 and rounded,
            known pixels are those given.

        Raises:
            NaqshError: the run cannot, or what is asked for does not fit.
        """
        from naqsh.studies import editing

        machine = Machine(ranks.place(device), batch, seed)
        how = {"n": n, "jump": jump, "resamples": resamples, "caption": caption}
        asked = {"mask": mask, "strength": strength, "blend": blend, **how}
        return editing.edit(self, images, machine, sampling=sampling, **asked).images

    def save_edits(
        self,
        images: Any,
        *,
        seed: int = 0,
        batch: int = SAMPLE_BATCH,
        device: str = "auto",
        progress: Progress | None = None,
        **how: Any,
    ) -> "editing.Saved":
        """Edit images into files, which the run's report shows.

        Args:
            images: as for :meth:`edit`.
            seed, batch, device: as for that.
            progress: called with how many are done.
            how: what else :func:`naqsh.studies.editing.save` and :func:`naqsh.studies.editing.edit`
                take, such as `mask`, `out` and `folder`.
        """
        from naqsh.studies import editing

        machine = Machine(ranks.place(device), batch, seed, progress=progress or silent)
        return editing.save(self, images, machine, **how)

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
