"""Trainings of one recipe under several seeds, in one computation where the networks allow it.

Small networks spend most of a step on what each operation costs whatever its size. Those of several
seeds, stacked, make one operation of as many, so that each costs less. Losses, phases and updates
are the method's and the trainer's own: what is stacked are the networks, the batches and their
noise. A loss is a mean over images, here over those of all seeds, so it is multiplied by their
number, and every network has the gradient that it would have alone, to rounding.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.abilities import Samples
from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise, Noises, derive
from naqsh.core.world import World
from naqsh.data import DataSet
from naqsh.networks.stacked import Stacked
from naqsh.recipes.recipe import Recipe
from naqsh.training import stages
from naqsh.training.building import build
from naqsh.training.ema import Average
from naqsh.training.log import Pending
from naqsh.training.rows import Batches
from naqsh.training.updates import Updates

LOOK_EVERY = 50
"""Steps between two looks at whether all losses are finite."""


class SideBySide:
    """Trainings that differ in their seeds alone, taken through the same steps.

    Args:
        recipes: one for each seed.
        data: what is trained on.
        only: the name of the one phase that is trained; None trains all.

    Attributes:
        step: how many were taken.
    """

    def __init__(self, recipes: Sequence[Recipe], data: DataSet, only: str | None = None) -> None:
        world = World(0, 1, torch.device("cpu"))
        methods = [build(recipe, data.layout) for recipe in recipes]
        self.recipes, self.step = recipes, 0
        self.method = methods[0] if len(methods) == 1 else stacked(methods)
        phases = self.method.phases()
        repeats = max(phase.repeats for phase in phases)
        streams = [Batches(r, data, self.method.value_range, repeats, world) for r in recipes]
        training = recipes[0].training
        self.plan = stages.plan(training, len(data), training.batch * repeats)
        self.average = Average(self.method, training.ema) if training.ema else None
        self.pending = Pending()
        self.phases = {phase.name: _of_all(phase, len(recipes)) for phase in phases}
        self.updates = Updates(
            training,
            self.method,
            [phase for name, phase in self.phases.items() if only in (None, name)],
            streams[0] if len(streams) == 1 else Joined(streams),
            self.pending,
            world,
            lambda: False,
        )

    def advance(self, to: int) -> None:
        """Train until a step; raises NaqshError where a loss is not finite."""
        while self.step < to:
            self.updates.take(self.step, self.plan, False)
            if self.average:
                self.average.update(self.step)
            self.step += 1
            if self.step % LOOK_EVERY == 0 or self.step == to:
                self.pending.check()
                self.pending.take(self.updates.world)

    def gradient_norms(self, name: str) -> list[float]:
        """The norm of the gradient of what a phase trains, of each seed, on its next batch."""
        phase = self.phases[name]
        parameters = [parameter.requires_grad_() for parameter in phase.parameters()]
        loss = phase.loss(self.updates.batches.take(name, self.step, 0, 0), self.step)["total"]
        gradients = torch.autograd.grad(loss, parameters)
        several = len(self.recipes) > 1
        squares = [g.square().flatten(int(several)).sum(-1) for g in gradients]
        norms: list[float] = torch.stack(squares).sum(0).sqrt().reshape(-1).tolist()
        return norms

    def samples(self, count: int) -> NDArray[np.float32]:
        """As many samples of each seed, in [0, 1] with shape (seeds, count, C, H, W).

        Those of another step are of the same latents.
        """
        seeds = [derive(recipe.training.seed, "sample") for recipe in self.recipes]
        noise = [Noise(seed, count) for seed in seeds]
        method = self.average.method if self.average else self.method
        assert isinstance(method, Samples)
        with torch.inference_mode():
            images = method.eval().sample(noise[0] if len(noise) == 1 else Noises(noise))
        drawn = images.float().unflatten(0, (count, len(seeds))).transpose(0, 1)
        found: NDArray[np.float32] = drawn.numpy()
        return found


def stacked(methods: Sequence[Method]) -> Method:
    """One method whose networks are those of several, side by side."""
    whole = copy.deepcopy(methods[0])
    for name, child in methods[0].named_children():
        if next(child.parameters(), None) is None:
            continue  # what is not trained is the same for all
        setattr(whole, name, Stacked([getattr(method, name) for method in methods]))
    return whole


class Joined:
    """The batches of several trainings as one, the first image of each first."""

    def __init__(self, streams: Sequence[Batches]) -> None:
        self.streams = streams

    def take(self, phase: str, step: int, repeat: int, part: int) -> Batch:
        """What each of them sees."""
        taken = [stream.take(phase, step, repeat, part) for stream in self.streams]
        labels = [batch.labels for batch in taken if batch.labels is not None]
        return Batch(
            torch.stack([batch.images for batch in taken], 1).flatten(0, 1),
            torch.stack(labels, 1).flatten() if labels else None,
            Noises([batch.noise for batch in taken]),
        )


def _of_all(phase: Phase, count: int) -> Phase:
    """A phase whose loss is the sum of those of `count` trainings, of which it gives the mean."""
    if count == 1:
        return phase

    def loss(batch: Batch, step: int) -> Losses:
        losses = phase.loss(batch, step)
        total: Tensor = losses["total"] * count
        return {"total": total}

    return replace(phase, loss=loss)
