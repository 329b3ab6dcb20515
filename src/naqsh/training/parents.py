"""Training that begins with the weights of other runs: a parent's, or those to be fine-tuned.

What a recipe says of them is completed before anything is compared or written; their weights are
read at step 0 alone, and so are those of a network by whose features a method compares images. A
run that is resumed, or opened, needs none of them.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import torch

from naqsh.captions.encoder import TextEncoder
from naqsh.core.abilities import ComparesFeatures
from naqsh.core.errors import NaqshError
from naqsh.core.frozen import Frozen
from naqsh.core.method import Method
from naqsh.core.spec import Parent
from naqsh.io.foreign import sha256
from naqsh.metrics.extractors import weights_of
from naqsh.recipes.recipe import Recipe, Training
from naqsh.runs import loading, tensors
from naqsh.runs.trained import open_trained


def completed(wanted: Recipe, begun: Recipe | None) -> Recipe:
    """The recipe with all that is to be known of the runs that it names.

    Args:
        wanted: as the user gave it.
        begun: of the run in the folder, if one is there: what it names likewise is not looked for.

    Raises:
        NaqshError: a run that is named is not there or has no weights, or none is named.
    """
    method = wanted.method
    for name, parent in named(wanted):
        before = getattr(begun.method, name, None) if begun else None
        if isinstance(before, Parent) and _same_name(parent, before):
            method = dataclasses.replace(method, **{name: before})
            continue
        if not parent.run:
            raise NaqshError(
                f"{wanted.name} stands on another run; give it: --method.{name}.run RUN"
            )
        file = _file(parent.run, parent.weights)
        header, digest = loading.read_header(file), sha256(file)
        if parent.sha256 not in ("", digest):
            raise NaqshError(
                f"the weights in {parent.run} are not those that the recipe names "
                f"(method.{name}.sha256): it was trained further since"
            )
        known = dataclasses.replace(
            parent, sha256=digest, method=header.recipe.method, layout=header.layout
        )
        method = dataclasses.replace(method, **{name: known})
    return dataclasses.replace(wanted, method=method, training=_training(wanted, begun))


def encoder(recipe: Recipe) -> TextEncoder | None:
    """The text encoder of a run that the recipe names, so that both are told captions alike.

    Raises:
        NaqshError: the recipe asks for another kind or size of embeddings than that run's.
    """
    ours = recipe.data
    for _, parent in named(recipe):
        if ours.text == "none" or parent.layout is None or not parent.layout.caption:
            continue
        trained = open_trained(parent.run)
        theirs = trained.recipe.data
        if (theirs.text, theirs.text_size) != (ours.text, ours.text_size):
            raise NaqshError(
                f"{parent.run} was told captions by data.text {theirs.text} and data.text_size "
                f"{theirs.text_size}, and {recipe.name} has {ours.text} and {ours.text_size}: both "
                "need the same"
            )
        if trained.folder.text.exists():
            return trained.encoder
    return None


def load(recipe: Recipe, method: Method) -> list[str]:
    """Fill a fresh method with the weights of the runs that its recipe names.

    Args:
        recipe: completed.
        method: built by it; only what is said is changed.

    Returns:
        a sentence for each of these runs.

    Raises:
        NaqshError: a run has gone or has changed, or nothing of it fits.
    """
    said = []
    if recipe.training.init_from:
        said.append(_initialise(recipe, method))
    for name, parent in named(recipe):
        file = _file(parent.run, parent.weights)
        if sha256(file) != parent.sha256:
            raise NaqshError(f"the weights in {parent.run} changed while they were read; try again")
        frozen = getattr(method, name)
        assert isinstance(frozen, Frozen)
        found, _ = tensors.read(file, frozen.module.state_dict())
        frozen.module.load_state_dict(found)
        said.append(f"it stands on {parent.run}, whose weights are frozen")
    if isinstance(method, ComparesFeatures) and method.features_wanted != "none":
        method.take_features(weights_of(method.features_wanted))
    return said


def named(recipe: Recipe) -> Iterator[tuple[str, Parent]]:
    """The runs that a recipe's method stands on, by the names of their fields."""
    for field in dataclasses.fields(recipe.method):
        value = getattr(recipe.method, field.name)
        if isinstance(value, Parent):
            yield field.name, value


def _same_name(one: Parent, other: Parent) -> bool:
    return (one.run, one.weights) == (other.run, other.weights) and (
        one.sha256 in ("", other.sha256)
    )


def _training(wanted: Recipe, begun: Recipe | None) -> Training:
    training = wanted.training
    if training.init_from is None:
        return training
    before = begun.training if begun else None
    if before and before.init_from == training.init_from:
        return dataclasses.replace(training, init_sha256=before.init_sha256)
    file = _file(training.init_from, "best")
    return dataclasses.replace(training, init_sha256=sha256(file))


def _initialise(recipe: Recipe, method: Method) -> str:
    """Take the weights of equal names and shapes; says which are left fresh."""
    run = recipe.training.init_from
    assert run is not None
    file = _file(run, "best")
    if sha256(file) != recipe.training.init_sha256:
        raise NaqshError(
            f"the weights in {run} are not those that training began with; give --init-from "
            "alone, without init_sha256"
        )
    there, own = tensors.shapes(file), method.state_dict()
    fits = {name: own[name] for name, shape in there.items() if _fits(own, name, shape)}
    if not fits:
        raise NaqshError(f"nothing of {run} fits {recipe.name}: no weight has its name and shape")
    method.load_state_dict(own | tensors.read_some(file, fits))
    fresh = [name for name in own if name not in fits]
    left = f"; left fresh: {', '.join(fresh[:8])}" + (
        f" and {len(fresh) - 8} more" if len(fresh) > 8 else ""
    )
    return f"begins with {len(fits)} of {len(own)} tensors of {run}" + (left if fresh else "")


def _fits(own: dict[str, torch.Tensor], name: str, shape: list[int]) -> bool:
    return name in own and list(own[name].shape) == shape


def _file(run: str, weights: str) -> Path:
    """The file of a run's weights: the best where it kept any and they are asked for."""
    trained = open_trained(run)
    best = weights == "best" and trained.folder.best.exists()
    return trained.folder.best if best else trained.weights_file
