"""The words that methods and the trainer share: batch, losses, phase, method and capabilities."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.frozen import Frozen
from naqsh.core.optimizers import Optimizer
from naqsh.core.spec import Shape

Losses = dict[str, Tensor]
"""Named scalars, averaged over the batch. ``total`` is minimised; the rest is logged beside it.

What is no average over images but a ratio of two is given as both, with shape (2,): averaged over
ranks, parts and steps, they are divided when a record is written, and left out where that is by 0.
"""


@dataclass(frozen=True)
class Phase:
    """One part of a training step: what is trained, by which loss, how often.

    A step takes as many fresh batches as the largest `repeats` of its phases; the i-th repeat of
    every phase sees the i-th of them.

    Attributes:
        name: what the phase is called in curves, for example ``critic``.
        modules: what it trains, but for what is :class:`~naqsh.core.frozen.Frozen` inside; every
            other parameter stands still meanwhile.
        loss: (batch, step) to named scalars, averaged over the batch.
        optimizer: whose state the trainer keeps, one per phase.
        repeats: how often the phase runs in one step.
        every: the phase runs in every `every`-th step.
        after: called after each update, to clip weights or step a controller.
        survey: for a loss that is no mean over images, but a function of means: the means that it
            needs, of one part of a batch. Where a batch is cut into parts it is called with each of
            them, without gradient, before the first loss.
        trained_by: called once, before the first step, with the optimiser that takes the phase's
            steps, for a loss that looks ahead through them; the trainer alone changes it.
    """

    name: str
    modules: Sequence[nn.Module]
    loss: Callable[[Batch, int], Losses]
    optimizer: Optimizer
    repeats: int = 1
    every: int = 1
    after: Callable[[], None] | None = None
    survey: Callable[[Batch], Tensor] | None = None
    trained_by: Callable[[torch.optim.Optimizer], None] | None = None

    def parameters(self) -> list[nn.Parameter]:
        """What the phase trains, each parameter once."""
        found = {id(p): p for module in self.modules for p in _trained(module)}
        return list(found.values())


def _trained(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of a module but those that are frozen."""
    if isinstance(module, Frozen):
        return
    yield from module.parameters(recurse=False)
    for child in module.children():
        yield from _trained(child)


LogProbOf = Literal["density", "levels", "black and white"]
"""Of what a log-likelihood is: a density of pixels that are real numbers in the value range, a
probability of pixels of 256 levels, or one of pixels that are black or white."""


class Method(nn.Module):
    """Networks with an objective. All it remembers between steps is in its ``state_dict``.

    Attributes:
        shape: (C, H, W) of its images.
        value_range: what images are mapped to before a method sees them.
        log_prob_of: of what its `log_prob` is, if it has one.
        group: images that its losses see as one; what they are given divides by it.
        whole: whether its losses look at a whole batch, so that it may not be cut into parts.
    """

    value_range: tuple[float, float] = (-1.0, 1.0)
    log_prob_of: LogProbOf = "density"
    group: int = 1
    whole: bool = False

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    @property
    def level_width(self) -> float:
        """How far apart neighbouring ones of 256 levels lie in what a density is of.

        Levels reach from one end of the value range to the other, so that there are 255 steps. A
        method whose density is of other numbers, as of dequantised ones, says its own.
        """
        low, high = self.value_range
        return (high - low) / 255

    @abstractmethod
    def phases(self) -> list[Phase]:
        """How the method learns: the phases of one step, in order."""
