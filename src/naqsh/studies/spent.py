"""Few large steps or many small ones: what samplers make of so many evaluations of a network.

Each sampler takes as many steps as its evaluations allow (`Sampler.within`), and is put under an
exact score as well (`naqsh.studies.exact`), which tells how much of a distance is the steps'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from naqsh.core.errors import NaqshError
from naqsh.diffusion.method import Denoising
from naqsh.diffusion.samplers import Langevin, Sampler
from naqsh.runs import records
from naqsh.runs.results import Result, Store
from naqsh.runs.trained import Trained
from naqsh.studies import exact

APART = ("sampler", "steps", "inner")
"""What tells the points of one study apart."""


def spent(
    run: Trained, names: Sequence[str], budgets: Sequence[int], common: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The points of a study by evaluations: each sampler's options, no two alike."""
    found = list[dict[str, Any]]()
    for name in names:
        for budget in budgets:
            sampler = _sampler(run, {**common, "sampler": name})
            assert isinstance(run.method, Denoising)
            sampler = sampler.within(budget, run.method.spec.schedule.levels)
            inner = {"inner": sampler.inner} if isinstance(sampler, Langevin) else {}
            one = {"sampler": name, "steps": sampler.steps, **inner}
            if one not in found:
                found.append(one)
    return found


def _sampler(run: Trained, options: Mapping[str, Any]) -> Sampler:
    """The sampler of some options of sampling."""
    if not isinstance(run.method, Denoising):
        raise NaqshError(f"{run.recipe.name} has samplers that are compared by steps alone")
    sampler = run.method.samplers[options["sampler"]]
    own = {field.name for field in fields(sampler)}
    return replace(sampler, **{name: value for name, value in options.items() if name in own})


def keep_exact(
    run: Trained,
    store: Store,
    shared: Mapping[str, Any],
    planned: Sequence[dict[str, Any]],
    seed: int,
) -> None:
    """Put the planned samplers under an exact score, those that were not yet."""
    assert isinstance(run.method, Denoising)
    of = {"metric": "exact", **shared}
    points = [point for result in store.find(**of) for point in result.found["points"]]
    done = [told(point) for point in points]
    for one in planned:
        if one not in done:
            sampler = _sampler(run, {**shared["sampling"], **one})
            far, share = exact.measured(sampler, run.method.spec.schedule, seed)
            point = records.ExactPoint(
                **one, evaluations=sampler.evaluations, distance=far, share=share
            )
            points.append(records.plain(point))
    points.sort(key=lambda point: (point["sampler"], point["evaluations"]))
    kept_points = tuple(records.read(records.ExactPoint, point) for point in points)
    found = records.Exact(exact.COUNT, exact.floor(), min(exact.WEIGHTS), kept_points)
    store.keep([Result(of, records.plain(found))])


def told(point: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a point from the others of its study."""
    return {name: point[name] for name in APART if name in point}


def counted(point: Mapping[str, Any]) -> str:
    """The steps of a point in words, of Langevin dynamics levels times steps at each."""
    inner = point.get("inner")
    return f"{point['steps']} × {inner}" if inner else str(point["steps"])


def rows(found: Mapping[str, Any]) -> list[str]:
    """Samplers under an exact score, as lines."""
    lines = [
        f"{found['n']:,} numbers each under the exact score of a mixture; as many exact draws are "
        f"{found['floor']:.2g} off, {found['share']:g} of them at the lesser mode",
        f"  {'sampler':<19}{'steps':>9}{'evaluations':>13}{'distance':>18}{'lesser mode':>20}",
    ]
    for point in found["points"]:
        lines.append(
            f"  {point['sampler']:<19}{counted(point):>9}{point['evaluations']:>13g}"
            f"{point['distance']:>18.4g}{point['share']:>20.3f}"
        )
    return lines
