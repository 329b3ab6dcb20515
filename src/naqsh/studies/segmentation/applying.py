"""The ensemble that a study fitted: kept with the run, and applied to images of the user's.

What is kept is of one run, one checkpoint and one kind of features; of another checkpoint the
features mean other things, so it is refused there. An image is brought to the run's size, by its
central square. Its mask is written as a PNG of class numbers with a palette, which is read again as
a mask of labelled images.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.printable import short
from naqsh.data import decoding, pixels
from naqsh.data.labelled import MOST_CLASSES
from naqsh.diffusion import features
from naqsh.io import codec, headers, outputs, png
from naqsh.io import masks as coloured
from naqsh.io.files import whole_file
from naqsh.io.values import MISFIT, from_json
from naqsh.networks.pixel_heads import PixelHeads
from naqsh.runs import given, records, tensors
from naqsh.runs.trained import Trained
from naqsh.runs.translations import Saved, names
from naqsh.studies.segmentation.ensemble import Ensemble
from naqsh.studies.segmentation.looking import looking, predicted, require
from naqsh.training.rows import seen

ENDS = ("", "-overlay", "-unsure")
"""What the files of one image end in: class numbers, these over the image, and disagreement."""

_OTHERS = "other classifiers than its header says"
_MOST = 1000


@dataclass(frozen=True)
class _Kept:
    """What a kept ensemble is of."""

    of: records.SegmentationOf
    classes: tuple[str, ...]


def save(
    run: Trained, ensemble: Ensemble, of: records.SegmentationOf, classes: tuple[str, ...]
) -> None:
    """Keep an ensemble in a run's folder, in place of one that was kept before."""
    header = {"segmenter": json.dumps(codec.encode(_Kept(of, classes)))}
    with whole_file(run.folder.segmenter) as new:
        tensors.save(new, ensemble.heads.state_dict(), header)


def load(run: Trained) -> tuple[Ensemble, records.SegmentationOf, tuple[str, ...]]:
    """The ensemble that a run keeps, what it is of, and its classes.

    Raises:
        NaqshError: there is none, it is damaged, or of another checkpoint.
    """
    method, path = require(run), run.folder.segmenter
    again = f"fit them: naqsh segment {run.folder.named}"
    if not path.exists():
        raise NaqshError(f"{run.folder.named} has no classifiers of pixels; {again}")
    try:
        text = headers.texts(path).get("segmenter", "")
        kept = records.read(_Kept, from_json(text), "segmenter")
        of, classes = kept.of, kept.classes
        if not (0 < of.members <= _MOST and 1 < len(classes) <= MOST_CLASSES):
            raise ValueError("it has no such ensemble")
        if not (0 < len(of.levels) <= _MOST and all(0 < level < 1000 for level in of.levels)):
            raise ValueError("it has no such levels")
    except MISFIT as error:
        raise NaqshError(f"{path} is damaged: {short(str(error))}; {again}") from error
    if (of.step, of.weights) != (run.step, run.weights):
        raise NaqshError(
            f"the classifiers in {path} are of the {of.weights} weights of step {of.step}, and "
            f"these are the {run.weights} ones of step {run.step}; {again}"
        )
    channels = features.channels(method.denoiser, method.space, of.levels)
    with torch.device("meta"):
        due = PixelHeads(channels, len(classes), of.members).state_dict()
    state, _ = tensors.read(path, due, _OTHERS)
    heads = PixelHeads(channels, len(classes), of.members)
    heads.load_state_dict(state)
    return Ensemble(heads.eval(), method.shape[1:]), of, classes


def apply(
    run: Trained,
    source: Path | str,
    out: Path | str,
    machine: Machine = Machine(),
    *,
    overwrite: bool = False,
    skip_broken: bool = False,
) -> Saved:
    """Segment an image, or all images of a folder, by the ensemble that a run keeps.

    Args:
        run: that :func:`naqsh.studies.segmentation.study` measured.
        source: an image, or a folder with images in it or below it.
        out: a new or empty folder, for three files of each image; see :data:`ENDS`.
        machine: where it is computed.
        overwrite: replace the images in the folder.
        skip_broken: leave out what cannot be read.

    Raises:
        NaqshError: as :func:`load`, there is no image, one cannot be read, or something stands
            where they should be written.
    """
    ensemble, of, classes = load(run)
    method = require(run).to(machine.device)
    ensemble.heads.to(machine.device)
    look = looking(method, method.denoiser, of.levels, of.seed)
    files = given.files(source)
    saved = Saved(Path(out))
    outputs.require_folder(saved.path, overwrite)
    named = names(files, Path(source), ENDS)
    with outputs.image_folder(saved.path, overwrite) as aside:
        for file, image in _read(files, method.shape, skip_broken, saved.left_out):
            maps = look(seen(image[None], (-1, 1), machine.device))
            mask, unsure = predicted(ensemble, maps)
            over = coloured.overlaid(image[None], mask, len(classes))[0]
            grey = np.rint(np.clip(unsure[0] / np.log(len(classes)), 0, 1) * 255).astype(np.uint8)
            made = (_indexed(mask[0], len(classes)), _png(over), _png(grey[None]))
            for end, data in zip(ENDS, made, strict=True):
                (aside / f"{named[file]}{end}.png").write_bytes(data)
            saved.images += 1
            machine.progress("segmented", saved.images, len(files))
        if not saved.images:
            raise NaqshError(f"none of {len(files)} images can be read: {saved.left_out[0]}")
    return saved


def _read(
    files: tuple[Path, ...], shape: tuple[int, int, int], skip_broken: bool, left_out: list[str]
) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """Each image that can be read, at the run's size."""
    for file in files:
        try:
            image = decoding.decode(file, str(file), shape[0]).pixels
        except NaqshError as error:
            if not skip_broken:
                raise NaqshError(f"{error}, or leave it out with --skip-broken") from error
            left_out.append(str(error))
            continue
        yield file, pixels.resize(np.asarray(image)[None], shape[1])[0]


def _png(image: NDArray[np.uint8]) -> bytes:
    return png.to_png(image.transpose(1, 2, 0))


def _indexed(mask: NDArray[np.uint8], classes: int) -> bytes:
    """A mask (H, W) as a PNG of class numbers, in the colours of overlays where it is looked at."""
    image = Image.fromarray(mask).convert("P")
    image.putdata(mask.ravel().tolist())
    image.putpalette(coloured.colours(classes).ravel().tolist())
    about = PngInfo()
    about.add_text("Software", "Naqsh")  # so that we know which files are ours to replace
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()
