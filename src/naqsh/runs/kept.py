"""The files of results that a run folder holds, and how they are read where they are older.

=====================  ============================================================================
``evaluation.json``    a result a metric, the speed of sampling and the likelihood among them
``samplers.json``      a result a sampler and number of steps, and the look for copies
``guidance.json``      a result a scale of guidance
``bound.json``         a result a study of the bound
``field.json``         a result a drawing of the score of points
``translation.json``   a result a direction of translation
``segmentation.json``  a result a study of segmentation
``editing.json``       a result an edit
=====================  ============================================================================

What a result is of stands under these names: ``metric``; ``n`` and ``n_real``, the generated and
the real images; ``features`` with their ``fingerprint``; ``reference`` with its
``reference_fingerprint``;
``sampling``, the options of the sampler; ``weights`` (last or best) with their ``step``; ``seed``.
Beside what was found, ``remarks`` says what must be known of the real images.
"""

from collections.abc import Mapping
from typing import Any

from naqsh.runs.folder import RunFolder
from naqsh.runs.records.measured import OLDER
from naqsh.runs.results import Result, Store

MEASURE = {"metric": "name", "n": "n_generated", "n_real": "n_real", "features": "features"}
MEASURE |= {"fingerprint": "fingerprint", "reference": "reference"}
MEASURE |= {"reference_fingerprint": "reference_fingerprint"}
"""What a measure is of, by the names in a file of results and in a `Measure`."""

UNKNOWN = None
"""What an older file did not tell, such as the fingerprint of the reference."""


def evaluations(folder: RunFolder) -> Store:
    """What a run's samples were measured to be."""
    return Store(folder.evaluation, _evaluation)


def samplers(folder: RunFolder) -> Store:
    """What a run's samplers were measured to be."""
    return Store(folder.samplers, _samplers)


def guidance(folder: RunFolder) -> Store:
    """What a run's samples were measured to be by scales of guidance."""
    return Store(folder.guidance, _never)


def bounds(folder: RunFolder) -> Store:
    """A run's variational bounds."""
    return Store(folder.bound, _bound)


def fields(folder: RunFolder) -> Store:
    """How far a run's scores of points are from the exact ones."""
    return Store(folder.field, _never)


def translations(folder: RunFolder) -> Store:
    """What a run's translations were measured to be."""
    return Store(folder.translation, _never)


def segmentations(folder: RunFolder) -> Store:
    """How well a run's features segment images."""
    return Store(folder.segmentation, _never)


def editing(folder: RunFolder) -> Store:
    """What was made of given images by a run."""
    return Store(folder.editing, _never)


def measured(measure: Mapping[str, Any], common: Mapping[str, Any]) -> Result:
    """A measure, as `Measure.to_dict` gives it, under what it is of.

    Args:
        measure: plain values.
        common: what all results of one evaluation share: ``sampling``, ``weights``, ``step``
            and ``seed``.
    """
    of: dict[str, Any] = {key: measure.get(name) for key, name in MEASURE.items()}
    if of["features"] != "inception":  # older files called every distance FID
        of["metric"] = OLDER.get(of["metric"], (of["metric"],))[0]
    found = {name: value for name, value in measure.items() if name not in MEASURE.values()}
    return Result({**of, **common}, found)


def measure_of(result: Result) -> dict[str, Any]:
    """The plain values that :func:`measured` was given, for `Measure.from_dict`."""
    found = {name: value for name, value in result.found.items() if name != "remarks"}
    return {name: result.of[key] for key, name in MEASURE.items()} | found


def _evaluation(plain: Any) -> list[Result]:
    drawn = {"sampling": plain.get("sampling", {}), "weights": UNKNOWN, "step": plain["step"]}
    common = {**drawn, "seed": plain["seed"]}
    results = [measured(measure, common) for measure in plain["measures"]]
    if likely := plain.get("likelihood"):
        of = {"metric": "likelihood", "n": likely["n"], "reference": likely["reference"]}
        of |= {"reference_fingerprint": UNKNOWN}
        results.append(Result({**of, **common}, likely))
    if not results:
        raise ValueError("it holds no measures")
    speed = plain["speed"]
    return [*results, Result({"metric": "speed", "n": speed.get("n"), **drawn}, speed)]


def _samplers(plain: Any) -> list[Result]:
    names = ("n", "features", "fingerprint", "reference")
    shared = {name: plain[name] for name in names}
    drawn = {"sampling": plain.get("sampling", {}), "weights": UNKNOWN, "step": plain["step"]}
    shared |= {"reference_fingerprint": UNKNOWN, **drawn, "seed": plain["seed"]}
    if not plain["points"]:
        raise ValueError("it holds no points")
    results = [
        Result({"sampler": point["sampler"], "steps": point["steps"], **shared}, point)
        for point in plain["points"]
    ]
    if near := dict(plain["nearest"] or {}):
        copies = near["closer_than_any_held_out"] * near["n"] >= 5  # as was the rule
        near |= {"signs": ["copies"] if copies else []}
        numbers = {"training_images": near.get("training_pictures"), "picture": "nearest.png"}
        results.append(Result({"metric": "nearest", **shared}, near | numbers))
    return results


def _bound(plain: Any) -> list[Result]:
    if plain["format"] != 1:
        raise ValueError(f"format {plain['format']} is not one that this Naqsh reads")
    of = {name: plain[name] for name in ("n", "reference", "step", "seed")}
    of |= {"reference_fingerprint": UNKNOWN, "weights": UNKNOWN}
    return [Result(of, {name: value for name, value in plain.items() if name not in of})]


def _never(plain: Any) -> list[Result]:
    raise ValueError("it holds no results")  # there was no such file before they were lists
