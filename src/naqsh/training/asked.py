"""Which recipe is asked for: by its name, by a file, or by a run that already has one."""

import os
from pathlib import Path

from naqsh import recipes
from naqsh.core.errors import NaqshError
from naqsh.recipes import recipe as recipe_module
from naqsh.recipes.recipe import Recipe
from naqsh.runs import moments, packed
from naqsh.runs.folder import RunFolder
from naqsh.runs.loading import recipe_of


def resolve(recipe: str | Recipe) -> Recipe:
    """The recipe that a name or the path of a YAML file stands for.

    Raises:
        NaqshError: no such recipe or file, or the file does not fit.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe.endswith((".yaml", ".yml")):
        file = Path(recipe)
        run = RunFolder(file.parent)
        if file == run.recipe and not os.path.lexists(file) and run.exists():
            return recipe_of(run)
        return recipe_module.read(file, within=file.resolve().parent)  # a link of the user's own
    if recipe in recipes.all_recipes():
        return recipes.by_name(recipe)
    if packed.is_packed(recipe):
        raise not_trained_further(Path(recipe))
    if RunFolder(recipe).exists():
        file = RunFolder(recipe).recipe
        raise NaqshError(
            f"{recipe} is a run; to train it further: naqsh train {file} --out {recipe}"
        )
    return recipes.by_name(recipe)


def not_trained_further(path: Path) -> NaqshError:
    """Why a run in one file is not trained, and what would work."""
    run = packed.folder(path)
    if any(moments.there(run.checkpoint(step)) for step in run.steps()):
        cure = "to train the run further, unpack it and train the folder"
    else:
        cure = f"it has no optimiser state. For a new training: naqsh train {run.recipe} --out NEW"
    return NaqshError(f"{path} is a run in one file, which is not trained further; {cure}")
