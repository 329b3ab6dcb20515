r"""Penalties on the critic's gradient with respect to the images that it scores.

A Wasserstein critic must be 1-Lipschitz. Its weights are clipped, or its penalty is :math:`E
(\lVert \nabla_{\hat x} D(\hat x) \rVert_2 - 1)^2` at uniform interpolates :math:`\hat x = x +
u\,(G(z) - x)`, :math:`u \sim U(0, 1)` one an image.

Of other critics the gradient itself is drawn to 0, where the images are: :math:`R_1 = \tfrac12 E
\lVert \nabla_x D(x) \rVert_2^2` on real images and :math:`R_2` the same on generated ones. With
these a GAN near its equilibrium comes to rest there instead of circling about it.

References:
    Which Training Methods for GANs do actually Converge? (Mescheder et al., 2018),
    arXiv:1801.04406, equations 9 and 10.
    Wasserstein GAN (Arjovsky et al., 2017), arXiv:1701.07875, algorithm 1: clipping.
    Improved Training of Wasserstein GANs (Gulrajani et al., 2017), arXiv:1704.00028, algorithm 1.
"""

import torch
from torch import Tensor, nn


def interpolates(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Points on the lines from real images to fakes.

    Args:
        real: images with shape (N, C, H, W).
        fake: as many, one for each.
        share: how far along, in [0, 1] with shape (N, 1, 1, 1).

    Returns:
        shape of `real`, with a graph of its own that begins here.
    """
    return torch.lerp(real, fake.to(real), share).requires_grad_()


def gradients(scores: Tensor, images: Tensor) -> Tensor:
    """The gradient of each image's score, shape (N, D): a penalty of it reaches the weights.

    Args:
        scores: of the images, shape (N,); each depends on its own image alone.
        images: that they were computed from, with shape (N, ...), which require gradients.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.flatten(1)


def lipschitz(norms: Tensor) -> Tensor:
    """How far the norms of gradients, shape (N,), are from 1: the mean of squares."""
    return (norms - 1).square().mean()


def zero_centred(gradient: Tensor) -> Tensor:
    """R1 or R2, half the mean square of the norms of gradients with shape (N, D)."""
    return gradient.square().sum(1).mean() / 2


@torch.no_grad()
def clip(critic: nn.Module, bound: float) -> None:
    """Bring each of a critic's weights to [-bound, bound], in place."""
    weights: list[Tensor] = list(critic.parameters())
    torch._foreach_clamp_min_(weights, -bound)
    torch._foreach_clamp_max_(weights, bound)
