"""The arithmetic of one training step: every phase's losses, gradients and update.

A step's randomness is a function of (seed, step, phase, repeat) and its images are a function of
(seed, position), so nothing is kept here from one step to the next but weights and optimisers.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.method import Method, Phase
from naqsh.core.noise import derive
from naqsh.core.precision import autocast, autocast_dtype
from naqsh.core.world import World
from naqsh.recipes.recipe import Training
from naqsh.training import stages
from naqsh.training.log import Pending
from naqsh.training.optim import lr_factor


class Stream(Protocol):
    """Where updates find what they see; :class:`naqsh.training.rows.Batches` is one."""

    def take(self, phase: str, step: int, repeat: int, part: int) -> Batch:
        """Images and noise for one part of one update."""


class Updates:
    """Takes the steps of one training.

    Args:
        training: how.
        method: what is trained, on the world's device.
        phases: the method's.
        batches: of the training images.
        pending: where losses are noted.
        world: this process among its ranks.
        told: whether this rank is to stop.

    Attributes:
        optimizers: by the phases' names.
        dtype: in which networks multiply.
        stop: above 0 where any rank was told to stop; it comes along with the gradients.
    """

    def __init__(
        self,
        training: Training,
        method: Method,
        phases: Sequence[Phase],
        batches: Stream,
        pending: Pending,
        world: World,
        told: Callable[[], bool],
    ) -> None:
        self.training, self.method, self.phases = training, method, phases
        self.batches, self.pending, self.world, self.told = batches, pending, world, told
        self._trained = [phase.parameters() for phase in phases]
        self._parameters = list(method.parameters())
        self.optimizers = {
            phase.name: phase.optimizer.build(parameters)
            for phase, parameters in zip(phases, self._trained, strict=True)
        }
        for phase in phases:
            if phase.trained_by:
                phase.trained_by(self.optimizers[phase.name])
        self.dtype = autocast_dtype(training.precision, world.device)
        self.stop: Tensor | None = None

    def take(self, step: int, plan: stages.Plan, measured: bool) -> None:
        """One step of a plan: every phase, each as often as it says; `measured`: gradients too."""
        self.method.train()
        # Explicit streams serve all randomness of ours; this one is for layers like dropout.
        torch.manual_seed(derive(self.training.seed, "torch", step, self.world.rank))
        factor = lr_factor(self.training, step, plan.total, plan.epoch)
        for phase, parameters in zip(self.phases, self._trained, strict=True):
            if step % phase.every:
                continue
            for group in self.optimizers[phase.name].param_groups:
                group["lr"] = phase.optimizer.lr * factor
            for parameter in self._parameters:
                parameter.requires_grad = False
            for parameter in parameters:
                parameter.requires_grad = True
            for repeat in range(phase.repeats):
                last = repeat == phase.repeats - 1
                self._update(phase, parameters, step, repeat, measured and last)

    def _update(
        self,
        phase: Phase,
        parameters: Sequence[nn.Parameter],
        step: int,
        repeat: int,
        measured: bool,
    ) -> None:
        parts, optimizer = self.training.accumulate, self.optimizers[phase.name]
        surveyed = self._surveyed(phase, step, repeat)
        for part in range(parts):
            batch = self.batches.take(phase.name, step, repeat, part)
            with autocast(self.dtype, self.world.device):
                losses = phase.loss(replace(batch, surveyed=surveyed), step)
            (losses["total"] / parts).backward()
            self.pending.add(step, phase.name, losses)
        self.stop = self.world.reduce_gradients(parameters, self.told())
        if self.training.clip_norm:
            norm = nn.utils.clip_grad_norm_(parameters, self.training.clip_norm, foreach=True)
            self.pending.add(step, phase.name, {"clipped_norm": norm})
        if measured:
            self.pending.add(step, phase.name, stages.gradient_norms(phase))
        optimizer.step()
        optimizer.zero_grad()
        if phase.after:
            phase.after()

    def _surveyed(self, phase: Phase, step: int, repeat: int) -> Tensor | None:
        """What a loss needs of the whole batch, where it sees one part of it at a time."""
        parts = self.training.accumulate
        if phase.survey is None or parts == 1:
            return None
        found = []
        with torch.no_grad(), autocast(self.dtype, self.world.device):
            for part in range(parts):
                found.append(phase.survey(self.batches.take(phase.name, step, repeat, part)))
        return self.world.mean(torch.stack(found).mean(0))
