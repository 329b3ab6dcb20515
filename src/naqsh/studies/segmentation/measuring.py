"""Classes of pixels from a few labelled images, by what a diffusion model sees in them.

Each draw takes so many labelled images at random; on them are trained an ensemble on features, and
beside it what needs none: an ensemble on pixels, on pixels with coordinates, on the features of the
same U-Net untrained, and a U-Net from scratch. All are tested on the same images, which are in no
draw. How well a method does depends on which images were labelled, more than on anything else where
they are few, so the draws are what intervals are over.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.seeds import derive
from naqsh.data import pixels as sizes
from naqsh.data.labelled import VOID, Labelled
from naqsh.diffusion import features
from naqsh.io import masks as coloured
from naqsh.io import png
from naqsh.io.files import write_bytes
from naqsh.metrics import segmentation as metrics
from naqsh.runs import kept, records
from naqsh.runs.results import Result
from naqsh.runs.trained import Trained
from naqsh.studies.beforehand import require_counts
from naqsh.studies.segmentation import applying
from naqsh.studies.segmentation.approaches import Approach, approaches
from naqsh.studies.segmentation.ensemble import Ensemble
from naqsh.studies.segmentation.looking import Segmenter, predicted, require
from naqsh.studies.segmentation.segmented import Segmented
from naqsh.studies.segmentation.source import labelled_images
from naqsh.training.rows import seen

SHOWN = 8
"""Test images that are drawn with what was made of them."""

UNSURE = 0.1
"""The part of the pixels in which wrong ones are looked for."""


class _Tested(NamedTuple):
    """What an approach made of the test images.

    Attributes:
        counts: the confusion of each draw.
        masks: what the first draw's said, uint8 (N, H, W).
        unsure: its members' disagreement in nats, float32 (N, H, W).
        first: the first draw's segmenter.
    """

    counts: list[NDArray[np.int64]]
    masks: NDArray[np.uint8]
    unsure: NDArray[np.float32]
    first: Segmenter


def study(
    run: Trained,
    machine: Machine = Machine(),
    *,
    labelled: int = 20,
    draws: int = 5,
    data: str | None = None,
    levels: Sequence[float] = features.LEVELS,
    members: int = 10,
    n: int = 200,
) -> Segmented:
    """Measure a run's features; ``segmentation.json`` in its folder grows, an image beside it.

    Args:
        run: a diffusion model of images whose network is a U-Net.
        machine: where it is computed, and of which seed draws, noise and weights are.
        labelled: images that each classifier is trained on.
        draws: how often these are drawn anew.
        data: labelled images, see :mod:`naqsh.studies.segmentation.source`; by default the run's.
        levels: noise over signal at which the network looks.
        members: of each ensemble.
        n: most test images, the first ones.

    Raises:
        NaqshError: the run has no such features, there are no labelled images or too few, or a
            number does not fit.
    """
    method = require(run)
    _require(labelled, draws, members, levels)
    require_counts(n=n, batch=machine.batch, least=1)
    store = kept.segmentations(run.folder)
    store.read()  # a damaged file is refused before the work
    source = data or run.recipe.data.name
    pool, test = labelled_images(source, method.shape, machine.data_home)
    if labelled > len(pool):
        raise NaqshError(
            f"{pool.name} has {len(pool)} images to label besides those that are tested on; take "
            f"--labelled {len(pool)} or fewer"
        )
    of = records.SegmentationOf(
        source,
        hashlib.sha256(f"{pool.fingerprint} {test.fingerprint}".encode()).hexdigest()[:16],
        labelled,
        draws,
        min(n, len(test)),
        tuple(levels),
        members,
        run.step,
        run.weights,
        machine.seed,
    )
    test = test.subset(np.arange(of.n))
    chosen = [pool.subset(_draw(len(pool), labelled, machine.seed, k)) for k in range(draws)]
    for some in (test, *chosen):
        _require_known(some)
    method.to(machine.device)
    ways = approaches(
        method,
        run.layout,
        levels,
        len(pool.classes),
        members,
        run.recipe.data.flip,
        machine.seed,
    )
    tested = {way.name: _test(way, chosen, test, machine) for way in ways}
    own = tested[records.FEATURES]
    picture = f"segmentation-{Result(records.plain(of), {}).digest}.png"
    write_bytes(run.folder.path / picture, _picture(test, own, tested["scratch"]))
    found = records.Segmentation(
        pool.classes,
        tuple(_classified(name, one) for name, one in tested.items()),
        len(pool),
        _uncertain(test, own),
        picture,
        tuple(dict.fromkeys((*pool.notes, *test.notes))),
    )
    assert isinstance(own.first, Ensemble)
    applying.save(run, own.first, of, pool.classes)
    store.keep([Result(records.plain(of), records.plain(found))])
    return Segmented(of, found)


def _require(labelled: int, draws: int, members: int, levels: Sequence[float]) -> None:
    for name, number in (("labelled", labelled), ("draws", draws), ("members", members)):
        if number < 1:
            raise NaqshError(f"{name} must be at least 1, got {number}")
    if not levels or not all(0 < level < 1000 for level in levels):
        raise NaqshError(f"levels are noise over signal, above 0, got {list(levels)}")


def _require_known(some: Labelled) -> None:
    if (some.masks == VOID).all():
        raise NaqshError(
            f"no pixel of {len(some)} images of {some.name} has a class; label more of them, or "
            "take another --seed"
        )


def _draw(count: int, labelled: int, seed: int, number: int) -> NDArray[np.int64]:
    """Which images are labelled in one draw."""
    stream = np.random.Generator(np.random.Philox(derive(seed, "labelled", number)))
    return np.sort(stream.permutation(count)[:labelled])


def _test(way: Approach, chosen: list[Labelled], test: Labelled, machine: Machine) -> _Tested:
    """An approach fitted on each draw, and what all of them make of the test images."""
    fitted = []
    for number, some in enumerate(chosen):
        machine.progress(f"{way.name}: training", number, len(chosen))
        masks = torch.from_numpy(some.masks).long().to(machine.device)
        maps = way.look(seen(some.images, (-1, 1), machine.device))
        fitted.append(way.fit(maps, masks, derive(machine.seed, "draw", number)))
    classes = len(test.classes)
    counts = [np.zeros((classes, classes), np.int64) for _ in chosen]
    said, unsure = [], []
    for start in range(0, len(test), machine.batch):
        part = slice(start, start + machine.batch)
        maps = way.look(seen(test.images[part], (-1, 1), machine.device))
        for number, segmenter in enumerate(fitted):
            votes, sure = predicted(segmenter, maps)
            counts[number] += metrics.confusion(test.masks[part], votes, classes)
            if number == 0:
                said.append(votes)
                unsure.append(sure)
        machine.progress(f"{way.name}: testing", min(part.stop, len(test)), len(test))
    return _Tested(counts, np.concatenate(said), np.concatenate(unsure), fitted[0])


def _classified(name: str, tested: _Tested) -> records.Classified:
    ious = np.array([metrics.intersection_over_union(counts) for counts in tested.counts])
    known = ~np.isnan(ious[0])  # of the test images, so the same in every draw
    means = ious.mean(0)
    return records.Classified(
        name,
        tuple(metrics.mean_iou(counts) for counts in tested.counts),
        tuple(float(np.trace(counts) / counts.sum()) for counts in tested.counts),
        tuple(float(mean) if has else None for mean, has in zip(means, known, strict=True)),
    )


def _uncertain(test: Labelled, tested: _Tested) -> float | None:
    """The share of wrong pixels that lie among the least sure ones."""
    known = test.masks != VOID
    wrong = (tested.masks != test.masks)[known]
    if not wrong.any():
        return None
    # By their order: many may be equally sure.
    order = np.argsort(tested.unsure[known], kind="stable")
    least = order[len(order) - round(UNSURE * len(order)) :]
    return float(wrong[least].sum() / wrong.sum())


def _picture(test: Labelled, own: _Tested, scratch: _Tested) -> bytes:
    """Rows of images, true masks, predictions, those of a U-Net from scratch, and disagreement."""
    several = [k for k, mask in enumerate(test.masks) if len(np.unique(mask)) > 1]
    rows = (several or list(range(len(test))))[:SHOWN]
    images, classes = test.images[rows], len(test.classes)
    most = max(float(own.unsure.max()), 1e-6)
    unsure = np.rint(own.unsure[rows] / most * 255).astype(np.uint8)[:, None].repeat(3, 1)
    masks = (test.masks[rows], own.masks[rows], scratch.masks[rows])
    shown = [
        sizes.recolour(images, 3),
        *(coloured.overlaid(images, mask, classes) for mask in masks),
        unsure,
    ]
    return png.to_png(png.grid(np.concatenate(shown), len(rows)))
