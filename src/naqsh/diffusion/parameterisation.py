r"""What a denoiser's network is asked to predict: linear maps between it, images and noise.

At time t a network sees :math:`x_t = \alpha x_0 + \sigma \epsilon` and gives F. What F stands for
is the parameterisation; each is one linear map from :math:`(x_0, \epsilon)` to the target, and one
from :math:`(x_t, F)` back. With :math:`s` the standard deviation of the data and :math:`p =
\alpha^2 s^2 + \sigma^2` the variance of :math:`x_t`:

======== ======================================================= ===================================
kind     target                                                  predicted :math:`x_0`
======== ======================================================= ===================================
epsilon  :math:`\epsilon`                                        :math:`(x_t - \sigma F)/\alpha`
x0       :math:`x_0`                                             :math:`F`
v        :math:`\alpha \epsilon - \sigma x_0`                    :math:`(\alpha x_t - \sigma F) /
                                                                 (\alpha^2 + \sigma^2)`
velocity :math:`\epsilon - x_0`                                  :math:`(x_t - \sigma F) /
                                                                 (\alpha + \sigma)`
score    :math:`-\epsilon/\sigma`                                 :math:`(x_t + \sigma^2 F)/\alpha`
edm      :math:`(\sigma x_0 - \alpha s^2 \epsilon)/(s \sqrt p)`  :math:`(\alpha s^2 x_t + \sigma s
                                                                 \sqrt p\, F)/p`
======== ======================================================= ===================================

The last also divides the network's input by :math:`\sqrt p`.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, section 3.2.
    Progressive Distillation (Salimans and Ho, 2022), arXiv:2202.00512, section 4: v.
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364, table 1.
    Flow Matching for Generative Modeling (Lipman et al., 2023), arXiv:2210.02747, equation 23.
    Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon, 2019),
    arXiv:1907.05600: the score.
    A Connection Between Score Matching and Denoising Autoencoders (Vincent, 2011),
    doi:10.1162/NECO_a_00142.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from naqsh.diffusion.process import spread
from naqsh.diffusion.schedule import Schedule

Parameterisation = Literal["epsilon", "x0", "v", "velocity", "score", "edm"]


@dataclass(frozen=True)
class Form:
    """A parameterisation at some times: every map in it is linear. All have the times' shape.

    Attributes:
        x0: multiplies (x_t, F); the sum is the clean image.
        epsilon: multiplies (x_t, F); the sum is the noise.
        target: multiplies (x_0, epsilon); the sum is what F should be.
        scale: multiplies what the network sees, or None for 1.
    """

    x0: tuple[Tensor, Tensor]
    epsilon: tuple[Tensor, Tensor]
    target: tuple[Tensor, Tensor]
    scale: Tensor | None = None


def form(kind: Parameterisation, alpha: Tensor, sigma: Tensor, sigma_data: float = 0.5) -> Form:
    """The maps of a parameterisation where signal and noise are `alpha` and `sigma`."""
    one, zero = torch.ones_like(alpha), torch.zeros_like(alpha)
    if kind == "epsilon":
        return Form((1 / alpha, -sigma / alpha), (zero, one), (zero, one))
    if kind == "x0":
        return Form((zero, one), (1 / sigma, -alpha / sigma), (one, zero))
    if kind == "v":
        p = alpha**2 + sigma**2
        return Form((alpha / p, -sigma / p), (sigma / p, alpha / p), (-sigma, alpha))
    if kind == "velocity":
        p = alpha + sigma
        return Form((1 / p, -sigma / p), (1 / p, alpha / p), (-one, one))
    if kind == "score":
        return Form((1 / alpha, sigma**2 / alpha), (zero, -sigma), (zero, -1 / sigma))
    s = sigma_data
    p = alpha**2 * s**2 + sigma**2
    root = p.sqrt()
    return Form(
        (alpha * s**2 / p, sigma * s / root),
        (sigma / p, -alpha * s / root),
        (sigma / (s * root), -alpha * s / root),
        1 / root,
    )


@lru_cache(maxsize=4096)
def form_once(kind: Parameterisation, schedule: Schedule, t: float, sigma_data: float) -> Form:
    """The maps at one time, which samplers come back to for every batch."""
    return form(kind, *schedule(t), sigma_data)


def combine(factors: tuple[Tensor, Tensor], first: Tensor, second: Tensor) -> Tensor:
    """The sum of two images, each multiplied by its factor, one for all or one for each."""
    return spread(factors[0], first) * first + spread(factors[1], second) * second
