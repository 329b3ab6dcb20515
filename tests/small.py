"""Recipes, images and trainers so small that a check takes a second."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from naqsh.core.world import World
from naqsh.data import DataSet, points
from naqsh.io.files import write_text
from naqsh.recipes.recipe import Recipe
from naqsh.runs.folder import RunFolder
from naqsh.training.building import build
from naqsh.training.loop import Trainer

CLASSES = ("dark", "bright")
CPU = torch.device("cpu")


def tiny_data(channels: int, count: int = 24) -> DataSet:
    """Bright and dark noisy discs, 16x16."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    row, column = np.mgrid[:16, :16] - 7.5
    disc = (row**2 + column**2 < 30) * (60 + 150 * labels[:, None, None])
    pixels = disc[:, None] + random.integers(0, 40, (count, channels, 16, 16))
    return DataSet.of("discs", pixels.astype(np.uint8), labels, CLASSES)


def tiny_points(count: int = 24) -> DataSet:
    """Points of two Gaussians, one at each side."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    mixture = points.Mixture(((-1.0, 0.0), (1.0, 0.5)), 0.1)
    places = np.array(mixture.means)[labels] + random.normal(0, mixture.sigma, (count, 2))
    stored = points.stored(places, 2.0)
    return DataSet.of("two heaps", stored, labels, ("left", "right"), extent=2.0, mixture=mixture)


def tiny(recipe: Recipe, **changes: object) -> Recipe:
    """The recipe with few steps of small batches and small networks, on images as they are."""
    recipe = dataclasses.replace(recipe, method=recipe.method.tiny())
    small: dict[str, object] = {"training.batch": 8, "training.steps": 6, "training.warmup": 0}
    small["data.crop"] = False  # tiny sets have no larger images to cut them from
    return recipe.override(small | {name.replace("__", "."): v for name, v in changes.items()})


def trainer(recipe: Recipe, data: DataSet, folder: Path) -> Trainer:
    """A trainer on the CPU that writes into `folder`."""
    run = RunFolder(folder)
    run.grids.mkdir(parents=True, exist_ok=True)
    run.checkpoints.mkdir(exist_ok=True)
    write_text(run.recipe, recipe.to_yaml())
    method = build(recipe, data.layout)
    return Trainer(recipe, method, data, run, World(0, 1, CPU), display_quiet=True)


def state(method: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of all that a method remembers."""
    return {name: tensor.clone() for name, tensor in method.state_dict().items()}


def differences(a: dict[str, Tensor], b: dict[str, Tensor]) -> set[str]:
    """The names whose tensors are not equal to the bit."""
    assert a.keys() == b.keys()
    return {name for name in a if not torch.equal(a[name], b[name])}
