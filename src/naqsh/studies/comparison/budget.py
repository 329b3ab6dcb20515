"""A budget of time or images, as a number of steps.

A recipe's speed is the greater one of its trial's and its training's: other work on the machine
makes some moments slower than others, and is no fault of the recipe.
"""

import statistics
from itertools import pairwise
from pathlib import Path

from naqsh.io import aside
from naqsh.io.foreign import read_lines
from naqsh.recipes.recipe import Recipe
from naqsh.runs.folder import RunFolder
from naqsh.training.building import images_a_step
from naqsh.training.launch import train
from naqsh.training.loop import LOG_EVERY

TRIAL_STEPS = 150
"""Steps by which a recipe's speed is found: three records, of which the fastest counts; a cold
start slows the first."""

TRIAL_PART = 0.05
"""Part of a recipe's time that a second trial takes, where that is much longer: the first seconds
may be the fastest (vae-mnist began at 5,140 images a second and went on at 3,800). Here the median
record counts."""

FASTER = 1.4
"""How many times more steps must have fitted for a training to be made anew. Below that, what it
missed is less than 30 % of its time. Steps grow by so much each time, so that all trainings which
are thrown away have at most 1 / (1.4 - 1) = 2.5 times the steps of the one that stays."""


def steps(
    recipe: Recipe, images: int | None, share: float, device: str, home: Path | None, out: Path
) -> int:
    """How many steps a recipe takes to see `images`, or if that is None, in `share` seconds.

    Trials of its speed are run folders beside `out`, where it will be trained: what a killed one
    left is removed by the next.
    """
    if images is not None:
        return max(1, round(images / images_a_step(recipe, data_home=home)))

    def measured(steps: int) -> float:
        """Steps a second in a trial."""
        changes = {"training.steps": steps}
        with aside.folder(out) as trial:
            made = train(
                recipe,
                out=trial,
                overrides=changes,
                device=device,
                data_home=home,
                quiet=True,
                shows=False,
            )
            return _speed(made.folder)

    speed = measured(TRIAL_STEPS)
    longer = round(TRIAL_PART * share * speed)
    if longer > 2 * TRIAL_STEPS:
        speed = measured(longer)
    return max(1, round(share * speed))


def more_steps(run: RunFolder, share: float) -> int | None:
    """How many steps fit in `share` seconds, if many more than a finished training had; else None.

    That a training was slower than its trial changes nothing: the machine had other work, and the
    trial has seen what the recipe can.
    """
    fit = round(share * _speed(run))
    return fit if fit > FASTER * run.steps()[-1] else None


def _speed(run: RunFolder) -> float:
    """Steps a second in a training: of few records the fastest counts, of more the median."""
    # Records of held-out images stand among the others, and know no speed.
    found = [record for record in read_lines(run.metrics) if "speed" in record]
    speeds = [record["speed"] * record["step"] / record["seen"] for record in found]
    steps = [0, *(int(record["step"]) for record in found)]
    # The last record may be of too few steps to tell.
    whole = [s for s, (a, b) in zip(speeds, pairwise(steps), strict=True) if b - a >= LOG_EVERY]
    speeds = whole or speeds
    few = len(speeds) * LOG_EVERY < 2 * TRIAL_STEPS
    return float(max(speeds, default=0.0) if few else statistics.median(speeds))
