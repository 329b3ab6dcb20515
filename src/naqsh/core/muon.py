r"""Muon: matrices by momentum whose singular values are made alike, all else by Adam.

With the gradient G of a matrix W of m rows and n columns,

.. math:: M \leftarrow \beta M + (1 - \beta) G, \qquad U = \beta M + (1 - \beta) G, \qquad
   W \leftarrow (1 - \eta\lambda) W - 0.2\, \eta \sqrt{\max(m, n)}\; O(U),

where O makes all singular values of U about 1 by five steps of

.. math:: X \leftarrow a X + (b A + c A^2) X, \qquad A = X X^\top,
   \qquad (a, b, c) = (3.4445, -4.7750, 2.0315),

from U over its Frobenius norm: what a gradient says rarely is heard as well as what it says often.
The factor :math:`0.2\sqrt{\max(m, n)}` makes an update as large as Adam's are, so that both go by
one rate.

A convolution of I channels to O is a matrix of O rows and one column for each channel and place.
X is P X of the first X with a polynomial P of A, and so is the next A: the steps are taken with
square matrices of min(m, n) rows, and the long one is multiplied twice. In float32 the small
eigenvalues of A that rounding loses do not matter: there P hardly depends on them.

What has one dimension, or fewer than eight rows or columns, as a layer into or out of an image, is
left to Adam.

References:
    Muon: An optimizer for hidden layers in neural networks (Jordan et al., 2024),
    kellerjordan.github.io/posts/muon.
    Muon is Scalable for LLM Training (Liu et al., 2025), arXiv:2502.16982, equation 4: the factor.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

STEPS = 5
A, B, C = 3.4445, -4.7750, 2.0315
LEAST = 8
"""Rows and columns of what is taken as a matrix."""


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon takes a parameter as a matrix."""
    rows = len(parameter) if parameter.dim() > 1 else 0
    return rows >= LEAST and parameter.numel() // rows >= LEAST


def orthogonalised(x: Tensor) -> Tensor:
    """Matrices with shape (K, m, n) with their singular vectors, and values between 0.68 and 1.21.

    The smallest stay smaller: five steps bring a value up to 3.4445^5 = 485 times as far.
    """
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp_min(1e-7)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    gram = x @ x.mT
    whole = _factor(gram)
    factor = whole
    for _ in range(STEPS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        whole = factor @ whole
    x = whole @ x
    return x.mT if tall else x


def _factor(gram: Tensor) -> Tensor:
    """a I + b A + c A^2."""
    factor = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
    factor.diagonal(dim1=1, dim2=2).add_(A)
    return factor


class Muon(torch.optim.AdamW):
    """The optimiser; of a matrix it keeps ``exp_avg`` and ``step``, which AdamW looks for.

    Args:
        parameters: what it trains.
        lr: learning rate.
        momentum: decay a step of the average of a matrix's gradient.
        betas: Adam's, for the rest.
        weight_decay: part of each weight that is taken off a step, times the learning rate.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        super().__init__(parameters, lr, betas, weight_decay=weight_decay, fused=True)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None and is_matrix(parameter):
                    rows = len(parameter)
                    alike[rows, parameter.numel() // rows].append(parameter)
            for size, matrices in alike.items():
                self._update(matrices, size, group["lr"], group["weight_decay"])
                for parameter in matrices:
                    parameter.grad = None  # so that Adam leaves it
        return super().step(closure)

    def _update(
        self, matrices: list[Tensor], size: tuple[int, int], rate: float, decay: float
    ) -> None:
        """Update matrices of one size; a layer's operations cost more than their arithmetic."""
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        for matrix in matrices:
            if not self.state[matrix]:
                counted = torch.zeros((), device=matrix.device)
                self.state[matrix] |= {"step": counted, "exp_avg": torch.zeros_like(matrix)}
        torch._foreach_add_([self.state[matrix]["step"] for matrix in matrices], 1)
        means = [self.state[matrix]["exp_avg"] for matrix in matrices]
        torch._foreach_lerp_(means, gradients, 1 - self.momentum)
        ahead = torch._foreach_lerp(gradients, means, self.momentum)
        made = orthogonalised(torch.stack([one.reshape(size) for one in ahead]))
        if decay:
            torch._foreach_mul_(matrices, 1 - rate * decay)
        updates = [one.reshape_as(matrix) for one, matrix in zip(made, matrices, strict=True)]
        torch._foreach_add_(matrices, updates, alpha=-0.2 * rate * math.sqrt(max(size)))
