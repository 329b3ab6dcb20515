"""Masked autoregressive flow: densities in one pass, samples in degree order.

Each block is a MADE that shifts and scales every dimension by what those before it say; every other
block goes from the last dimension to the first.

References:
    Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017), arXiv:1705.07057.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from naqsh.core.method import Method
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.flows.affine import Affine
from naqsh.flows.autoregressive import Autoregressive, Inverse
from naqsh.flows.bijection import Bijection
from naqsh.flows.method import FlowMethod
from naqsh.flows.normalise import ActNorm, BatchNormFlow


@dataclass(frozen=True)
class Common(MethodSpec):
    """Hyperparameters that autoregressive flows have in either direction.

    Attributes:
        blocks: number of autoregressive maps.
        hidden: units of each hidden layer of a block's network.
        bound: largest size of the log-scale of a block.
        logit: how far from 0 and 1 the logit of pixel values keeps; None for no logit, which
            points never have.
        normalisation: a layer before each block: ``actnorm`` by the first batch for each colour,
            ``batch`` by each batch for each dimension, as in the paper.
        optimizer: how all of it is trained.
    """

    blocks: int = 7
    hidden: tuple[int, ...] = (512, 512)
    bound: float = 3.0
    logit: float | None = 1e-6
    normalisation: Literal["none", "actnorm", "batch"] = "none"
    optimizer: Optimizer = Adam(lr=1e-4)

    def __post_init__(self) -> None:
        if self.blocks < 1 or not self.hidden or min(self.hidden) < 1:
            raise ValueError("blocks and every number of hidden must be at least 1")
        if self.bound <= 0:
            raise ValueError(f"bound must be above 0, got {self.bound}")

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, blocks=2, hidden=(16, 16))

    def layers(self, shape: Shape, turned: bool) -> list[Bijection]:
        """The blocks for images of `shape`, turned round or not, with what stands before each."""
        dimensions = math.prod(shape)
        layers: list[Bijection] = []
        for number in range(self.blocks):
            if self.normalisation == "actnorm":
                layers.append(ActNorm(shape[0], shape[1] * shape[2]))
            elif self.normalisation == "batch":
                layers.append(BatchNormFlow(dimensions))
            reverse = number % 2 == 1
            block = Autoregressive(dimensions, self.hidden, Affine(self.bound), reverse)
            layers.append(Inverse(block) if turned else block)
        return layers


@dataclass(frozen=True)
class Spec(Common):
    """Hyperparameters of a masked autoregressive flow."""

    def build(self, layout: Layout) -> Method:
        """The method with fresh networks; labels are not used."""
        return FlowMethod(
            layout.shape,
            self.layers(layout.shape, False),
            self.logit,
            self.optimizer,
            layout.extent,
        )
