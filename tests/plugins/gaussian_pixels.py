"""A whole method outside of Naqsh: each pixel is a Gaussian of its own.

With mean m and standard deviation s of each pixel, learnt by maximum likelihood, the log-density of
an image x is the sum over pixels of -((x - m) / s)^2 / 2 - log s - log(2 pi) / 2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@dataclass(frozen=True)
class Spec(MethodSpec):
    """The hyperparameters.

    Attributes:
        optimizer: of both parameters.
    """

    optimizer: Optimizer = Adam(lr=0.05)

    def build(self, layout: Layout) -> "GaussianPixels":
        """The method for images of a layout."""
        return GaussianPixels(self, layout.shape)


class GaussianPixels(Method):
    """Means and log standard deviations of all pixels."""

    log_prob_kind = "exact"

    def __init__(self, spec: Spec, shape: Shape) -> None:
        super().__init__(shape)
        self.spec = spec
        self.pixels = nn.ParameterDict(
            {"mean": torch.zeros(1, *shape), "log_deviation": torch.zeros(1, *shape)}
        )

    def phases(self) -> list[Phase]:
        """One phase: maximum likelihood."""
        return [Phase("fit", [self.pixels], self.losses, self.spec.optimizer)]

    def losses(self, batch: Batch, step: int) -> Losses:
        """Minus the mean log-density."""
        return {"total": -self.log_prob(batch.images, batch.noise).mean()}

    def log_prob(self, images: Tensor, noise: Noise) -> Tensor:
        """The log-density of each image in nats, shape (N,)."""
        mean, log_deviation = self.pixels["mean"], self.pixels["log_deviation"]
        z = (images - mean) / log_deviation.exp()
        return (-z.square() / 2 - log_deviation - math.log(2 * math.pi) / 2).flatten(1).sum(1)

    @property
    def sampling_network(self) -> nn.Module:
        """What is evaluated to make an image."""
        return self.pixels

    def sample(self, noise: Noise) -> Tensor:
        """One image for each stream of the noise."""
        z = noise.normal(*self.shape)
        x = self.pixels["mean"] + z * self.pixels["log_deviation"].exp()
        return ((x + 1) / 2).clamp(0, 1)


@recipe
def gaussian_pixels_digits() -> Recipe:
    """Independent pixels on the digits."""
    return Recipe("", Data("digits"), Spec(), Training(epochs=10))
