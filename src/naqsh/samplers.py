"""One trained model, many ways to sample: distance to real pictures by network evaluations.

Each sampler draws the same n pictures of one seed in several numbers of steps. The table of their
Frechet distances says which sampler is worth its evaluations; all are by the same features, n and
reference, so they compare. What was measured is written at once, so a study that was stopped goes
on, and a later one with more steps adds to it; a study under other conditions stands beside it.

A model that learnt its pictures by heart would win this. So the study also looks for the training
picture nearest to each of some samples (by the root mean square of pixel differences) and compares
with how near training pictures lie to held-out ones.
"""

import time
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh import kept, metrics, pictures
from naqsh.core import Samples
from naqsh.errors import NaqshError, one_of
from naqsh.evaluation import draw
from naqsh.measuring import Progress, extractor, features_for
from naqsh.metrics import FeatureExtractor
from naqsh.noise import derive
from naqsh.results import Result
from naqsh.run import Run, load_data, sample_options

NEAREST = 100
"""Samples whose nearest training picture is looked for."""

SHOWN = 10
"""Of these, how many are drawn above their nearest pictures."""

Pixels = NDArray[np.uint8]


def study(
    run: Run,
    samplers: Sequence[str] | None = None,
    steps: Iterable[int] = (5, 10, 20, 50),
    *,
    features: str | None = None,
    n: int = 2000,
    seed: int = 0,
    batch: int = 100,
    device: str = "cpu",
    data_home: Path | str | None = None,
    progress: Progress | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure a run's samplers; ``samplers.json`` in its folder grows.

    Args:
        run: what is sampled.
        samplers: which; all that the method has by default.
        steps: how many of each.
        features: by which features; by default those of the run's data set.
        n: pictures drawn each.
        seed: of the samples.
        batch: pictures drawn at a time.
        device: where pictures are drawn and features taken.
        data_home: where data sets are looked for first.
        progress: told how far it is.
        sampling: what else the method's ``sample`` takes, the same for all points.

    Returns:
        the study: what all points share; ``points``, one a sampler and number of steps,
        with ``evaluations`` a picture, ``measures`` and ``pictures_per_second``; ``nearest``.

    Raises:
        NaqshError: a method without samplers, or an argument that does not fit.
    """
    told = progress or (lambda what, done, total: None)
    known = choices(run)
    wanted = list(samplers or known)
    for name in wanted:
        if name not in known:
            raise one_of("sampler", name, known)
    steps = sorted(set(steps))
    if not steps or steps[0] < 1:
        raise NaqshError(f"steps must be at least 1, got {steps}")
    assert isinstance(run.method, Samples), "it has samplers"
    common = sample_options(run.method, sampling or {})
    if taken := {"sampler", "steps"} & set(common):
        raise NaqshError(f"a study of samplers sets {min(taken)} itself; leave it out")
    measured_by = extractor(features or features_for(run.recipe.data.name), device)
    real = load_data(run.recipe, "test", data_home)
    shared = {
        "step": run.step,
        "n": n,
        "seed": seed,
        "features": measured_by.name,
        "fingerprint": measured_by.fingerprint,
        "reference": f"{real.name} test",
        "reference_fingerprint": real.fingerprint,
        "sampling": common,
        "weights": run.weights,
    }
    store = kept.samplers(run.folder)
    before = [result for result in store.find(**shared) if "sampler" in result.of]
    real_features = metrics.extract(measured_by, real.images, batch=batch, cache=True)
    done = {(result.of["sampler"], result.of["steps"]) for result in before}
    missing = [(name, count) for name in wanted for count in steps if (name, count) not in done]
    for name, count in missing:
        what = partial(told, f"{name}, {count} steps")

        def tell(_: str, done: int, total: int, what: Any = what) -> None:
            what(done, total)

        options = {**common, "sampler": name, "steps": count}
        point = _point(run, options, measured_by, real_features, shared, batch, device, tell)
        store.keep([Result({"sampler": name, "steps": count, **shared}, point)])
    copies = {"metric": "nearest", **shared}
    if not store.find(**copies):
        picture = run.folder.path / f"nearest-{Result(copies, {}).digest}.png"
        near = _nearest(run, real.images, seed, batch, device, data_home, common, picture)
        store.keep([Result(copies, near)])
    found = store.find(**shared)
    points = [dict(result.found) for result in found if "sampler" in result.of]
    points.sort(key=lambda point: (known.index(point["sampler"]), point["steps"]))
    nearest = next(dict(result.found) for result in found if result.fits(metric="nearest"))
    return {**shared, "points": points, "nearest": nearest}


def choices(run: Run) -> list[str]:
    """The names of a method's samplers; raises NaqshError where there is no choice."""
    method = run.method
    hints = typing.get_type_hints(method.sample) if isinstance(method, Samples) else {}
    options = (hints.get("sampler"), *typing.get_args(hints.get("sampler")))
    for hint in options:
        if typing.get_origin(hint) is Literal and "steps" in hints:
            return [str(name) for name in typing.get_args(hint)]
    raise NaqshError(
        f"{run.recipe.name} has no samplers to compare; diffusion models have, such as ddpm-mnist"
    )


def _point(
    run: Run,
    options: dict[str, Any],
    measured_by: FeatureExtractor,
    real: Tensor,
    shared: Mapping[str, Any],
    batch: int,
    device: str,
    told: Progress,
) -> dict[str, Any]:
    """One sampler in one number of steps."""
    assert isinstance(run.method, Samples)
    drawn: list[Pixels] = []

    def sample(count: int) -> Tensor:
        drawn.append(draw(run, count, shared["seed"], batch, device, told, options))
        return torch.from_numpy(drawn[-1])

    begun = time.monotonic()
    speed = metrics.sampling_speed(sample, run.method.sampling_network, shared["n"], warm_up=0)
    measures = metrics.measure(
        ["fid"],
        real,
        metrics.extract(measured_by, drawn[-1], batch=batch),
        features=measured_by.name,
        fingerprint=measured_by.fingerprint,
        reference=shared["reference"],
        reference_fingerprint=shared["reference_fingerprint"],
        seed=shared["seed"],
    )
    return {
        "sampler": options["sampler"],
        "steps": options["steps"],
        "evaluations": speed.evaluations_per_picture,
        "measures": [measure.to_dict() for measure in measures],
        "pictures_per_second": speed.pictures_per_second,
        "seconds": time.monotonic() - begun,
        "device": speed.device,
    }


def _nearest(
    run: Run,
    held_out: Pixels,
    seed: int,
    batch: int,
    device: str,
    home: Path | str | None,
    options: Mapping[str, Any],
    picture: Path,
) -> dict[str, Any]:
    """How near training pictures lie to samples, and to held-out pictures for comparison."""
    train = load_data(run.recipe, "train", home).images
    samples = draw(run, NEAREST, seed, batch, device, lambda what, done, total: None, options)
    generator = torch.Generator().manual_seed(derive(seed, "held out"))
    order = torch.randperm(len(held_out), generator=generator)
    chosen = np.array(held_out[np.sort(order[:NEAREST].numpy())])
    distances, numbers = nearest(samples, train)
    usual, _ = nearest(chosen, train)
    both = np.concatenate([samples[:SHOWN], train[numbers[:SHOWN]]])
    pictures.save_grid(
        picture,
        both,
        f"{run.recipe.name}: samples of seed {seed}, below each the nearest training picture",
        SHOWN,
    )
    return {
        "space": "pixels",
        "n": NEAREST,
        "picture": picture.name,
        "samples": distances.tolist(),
        "held_out": usual.tolist(),
        "training_pictures": numbers.tolist(),
        "closer_than_any_held_out": float((distances < usual.min()).mean()),
    }


def nearest(wanted: Pixels, among: Pixels, chunk: int = 4000) -> tuple[NDArray[Any], NDArray[Any]]:
    """The nearest picture to each of some.

    Args:
        wanted: pictures with shape (N, C, H, W), uint8.
        among: pictures with shape (M, C, H, W), uint8.
        chunk: how many of these are compared at a time.

    Returns:
        root mean square differences of pixels in [0, 1], and the nearest ones' numbers: each (N,).
    """
    mine = torch.from_numpy(np.array(wanted)).flatten(1).float() / 255
    best = torch.full((len(mine),), torch.inf)
    number = torch.zeros(len(mine), dtype=torch.int64)
    for first in range(0, len(among), chunk):
        part = torch.from_numpy(np.array(among[first : first + chunk])).flatten(1).float() / 255
        # By differences: a copy's distance is 0 to the bit, which the product's rounding is not.
        distance, place = torch.cdist(mine, part, compute_mode="donot_use_mm_for_euclid_dist").min(
            1
        )
        nearer = distance < best
        best = torch.where(nearer, distance, best)
        number = torch.where(nearer, place + first, number)
    return (best / mine.shape[1] ** 0.5).numpy(), number.numpy()


def table(found: Mapping[str, Any]) -> str:
    """A study as lines: what all points share once, a row each, and what is near by heart."""
    lines = [
        f"{found['n']:,} pictures of seed {found['seed']} each, against {found['reference']}; "
        f"features {found['features']} ({found['fingerprint'][:8]})",
        f"  {'sampler':<14}{'steps':>6}{'evaluations':>13}{'fid':>10}{'95 %':>20}"
        f"{'pictures/s':>12}",
    ]
    for point in found["points"]:
        fid = next(measure for measure in point["measures"] if measure["name"] == "fid")
        between = "" if fid["interval"] is None else "{:.4g} to {:.4g}".format(*fid["interval"])
        lines.append(
            f"  {point['sampler']:<14}{point['steps']:>6}{point['evaluations']:>13g}"
            f"{fid['value']:>10.4g}{between:>20}{point['pictures_per_second']:>12.3g}"
        )
    near = found["nearest"]
    if near:
        samples, usual = np.median(near["samples"]), np.median(near["held_out"])
        lines.append(
            f"nearest training picture, rms of pixels: samples {samples:.3f}, held-out pictures "
            f"{usual:.3f} (medians of {near['n']}); {100 * near['closer_than_any_held_out']:.0f} % "
            "of the samples closer than any held-out picture"
        )
    return "\n".join(lines)
