r"""Posteriors of latents: a normal distribution, or an inverse autoregressive flow that follows it.

The normal distribution has independent latents, and its divergence from the prior a closed form,

.. math:: \mathrm{KL}_j = \tfrac12 (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2).

By the flow latents depend on one another. Beginning with
:math:`z_0 \sim \mathcal N(\mu, \operatorname{diag} \sigma^2)`, each step is an autoregressive map
that also sees what the encoder tells of the image, h:

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

from typing import NamedTuple

import torch
from torch import Tensor, nn

from naqsh.core.precision import full_precision
from naqsh.flows.autoregressive import Autoregressive


class Posterior(NamedTuple):
    """What the encoder says of N images, float32.

    Attributes:
        mean: of the latents, shape (N, latent).
        log_variance: of the latents, shape (N, latent).
        context: what else it tells a flow, shape (N, hidden); without a flow (N, 0).
    """

    mean: Tensor
    log_variance: Tensor
    context: Tensor


class Drawn(NamedTuple):
    """One draw of the latents of N images, each with shape (N, latent).

    Attributes:
        z: the latents.
        ratio: the share of each in log p(z) - log q(z|x).
        kl: nats of each: the posterior's divergence where it has a closed form, else -`ratio`.
    """

    z: Tensor
    ratio: Tensor
    kl: Tensor


class InverseAutoregressive(nn.Module):
    """The steps of the flow.

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


def draw(posterior: Posterior, normal: Tensor, flow: InverseAutoregressive | None) -> Drawn:
    """Latents of one draw of the posterior.

    Args:
        posterior: of N images.
        normal: standard normal numbers, shape (N, latent).
        flow: what follows the normal distribution, if anything does.
    """
    z = posterior.mean + (posterior.log_variance / 2).exp() * normal
    log_volume = posterior.log_variance / 2
    if flow is not None:
        z, log_factors = flow(z, posterior.context)
        log_volume = log_volume + log_factors
    # The normalising constants of prior and posterior cancel but for the volume.
    ratio = (normal.square() - z.square()) / 2 + log_volume
    if flow is not None:
        return Drawn(z, ratio, -ratio)
    return Drawn(z, ratio, divergence(posterior.mean, posterior.log_variance))


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, exp(log_variance)) from N(0, 1) in nats; shape of both."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2
