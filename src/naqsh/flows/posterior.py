r"""Inverse autoregressive flow as a posterior: latents that depend on one another, in a few passes.

Beginning with :math:`z_0 \sim \mathcal N(\mu, \operatorname{diag} \sigma^2)`, each step is an
autoregressive map that also sees what the encoder tells of the picture, h:

.. math:: z_t = (z_{t-1} - m_t(z_{t-1}, h))\, e^{-\alpha_t(z_{t-1}, h)}, \qquad
   \log q(z_T \mid x) = \log q(z_0 \mid x) + \sum_t \sum_i \alpha_{t,i},

with :math:`m_{t,i}, \alpha_{t,i}` of the latents before the i-th; the order turns from step to
step. Samples and their densities take one pass of every step: nothing has to be undone.

The paper's step, :math:`\sigma z + (1 - \sigma) m` with a sigmoid's :math:`\sigma`, is of the same
form. Ours has a bounded log-scale (:mod:`naqsh.flows.affine`) and begins near the identity.

References:
    Improved Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
    arXiv:1606.04934, algorithm 1 and equation 11.
"""

import torch
from torch import Tensor, nn

from naqsh.core.precision import full_precision
from naqsh.flows.autoregressive import Autoregressive


class InverseAutoregressive(nn.Module):
    """The steps.

    Args:
        latent: number of latents.
        steps: T.
        hidden: units of both hidden layers of a step, and numbers in h.
    """

    def __init__(self, latent: int, steps: int, hidden: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            Autoregressive(latent, (hidden, hidden), reverse=number % 2 == 1, context=hidden)
            for number in range(steps)
        )

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Latents of the posterior and the logarithms of the factors of their Jacobian.

        Args:
            z: what the normal distribution gave, shape (N, latent).
            context: h, shape (N, hidden).

        Returns:
            both with shape (N, latent), in float32 under autocast too.
        """
        total = torch.zeros_like(z)
        with full_precision(z):
            for step in self.steps:
                z, log_factors = step(z, context)
                total = total + log_factors
        return z, total
