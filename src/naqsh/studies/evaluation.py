"""Measuring runs: samples in, measures with all that they depend on out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh import data as datasets
from naqsh import metrics
from naqsh.core.abilities import HasLogProb, Samples
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise, derive
from naqsh.data import splits
from naqsh.io import places
from naqsh.io import png as pictures
from naqsh.metrics import FeatureExtractor, Likelihood, Nearness
from naqsh.metrics.registry import kind
from naqsh.runs import influences, kept
from naqsh.runs.sampling import sample_options
from naqsh.runs.trained import Trained
from naqsh.studies import following, reconstructed
from naqsh.studies.beforehand import require_counts, require_fit
from naqsh.studies.evaluated import CAPTIONS, LIKELIHOOD, NEAREST, OWN, Evaluation, results
from naqsh.studies.floor import under
from naqsh.studies.measure import Reading, extractor, features_for, for_each, images_of
from naqsh.training.rows import seen

SPLITS = ("test", "train")
"""The splits of a run's own images, as `reference` names them."""

IMAGES, POINTS = 5000, 2500
"""Samples that are drawn unless it is said otherwise."""

NEAR = 100
"""Samples whose nearest training image is looked for, and as many test images."""

SPEED_PICTURES = 200
"""Images that the sampling speed is timed on."""

LIKELIHOOD_PICTURES = 500
"""Images, at most, whose likelihood is taken."""

Pixels = NDArray[np.uint8]


def evaluate(
    run: Trained,
    names: str | Iterable[str] = "all",
    machine: Machine = Machine(),
    *,
    features: str | None = None,
    n: int | None = None,
    reference: str = "test",
    ranges: Sequence[tuple[float, float] | None] = (),
    keys: Sequence[str | None] = (),
    skip_broken: bool = False,
    data: str | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure a run's samples against real images; ``evaluation.json`` in its folder grows.

    Of a method that reconstructs images and makes none, an autoencoder, its reconstructions of the
    reference are measured.

    What was measured before under other conditions stays there (`naqsh.runs.results`).

    Args:
        run: what is measured.
        names: out of ``frechet kernel pr dc likelihood nearest captions``, or ``all``: whatever the
            method has. Of data whose modes are known ``modes``, of points ``energy``.
        machine: where images are drawn and measured, and of which seed they are.
        features: by which features; by default those of the run's data set.
        n: images drawn; by default as many as :func:`usual` says.
        reference: the real images: ``test`` or ``train`` of the run's data set, or any other data
            set's name (with ``:test``), folder or file. Test images were not trained on, so they
            do not reward memorisation.
        ranges: at most one: the values of a file or folder as reference that are black and white.
        keys: at most one: the array of an `.npz` as reference that holds the images.
        skip_broken: leave out images of a folder as reference that cannot be read.
        data: where the run's data set is now, if it has moved; others are measured against with a
            note.
        sampling: what the method's ``sample`` takes beside the noise, such as a sampler.

    Raises:
        NaqshError: the run makes no images, an argument does not fit, or the images are not those
            that the run was trained on.
    """
    method = run.method
    makes = method if isinstance(method, Samples) else None
    back = None if makes else reconstructed.require(method, run.recipe.name, sampling)
    _require_known(reference)
    how = _reading(run, reference, ranges, keys, skip_broken)
    require_counts(n=n, batch=machine.batch)
    of_points = method.shape[1:] == (1, 1)
    names = metrics.named(names, OWN)
    options = sample_options(makes, sampling or {}, run.classes) if makes else {}
    likely = _likelihood_wanted(run, names)
    if NEAREST in names and of_points:
        raise NaqshError(f"{NEAREST} is for images, and {run.recipe.data.name} has points")
    if NEAREST in names and back:
        raise NaqshError(f"{NEAREST} is for samples, and {run.recipe.name} makes none")
    store = kept.evaluations(run.folder)
    store.read()  # a damaged file is refused before the work
    asked = [name for name in names if name not in OWN]
    if n is not None:
        metrics.require_enough(asked, None, n)
    measured_by = extractor(features or features_for(run.recipe.data.name), machine.device)
    asked = metrics.applying(asked, **metrics.described(measured_by))
    given, n = n, n or usual(measured_by)
    require_fit(measured_by, method.shape)
    real, called, note = _reference(run, reference, how, data, machine.data_home)
    require_fit(measured_by, real.shape, method.shape)
    metrics.require_enough(asked, len(real), n, called)
    real_features = metrics.extract(measured_by, real.images, batch=machine.batch, cache=True)
    made: Callable[[int], Tensor]
    if back is None:
        drawn, made = draw(run, n, machine, options), partial(_sampled, run, machine, options)
    else:
        made = back.through(real.some(n, machine.seed).images, machine)
        drawn = pictures.to_pixels(made(n := min(n, len(real))).numpy())
        note = " ".join(filter(None, (note, reconstructed.note(run.recipe.name, n, called))))
    generated = metrics.extract(
        measured_by, drawn, batch=machine.batch, progress=partial(machine.progress, "features")
    )
    measures = metrics.measure(
        asked,
        real_features,
        generated,
        **metrics.described(measured_by),
        reference=called,
        reference_fingerprint=real.fingerprint,
        seed=machine.seed,
    )
    floor, no_floor = None, None
    if asked:
        home = machine.data_home
        floor, no_floor = under(run, asked, measured_by, real, reference, n, data, home)
    likelihood = _likelihood(run, real, called, machine) if likely else None
    follows = CAPTIONS in names or ("all" in names and following.applies(run))
    followed = following.measured(run, machine, given, data, options) if follows else None
    looked = {NEAREST, "all"} & set(names) and not of_points and back is None
    near = look_near(run, drawn, machine, data) if looked else None
    network = makes.sampling_network if makes else back
    assert network is not None
    speed = metrics.sampling_speed(made, network, min(n, SPEED_PICTURES))
    result = Evaluation(
        run.step,
        run.weights,
        machine.seed,
        measures,
        speed,
        likelihood,
        sampling=options,
        nearness=near,
        notes=(note,) if note else (),
        floor=floor,
        no_floor=no_floor,
        followed=followed,
    )
    found = results(result, real.fingerprint, machine.batch)
    store.keep(found)
    if moved := {kind(m.name): influences.part(*m.influence) for m in measures if m.influence}:
        of = {name: value for name, value in found[0].of.items() if name != "metric"}
        influences.write(run.folder.path, of, moved)
    return result


def _sampled(run: Trained, machine: Machine, options: Mapping[str, Any], count: int) -> Tensor:
    """Samples as they are timed."""
    return run.sample(count, batch=machine.batch, device=machine.device, **options)


def usual(features: FeatureExtractor) -> int:
    """How many samples are drawn unless it is said: as the field does to count modes."""
    known = metrics.modes_known(features)
    return known.samples if known else POINTS if metrics.takes_points(features) else IMAGES


def _require_known(reference: str) -> None:
    """Refuse a reference that is none, before anything is loaded."""
    bare = reference.removesuffix(":test").removesuffix(":train")
    if reference.lower() in SPLITS or bare in datasets.CATALOG or places.is_there(bare):
        return
    if splits.role(reference):
        raise NaqshError(
            f"a run's images have the splits test and train, not {reference}; name one"
        )
    raise one_of("reference", reference, (*SPLITS, *datasets.CATALOG))


def _reading(
    run: Trained,
    reference: str,
    ranges: Sequence[tuple[float, float] | None],
    keys: Sequence[str | None],
    skip_broken: bool,
) -> Reading:
    """How a reference is read that is not the run's own."""
    if reference.lower() in SPLITS:
        if ranges or keys:
            raise NaqshError(f"range and key are of a file; {reference} is read as the run says")
        return Reading()
    (limits,), (key,) = for_each("range", ranges, [reference]), for_each("key", keys, [reference])
    wanted = run.recipe.data
    skip_broken = skip_broken or wanted.skip_broken
    return Reading(wanted.size, wanted.channels, limits, key, skip_broken)


def _reference(
    run: Trained, reference: str, how: Reading, given: str | None, home: Path | str | None
) -> tuple["datasets.DataSet", str, str | None]:
    """The real images, what they are in words, and what must be known of them."""
    split = reference.lower()
    if split in SPLITS:
        found = run.images("train" if split == "train" else "test", given, home)
        return found.images, f"{found.images.name} {split}", found.note
    if given:
        raise NaqshError(f"--data says where the run's own images are, not {reference}; leave it")
    real = images_of(reference, replace(how, home=Path(home) if home else None))
    return real, reference if ":" in reference else real.name, None


def look_near(run: Trained, drawn: Pixels, machine: Machine, data: str | None) -> Nearness | None:
    """How near samples lie to the training images; None where there are no test images.

    Args:
        run: whose samples they are.
        drawn: the samples; the first :data:`NEAR` are looked at.
        machine: whose seed chooses the test images.
        data: where the run's data set is now, if it has moved.
    """
    train = run.images("train", data, machine.data_home).images
    try:
        test = run.images("test", data, machine.data_home).images
    except NaqshError:
        return None
    return metrics.nearness(drawn[:NEAR], train.images, test.some(NEAR, machine.seed).images)


def _likelihood_wanted(run: Trained, names: Sequence[str]) -> bool:
    """Whether a likelihood is asked for; raises where it alone is, and the method has none."""
    has = isinstance(run.method, HasLogProb)
    if LIKELIHOOD in names and not has:
        raise NaqshError(f"{run.recipe.name} has no likelihood: its method has no log_prob")
    return has and (LIKELIHOOD in names or "all" in names)


def _likelihood(
    run: Trained, real: "datasets.DataSet", reference: str, machine: Machine
) -> Likelihood:
    method, place, batch = run.method, torch.device(machine.device), machine.batch
    assert isinstance(method, HasLogProb)
    n = min(len(real), LIKELIHOOD_PICTURES)
    chosen = real.some(n, machine.seed)
    method.to(place)
    parts = []
    with torch.inference_mode():
        for first in range(0, n, batch):
            part = chosen.images[first : first + batch]
            noise = Noise(derive(machine.seed, "likelihood"), len(part), first, place)
            images = seen(part, method.value_range, place)
            parts.append(method.log_prob(images, noise).double().cpu())
            machine.progress("likelihood", first + len(images), n)
    return metrics.likelihood(
        torch.cat(parts).numpy(),
        int(np.prod(chosen.shape)),
        kind=method.log_prob_kind,
        of=method.log_prob_of,
        level_width=method.level_width,
        reference=reference,
    )


def draw(run: Trained, n: int, machine: Machine, options: Mapping[str, Any]) -> NDArray[Any]:
    """Samples in the form in which they are measured: images as uint8, points as they are."""
    require_counts(n=n, batch=machine.batch)
    parts: list[NDArray[Any]] = []
    how: dict[str, Any] = {"seed": machine.seed, "batch": machine.batch, "device": machine.device}
    for first in range(0, n, machine.batch):
        count = min(machine.batch, n - first)
        images = run.sample(count, first=first, **how, **options)
        drawn = images.numpy()
        parts.append(drawn if run.layout.extent else pictures.to_pixels(drawn))
        machine.progress("samples", first + count, n)
    return np.concatenate(parts)


def distance(run: Trained, real: "datasets.DataSet", features: str, n: int) -> float:
    """The Frechet distance of `n` samples of a run to real images, and nothing else."""
    measured_by = extractor(features)
    generated = draw(run, n, Machine(), {})
    return metrics.frechet_distance_features(
        metrics.extract(measured_by, real.images, cache=True),
        metrics.extract(measured_by, generated),
    )
