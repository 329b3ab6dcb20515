"""What a page embeds beside what it shows: all of its results as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any

from naqsh.report.read.facts import Facts

RECORDS = 1200
"""Most records of all runs together that are embedded."""

DIGITS = 6
"""Significant digits of an embedded curve."""


def results(runs: Sequence[Facts]) -> dict[str, Any]:
    """Everything the page shows, as plain data."""
    most = max(60, RECORDS // len(runs))
    return {"runs": [_plain(run, most) for run in runs]}


def _plain(run: Facts, most: int) -> dict[str, Any]:
    """A run; its log is thinned evenly to at most so many records, and `every` says how much."""
    every = max(1, -(-len(run.records) // most))
    return {
        "label": run.label,
        "finished": run.finished,
        "summary": run.summary(),
        "results": run.results(),
        "measured": run.measured and run.measured.as_plain(),
        "evaluations": [measured.as_plain() for measured in run.evaluations],
        "likelihoods": [vars(likelihood) for likelihood in run.likelihoods],
        "captions": [following.as_plain() for following in run.followings],
        "detected": [detected.as_plain() for detected in run.detected],
        "sampled": [sampled.as_plain() for sampled in run.sampled],
        "guided": [guided.as_plain() for guided in run.guided],
        "segmented": [segmented.as_plain() for segmented in run.segmented],
        "edited": [edited.as_plain() for edited in run.edited],
        "translated": [translated.as_plain() for translated in run.translated],
        "bound": [bound.as_plain() for bound in run.bound],
        "fielded": [fielded.as_plain() for fielded in run.fielded],
        "recipe": run.recipe,
        "about": run.about,
        "networks": run.networks,
        "curves": {
            "every": every,
            "records": [
                vars(record)
                | {"losses": _short(record.losses), "gradients": _short(record.gradients)}
                for record in run.records[every - 1 :: every]
            ],
        },
        "stages": [
            {
                "step": stage.step,
                "epoch": stage.epoch,
                "grid": stage.grid,
                "weights": {
                    phase: {"edges": [*map(_digits, w.edges)], "counts": w.counts}
                    for phase, w in stage.weights.items()
                },
            }
            for stage in run.stages
        ],
        "diagnosis": [vars(note) for note in run.notes],
        "problems": [vars(problem) for problem in run.problems],
    }


def _short(values: Mapping[str, float]) -> dict[str, float]:
    return {name: _digits(value) for name, value in values.items()}


def _digits(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
