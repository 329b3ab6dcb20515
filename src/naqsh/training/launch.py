"""Training a recipe into a run folder: what is refused, what it costs, what is written first."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import naqsh
from naqsh import data, recipes
from naqsh.core import world as distributed
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.noise import derive
from naqsh.core.precision import autocast_dtype
from naqsh.core.readable import readable_bytes, readable_size
from naqsh.core.spec import Layout
from naqsh.io import environment
from naqsh.io.files import flat, make_folder, write_json, write_text
from naqsh.io.foreign import plain_name, read_json
from naqsh.io.texts import readable_time
from naqsh.recipes import recipe as recipe_module
from naqsh.recipes.recipe import Recipe
from naqsh.runs import moments, origin, packed
from naqsh.runs.blueprint import blueprint
from naqsh.runs.folder import FORMAT, RunFolder
from naqsh.runs.loading import recipe_of
from naqsh.runs.origin import load as load_data
from naqsh.runs.trained import Trained
from naqsh.training import changes, parents
from naqsh.training.estimate import Estimate, estimate
from naqsh.training.loop import Trainer
from naqsh.training.tracking import Sink
from naqsh.training.tracking import sink as tracking_sink

LARGE = 512
"""Pixels across from which memory is estimated before images are made so large."""


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
) -> Trained:
    """Train a recipe, or resume an interrupted training of it; see :func:`naqsh.api.train`.

    Returns:
        the finished run, for what measures it.
    """
    changes: dict[str, Any] = dict(overrides or {})
    changes |= {} if epochs is None else {"training.epochs": epochs, "training.steps": None}
    changes |= {} if seed is None else {"training.seed": seed}
    wanted = resolve(recipe).override(changes)
    folder = RunFolder(out or Path("runs") / plain_name(wanted.name, "the recipe's name"))
    if packed.is_packed(folder.path):
        raise _is_packed(folder.path)
    with distributed.join(device) as world, contextlib.ExitStack() as held:
        world.leading(lambda: held.enter_context(folder.locked()))
        _train(wanted, folder, world, data_home, tracking, quiet)
    # Of several machines, one that does not see the run's folder has its recipe alone.
    return Trained(folder, recipe=None if folder.exists() else wanted)


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
        raise _is_packed(Path(recipe))
    if RunFolder(recipe).exists():
        file = RunFolder(recipe).recipe
        raise NaqshError(
            f"{recipe} is a run; to train it further: naqsh train {file} --out {recipe}"
        )
    return recipes.by_name(recipe)


def _is_packed(path: Path) -> NaqshError:
    """Why a run in one file is not trained, and what would work."""
    run = packed.folder(path)
    if any(moments.there(run.checkpoint(step)) for step in run.steps()):
        cure = "to train the run further, unpack it and train the folder"
    else:
        cure = f"it has no optimiser state. For a new training: naqsh train {run.recipe} --out NEW"
    return NaqshError(f"{path} is a run in one file, which is not trained further; {cure}")


def _train(
    wanted: Recipe,
    folder: RunFolder,
    world: distributed.World,
    data_home: Path | str | None,
    tracking: str | None,
    quiet: bool,
) -> None:
    found: list[tuple[Recipe, Recipe | None, bool]] = []

    def compared() -> None:
        complete = parents.completed(wanted, recipe_of(folder) if folder.exists() else None)
        found.append((complete, _same_recipe(complete, folder), bool(folder.steps())))

    world.leading(compared)
    # The folder, and the runs that a recipe names, may be seen by the first rank alone.
    wanted, there, resumed = world.gathered(found)[0][0]
    restored = there is not None and not folder.recipe.exists()

    def prepared() -> tuple["data.DataSet", str, Estimate, Method]:
        _refuse_large(wanted, world)
        pictures, place = _images(wanted, there, folder, data_home)
        cost = _estimate(wanted, pictures.layout, world)
        return pictures, place, cost, build(wanted, pictures.layout)

    pictures, place, cost, method = world.together(prepared)
    if len(set(world.gathered(pictures.fingerprint))) > 1:
        raise NaqshError(f"the ranks find different images under {wanted.data.name}")
    sinks: list[Sink] = []
    if tracking:
        about = tracking, folder.path, wanted.name, flat(wanted.to_dict())
        world.leading(lambda: sinks.append(tracking_sink(*about)))
    now = environment.describe(world.device, world.size) | {
        "precision": str(autocast_dtype(wanted.training.precision, world.device)).split(".")[1]
    }
    said: list[str] = []
    if not resumed:
        world.leading(lambda: said.extend(parents.load(wanted, method)))
    notes = changes.of_machine(_environment(folder), now) if world.leads else []
    trainer = Trainer(
        wanted, method, pictures, folder, world, quiet, sinks[0] if sinks else None, notes
    )

    def begin() -> None:
        done = folder.steps()
        if done and done[-1] > trainer.plan.total:
            raise NaqshError(
                f"{folder.path} was trained for {done[-1]} steps already, more than the "
                f"{trainer.plan.total} asked for; give another --out for a shorter run"
            )
        _write_about(wanted, folder, origin.describe(pictures, place, folder), cost, now)

    world.leading(begin)
    if world.leads:
        if restored:
            trainer.display.say(f"{folder.recipe} was gone: the recipe is that of the weights")
        trainer.display.say(
            f"{wanted.name}: {len(pictures):,} images of {pictures.name}, "
            f"{cost.parameters:,} parameters, about {readable_bytes(cost.memory)} of tensors, "
            f"{trainer.plan.total:,} steps on {world.device}"
        )
        for line in said:
            trainer.display.say(line)
    trainer.run()
    trainer.display.say(
        f"done: {folder.path}, {readable_time(trainer.state.seconds)} of training in all"
    )


def _same_recipe(wanted: Recipe, folder: RunFolder) -> Recipe | None:
    """The recipe of the run that the folder holds, if any.

    Refuses other numbers than `wanted` has. A longer training of the same goes on, and so does one
    whose images have another name, if they are the same.
    """
    if not folder.exists():
        if folder.path.is_dir() and any(p.name[0] != "." for p in folder.path.iterdir()):
            raise NaqshError(f"{folder.path} holds other files; give an empty or new --out")
        return None
    steps = folder.steps()
    if steps and not any(moments.there(folder.checkpoint(step)) for step in steps):
        raise NaqshError(
            f"{folder.path} has weights and no optimiser state, as a run that was exported: it "
            "cannot be trained further; give another --out for a new training"
        )
    begun = recipe_of(folder)
    there, here = flat(begun.to_dict()), flat(wanted.to_dict())
    may_differ = {"training.epochs", "training.steps"} | ({"data.name"} if steps else set())
    for key in here | there:
        if key not in may_differ and there.get(key) != here.get(key):
            raise NaqshError(
                f"{folder.path} holds a run with {key} {there.get(key)}, not {here.get(key)}; "
                "give another --out to start a new run"
            )
    return begun


def _images(
    wanted: Recipe, begun: Recipe | None, folder: RunFolder, home: Path | str | None
) -> tuple["data.DataSet", str]:
    """The training images and the name under which they were found, those of `begun` if it is."""
    if begun is None or not folder.steps():
        return load_data(wanted, "train", home), wanted.data.name
    given = wanted.data.name if wanted.data.name != begun.data.name else None
    found = origin.resume(wanted, folder, given, home)
    return found.images, found.recipe.data.name


def check(recipe: Recipe, *, device: str = "auto", data_home: Path | str | None = None) -> Method:
    """What training would refuse before its first step, told long before it.

    Returns:
        the recipe's method on the meta device: it can be asked what it can do, and has no numbers.

    Raises:
        NaqshError: there are no such images, or a network does not fit them or the memory.
    """
    with distributed.join(device) as world:
        _refuse_large(recipe, world)
        images = load_data(recipe, "train", data_home)
        _estimate(recipe, images.layout, world)
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
            raise NaqshError(
                f"{recipe.name} on images of {readable_size(layout.shape)}: {error}"
            ) from error


def _refuse_large(recipe: Recipe, world: distributed.World) -> None:
    """Refuse too large a size before images are brought to it, which takes long and much room."""
    size = recipe.data.size
    if size and size > LARGE:
        _estimate(recipe, Layout((recipe.data.channels or 1, size, size), ("0", "1")), world)


def _estimate(recipe: Recipe, layout: Layout, world: distributed.World) -> Estimate:
    where = f"{recipe.name} on images of {readable_size(layout.shape)}"
    try:
        cost = estimate(recipe, layout, world.size)
    except ValueError as error:
        raise NaqshError(f"{where}: {error}") from error
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


def _write_about(
    recipe: Recipe,
    folder: RunFolder,
    images: Mapping[str, Any],
    cost: Estimate,
    now: Mapping[str, Any],
) -> None:
    # The recipe comes first: it makes the folder a run, which the same command may then go on with.
    history = _history(folder)
    entry = {"recipe": recipe.fingerprint(), **{key: now[key] for key in changes.MACHINE}}
    if not history or {**history[-1], "step": None} != {**entry, "step": None}:
        history.append({"step": (folder.steps() or [0])[-1], **entry})
    write_text(folder.recipe, recipe.to_yaml())
    make_folder(folder.grids)
    make_folder(folder.checkpoints)
    about = {
        "format": FORMAT,
        "naqsh": naqsh.__version__,
        "recipe": recipe.fingerprint(),
        "data": dict(images),
        "parameters": cost.parameters,
        "memory": cost.memory,
        "environment": dict(now),
        "history": history,
    }
    write_json(folder.about, about)
    write_json(folder.networks, cost.to_dict()["networks"])


def _environment(folder: RunFolder) -> Mapping[str, Any]:
    """What a run that goes on was run on before; nothing where it has not begun or does not say."""
    told = read_json(folder.about).get("environment") if _goes_on(folder) else None
    return told if isinstance(told, dict) else {}


def _history(folder: RunFolder) -> list[dict[str, Any]]:
    """From which steps on a run was trained by which recipe and on what, until now."""
    told = read_json(folder.about).get("history") if _goes_on(folder) else None
    return [entry for entry in told if isinstance(entry, dict)] if isinstance(told, list) else []


def _goes_on(folder: RunFolder) -> bool:
    return bool(folder.steps()) and folder.about.exists()
