"""What a run says of itself before its first step: recipe, data, networks, machine, history."""

from collections.abc import Mapping
from typing import Any

import naqsh
from naqsh.io.files import make_folder, write_json, write_text
from naqsh.io.foreign import read_json
from naqsh.recipes.recipe import Recipe
from naqsh.runs import records
from naqsh.runs.folder import FORMAT, RunFolder
from naqsh.training import changes
from naqsh.training.estimate import Estimate


def write(
    recipe: Recipe,
    folder: RunFolder,
    images: Mapping[str, Any],
    cost: Estimate,
    now: Mapping[str, Any],
) -> None:
    """Write all of it; what a run said before that goes on is kept in its history.

    Args:
        recipe: complete.
        folder: of the run.
        images: what they are, as :func:`naqsh.runs.origin.describe` says.
        cost: of the training.
        now: the machine, as :func:`naqsh.io.environment.describe` says.
    """
    # The recipe comes first: it makes the folder a run, which the same command may then go on with.
    history = _history(folder)
    entry = {"recipe": recipe.fingerprint(), **{key: now[key] for key in changes.MACHINE}}
    if not history or {**history[-1], "step": None} != {**entry, "step": None}:
        history.append({"step": (folder.steps() or [0])[-1], **entry})
    write_text(folder.recipe, recipe.to_yaml())
    make_folder(folder.grids)
    make_folder(folder.checkpoints)
    about = records.About(
        format=FORMAT,
        naqsh=naqsh.__version__,
        recipe=recipe.fingerprint(),
        data=records.Data(**images),
        parameters=cost.parameters,
        memory=cost.memory,
        environment=dict(now),
        history=tuple(history),
    )
    write_json(folder.about, records.plain(about))
    write_json(folder.networks, cost.to_dict()["networks"])


def environment_before(folder: RunFolder) -> Mapping[str, Any]:
    """What a run that goes on was run on before; nothing where it has not begun or does not say."""
    told = read_json(folder.about).get("environment") if _goes_on(folder) else None
    return told if isinstance(told, dict) else {}


def _history(folder: RunFolder) -> list[dict[str, Any]]:
    """From which steps on a run was trained by which recipe and on what, until now."""
    told = read_json(folder.about).get("history") if _goes_on(folder) else None
    return [entry for entry in told if isinstance(entry, dict)] if isinstance(told, list) else []


def _goes_on(folder: RunFolder) -> bool:
    return bool(folder.steps()) and folder.about.exists()
