r"""MADE: one network that gives the parameters of every conditional :math:`p(x_i \mid x_{<i})`.

Counting from 0, a hidden unit of degree m sees :math:`x_0, \dots, x_{m-1}` and units of degree at
most m; the parameters of :math:`x_i` see units of degree at most i. So they depend on
:math:`x_{<i}` alone.

Degrees are spread evenly over 1..D - 1 and sorted, also when there are fewer units than inputs.
(Degrees 1, 2, ..., hidden would leave all inputs but the first `hidden` unseen.)

References:
    MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015), arXiv:1502.03509.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from naqsh.networks.activations import RELU, Activation
from naqsh.networks.staircase import StaircaseLinear

GROUPS = 16
"""Into which a layer's rows are packed, at most: 53 % of a masked matrix is stored."""

GROUP_WEIGHTS = 1 << 16
"""A group of fewer weights than this costs more in calls than it saves in arithmetic."""


def even_degrees(units: int, low: int, high: int) -> Tensor:
    """Degrees of `units` units from `low` to `high`, evenly and rising, int64 (units,).

    The last unit has the highest degree, whatever their number, so it sees all that may be seen.
    """
    numbers = torch.arange(1, units + 1, device="cpu") * (high - low + 1)
    return low - 1 + numbers.add(units - 1).div(units, rounding_mode="floor")


def boundaries(degrees: Tensor, features: int, groups: int) -> list[int]:
    """Degrees at which groups begin, from 0 on, and `features` at the end.

    Each group has about as many of the units with the sorted `degrees`, and begins with one.
    """
    chosen = degrees[torch.arange(1, groups, device="cpu") * len(degrees) // groups]
    return [0, *sorted({int(degree) for degree in chosen} - {0}), features]


class MADE(nn.Module):
    """Two numbers for each of D inputs, from the inputs before it.

    Args:
        features: D.
        hidden: units of each hidden layer.
        context: length of a vector that all parameters may depend on, 0 for none.
        degrees: of the units of each hidden layer, rising, if they shall not be spread evenly.
        groups: into which rows are packed; by default what pays for the size.
        activation: of the hidden units.
    """

    def __init__(
        self,
        features: int,
        hidden: Sequence[int],
        context: int = 0,
        degrees: Sequence[Tensor] | None = None,
        groups: int | None = None,
        activation: Activation = RELU,
    ) -> None:
        super().__init__()
        self.activation = activation
        if features < 1 or not hidden or min(hidden) < 1 or context < 0:
            raise ValueError(f"need at least one input and hidden unit, got {features}, {hidden}")
        self.features = features
        if degrees is None:
            # What sees no input is a constant, or a function of the context.
            low = 0 if context or features == 1 else 1
            degrees = [even_degrees(units, low, features - 1) for units in hidden]
        self.degrees = [one.tolist() for one in degrees]
        if groups is None:
            weights = max(features, *hidden) * max(hidden)
            groups = min(GROUPS, max(1, weights // GROUP_WEIGHTS))
        self.starts = boundaries(degrees[0], features, groups)
        columns, below = self.starts, torch.arange(features, device="cpu")
        layers: list[StaircaseLinear] = []
        for one in degrees:
            # Of the inputs as many as the degree says; of units those of no higher degree.
            counts = one if not layers else torch.searchsorted(below, one, right=True)
            rows = torch.searchsorted(one, torch.tensor(self.starts, device="cpu")).tolist()
            layers.append(StaircaseLinear(counts, rows, columns, math.sqrt(2 if layers else 1)))
            columns, below = rows, one
        # Small, so that a flow begins near the identity.
        counts = torch.searchsorted(below, torch.arange(features, device="cpu"), right=True)
        rows = [2 * start for start in self.starts]
        self.output = StaircaseLinear(counts.repeat_interleave(2), rows, columns, 0.01)
        self.hidden = nn.ModuleList(layers)
        self.context = nn.Linear(context, hidden[0], bias=False) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Inputs (N, D) and, where it takes one, a context (N, K) to parameters (N, D, 2)."""
        for number, layer in enumerate(self.hidden):
            x = layer(x)
            if number == 0 and self.context is not None:
                x = x + self.context(context)
            x = self.activation(x)
        parameters: Tensor = self.output(x)
        return parameters.view(len(x), self.features, 2)
