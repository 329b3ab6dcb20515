"""Optimisers as a recipe names them; PyTorch is imported when one is built."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def _not_negative(spec: object, *names: str) -> None:
    for name in names:
        if getattr(spec, name) < 0:
            raise ValueError(f"{name} must be at least 0, got {getattr(spec, name)}")


def _positive(spec: object, *names: str) -> None:
    for name in names:
        if getattr(spec, name) <= 0:
            raise ValueError(f"{name} must be above 0, got {getattr(spec, name)}")


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015), arXiv:1412.6980; weight decay is decoupled, as in AdamW.

    Attributes:
        lr: learning rate.
        betas: decay a step of the averages of the gradient and of its square.
        weight_decay: part of each weight that is taken off a step, times the learning rate.
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "lr")
        _not_negative(self, "weight_decay")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), got {self.betas}")

    @property
    def copies(self) -> int:
        """Values that the optimiser keeps for each weight: the two averages."""
        return 2

    def build(self, parameters: Iterable["Tensor"]) -> "torch.optim.Optimizer":
        """The optimiser over `parameters`; one fused kernel a step on every device."""
        import torch

        return torch.optim.AdamW(
            parameters, lr=self.lr, betas=self.betas, weight_decay=self.weight_decay, fused=True
        )


@dataclass(frozen=True)
class Muon:
    """Matrices by orthogonalised momentum, the rest by Adam: :mod:`naqsh.core.muon`.

    Attributes:
        lr: learning rate.
        momentum: decay a step of the average of a matrix's gradient.
        betas: Adam's, for the rest.
        weight_decay: part of each weight that is taken off a step, times the learning rate.
    """

    lr: float = 1e-2
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "lr")
        _not_negative(self, "weight_decay")
        if not all(0 <= beta < 1 for beta in (self.momentum, *self.betas)):
            raise ValueError(
                f"momentum and betas must lie in [0, 1), got {self.momentum} and {self.betas}"
            )

    @property
    def copies(self) -> int:
        """Values that the optimiser keeps for each weight, at most: of a matrix it is one."""
        return 2

    def build(self, parameters: Iterable["Tensor"]) -> "torch.optim.Optimizer":
        """The optimiser over `parameters`."""
        from naqsh.core import muon

        return muon.Muon(parameters, self.lr, self.momentum, self.betas, self.weight_decay)


@dataclass(frozen=True)
class RMSprop:
    """RMSprop (Tieleman and Hinton, 2012, lecture 6.5 of a Coursera course).

    Attributes:
        lr: learning rate.
        alpha: decay a step of the average of the squared gradient.
    """

    lr: float = 5e-5
    alpha: float = 0.99

    def __post_init__(self) -> None:
        _positive(self, "lr")
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha must lie in [0, 1), got {self.alpha}")

    @property
    def copies(self) -> int:
        """Values that the optimiser keeps for each weight: the average of the square."""
        return 1

    def build(self, parameters: Iterable["Tensor"]) -> "torch.optim.Optimizer":
        """The optimiser over `parameters`."""
        import torch

        return torch.optim.RMSprop(parameters, lr=self.lr, alpha=self.alpha, foreach=True)


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with Nesterov's momentum where `momentum` is not 0.

    Attributes:
        lr: learning rate.
        momentum: part of the last update that is kept; 0 is plain gradient descent.
        weight_decay: part of each weight that is added to its gradient.
    """

    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "lr")
        _not_negative(self, "momentum", "weight_decay")

    @property
    def copies(self) -> int:
        """Values that the optimiser keeps for each weight: the last update, with momentum."""
        return 1 if self.momentum else 0

    def build(self, parameters: Iterable["Tensor"]) -> "torch.optim.Optimizer":
        """The optimiser over `parameters`."""
        import torch

        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            weight_decay=self.weight_decay,
            foreach=True,
        )


Optimizer = Adam | Muon | RMSprop | SGD
