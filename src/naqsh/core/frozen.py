"""A part of a method that is used and never trained, such as the run that a method stands on."""

from typing import Any

from torch import nn


class Frozen(nn.Module):
    """Holds a network or method as it is: in evaluation mode whatever is asked, without gradients.

    Gradients flow through it to what it is given, not into it. Phases train nothing of it, and the
    average of a method's weights shares it instead of copying it.

    Args:
        module: what is kept; its buffers stay as they are, too.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.requires_grad_()
        self.train()

    def train(self, mode: bool = True) -> "Frozen":
        """Stay in evaluation mode."""
        super().train(False)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> "Frozen":
        """Stay without gradients."""
        super().requires_grad_(False)
        return self

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module gives."""
        return self.module(*inputs, **options)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Frozen":
        memo[id(self)] = self
        return self
