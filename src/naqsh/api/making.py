"""A run folder, opened to make images: samples, those of captions, translations and edits."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from naqsh.core import world as ranks
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.progress import Progress, silent
from naqsh.data.points import coordinates
from naqsh.io import png
from naqsh.io.scatter import Scatter
from naqsh.runs import captioned, given, plane, sampling, translating, translations
from naqsh.runs.sampling import SAMPLE_BATCH
from naqsh.runs.trained import Trained

if TYPE_CHECKING:
    from naqsh.data import DataSet
    from naqsh.studies import editing


class Making(Trained):
    """What of a :class:`~naqsh.api.run.Run` makes images, as tensors and as files."""

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
