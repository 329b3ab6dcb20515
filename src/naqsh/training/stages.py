"""What is shown and measured while a run goes on: when, and how.

A stage is the end of the first, the middle and the last epoch: a grid from latents that never
change, and how each phase's weights are spread. At the end of every epoch the held-out images are
scored.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naqsh.captions.encoder import TextEncoder
from naqsh.core.abilities import FollowsCaptions, Samples, Shows, Translates, Validates
from naqsh.core.method import Method, Phase
from naqsh.core.noise import Noise, derive
from naqsh.core.thinning import evenly
from naqsh.data import DataSet, points
from naqsh.data.holdout import NoTestSplit
from naqsh.io import png as pictures
from naqsh.io.scatter import save_scatter
from naqsh.recipes.recipe import Recipe, Training
from naqsh.runs.folder import RunFolder
from naqsh.runs.origin import load as load_data
from naqsh.runs.plane import below
from naqsh.training import captioned, message
from naqsh.training.astray import look
from naqsh.training.log import apart, divided
from naqsh.training.rows import fixed

GRID = 100
"""Images in a stage's grid."""

POINTS = 2000
"""Samples in a stage's scatter plot."""

SHOWN = 10
"""Real images that a method which shows more is given."""


@dataclass(frozen=True)
class Plan:
    """When a run does what, in steps.

    Attributes:
        total: the run's last step.
        stages: after these steps the run shows itself.
        count: images in the data set.
        pictures_per_step: how many of them are seen in a step.
    """

    total: int
    stages: frozenset[int]
    count: int
    pictures_per_step: int

    @property
    def epoch(self) -> float:
        """Steps in an epoch."""
        return self.count / self.pictures_per_step

    @property
    def epochs(self) -> int:
        """Whole epochs of the run."""
        return self.total * self.pictures_per_step // self.count

    def ends_epoch(self, step: int) -> bool:
        """Whether the last image of an epoch is seen in `step` (from 1)."""
        seen = step * self.pictures_per_step
        return seen // self.count > (seen - self.pictures_per_step) // self.count


def plan(training: Training, count: int, pictures_per_step: int) -> Plan:
    """The plan for `count` images, `pictures_per_step` of which are seen in a step."""
    total = training.steps or max(1, math.ceil(training.epochs * count / pictures_per_step))
    epochs = total * pictures_per_step // count
    if epochs > 2:
        # Divided in whole numbers, upwards: the step in which these images have all been seen.
        first, middle = (-(-e * count // pictures_per_step) for e in (1, (epochs + 1) // 2))
        shown = (first, middle, total)
    else:
        shown = (-(-total // 3), -(-2 * total // 3), total)
    return Plan(total, frozenset(shown), count, pictures_per_step)


def to_show(
    recipe: Recipe,
    place: str,
    method: Method,
    home: Path | str | None,
    encoder: TextEncoder | None = None,
) -> DataSet | None:
    """The test images, for what translates or follows captions: training images say little of it.

    Args:
        recipe: what is trained.
        place: under which name its images were found.
        method: the recipe's.
        home: where named sets are looked for first.
        encoder: of captions, if there is one.

    Returns:
        None where there is no test split, and for other methods.
    """
    if not isinstance(method, Translates | FollowsCaptions):
        return None
    here = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, name=place))
    try:
        return load_data(here, "test", home, encoder)
    except NoTestSplit:
        return None


@torch.no_grad()
def show(
    method: Method,
    phases: Sequence[Phase],
    real: DataSet,
    shown: DataSet,
    folder: RunFolder,
    step: int,
    caption: str,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """Draw the grid of a stage and describe the weights; returns the stage's record.

    Args:
        real: the training images, which samples are compared with.
        shown: those that are given to a method which shows more than samples.
    """
    record: dict[str, Any] = {"weights": histograms(phases)}
    method.eval()
    if isinstance(method, Samples) and real.extent:
        drawn = method.sample(Noise(derive(seed, "grid"), POINTS, device=device))
        samples = points.coordinates(drawn.float().cpu().numpy(), real.extent)
        save_scatter(folder.grid(step), samples, real.extent, below(real), caption)
        record |= {"grid": folder.grid(step).name}
    elif isinstance(method, Samples):
        images = method.sample(Noise(derive(seed, "grid"), GRID, device=device))
        pixels = pictures.to_pixels(images.float().cpu().numpy())
        pictures.save_grid(folder.grid(step), pixels, caption)
        record |= {"grid": folder.grid(step).name, "nearness": look(pixels, real.images)}
    if isinstance(method, Translates):
        record["message"] = message.look(method, shown, seed, device)
    if isinstance(method, Shows) and not real.extent:  # strips of points would be blank squares
        record["shown"] = _shown(method, shown, folder, step, seed, device)
    if isinstance(method, FollowsCaptions):
        record["captions"] = captioned.show(method, shown, folder, step, seed, device)
    return record


def _shown(
    method: Shows, real: DataSet, folder: RunFolder, step: int, seed: int, device: torch.device
) -> dict[str, str]:
    """Draw what a method shows beside samples; returns the files' names."""
    assert isinstance(method, Method)
    rows = evenly(len(real), SHOWN)
    noise = Noise(derive(seed, "show"), len(rows), device=device)
    batch = fixed(real, rows, method.value_range, noise)
    files = {}
    for name, (pictures_of_it, columns) in method.show(batch).items():
        file = folder.grid(step).with_stem(f"{folder.grid(step).stem}-{name}")
        pixels = pictures.to_pixels(pictures_of_it.float().cpu().numpy())
        pictures.save_grid(file, pixels, columns=columns)
        files[name] = file.name
    return files


@torch.no_grad()
def validate(
    method: Method, data: DataSet, batch: int, seed: int, device: torch.device
) -> dict[str, float]:
    """The losses on held-out images, with the same noise each time."""
    assert isinstance(method, Validates)
    method.eval()
    sums: dict[str, Tensor] = {}
    for first in range(0, len(data), batch):
        part = slice(first, first + batch)
        count = min(batch, len(data) - first)
        noise = Noise(derive(seed, "validation"), count, first, device)
        seen = fixed(data, part, method.value_range, noise)
        for name, value in method.validation(seen).items():
            share = value * (count / len(data))
            sums[name] = sums[name] + share if name in sums else share
    named = {n: v for name, value in sums.items() for n, v in apart(name, value).items()}
    return divided({f"validation.{name}": float(value) for name, value in named.items()})


def histograms(phases: Sequence[Phase]) -> dict[str, dict[str, list[float]]]:
    """For each phase, how its weights (not its biases) are spread over 61 bins."""
    result = {}
    for phase in phases:
        weights = [
            parameter.detach().flatten().float().cpu()
            for parameter in phase.parameters()
            if parameter.dim() > 1
        ]
        counts, edges = np.histogram(torch.cat(weights).numpy(), bins=61)
        result[phase.name] = {"edges": edges.tolist(), "counts": counts.astype(float).tolist()}
    return result


def gradient_norms(phase: Phase) -> dict[str, Tensor]:
    """The norm of each weight's gradient, on the device: do they vanish or explode?"""
    named = [
        (name, parameter.grad)
        for module in phase.modules
        for name, parameter in module.named_parameters()
        if parameter.dim() > 1 and parameter.grad is not None
    ]
    norms = torch._foreach_norm([gradient for _, gradient in named])
    return {f"gradient/{name}": norm for (name, _), norm in zip(named, norms, strict=True)}
