"""One trained model, many ways to sample: distance to real images by network evaluations.

Each sampler draws the same n images of one seed in several numbers of steps. The table of their
Frechet distances says which sampler is worth its evaluations; all are by the same features, n and
reference, so they compare. What was measured is written at once, so a study that was stopped goes
on, and a later one with more steps adds to it; a study under other conditions stands beside it.

A model that memorised its images would win this. So the study also looks for the training
image nearest to each of some samples and compares with held-out images (`naqsh.metrics.nearness`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naqsh.core.abilities import HasSamplers, Samples
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.machine import Machine
from naqsh.core.progress import silent
from naqsh.data.dataset import Split
from naqsh.io import png as pictures
from naqsh.metrics import Nearness
from naqsh.metrics.registry import called, kind, title
from naqsh.runs import kept, records
from naqsh.runs.results import Result
from naqsh.runs.sampling import sample_options
from naqsh.runs.trained import Trained
from naqsh.studies.alike import Alike, alike
from naqsh.studies.beforehand import require_counts
from naqsh.studies.evaluation import NEAR, draw, look_near

SHOWN = 10
"""Samples that are drawn above their nearest training images."""

Pixels = NDArray[np.uint8]


def study(
    run: Trained,
    samplers: Sequence[str] | None = None,
    steps: Iterable[int] = (5, 10, 20, 50),
    machine: Machine = Machine(),
    *,
    features: str | None = None,
    n: int = 2000,
    reference: Split = "test",
    data: str | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure a run's samplers; ``samplers.json`` in its folder grows.

    Args:
        run: what is sampled.
        samplers: which; all that the method has by default.
        steps: how many of each.
        machine: where images are drawn and measured, and of which seed they are.
        features: by which features; by default those of the run's data set.
        n: images drawn each.
        reference: the split of the run's data that is the real images.
        data: where the run's data set is now, if it has moved.
        sampling: other options of sampling, the same for all points; all samplers must take them.

    Returns:
        the study: what all points share; ``points``, one a sampler and number of steps,
        with ``evaluations`` an image, ``measures`` and ``pictures_per_second``; ``nearest``.

    Raises:
        NaqshError: a method without samplers, or an argument that does not fit.
    """
    require_counts(n=n, batch=machine.batch)
    known = choices(run)
    wanted = list(samplers or known)
    for name in wanted:
        if name not in known:
            raise one_of("sampler", name, known)
    steps = sorted(set(steps))
    if not steps or steps[0] < 1:
        raise NaqshError(f"steps must be at least 1, got {steps}")
    assert isinstance(run.method, Samples), "it has samplers"
    if taken := {"sampler", "steps"} & set(sampling or {}):
        raise NaqshError(f"a study of samplers sets {min(taken)} itself; leave it out")
    for name in wanted:
        common = sample_options(run.method, {"sampler": name, **(sampling or {})}, run.classes)
    del common["sampler"]
    measured = alike(
        run, ["frechet"], common, machine, features=features, n=n, reference=reference, data=data
    )
    shared = measured.shared
    store = kept.samplers(run.folder)
    before = [result for result in store.find(**shared) if "sampler" in result.of]
    done = {(result.of["sampler"], result.of["steps"]) for result in before}
    missing = [(name, count) for name in wanted for count in steps if (name, count) not in done]
    for name, count in missing:
        options = {**common, "sampler": name, "steps": count}
        within = named(machine, f"{name}, {count} steps")
        point = _point(measured, options, within)
        store.keep([Result({"sampler": name, "steps": count, **shared}, point)])
    copies = {"metric": "nearest", **shared}
    if not store.find(**copies) and not run.layout.extent:
        picture = run.folder.path / f"nearest-{Result(copies, {}).digest}.png"
        quietly = replace(machine, progress=silent)
        samples = draw(run, NEAR, quietly, _usual(run, common, wanted[0]))
        if near := look_near(run, samples, machine, data):
            train = run.images("train", data, machine.data_home).images
            _show_near(run, samples, train.images, near, machine.seed, picture)
            kept_near = near.to_dict() | {"picture": picture.name}
            store.keep([Result(copies, records.checked(records.Nearest, kept_near))])
    found = store.find(**shared)
    points = [dict(result.found) for result in found if "sampler" in result.of]
    points.sort(key=lambda point: (known.index(point["sampler"]), point["steps"]))
    nearest = [dict(result.found) for result in found if result.fits(metric="nearest")]
    return {
        **shared,
        "points": points,
        "nearest": nearest[-1] if nearest else None,
        "note": measured.note,
    }


def named(machine: Machine, what: str) -> Machine:
    """The machine whose progress is shown as that of `what`."""

    def progress(_: str, done: int, total: int) -> None:
        machine.progress(what, done, total)

    return replace(machine, progress=progress)


def choices(run: Trained) -> list[str]:
    """The names of a method's samplers; raises NaqshError where there is no choice."""
    if isinstance(run.method, HasSamplers):
        return list(run.method.samplers)
    raise NaqshError(
        f"{run.recipe.name} has no samplers to compare; diffusion models have, such as ddpm-mnist"
    )


def _usual(run: Trained, common: dict[str, Any], first: str) -> dict[str, Any]:
    """Options for the run's own sampler, or for the `first` where that takes others."""
    assert isinstance(run.method, Samples)
    try:
        return sample_options(run.method, common, run.classes)
    except NaqshError:
        return {"sampler": first, **common}


def _point(measured: Alike, options: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """One sampler in one number of steps."""
    speed, measures, seconds = measured.draw(options, machine)
    point = records.Point(
        sampler=options["sampler"],
        steps=options["steps"],
        evaluations=speed.evaluations_per_picture,
        measures=measures,
        pictures_per_second=speed.pictures_per_second,
        seconds=seconds,
        device=speed.device,
    )
    return records.plain(point)


def _show_near(
    run: Trained, samples: Pixels, train: Pixels, found: Nearness, seed: int, picture: Path
) -> None:
    """Write some samples above their nearest training images."""
    both = np.concatenate([samples[:SHOWN], train[list(found.numbers[:SHOWN])]])
    caption = f"{run.recipe.name}: samples of seed {seed}, below each the nearest training image"
    pictures.save_grid(picture, both, caption, SHOWN)


def table(found: Mapping[str, Any]) -> str:
    """A study as lines: what all points share once, a row each, and how near the copies are."""
    distance = title(called("frechet", found["features"]))
    lines = [
        f"{found['n']:,} images of seed {found['seed']} each, against {found['reference']}; "
        f"features {found['features']} ({found['fingerprint'][:8]})",
        f"  {'sampler':<14}{'steps':>6}{'evaluations':>13}{distance:>18}{'95 %':>20}"
        f"{'images/s':>12}",
    ]
    for point in found["points"]:
        far = next(m for m in point["measures"] if kind(m["name"]) == "frechet")
        between = "" if far["interval"] is None else "{:.4g} to {:.4g}".format(*far["interval"])
        lines.append(
            f"  {point['sampler']:<14}{point['steps']:>6}{point['evaluations']:>13g}"
            f"{far['value']:>18.4g}{between:>20}{point['pictures_per_second']:>12.3g}"
        )
    if found["nearest"]:
        near = Nearness.from_dict(found["nearest"])
        lines += [str(near), *(f"note: {note}" for note in near.notes)]
    if found["note"]:
        lines.append(f"note: {found['note']}")
    return "\n".join(lines)
