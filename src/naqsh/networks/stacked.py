"""Networks of one form side by side, as one network."""

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap


class Stacked(nn.Module):
    """Several networks of one form as one: rows go through them in turn.

    Its parameters are theirs, each with a new first axis, so that an optimiser which works number
    by number trains every network as it would alone. What is computed of the rows outside of it,
    gradients with respect to them included, is as of any network. Since it is each network's turn
    again after `count` rows, two batches below each other are what one is, and so are their halves.

    Args:
        networks: of one form, which tensors enter and leave with the same number of rows or with
            an equal part of it, and which keep no buffers.

    Raises:
        ValueError: there are buffers, as of batch or spectral normalisation.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        parameters, buffers = stack_module_state(list(networks))
        if buffers:
            raise ValueError(f"networks with buffers are not stacked: {', '.join(buffers)}")
        self.names, self.count = list(parameters), len(networks)
        self.weights = nn.ParameterList([nn.Parameter(w.detach()) for w in parameters.values()])
        # In a list, so that its own weights, which are never used, are no parameters of this one.
        self._form = [copy.deepcopy(networks[0]).to("meta")]

    def forward(self, rows: Tensor) -> Tensor:
        """Rows with shape (N * count, ...): row r goes through the network r mod count."""

        def one(weights: dict[str, Tensor], rows: Tensor) -> Tensor:
            result: Tensor = functional_call(self._form[0], weights, (rows,))
            return result

        weights = dict(zip(self.names, self.weights, strict=True))
        results: Tensor = vmap(one, (0, 1), 1)(weights, rows.unflatten(0, (-1, self.count)))
        return results.flatten(0, 1)

    def weights_of(self, number: int) -> dict[str, Tensor]:
        """The weights of one of the networks, by their names in it."""
        return {n: w[number] for n, w in zip(self.names, self.weights, strict=True)}
