"""What a flow of another package is made of here: its affine maps, orders and factors.

:mod:`naqsh.flows.importing` reads them; the formulas stand there.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from naqsh.core.noise import Noise
from naqsh.flows.affine import Affine
from naqsh.flows.bijection import Bijection
from naqsh.flows.method import Chain


class ImportedFlow(Chain):
    """Bijections with a standard normal base density, on vectors of D numbers.

    Attributes:
        features: D.
    """

    def __init__(self, layers: list[Bijection], features: int) -> None:
        super().__init__(layers)
        self.features = features

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-densities in nats, shape (N,), of vectors with shape (N, D)."""
        z, log_det = self.normalise(x)
        return (log_det - (z.square() + math.log(2 * math.pi)) / 2).sum(1)

    def sample(self, noise: Noise) -> Tensor:
        """A vector for each stream of the noise, shape (N, D)."""
        x: Tensor = self(noise.normal(self.features))
        return x


@dataclass(frozen=True)
class _Scaled(Affine):
    """z = x e^s + b: alpha is -s here, b takes the place of mu."""

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = parameters.unbind(-1)
        log_factor = -self.log_scale(raw)
        return x * log_factor.exp() + shift, log_factor

    def inverse(self, z: Tensor, shift: Tensor, raw: Tensor) -> Tensor:
        return (z - shift) * self.log_scale(raw).exp()

    def pull_back(self, to_x: Tensor, to_z: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return -to_z, to_x * x


class ZukoAffine(_Scaled):
    """zuko's soft bound of the log-factor, whose least and largest value `slope` says."""

    def __init__(self, slope: float = 1e-3) -> None:
        super().__init__(bound=-math.log(slope))

    def log_scale(self, raw: Tensor) -> Tensor:
        """Minus s."""
        return -raw / (1 + (raw / self.bound).abs())

    def log_scale_slope(self, log_scale: Tensor) -> Tensor:
        """Its derivative by r."""
        return -(1 - (log_scale / self.bound).abs()).square()


class NflowsAffine(_Scaled):
    """nflows's factor, above 1e-3 and without a bound above."""

    def __init__(self) -> None:
        super().__init__(bound=math.inf)

    def log_scale(self, raw: Tensor) -> Tensor:
        """Minus s."""
        return -(softplus(raw) + 1e-3).log()

    def log_scale_slope(self, log_scale: Tensor) -> Tensor:
        """Its derivative by r."""
        factor = (-log_scale).exp()
        return (1e-3 - factor).expm1() / factor


class Permutation(Bijection):
    """Another order of the dimensions: ``z[:, i] = x[:, order[i]]``."""

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z with no change of volume; shape (N, D)."""
        return x[:, self.order], torch.zeros_like(x)

    def inverse(self, z: Tensor) -> Tensor:
        """The order from before."""
        return z[:, self.order.argsort()]


class Diagonal(Bijection):
    """Each dimension's own factor and shift, ``z = x * factor + shift``; factors above 0."""

    factor: Tensor
    shift: Tensor

    def __init__(self, factor: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and the logarithms of the factors, (N, D) both."""
        return x * self.factor + self.shift, self.factor.log().expand_as(x)

    def inverse(self, z: Tensor) -> Tensor:
        """x again."""
        return (z - self.shift) / self.factor
