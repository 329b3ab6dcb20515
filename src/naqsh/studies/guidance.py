"""One model under several scales of guidance: distance, precision and recall.

Guidance trades diversity for images that are typical of their label: precision rises with the
scale, recall falls, and the distance, which sees both, is least somewhere between. Every scale
draws the same n images of one seed, so all are of the same noise and labels. What was measured is
written at once; a later study with more scales adds to it, and one in another interval of noise
levels stands beside it.

References:
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598, figures 4 and 5.
    Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et al.,
    2019), arXiv:1904.06991.
    Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in Diffusion
    Models (Kynkäänniemi et al., 2024), arXiv:2404.07724.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from naqsh.core.abilities import Samples
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.data.dataset import Split
from naqsh.metrics.registry import called, kind, title
from naqsh.runs import kept, records
from naqsh.runs.results import Result
from naqsh.runs.sampling import sample_names, sample_options
from naqsh.runs.trained import Trained
from naqsh.studies.alike import Alike, alike
from naqsh.studies.beforehand import require_counts
from naqsh.studies.samplers import named

MEASURED = ("frechet", "pr")
"""What samples are measured by."""

SCALES = (1.0, 1.5, 2.0, 4.0)
"""The scales of guidance, unless others are asked for."""


def study(
    run: Trained,
    scales: Iterable[float] = SCALES,
    machine: Machine = Machine(),
    *,
    features: str | None = None,
    n: int = 2000,
    reference: Split = "test",
    data: str | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure a run's samples by scales of guidance; ``guidance.json`` in its folder grows.

    Args:
        run: of a method that takes guidance; by labels it is trained with some of them hidden.
        scales: of guidance; 1 is none.
        machine: where images are drawn and measured, and of which seed they are.
        features: by which features; by default those of the run's data set.
        n: images drawn at each scale.
        reference: the split of the run's data that is the real images.
        data: where the run's data set is now, if it has moved.
        sampling: other options of sampling, the same for all scales, ``guidance_interval`` among
            them.

    Returns:
        the study: what all points share; ``points``, one a scale, with ``evaluations`` an image,
        ``measures`` and ``pictures_per_second``.

    Raises:
        NaqshError: a method that takes no guidance, or an argument that does not fit.
    """
    require_counts(n=n, batch=machine.batch)
    scales = sorted({float(scale) for scale in scales})
    if not scales or not all(math.isfinite(scale) and scale >= 0 for scale in scales):
        raise NaqshError(f"scales of guidance are numbers from 0 on, got {scales}")
    common = _options(run, scales[-1], sampling or {})
    measured = alike(
        run, MEASURED, common, machine, features=features, n=n, reference=reference, data=data
    )
    store = kept.guidance(run.folder)
    done = {result.of["guidance"] for result in store.find(**measured.shared)}
    for scale in scales:
        if scale not in done:
            of = {"guidance": scale, **measured.shared}
            within = named(machine, f"guidance {scale:g}")
            store.keep([Result(of, _point(measured, {**common, "guidance": scale}, within))])
    points = [dict(result.found) for result in store.find(**measured.shared)]
    points.sort(key=lambda point: point["guidance"])
    return {**measured.shared, "points": points, "note": measured.note}


def _options(run: Trained, most: float, sampling: Mapping[str, Any]) -> dict[str, Any]:
    """The options that all scales share; what cannot be guided is refused before any work."""
    method = run.method
    if not isinstance(method, Samples) or "guidance" not in sample_names(method):
        raise NaqshError(
            f"{run.recipe.name} takes no guidance; conditional diffusion models do, such as "
            "conditional-ddpm-mnist"
        )
    if "guidance" in sampling:
        raise NaqshError("a study of guidance sets guidance itself; leave it out")
    spec = run.recipe.method
    if getattr(spec, "conditional", True) and getattr(spec, "label_dropout", None) == 0:
        raise NaqshError(
            f"{run.recipe.name} was trained with every label, so it does not know what images are "
            "without one; train with --method.label_dropout 0.1"
        )
    common = sample_options(method, sampling, run.classes)
    run.sample(1, guidance=max(most, 2.0), **common)
    return common


def _point(measured: Alike, options: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """The samples under one scale."""
    speed, measures, seconds = measured.draw(options, machine)
    return records.plain(
        records.Scale(
            guidance=options["guidance"],
            evaluations=speed.evaluations_per_picture,
            measures=measures,
            pictures_per_second=speed.pictures_per_second,
            seconds=seconds,
            device=speed.device,
        )
    )


def table(found: Mapping[str, Any]) -> str:
    """A study as lines: what all points share once, then a row each."""
    distance = title(called("frechet", found["features"]))
    options = ", ".join(f"{name} {value}" for name, value in found["sampling"].items())
    lines = [
        f"{found['n']:,} images of seed {found['seed']} each, against {found['reference']}; "
        f"features {found['features']} ({found['fingerprint'][:8]})"
        + (f"; {options}" if options else ""),
        f"  {'guidance':>8}{'evaluations':>13}{distance:>18}{'95 %':>20}{'precision':>11}"
        f"{'recall':>8}{'images/s':>10}",
    ]
    for point in found["points"]:
        values = {kind(m["name"]): m for m in point["measures"]}
        far = values["frechet"]
        between = "" if far["interval"] is None else "{:.4g} to {:.4g}".format(*far["interval"])
        lines.append(
            f"  {point['guidance']:>8g}{point['evaluations']:>13g}{far['value']:>18.4g}"
            f"{between:>20}{values['precision']['value']:>11.3f}{values['recall']['value']:>8.3f}"
            f"{point['pictures_per_second']:>10.3g}"
        )
    if found["note"]:
        lines.append(f"note: {found['note']}")
    return "\n".join(lines)
