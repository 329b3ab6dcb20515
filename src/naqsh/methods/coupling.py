"""Coupling flows: NICE and RealNVP, quick in both directions.

References:
    NICE: Non-linear Independent Components Estimation (Dinh et al., 2015), arXiv:1410.8516.
    Density estimation using Real NVP (Dinh et al., 2017), arXiv:1605.08803.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from naqsh.core.method import Method
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.flows.bijection import Bijection
from naqsh.flows.coupling import Normalisation, convolutional, dense
from naqsh.flows.method import FlowMethod


@dataclass(frozen=True)
class Spec(MethodSpec):
    """Hyperparameters of a coupling flow.

    Attributes:
        coupling: ``additive`` shifts (NICE), ``affine`` scales too (RealNVP).
        network: ``dense`` takes an image as a vector, ``convolutional`` as an image.
        blocks: couplings in all if dense; of each kind of mask on each scale if convolutional.
        hidden: units of a dense conditioner's layers, or channels of a convolutional one.
        depth: layers of a dense conditioner, or residual blocks of a convolutional one.
        scales: how many scales a convolutional flow has; after each but the last, half of the
            numbers are done.
        logit: how far from 0 and 1 the logit of pixel values keeps; None for no logit, which
            points never have.
        normalisation: a layer before each coupling: ``actnorm`` by the first batch, ``batch`` by
            each batch.
        optimizer: how all of it is trained.
    """

    coupling: Literal["additive", "affine"] = "affine"
    network: Literal["dense", "convolutional"] = "convolutional"
    blocks: int = 3
    hidden: int = 64
    depth: int = 2
    scales: int = 2
    logit: float | None = 0.05
    normalisation: Normalisation = "actnorm"
    optimizer: Optimizer = Adam(lr=1e-3)

    def __post_init__(self) -> None:
        if min(self.blocks, self.hidden, self.depth, self.scales) < 1:
            raise ValueError("blocks, hidden, depth and scales must be at least 1")

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, blocks=min(self.blocks, 2), hidden=16, depth=1)

    def layers(self, shape: Shape) -> list[Bijection]:
        """The couplings for images of `shape`, with what stands before each."""
        affine = self.coupling == "affine"
        if self.network == "dense":
            sizes = self.blocks, self.hidden, self.depth
            return dense(math.prod(shape), *sizes, affine, self.normalisation)
        sizes_of_pictures = self.blocks, self.hidden, self.depth, self.scales
        return convolutional(shape, *sizes_of_pictures, affine, self.normalisation)

    def build(self, layout: Layout) -> Method:
        """The method with fresh networks; labels are not used."""
        layers = self.layers(layout.shape)
        return FlowMethod(layout.shape, layers, self.logit, self.optimizer, layout.extent)
