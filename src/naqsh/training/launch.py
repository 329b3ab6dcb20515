"""Training a recipe into a run folder: a new run, or one that is resumed."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from naqsh import data
from naqsh.captions import encoder as encoders
from naqsh.core import world as distributed
from naqsh.core.abilities import Translates
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.precision import autocast_dtype
from naqsh.core.readable import readable_bytes
from naqsh.io import environment
from naqsh.io.files import flat
from naqsh.io.foreign import plain_name
from naqsh.io.texts import readable_time
from naqsh.recipes.recipe import Recipe
from naqsh.runs import moments, origin, packed
from naqsh.runs.folder import RunFolder
from naqsh.runs.loading import recipe_of
from naqsh.runs.origin import load as load_data
from naqsh.runs.trained import Trained
from naqsh.training import about, building, changes, parents, stages
from naqsh.training.asked import not_trained_further, resolve
from naqsh.training.estimate import Estimate
from naqsh.training.loop import Trainer
from naqsh.training.tracking import Sink
from naqsh.training.tracking import sink as tracking_sink


def train(
    recipe: str | Recipe,
    *,
    out: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    data_home: Path | str | None = None,
    tracking: str | None = None,
    quiet: bool = False,
    shows: bool = True,
) -> Trained:
    """Train a recipe, or resume an interrupted training of it; see :func:`naqsh.api.train`.

    Args:
        shows: whether its stages show anything; a trial of its speed need not.

    Returns:
        the finished run, for what measures it.
    """
    wanted = resolve(recipe).override(overrides or {})
    folder = RunFolder(out or Path("runs") / plain_name(wanted.name, "the recipe's name"))
    if packed.is_packed(folder.path):
        raise not_trained_further(folder.path)
    with distributed.join(device) as world, contextlib.ExitStack() as held:
        world.leading(lambda: held.enter_context(folder.locked()))
        _train(wanted, folder, world, data_home, tracking, quiet, shows)
    # Of several machines, one that does not see the run's folder has its recipe alone.
    return Trained(folder, recipe=None if folder.exists() else wanted)


def _train(
    wanted: Recipe,
    folder: RunFolder,
    world: distributed.World,
    data_home: Path | str | None,
    tracking: str | None,
    quiet: bool,
    shows: bool,
) -> None:
    wanted, there, resumed = _settled(wanted, folder, world)
    restored = there is not None and not folder.recipe.exists()

    def prepared() -> tuple["data.DataSet", str, Estimate, Method, "data.DataSet | None"]:
        building.refuse_large(wanted, world)
        pictures, place = _images(wanted, there, folder, data_home)
        cost = building.estimated(wanted, pictures.layout, world)
        method = building.build(wanted, pictures.layout)
        pictures = pictures if isinstance(method, Translates) else pictures.first_alone()
        test = stages.to_show(wanted, place, method, data_home, pictures.encoder)
        return pictures, place, cost, method, test

    pictures, place, cost, method, shown = world.together(prepared)
    if len(set(world.gathered(pictures.fingerprint))) > 1:
        raise NaqshError(f"the ranks find different images under {wanted.data.name}")
    sinks: list[Sink] = []
    if tracking:
        copied = tracking, folder.path, wanted.name, flat(wanted.to_dict())
        world.leading(lambda: sinks.append(tracking_sink(*copied)))
    now = environment.describe(world.device, world.size) | {
        "precision": str(autocast_dtype(wanted.training.precision, world.device)).split(".")[1]
    }
    said: list[str] = []
    if not resumed:
        world.leading(lambda: said.extend(parents.load(wanted, method)))
    notes = changes.of_machine(about.environment_before(folder), now) if world.leads else []
    sink = sinks[0] if sinks else None
    trainer = Trainer(
        wanted, method, pictures, folder, world, quiet, sink, notes, shown, shows=shows
    )

    def begin() -> None:
        done = folder.steps()
        if done and done[-1] > trainer.plan.total:
            raise NaqshError(
                f"{folder.path} was trained for {done[-1]} steps already, more than the "
                f"{trainer.plan.total} asked for; give another --out for a shorter run"
            )
        about.write(wanted, folder, origin.describe(pictures, place, folder), cost, now)
        if pictures.encoder is not None:
            encoders.write(folder.text, pictures.encoder)

    world.leading(begin)
    if world.leads:
        gone = f"{folder.recipe} was gone: the recipe is that of the weights"
        what = (
            f"{wanted.name}: {_counted(pictures)} images of {pictures.name}, "
            f"{cost.parameters:,} parameters, about {readable_bytes(cost.memory)} of tensors, "
            f"{trainer.plan.total:,} steps on {world.device}"
        )
        for line in (*([gone] if restored else []), what, *said):
            trainer.display.say(line)
    trainer.run()
    trainer.display.say(
        f"done: {folder.path}, {readable_time(trainer.state.seconds)} of training in all"
    )


def _counted(images: "data.DataSet") -> str:
    second = images.second
    return f"{len(images):,}" + ("" if second is None else f" and {len(second):,}")


def _settled(
    wanted: Recipe, folder: RunFolder, world: distributed.World
) -> tuple[Recipe, Recipe | None, bool]:
    """The recipe with all that it leaves open, that of the run in the folder, and if it has steps.

    The folder, and the runs that a recipe names, may be seen by the first rank alone.
    """
    found: list[tuple[Recipe, Recipe | None, bool]] = []

    def compared() -> None:
        complete = parents.completed(wanted, recipe_of(folder) if folder.exists() else None)
        found.append((complete, _same_recipe(complete, folder), bool(folder.steps())))

    world.leading(compared)
    return world.gathered(found)[0][0]


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
        return load_data(wanted, "train", home, parents.encoder(wanted)), wanted.data.name
    given = wanted.data.name if wanted.data.name != begun.data.name else None
    found = origin.resume(wanted, folder, given, home)
    return found.images, found.recipe.data.name
