"""A recipe's method, and what would stop its training, known before the first step."""

from pathlib import Path

import torch

from naqsh.core import world as distributed
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.noise import derive
from naqsh.core.readable import readable_bytes, readable_size
from naqsh.core.spec import Layout
from naqsh.io import environment
from naqsh.recipes.recipe import Recipe
from naqsh.runs.blueprint import blueprint
from naqsh.runs.origin import load as load_data
from naqsh.training.estimate import Estimate, estimate

LARGE = 512
"""Pixels across from which memory is estimated before images are made so large."""


def check(recipe: Recipe, *, device: str = "auto", data_home: Path | str | None = None) -> Method:
    """What training would refuse before its first step, told long before it.

    Returns:
        the recipe's method on the meta device: it can be asked what it can do, and has no numbers.

    Raises:
        NaqshError: there are no such images, or a network does not fit them or the memory.
    """
    with distributed.join(device) as world:
        refuse_large(recipe, world)
        images = load_data(recipe, "train", data_home)
        estimated(recipe, images.layout, world)
    return blueprint(recipe, images.layout)


def images_a_step(recipe: Recipe, data_home: Path | str | None = None) -> int:
    """How many images a recipe sees in a training step; a phase that repeats takes fresh ones."""
    images = load_data(recipe, "train", data_home)
    method = blueprint(recipe, images.layout)
    return recipe.training.batch * max(phase.repeats for phase in method.phases())


def build(recipe: Recipe, layout: Layout) -> Method:
    """A recipe's method with fresh weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(recipe.training.seed, "init"))
        try:
            return recipe.method.build(layout)
        except ValueError as error:
            raise NaqshError(f"{_where(recipe, layout)}: {_reason(layout, error)}") from error


def refuse_large(recipe: Recipe, world: distributed.World) -> None:
    """Refuse too large a size before images are brought to it, which takes long and much room."""
    size = recipe.data.size
    if size and size > LARGE:
        estimated(recipe, Layout((recipe.data.channels or 1, size, size), ("0", "1")), world)


def estimated(recipe: Recipe, layout: Layout, world: distributed.World) -> Estimate:
    """What training costs; raises NaqshError where networks do not fit the images or the memory."""
    where = _where(recipe, layout)
    try:
        cost = estimate(recipe, layout, world.size)
    except ValueError as error:
        raise NaqshError(f"{where}: {_reason(layout, error)}") from error
    except (RuntimeError, TypeError) as error:
        if "overflow" not in str(error).lower():
            raise
        raise NaqshError(
            f"{where}: a network of that size fits into no memory; take a smaller method"
        ) from error
    room = environment.memory(world.device)
    if room and cost.memory > room:
        raise NaqshError(
            f"{where}: training needs about {readable_bytes(cost.memory)} of memory and there are "
            f"{readable_bytes(room)}; try a smaller training.batch or method, or a larger "
            "training.accumulate"
        )
    return cost


def _where(recipe: Recipe, layout: Layout) -> str:
    """What a message about a method that cannot be built begins with."""
    what = "points" if layout.extent else f"images of {readable_size(layout.shape)}"
    return f"{recipe.name} on {what}"


def _reason(layout: Layout, error: ValueError) -> str:
    """Why it cannot; other sizes are no cure for points."""
    why = str(error)
    if not layout.extent:
        return why
    why = why.partition("; give data.size")[0]
    return f"{why}; take a recipe of points, such as gan-ring (`naqsh list`)"
