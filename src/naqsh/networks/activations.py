"""Activations whose slope follows from their value: what undoing a network keeps of a unit."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from naqsh.core.errors import one_of


@dataclass(frozen=True)
class Activation:
    """A function of each unit, increasing or constant in pieces.

    Attributes:
        name: PyTorch's, in small letters.
        function: of values before it, any shape.
        slope: its derivative from the values that it gave; a truth value stands for 0 or 1.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """Of `x`, in a new tensor."""
        return self.function(x)

    def in_place(self, x: Tensor) -> Tensor:
        """Of `x`, written over it."""
        return x.relu_() if self.name == "relu" else x.copy_(self.function(x))

    def __reduce__(self) -> tuple[Callable[[str], "Activation"], tuple[str]]:
        """Copied and kept by name: functions cannot be."""
        return by_name, (self.name,)


RELU = Activation("relu", torch.relu, lambda y: y > 0)

_ALL = [
    RELU,
    Activation("elu", functional.elu, lambda y: torch.where(y > 0, 1, y + 1)),
    Activation("leakyrelu", functional.leaky_relu, lambda y: torch.where(y > 0, 1, 0.01)),
    Activation("sigmoid", torch.sigmoid, lambda y: y * (1 - y)),
    Activation("softplus", functional.softplus, lambda y: -torch.expm1(-y)),
    Activation("tanh", torch.tanh, lambda y: 1 - y.square()),
]


def names() -> list[str]:
    """Of all of them."""
    return [one.name for one in _ALL]


def by_name(name: str) -> Activation:
    """The activation of a name like ``ELU``, ``leaky_relu`` or ``tanh``.

    Raises:
        NaqshError: there is none, or it is one (GELU, SiLU) whose slope its value does not tell.
    """
    known = {one.name: one for one in _ALL}
    key = name.lower().replace("_", "")
    if key not in known:
        raise one_of("activation", name, known)
    return known[key]
