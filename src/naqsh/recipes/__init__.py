"""The recipes by family: functions that return a method on a data set, with hyperparameters."""

import importlib
import pkgutil
from collections.abc import Callable

from naqsh.core import plugins
from naqsh.core.errors import one_of
from naqsh.recipes.recipe import REGISTRY, Recipe


def all_recipes() -> dict[str, Callable[[], Recipe]]:
    """Every recipe's function by the name a user types."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    for other in plugins.modules("naqsh.recipes"):
        plugins.load(other)
    return dict(sorted(REGISTRY.items()))


def by_name(name: str) -> Recipe:
    """The recipe `name`; raises NaqshError with the nearest name."""
    known = all_recipes()
    if name not in known:
        raise one_of("recipe", name, known)
    return known[name]()
