"""A method on a parent: what a trained method draws, made brighter by a learnt number."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.frozen import Frozen
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import SGD, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Parent
from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@dataclass(frozen=True)
class Spec(MethodSpec):
    """The hyperparameters.

    Attributes:
        first: the run whose images are shifted.
        optimizer: of the shift.
    """

    first: Parent = Parent()
    optimizer: Optimizer = SGD(lr=0.1)

    def build(self, layout: Layout) -> "Shifted":
        """The method on its parent's."""
        return Shifted(self, layout)


class Shifted(Method):
    """A frozen method and one number."""

    def __init__(self, spec: Spec, layout: Layout) -> None:
        super().__init__(layout.shape)
        self.spec = spec
        self.first = Frozen(spec.first.build())
        self.shift = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.shift.weight)

    def phases(self) -> list[Phase]:
        """One phase that names the frozen part too: nothing of it may change."""
        return [Phase("shift", [self.first, self.shift], self.losses, self.spec.optimizer)]

    def losses(self, batch: Batch, step: int) -> Losses:
        """The mean brightness of images and samples, squared difference."""
        drawn = self.sample(batch.noise)
        return {"total": ((batch.images + 1) / 2 - drawn).mean().square()}

    @property
    def sampling_network(self) -> nn.Module:
        """What is evaluated to make an image."""
        return self.shift

    def sample(self, noise: Noise) -> Tensor:
        """The first method's images, shifted."""
        shift = self.shift(torch.ones(1, 1, device=noise.device))
        return (self.first.module.sample(noise) + shift.view(1, 1, 1, 1)).clamp(0, 1)


@recipe
def shifted_digits() -> Recipe:
    """Shifted images of another run."""
    return Recipe("", Data("digits"), Spec(), Training(steps=6, batch=8, ema=0.9))
