"""What is another for a run that goes on than it was before: numbers of the recipe, the machine.

None of it is refused here, but all of it is noted: the weights are no longer those that one recipe
on one machine gives.
"""

from collections.abc import Callable, Mapping
from typing import Any

from naqsh.io.files import flat
from naqsh.recipes.recipe import Recipe
from naqsh.training.diagnosis import Said, say
from naqsh.training.optim import lr_factor
from naqsh.training.stages import Plan

LENGTH = ("training.epochs", "training.steps")
"""How long a run is trained; a longer one is asked for as such."""

MACHINE = ("precision", "threads", "ranks", "device")
"""What of a machine decides how sums are rounded, by its name in ``run.json``."""

JUMP = 0.01
"""The least change of the learning rates, over their full value, that is noted."""


def of_recipe(before: Recipe, now: Recipe, step: int, plan: Callable[[Recipe], Plan]) -> list[Said]:
    """What the recipe of the weights has otherwise than that of the run that goes on from them.

    Args:
        before: in the header of the weights.
        now: what is trained.
        step: steps done.
        plan: that of a recipe.
    """
    there, here = flat(before.to_dict()), flat(now.to_dict())
    said = []
    for key in here | there:
        old, new = _text(there.get(key)), _text(here.get(key))
        if old == new or key in ("name", "data.name"):
            continue
        said.append(say("longer" if key in LENGTH else "changed", key, step, old, new))
    if said and (jump := _jump(before, now, step, plan)):
        said.append(jump)
    return said


def _jump(before: Recipe, now: Recipe, step: int, plan: Callable[[Recipe], Plan]) -> Said | None:
    """How the schedule's factor of the learning rates jumps, if it does."""
    # The last step that was taken by the one schedule, and the same step by the other.
    last = max(0, step - 1)
    old, new = (
        lr_factor(recipe.training, last, p.total, p.epoch)
        for recipe, p in ((before, plan(before)), (now, plan(now)))
    )
    if abs(new - old) < JUMP:
        return None
    return say("rate", "training.schedule", new, f"{old:.0%}", f"{new:.0%}")


def of_machine(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Said]:
    """What of the machine is another, both as ``run.json`` describes them."""
    return [
        say("machine", key, 0.0, _text(before[key]), _text(now[key]))
        for key in MACHINE
        if key in before and before[key] != now[key]
    ]


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
