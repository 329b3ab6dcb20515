"""Measuring a method that translates, each direction by itself.

All test images of the source are translated and compared with the test images of the target, by
kernel distance (KID by Inception's features) with its error first, since test sets of two domains
have some hundred images, then by Frechet distance. Two figures stand beside each: that of the
source's images *as they are*, which is what doing nothing comes to, and that of the target's own
training images, which no translator can be expected to fall below.

A distance sees the two sets and not which image became which. So the way back is measured too: the
mean absolute difference of an image from what the other direction makes of its translation; and
where the domains are paired, how far a translation is from its partner.

A translator may hide what it needs for the way back in a translation, as noise that nobody sees
(Chu, Zhmoginov and Sandler, 2017, arXiv:1712.02950). Noise of rising sigma is therefore added to
the translation before it goes back: a hidden message is lost in it, content that is seen is not.

What is measured is the run's last weights, or the best by its own rule: no epoch is chosen here.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from naqsh import metrics
from naqsh.core.abilities import Translates
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise, derive
from naqsh.data import DataSet
from naqsh.data import pixels as colours
from naqsh.io import png as pictures
from naqsh.metrics import FeatureExtractor, Measure
from naqsh.metrics.registry import kind
from naqsh.metrics.untrained import RandomFeatures
from naqsh.runs import kept, records, translating
from naqsh.runs.results import Result
from naqsh.runs.trained import Trained
from naqsh.studies.beforehand import require_counts, require_fit
from naqsh.studies.floor import floor
from naqsh.studies.measure import extractor, features_for
from naqsh.studies.translated import Direction, Translated

METRICS = ("kernel", "frechet")
"""What is measured, in the order in which it is told."""

SIGMAS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1)
"""Of the noise that is added to a translation; pixels lie in [0, 1]."""

DISTURBED = 50
"""Images, at most, whose way back is disturbed."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


class _Domain(NamedTuple):
    """The images of one domain: those for testing and those for training, and its name."""

    test: DataSet
    train: DataSet
    name: str


def study(
    run: Trained,
    names: str | Iterable[str] = "all",
    machine: Machine = Machine(),
    *,
    features: str | None = None,
    n: int | None = None,
    data: str | None = None,
) -> Translated:
    """Measure every direction of a run; ``translation.json`` in its folder grows.

    Args:
        run: what is measured.
        names: out of ``kernel frechet``, or ``all``.
        machine: where images are translated and measured, and on which choice and noise.
        features: by which features; by default those of the run's data set, and where these cannot
            be had or do not fit, ``random``, which is said in a remark.
        n: take so many test images of each source, at random; all by default.
        data: where the run's data set is now, if it has moved.

    Raises:
        NaqshError: the run does not translate, there are too few images, or they are not those
            that the run was trained on.
    """
    method = translating.require(run)
    asked = _asked(names)
    require_counts(n=n, batch=machine.batch)
    store = kept.translations(run.folder)
    store.read()  # a damaged file is refused before the work
    test, train = (run.images(split, data, machine.data_home) for split in ("test", "train"))
    domains = {letter: _domain(test.images, train.images, letter) for letter in ("A", "B")}
    shapes = [domain.test.shape for domain in domains.values()]
    measured_by, remark = features_of(features, run.recipe.data.name, machine.device, shapes)
    remarks = tuple(said for said in (test.note, remark) if said)
    paired = test.images.paired
    found = []
    for to in method.directions:
        source, target = domains[translating.OTHER[to]], domains[to]
        chosen = source.test if n is None else source.test.some(n, machine.seed)
        metrics.require_enough(asked, len(target.test), len(chosen), target.name)
        partners = target.test.some(len(chosen), machine.seed).images if paired else None
        made = _translate(method, chosen, to, machine, partners)
        distances = _distances(asked, measured_by, made.translated, chosen, target, machine)
        of = records.TranslationOf(
            to,
            len(chosen),
            len(target.test),
            source.name,
            target.name,
            test.images.fingerprint,
            measured_by.name,
            measured_by.fingerprint,
            run.step,
            run.weights,
            machine.seed,
        )
        disturbed = _disturb(method, chosen, to, machine) if made.cycle is not None else ()
        found.append(Direction(of, made.record(distances, disturbed, len(chosen), remarks)))
    store.keep(Result(records.plain(of), records.plain(what)) for of, what in found)
    return Translated(found)


def _asked(names: str | Iterable[str]) -> list[str]:
    asked = metrics.named(names)
    if left := [name for name in asked if name not in (*METRICS, "all")]:
        raise NaqshError(
            f"a translation is measured by {' and '.join(METRICS)}, not by {left[0]}: too few test "
            "images have neighbours to count"
        )
    return [name for name in METRICS if "all" in asked or name in asked]


def _domain(test: DataSet, train: DataSet, letter: str) -> _Domain:
    """One domain of a set as a set of its own; raises NaqshError where there is only one."""
    if test.second is None or train.second is None:
        raise NaqshError(
            f"{test.name} has one domain; a translation is measured on images of both, test images "
            "among them: folders testA and testB beside trainA and trainB"
        )
    sides = [s.images if letter == "A" else s.second for s in (test, train)]
    own = [DataSet.of(test.name, side) for side in sides if side is not None]
    called = test.domains["AB".index(letter)]
    words = letter if called == letter else f"{letter} ({called})"
    return _Domain(own[0], own[1], f"{test.name} test {words}")


def features_of(
    asked: str | None, name: str, device: str, shapes: Sequence[tuple[int, int, int]]
) -> tuple[FeatureExtractor, str | None]:
    """The features to measure by, and what must be said where they are not the usual ones.

    Args:
        asked: a name; None leaves the choice to the data set.
        name: of the data set.
        device: where they are computed.
        shapes: (C, H, W) of the images of both domains.

    Raises:
        NaqshError: what was asked for cannot be had, or takes no such images.
    """
    usual = asked or features_for(name)
    try:
        found = extractor(usual, device)
        require_fit(found, *shapes)
        return found, None
    except NaqshError as error:
        if asked:
            raise
        return RandomFeatures(device), (
            f"features {usual} cannot be had or do not fit ({error}); measured by random filters, "
            "which see colours and textures and no objects: compare these distances only with one "
            "another"
        )


class _Made(NamedTuple):
    """What translating gave: images as uint8, and a number of each where there is one."""

    translated: Pixels
    cycle: Floats | None
    l1: Floats | None
    psnr: Floats | None

    def record(
        self,
        distances: tuple[list[Measure], list[Measure], records.Floor],
        disturbed: tuple[records.Disturbed, ...],
        n: int,
        remarks: tuple[str, ...],
    ) -> records.Translation:
        """All that was found of the direction."""
        own, copies = (
            tuple(records.read(records.Measure, measure.to_dict()) for measure in measures)
            for measures in distances[:2]
        )
        return records.Translation(
            own,
            copies,
            distances[2],
            _mean(self.cycle),
            disturbed,
            min(n, DISTURBED) if disturbed else 0,
            _mean(self.l1),
            _mean(self.psnr),
            remarks,
        )


def _mean(values: Floats | None) -> records.Mean | None:
    if values is None:
        return None
    error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return records.Mean(float(values.mean()), error)


def _translate(
    method: Translates, source: DataSet, to: str, machine: Machine, partners: Pixels | None
) -> _Made:
    """Every image there, and back where the method has that way."""
    back = translating.OTHER[to]
    parts: dict[str, list[Floats]] = {"cycle": [], "l1": [], "psnr": []}
    translated: list[Pixels] = []
    for rows, images in translating.batches(method, source.images, machine.batch, machine.device):
        there = translating.translated(method, images, to)
        translated.append(pictures.to_pixels(there.cpu().numpy()))
        if back in method.directions:
            returned = translating.translated(method, there, back)
            apart = (returned - images).abs().double().mean((1, 2, 3))
            parts["cycle"].append(apart.cpu().numpy())
        if partners is not None:
            missed = translated[-1].astype(np.float64) / 255 - partners[rows] / 255
            parts["l1"].append(np.abs(missed).mean((1, 2, 3)))
            square = (missed**2).mean((1, 2, 3)).clip(1e-10)  # 100 dB for equal images
            parts["psnr"].append(-10 * np.log10(square))
        machine.progress(f"to {to}", rows.stop, len(source))
    gathered = {name: np.concatenate(of) if of else None for name, of in parts.items()}
    return _Made(np.concatenate(translated), **gathered)


def _disturb(
    method: Translates, source: DataSet, to: str, machine: Machine
) -> tuple[records.Disturbed, ...]:
    """The way back from translations with noise; one noise at every sigma."""
    images_of = source.images[:DISTURBED]
    found: dict[float, list[Floats]] = {sigma: [] for sigma in SIGMAS}
    for rows, images in translating.batches(method, images_of, machine.batch, machine.device):
        noise = Noise(derive(machine.seed, "disturbed", to), len(images), rows.start, images.device)
        errors = translating.there_and_back(method, images, to, SIGMAS, noise)
        for sigma, of_images in zip(SIGMAS, errors, strict=True):
            found[sigma].append(of_images.cpu().numpy())
        machine.progress(f"back from {to} with noise", rows.stop, len(images_of))
    means = {sigma: _mean(np.concatenate(errors)) for sigma, errors in found.items()}
    return tuple(records.Disturbed(sigma, mean) for sigma, mean in means.items() if mean)


def _distances(
    asked: Sequence[str],
    features: FeatureExtractor,
    translated: Pixels,
    source: DataSet,
    target: _Domain,
    machine: Machine,
) -> tuple[list[Measure], list[Measure], records.Floor]:
    """Of the translations, of the source as it is, and of the target's training images."""
    copied = colours.recolour(source.images, target.test.shape[0])

    def measured(images: Pixels) -> list[Measure]:
        every = metrics.measure(
            asked,
            metrics.extract(features, target.test.images, batch=machine.batch, cache=True),
            metrics.extract(features, images, batch=machine.batch),
            features=features.name,
            fingerprint=features.fingerprint,
            reference=target.name,
            reference_fingerprint=target.test.fingerprint,
            seed=machine.seed,
        )
        return in_order(every)

    below = floor(
        asked,
        features,
        target.test,
        target.train,
        split="train",
        n=len(translated),
        reference=target.name,
    )
    plain = below.to_dict() | {"measures": [m.to_dict() for m in in_order(below.measures)]}
    return measured(translated), measured(copied), records.read(records.Floor, plain)


def in_order(measures: Iterable[Measure]) -> list[Measure]:
    """Those of :data:`METRICS`, in their order."""
    known = {kind(measure.name): measure for measure in measures}
    return [known[name] for name in METRICS if name in known]
