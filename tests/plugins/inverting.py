"""A method that translates, outside of Naqsh: the other domain is the images inverted.

Domain B is the negative of A. Each direction is one number w, x -> w x in the value range [-1, 1],
that learns to be -1 from the images alone. The networks see images whose sides divide by 4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.optimizers import SGD, Optimizer
from naqsh.core.spec import Layout, MethodSpec
from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@dataclass(frozen=True)
class Spec(MethodSpec):
    """The hyperparameters.

    Attributes:
        optimizer: of both numbers.
    """

    optimizer: Optimizer = SGD(lr=0.5)

    def build(self, layout: Layout) -> "Inverting":
        """The method for images of a layout."""
        return Inverting(self, layout)


class Inverting(Method):
    """Two numbers, one a direction."""

    directions = ("B", "A")
    multiple = 4
    least = 4

    def __init__(self, spec: Spec, layout: Layout) -> None:
        super().__init__(layout.shape)
        self.spec = spec
        self.numbers = nn.ModuleDict(
            {name: nn.Linear(1, 1, bias=False) for name in self.directions}
        )
        for part in self.numbers.values():
            nn.init.constant_(part.weight, 0.5)

    def phases(self) -> list[Phase]:
        """One phase: the negative of an image is known."""
        return [Phase("generators", [self.numbers], self.losses, self.spec.optimizer)]

    def losses(self, batch: Batch, step: int) -> Losses:
        """The mean squared difference from the negative, both ways."""
        wrong = [
            (self._made(batch.images, to) + batch.images).square().mean() for to in self.numbers
        ]
        return {"total": torch.stack(wrong).sum()}

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Images of the one domain as images of the other."""
        assert images.shape[2] % self.multiple == images.shape[3] % self.multiple == 0
        return ((self._made(images, to) + 1) / 2).clamp(0, 1)

    def _made(self, images: Tensor, to: str) -> Tensor:
        return self.numbers[to](images[..., None])[..., 0]


@recipe
def inverting_digits() -> Recipe:
    """Digits to their negatives."""
    return Recipe("", Data("digits", second="inverted"), Spec(), Training(steps=40, batch=32))
