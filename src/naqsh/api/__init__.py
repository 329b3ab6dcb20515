"""What is used from Python and a notebook: training a recipe, opening a run, comparing families."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naqsh.api.run import Run
from naqsh.recipes.recipe import Recipe
from naqsh.runs import packed
from naqsh.training import launch

if TYPE_CHECKING:
    from naqsh.studies.comparison.work import Compared

__all__ = ["Run", "compare", "open", "train"]


def open(path: Path | str, weights: str = "last") -> Run:
    """The run in a folder, or in one file.

    Args:
        path: the folder; a zip of one, as `naqsh export` makes it; or a weights file. What is
            measured of a file is kept in the cache, and one line says where.
        weights: the ``last``, or those that did ``best`` on held-out images.

    Raises:
        NaqshError: there is no run, or it kept no such weights.
    """
    return Run(packed.folder(path), weights)


def train(
    recipe: str | Recipe,
    *,
    out: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    epochs: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    data_home: Path | str | None = None,
    tracking: str | None = None,
    quiet: bool = False,
) -> Run:
    """Train a recipe, or resume an interrupted training of it.

    Args:
        recipe: a recipe's name, the path of its YAML file, or a recipe.
        out: the run folder; ``runs/<recipe>`` by default.
        overrides: hyperparameters to change, by dotted name, for example ``{"method.latent": 32}``.
        epochs: short for the override ``training.epochs``.
        seed: short for the override ``training.seed``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        data_home: where data sets are looked for first.
        tracking: copy the curves to ``tensorboard`` or ``wandb`` as well.
        quiet: show no progress.

    Returns:
        the finished run.

    Raises:
        NaqshError: anything that cannot be done as asked, in one line.
        naqsh.core.errors.Interrupted: a signal came; the same call resumes.
    """
    changes: dict[str, Any] = dict(overrides or {})
    changes |= {} if epochs is None else {"training.epochs": epochs, "training.steps": None}
    changes |= {} if seed is None else {"training.seed": seed}
    made = launch.train(
        recipe,
        out=out,
        overrides=changes,
        device=device,
        data_home=data_home,
        tracking=tracking,
        quiet=quiet,
    )
    return Run(made.folder, recipe=made.recipe)


def compare(
    data: str | None = None,
    *,
    out: Path | str = "runs/compare",
    device: str = "auto",
    data_home: Path | str | None = None,
    language: str = "en",
    quiet: bool = False,
    **plan: Any,
) -> "Compared":
    """Train one recipe of each family under one budget, measure them alike, write one page.

    Args:
        data: the data set's name, a folder or a file; the digits by default.
        out: the comparison's folder; an unfinished one of the same plan is resumed.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        data_home: where data sets are looked for first.
        language: of the page, ``en`` or ``fa``.
        quiet: show no progress.
        plan: what else :class:`naqsh.studies.comparison.Plan` has, such as ``runs`` or
            ``minutes``, one budget of time or several: ``(5, 15, 45)``.

    Raises:
        NaqshError: what is asked for cannot be, which is said before the first step.
    """
    from naqsh.studies import comparison

    return comparison.compare(
        comparison.Plan(data=data, **plan),
        out,
        device=device,
        data_home=data_home,
        language=language,
        quiet=quiet,
    )
