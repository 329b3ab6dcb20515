r"""Masked autoregressive flows, and their inverse, quick in both directions.

A network gives shift and log-scale of each dimension from those before it, see
:mod:`naqsh.networks.made` and :mod:`naqsh.flows.affine`:

.. math:: z_i = (x_i - \mu_i(x_{<i}))\, e^{-\alpha_i(x_{<i})}, \qquad
   \log \frac{\partial z_i}{\partial x_i} = -\alpha_i .

From x to z it is one pass of the network; from z to x the work of about one, in as many steps as
there are degrees (:mod:`naqsh.flows.inversion`). An inverse autoregressive flow is the same map
turned round: its samples take one pass, its densities the inversion, which is differentiable, so
it can be trained on data too.

References:
    Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017), arXiv:1705.07057.
    Improved Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
    arXiv:1606.04934.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from naqsh.core.progress import Count
from naqsh.flows.affine import Affine
from naqsh.flows.bijection import Bijection
from naqsh.flows.inversion import Sweep
from naqsh.networks.made import MADE


class Autoregressive(Bijection):
    """A masked autoregressive map of D numbers.

    Args:
        features: D.
        hidden: units of each hidden layer of its network.
        affine: the map of one dimension.
        reverse: whether the last dimension comes first.
        context: length of a vector that the map may depend on, 0 for none.
    """

    def __init__(
        self,
        features: int,
        hidden: Sequence[int],
        affine: Affine | None = None,
        reverse: bool = False,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.made = MADE(features, hidden, context)
        self.affine, self.reverse = affine or Affine(), reverse

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z and the logarithms of the Jacobian's factors, each (N, D), in one pass.

        Args:
            x: shape (N, D).
            context: shape (N, K), if the map takes one.
        """
        x = self._ordered(x)
        z, log_det = self.affine.forward(x, self.made(x, context))
        return self._ordered(z), self._ordered(log_det)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The x with ``forward(x)[0] == z``, shape (N, D), in degree order; differentiable."""
        return self.inverse_with_log_det(z, context)[0]

    def inverse_with_log_det(
        self, z: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x and the logarithms of the factors of the inverse's Jacobian, each (N, D)."""
        extra = None if self.made.context is None else self.made.context(context)
        layers = [*self.made.hidden, self.made.output]
        weights = [tensor for layer in layers for tensor in (layer.weight, layer.bias)]
        x, log_det = _Inverse.apply(  # type: ignore[no-untyped-call]
            self.made, self.affine, self._ordered(z), extra, *weights
        )
        return self._ordered(x), self._ordered(log_det)

    def naive_inverse(
        self,
        z: Tensor,
        context: Tensor | None = None,
        progress: Count | None = None,
    ) -> Tensor:
        """The same by D passes, as the paper describes it: each makes one more dimension right.

        Args:
            z: shape (N, D).
            context: shape (N, K), if the map takes one.
            progress: called after each pass how many are done, of how many.
        """
        z, x = self._ordered(z), torch.zeros_like(z)
        for done in range(1, z.shape[1] + 1):
            shift, raw = self.made(x, context).unbind(-1)
            x = self.affine.inverse(z, shift, raw)
            if progress:
                progress(done, z.shape[1])
        return self._ordered(x)

    def _ordered(self, x: Tensor) -> Tensor:
        return x.flip(1) if self.reverse else x


class Inverse(Bijection):
    """An autoregressive map turned round: an inverse autoregressive flow.

    Args:
        inner: the map whose inverse this is.
    """

    def __init__(self, inner: Autoregressive) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z and the logarithms of the Jacobian's factors, each (N, D), in degree order."""
        return self.inner.inverse_with_log_det(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The x with ``forward(x)[0] == z``, shape (N, D), in one pass."""
        return self.inner(z, context)[0]  # type: ignore[no-any-return]


class _Inverse(torch.autograd.Function):
    """x and alpha from z, and their gradients by the triangular solve."""

    @staticmethod
    def forward(
        ctx: Any, made: MADE, affine: Affine, z: Tensor, extra: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        sweep = Sweep(made, affine, z.t().contiguous())
        x = sweep.solve(extra)
        ctx.sweep, ctx.given = sweep, extra is not None
        log_scale = affine.log_scale(sweep.values[-1].view(len(x), 2, -1)[:, 1])
        return x.t().contiguous(), log_scale.t().contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, to_x: Tensor, to_log_scale: Tensor) -> tuple[Tensor | None, ...]:
        sweep: Sweep = ctx.sweep
        to_z, gradients = sweep.pull_back(to_x.t(), to_log_scale.t())
        to_weights = []
        for layer, inputs, gradient in zip(sweep.layers, sweep.values, gradients, strict=False):
            to_weights += layer.gradients(gradient.t(), inputs.t())
        to_extra = gradients[0].t() if ctx.given else None
        return None, None, to_z.t(), to_extra, *to_weights
