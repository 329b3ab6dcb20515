"""One trained model, many ways to sample: distance to real images by network evaluations.

Each sampler draws the same n images of one seed in several numbers of steps. The table of their
Frechet distances says which sampler is worth its evaluations; all are by the same features, n and
reference, so they compare. What was measured is written at once, so a study that was stopped goes
on, and a later one with more steps adds to it; a study under other conditions stands beside it.

Instead of steps a study may be given numbers of evaluations that each sampler may spend: few large
steps or many small ones. Langevin dynamics spreads them over its levels, then over steps at each.
The same samplers are then also put under an exact score (`naqsh.studies.exact`).

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
from naqsh.studies.spent import counted, keep_exact, rows, spent, told

MEASURED = ("frechet", "pr")
"""What samples are measured by."""

PR = ("precision", "recall")

SHOWN = 10
"""Samples that are drawn above their nearest training images."""

Pixels = NDArray[np.uint8]


def study(
    run: Trained,
    samplers: Sequence[str] | None = None,
    steps: Iterable[int] = (5, 10, 20, 50),
    machine: Machine = Machine(),
    *,
    evaluations: Iterable[int] = (),
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
        evaluations: of the network that each sampler may spend on an image, instead of `steps`.
        features: by which features; by default those of the run's data set.
        n: images drawn each.
        reference: the split of the run's data that is the real images.
        data: where the run's data set is now, if it has moved.
        sampling: other options of sampling, the same for all points; all samplers must take them.

    Returns:
        the study: what all points share; ``points``, one a sampler and number of steps,
        with ``evaluations`` an image, ``measures`` and ``pictures_per_second``; ``nearest``;
        ``exact``, the same samplers under an exact score, where `evaluations` were given.

    Raises:
        NaqshError: a method without samplers, or an argument that does not fit.
    """
    require_counts(n=n, batch=machine.batch)
    known = choices(run)
    wanted = list(samplers or known)
    for name in wanted:
        if name not in known:
            raise one_of("sampler", name, known)
    budgets = sorted(set(evaluations))
    for what, counts in (("evaluations", budgets), ("steps", steps := sorted(set(steps)))):
        if (counts or what == "steps") and min(counts, default=0) < 1:
            raise NaqshError(f"{what} must be at least 1, got {counts}")
    assert isinstance(run.method, Samples), "it has samplers"
    own = {"sampler", "steps", *(["inner"] if budgets else [])}
    if taken := own & set(sampling or {}):
        raise NaqshError(f"a study of samplers sets {min(taken)} itself; leave it out")
    for name in wanted:
        common = sample_options(run.method, {"sampler": name, **(sampling or {})}, run.classes)
    del common["sampler"]
    if budgets:
        planned = spent(run, wanted, budgets, common)
    else:
        planned = [{"sampler": name, "steps": count} for name in wanted for count in steps]
    measured = alike(
        run, MEASURED, common, machine, features=features, n=n, reference=reference, data=data
    )
    shared = measured.shared
    store = kept.samplers(run.folder)
    before = [result for result in store.find(**shared) if "sampler" in result.of]
    done = [told(result.of) for result in before]
    for one in planned:
        if one not in done:
            within = named(machine, "{}, {} steps".format(one["sampler"], counted(one)))
            store.keep(
                [Result({**one, **shared}, _point(measured, one, {**common, **one}, within))]
            )
    if budgets:
        keep_exact(run, store, shared, planned, machine.seed)
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
    points.sort(key=lambda p: (known.index(p["sampler"]), p["steps"], p.get("inner", 0)))
    nearest = [dict(result.found) for result in found if result.fits(metric="nearest")]
    return {
        **shared,
        "points": points,
        "nearest": nearest[-1] if nearest else None,
        "exact": next((dict(r.found) for r in found if r.fits(metric="exact")), None),
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


def _point(
    measured: Alike, one: Mapping[str, Any], options: Mapping[str, Any], machine: Machine
) -> dict[str, Any]:
    """One sampler in one number of steps."""
    speed, measures, seconds = measured.draw(options, machine)
    point = records.Point(
        **one,
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
        f"  {'sampler':<19}{'steps':>9}{'evaluations':>13}{distance:>18}{'95 %':>20}"
        f"{'precision':>11}{'recall':>8}{'images/s':>10}",
    ]
    for point in found["points"]:
        values = {kind(m["name"]): m for m in point["measures"]}
        far = values["frechet"]
        between = "" if far["interval"] is None else "{:.4g} to {:.4g}".format(*far["interval"])
        shares = [f"{values[name]['value']:.3f}" if name in values else "" for name in PR]
        lines.append(
            f"  {point['sampler']:<19}{counted(point):>9}{point['evaluations']:>13g}"
            f"{far['value']:>18.4g}{between:>20}{shares[0]:>11}{shares[1]:>8}"
            f"{point['pictures_per_second']:>10.3g}"
        )
    if found["exact"]:
        lines += rows(found["exact"])
    if found["nearest"]:
        near = Nearness.from_dict(found["nearest"])
        lines += [str(near), *(f"note: {note}" for note in near.notes)]
    if found["note"]:
        lines.append(f"note: {found['note']}")
    return "\n".join(lines)
