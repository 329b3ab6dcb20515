"""How near samples lie to training images, as ``samplers.json`` and ``evaluation.json`` have it."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naqsh.runs import records

SIGNS = ("leaked", "copies", "noise")


def parse(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What a result holds, summed up by the names of the texts; NaqshError where it does not fit.

    ``samples`` and ``held_out`` are medians of distances, ``nearer`` and ``farther`` count samples
    that lie so than any held-out image does, ``leaked`` held-out images that are training images.
    """
    kept = records.read(records.Nearest, plain)
    samples, held_out = kept.samples, kept.held_out
    return {
        "n": len(samples),
        "n_held_out": len(held_out),
        "samples": statistics.median(samples),
        "held_out": statistics.median(held_out),
        "nearer": sum(d < min(held_out) for d in samples),
        "farther": sum(d > max(held_out) for d in samples),
        "leaked": sum(d == 0 for d in held_out),
        "signs": [sign for sign in SIGNS if sign in kept.signs],
        # Only the name counts: a folder from elsewhere must not make us read other files.
        "picture": None if kept.picture is None else Path(kept.picture).name,
    }
