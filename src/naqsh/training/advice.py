"""What to try where a number of training is no longer finite: what may be its cause, alone."""

from collections.abc import Sequence

import torch

from naqsh.core.errors import NaqshError
from naqsh.core.method import Phase
from naqsh.data import DataSet, notes
from naqsh.recipes.recipe import Training
from naqsh.training.log import NotFinite


def advice(
    error: NaqshError,
    training: Training,
    phases: Sequence[Phase],
    dtype: torch.dtype,
    data: DataSet,
) -> str:
    """A sentence or two.

    Args:
        error: what was found.
        training: how it was trained.
        phases: of a step.
        dtype: that the networks compute in.
        data: the training images.
    """
    found = []
    if notes.all_equal(data.images):
        found.append(f"All {len(data)} training images are equal: look at the data first.")
    rounded = dtype != torch.float32
    if _before_any_update(error, phases):
        precise = ["precision float32"] if rounded else []
        tried = [*precise, "other hyperparameters of the method"]
        found.append(
            "No update came before it, so the learning rate is not the cause: look at the images, "
            f"and try {' or '.join(tried)}."
        )
    else:
        tried = ["a lower learning rate"]
        tried += [] if training.clip_norm else ["clip_norm"]
        tried += ["precision float32"] if rounded else []
        found.append(f"Try {' or '.join(tried)}.")
    return " ".join(found)


def _before_any_update(error: NaqshError, phases: Sequence[Phase]) -> bool:
    """Whether it is a loss of the very first update."""
    first = phases[0]
    if not isinstance(error, NotFinite) or error.weight:
        return False
    return error.step == 1 and error.phase == first.name and first.repeats == 1
