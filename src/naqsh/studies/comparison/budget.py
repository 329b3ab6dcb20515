"""A budget of time or images, as a number of steps."""

import statistics
from pathlib import Path

from naqsh.io import aside
from naqsh.io.foreign import read_lines
from naqsh.recipes.recipe import Recipe
from naqsh.training.building import images_a_step
from naqsh.training.launch import train

TRIAL_STEPS = 150
"""Steps by which a recipe's speed is found: three records, of which the fastest counts. A cold
start slows the first, images drawn at a stage another."""

TRIAL_PART = 0.05
"""Part of a recipe's time that a second trial takes, where that is much longer: the first seconds
may be the fastest (vae-mnist began at 5,140 images a second and went on at 3,800). Here the median
record counts."""


def steps(
    recipe: Recipe, images: int | None, share: float, device: str, home: Path | None, out: Path
) -> int:
    """How many steps a recipe takes to see `images`, or if that is None, in `share` seconds.

    Trials of its speed are run folders beside `out`, where it will be trained: what a killed one
    left is removed by the next.
    """
    seen = images_a_step(recipe, data_home=home)
    if images is not None:
        return max(1, round(images / seen))

    def speeds(steps: int) -> list[float]:
        """Images a second, of each record of a trial."""
        changes = {"training.steps": steps}
        with aside.folder(out) as trial:
            made = train(
                recipe, out=trial, overrides=changes, device=device, data_home=home, quiet=True
            )
            records = read_lines(made.folder.metrics)
        # Records of held-out images stand among the others, and know no speed.
        return [float(record["speed"]) for record in records if "speed" in record]

    speed = max(speeds(TRIAL_STEPS))
    longer = round(TRIAL_PART * share * speed / seen)
    if longer > 2 * TRIAL_STEPS:
        speed = statistics.median(speeds(longer))
    return max(1, round(share * speed / seen))
