"""Learning rates over a run."""

import math

from naqsh.recipes.recipe import Training


def lr_factor(training: Training, step: int, total: int, epoch: float) -> float:
    """What the learning rates are multiplied by in step `step` of `total`, from 0 to 1.

    It rises evenly over the warm-up, then stays, or falls to 0 by a line or half a cosine wave.
    By "constant-linear" it stays over half of what is left then, and falls by a line over the rest.
    By "halved" it falls to a half after every `training.halve_every` epochs, the warm-up's too.

    Args:
        training: its schedule.
        step: from 0.
        total: steps of the run.
        epoch: steps in which every image is seen once, on average.
    """
    if step < training.warmup:
        return (step + 1) / training.warmup
    done = (step - training.warmup) / max(1, total - training.warmup)
    if training.schedule == "linear":
        return 1 - done
    if training.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    if training.schedule == "constant-linear":
        return min(1.0, 2 * (1 - done))
    if training.schedule == "halved":
        # Its own float64 rounding must not put off a halving: 2 epochs of 2.4 steps are 4.8.
        return 0.5 ** math.floor(step / (epoch * training.halve_every) + 1e-9)
    return 1.0
