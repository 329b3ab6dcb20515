"""Measuring runs, folders and data sets: pictures in, measures with all that they depend on out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh import data, metrics, pictures
from naqsh.core import HasLogProb, Samples
from naqsh.errors import NaqshError
from naqsh.methods.classifier import Classifier
from naqsh.metrics import ClassifierFeatures, FeatureExtractor, Likelihood, Measure, Speed
from naqsh.noise import Noise, derive
from naqsh.run import Run, load_data, sample_options
from naqsh.run import open as open_run
from naqsh.runfolder import write_json

LIKELIHOOD = "likelihood"

Progress = Callable[[str, int, int], None]
"""Told what is going on, how much is done, and of how much."""

SPEED_PICTURES = 200
"""Pictures that the sampling speed is timed on."""

LIKELIHOOD_PICTURES = 500
"""Pictures, at most, whose likelihood is taken."""


@dataclass(frozen=True)
class Evaluation:
    """What a run was measured to be.

    Attributes:
        step: the checkpoint that was measured.
        seed: of the samples.
        measures: in a fixed order.
        speed: of sampling, on the device that was asked for.
        sampling: options that the pictures were drawn with, where they are not the recipe's.
        likelihood: of the reference, where the method has one and it was asked for.
    """

    step: int
    seed: int
    measures: list[Measure]
    speed: Speed
    likelihood: Likelihood | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "step": self.step,
            "seed": self.seed,
            "measures": [measure.to_dict() for measure in self.measures],
            "speed": self.speed.to_dict(),
            "sampling": dict(self.sampling),
            "likelihood": self.likelihood and self.likelihood.to_dict(),
        }


def features_for(name: str) -> str:
    """The features that pictures of a data set are measured by unless others are asked for."""
    return name if name in ("digits", "mnist") else "inception"


def extractor(name: str, device: str = "cpu") -> FeatureExtractor:
    """A feature extractor by name, or of a classifier that the user trained: ``classifier:RUN``.

    Raises:
        NaqshError: an unknown name, weights that cannot be had, or a run of something else.
    """
    kind, colon, path = name.partition(":")
    if kind != "classifier" or not colon:
        return metrics.by_name(name, device)
    method = open_run(path).method
    if not isinstance(method, Classifier):
        raise NaqshError(f"{path} is no classifier; train one: naqsh train classifier-mnist")
    return ClassifierFeatures(method.network, name, device)


def evaluate(
    run: Run,
    names: Iterable[str] = ("all",),
    *,
    features: str | None = None,
    n: int = 5000,
    seed: int = 0,
    reference: Literal["train", "test"] = "test",
    batch: int = 100,
    device: str = "cpu",
    data_home: Path | str | None = None,
    progress: Progress | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure a run's samples against real pictures and write ``evaluation.json`` in its folder.

    Args:
        run: what is measured.
        names: out of ``fid kid pr dc likelihood``, or ``all``: whatever the method has.
        features: by which features; by default those of the run's data set.
        n: pictures drawn.
        seed: of the samples.
        reference: the real pictures; ``test`` was not trained on, so it does not reward learning
            by heart.
        batch: pictures drawn at a time.
        device: where pictures are drawn and features taken.
        data_home: where data sets are looked for first.
        progress: told how far it is.
        sampling: what the method's ``sample`` takes beside the noise, such as a sampler.

    Raises:
        NaqshError: the run makes no pictures, or an argument does not fit.
    """
    method = run.method
    if not isinstance(method, Samples):
        raise NaqshError(f"{run.recipe.name} makes no pictures: there is nothing to measure")
    told = progress or (lambda what, done, total: None)
    names, options = list(names), sample_options(method, sampling or {})
    likely = _likelihood_wanted(run, names)
    measured_by = extractor(features or features_for(run.recipe.data.name), device)
    real = load_data(run.recipe, reference, data_home)
    real_features = metrics.extract(measured_by, real.images, batch=batch, cache=True)
    drawn = draw(run, n, seed, batch, device, told, options)
    generated = metrics.extract(measured_by, drawn, batch=batch, progress=partial(told, "features"))
    measures = metrics.measure(
        [name for name in names if name != LIKELIHOOD],
        real_features,
        generated,
        features=measured_by.name,
        fingerprint=measured_by.fingerprint,
        reference=f"{real.name} {reference}",
        seed=seed,
    )
    likelihood = None
    if likely:
        likelihood = _likelihood(run, real, f"{real.name} {reference}", seed, batch, device, told)
    speed = metrics.sampling_speed(
        lambda count: run.sample(count, batch=batch, device=device, **options),
        method.sampling_network,
        min(n, SPEED_PICTURES),
    )
    step = run.step
    result = Evaluation(step, seed, measures, speed, likelihood, options)
    write_json(run.folder.evaluation, result.to_dict())
    return result


def _likelihood_wanted(run: Run, names: Sequence[str]) -> bool:
    """Whether a likelihood is asked for; raises where it alone is, and the method has none."""
    has = isinstance(run.method, HasLogProb)
    if LIKELIHOOD in names and not has:
        raise NaqshError(f"{run.recipe.name} has no likelihood: its method has no log_prob")
    return has and (LIKELIHOOD in names or "all" in names)


def _likelihood(
    run: Run,
    real: "data.DataSet",
    reference: str,
    seed: int,
    batch: int,
    device: str,
    told: Progress,
) -> Likelihood:
    method, place = run.method, torch.device(device)
    assert isinstance(method, HasLogProb)
    n = min(len(real), LIKELIHOOD_PICTURES)
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    chosen = real.subset(np.sort(order[:n].numpy()))
    method.to(place)
    parts = []
    with torch.inference_mode():
        for first in range(0, n, batch):
            pixels = torch.from_numpy(np.array(chosen.images[first : first + batch])).to(place)
            images = data.to_float(pixels, *method.value_range)
            noise = Noise(derive(seed, "likelihood"), len(images), first, place)
            parts.append(method.log_prob(images, noise).double().cpu())
            told("likelihood", first + len(images), n)
    return metrics.likelihood(
        torch.cat(parts).numpy(),
        int(np.prod(chosen.shape)),
        kind=method.log_prob_kind,
        of=method.log_prob_of,
        value_range=method.value_range,
        reference=reference,
    )


def draw(
    run: Run,
    n: int,
    seed: int,
    batch: int,
    device: str,
    told: Progress,
    options: Mapping[str, Any],
) -> NDArray[np.uint8]:
    """Samples as uint8, the form in which every generator's pictures are measured."""
    if n < 2:
        raise NaqshError(f"measuring needs at least 2 pictures, got n {n}")
    parts: list[NDArray[np.uint8]] = []
    for first in range(0, n, batch):
        count = min(batch, n - first)
        images = run.sample(count, seed=seed, first=first, batch=batch, device=device, **options)
        parts.append(pictures.to_pixels(images.numpy()))
        told("samples", first + count, n)
    return np.concatenate(parts)


def table(measures: Sequence[Measure]) -> str:
    """Measures of one pair of collections as lines: what they share once, then a row each."""
    first = measures[0]
    lines = [
        f"{first.n_generated:,} generated against {first.n_real:,} of {first.reference}; "
        f"features {first.features} ({first.fingerprint[:8]})"
    ]
    for measure in measures:
        low_high = (
            "" if measure.interval is None else "95 % {:.4g} to {:.4g}".format(*measure.interval)
        )
        lines.append(f"  {measure.name:<13} {measure.value:<10.4g} {low_high}".rstrip())
    notes = {
        note: [m.name for m in measures if note in m.notes] for m in measures for note in m.notes
    }
    return "\n".join([*lines, *(f"note on {', '.join(n)}: {note}" for note, n in notes.items())])


def distance(run: Run, features: str, n: int, data_home: Path | str | None = None) -> float:
    """The Frechet distance of a run's samples to the test pictures, and nothing else."""
    measured_by = extractor(features)
    real = load_data(run.recipe, "test", data_home)
    generated = draw(run, n, 0, 100, "cpu", lambda what, done, total: None, {})
    return metrics.frechet_distance_features(
        metrics.extract(measured_by, real.images, cache=True),
        metrics.extract(measured_by, generated),
    )


def measure(
    names: Iterable[str],
    real: str,
    generated: str,
    *,
    features: str | None = None,
    n: int | None = None,
    size: int | None = None,
    seed: int = 0,
    batch: int = 250,
    device: str = "cpu",
    data_home: Path | str | None = None,
    progress: Progress | None = None,
) -> list[Measure]:
    """Measure one collection of pictures against another.

    Args:
        names: out of ``fid kid pr dc``, or ``all``.
        real: a folder, a .npz or .npy file, or a data set's name, with ``:test`` for its test part.
        generated: likewise.
        features: by which features; by default those of the data set `real`, else ``inception``.
        n: take so many pictures of each, at random; all by default.
        size: resize both to `size` x `size`.
        seed: of the choice and of standard errors.
        batch: pictures at a time.
        device: where features are taken.
        data_home: where data sets are looked for first.
        progress: told how far it is.

    Raises:
        NaqshError: pictures that cannot be had or do not fit together.
    """
    told = progress or (lambda what, done, total: None)
    measured_by = extractor(features or features_for(real.partition(":")[0]), device)
    sides = [_pictures(source, size, data_home) for source in (real, generated)]
    if sides[0].shape != sides[1].shape and measured_by.name != "inception":
        shapes = ["x".join(map(str, side.shape)) for side in sides]
        raise NaqshError(
            f"{real} has pictures of {shapes[0]} and {generated} of {shapes[1]}; give --size"
        )
    tables = [
        _features(measured_by, side, n, seed, batch, partial(told, what))
        for what, side in zip(("real", "generated"), sides, strict=True)
    ]
    return metrics.measure(
        names,
        *tables,
        features=measured_by.name,
        fingerprint=measured_by.fingerprint,
        reference=real if ":" in real else sides[0].name,
        seed=seed,
    )


def _pictures(source: str, size: int | None, home: Path | str | None) -> "data.DataSet":
    name, _, part = source.rpartition(":")
    place = Path(home) if home else None
    if name in data.CATALOG and part in ("train", "test"):
        split: Literal["train", "test"] = "test" if part == "test" else "train"
        return data.load(name, split=split, size=size, home=place)
    return data.load(source, size=size, home=place)


def _features(
    measured_by: FeatureExtractor,
    side: "data.DataSet",
    n: int | None,
    seed: int,
    batch: int,
    told: Callable[[int, int], None],
) -> Tensor:
    if n is not None:
        if not 2 <= n <= len(side):
            raise NaqshError(f"n {n}: {side.name} has {len(side):,} pictures; take 2 to that many")
        order = torch.randperm(len(side), generator=torch.Generator().manual_seed(seed))
        side = side.subset(np.sort(order[:n].numpy()))
    return metrics.extract(measured_by, side.images, batch=batch, progress=told, cache=n is None)
