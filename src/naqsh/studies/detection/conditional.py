r"""A flow of vectors that knows where each lies, by couplings that keep a code of the place.

Row and column of a place are told by sines and cosines; the code is appended to the vector, every
coupling sees it and none changes it, so that :math:`p(x \mid c)` needs no layer of its own.

References:
    CFLOW-AD (Gudovskiy et al., 2022), arXiv:2107.12571, section 4.2.
    Attention Is All You Need (Vaswani et al., 2017), arXiv:1706.03762, section 3.5: the code.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from naqsh.flows.bijection import Bijection
from naqsh.flows.coupling import Coupling, dense_conditioner
from naqsh.flows.method import Chain

CODE = 32
"""Numbers that say where a place is: half for its row, half for its column."""

COUPLINGS = 6
HIDDEN = 128


def place_codes(height: int, width: int) -> Tensor:
    """Sines and cosines of row and column at wavelengths from 2 pi to 2,000 pi: (h * w, CODE)."""
    quarter = CODE // 4
    rates = torch.exp(-math.log(1000.0) * torch.arange(quarter) / max(quarter - 1, 1))
    codes = []
    for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"):
        angles = axis.reshape(-1, 1) * rates
        codes += [angles.sin(), angles.cos()]
    return torch.cat(codes, dim=1)


class ConditionalFlow(nn.Module):
    """Affine couplings of random halves, conditioned on a code that they keep and never change.

    Args:
        dimensions: D, of a vector, at least 2.
        code: numbers of a code.
        couplings: how many; two of them change everything once.
        hidden: units of each of the two hidden layers of a coupling's network.
    """

    def __init__(
        self, dimensions: int, code: int, couplings: int = COUPLINGS, hidden: int = HIDDEN
    ) -> None:
        super().__init__()
        self.dimensions, self.width = dimensions, dimensions + code
        codes = torch.arange(dimensions, dimensions + code)
        layers: list[Bijection] = []
        for number in range(couplings):
            if number % 2 == 0:
                halves = torch.randperm(dimensions).tensor_split(2)
            kept, changed = halves if number % 2 == 0 else halves[::-1]
            network = dense_conditioner(len(kept) + code, 2 * len(changed), hidden, depth=2)
            layers.append(Coupling(torch.cat([kept, codes]), changed, network, affine=True))
        self.chain = Chain(layers)

    def everything(self) -> dict[str, Tensor]:
        """Parameters and buffers, also those that say which half each coupling changes."""
        named = [*self.named_parameters(), *self.named_buffers()]
        return {name: tensor.detach().contiguous() for name, tensor in named}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take what :meth:`everything` gave; ValueError where couplings lead out of a vector."""
        with torch.no_grad():
            for name, tensor in self.everything().items():
                given = tensors[name]
                places = not tensor.is_floating_point()
                if places and not 0 <= given.min() <= given.max() < self.width:
                    raise ValueError("a flow whose couplings name numbers that are not there")
                tensor.copy_(given)

    def forward(self, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Towards the normal: z, shape (N, D), and the log-determinant, shape (N,)."""
        z, log_factors = self.chain.normalise(torch.cat([x, code], dim=1))
        return z[:, : self.dimensions], log_factors.sum(1)

    def inverse(self, z: Tensor, code: Tensor) -> Tensor:
        """Away from the normal, shape (N, D)."""
        x: Tensor = self.chain(torch.cat([z, code], dim=1))[:, : self.dimensions]
        return x

    def log_prob(self, x: Tensor, code: Tensor) -> Tensor:
        """Nats of each vector given its code, shape (N,)."""
        z, log_det = self(x, code)
        normal = z.square().sum(1) / 2 + z.shape[1] * math.log(2 * math.pi) / 2
        log_density: Tensor = log_det - normal
        return log_density
