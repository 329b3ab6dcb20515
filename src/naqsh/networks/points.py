"""Small networks for points in the plane, which are images of 2 channels and one pixel.

Two hidden layers of ReLU and no normalisation, as in the experiments on a ring of Gaussians, whose
networks have two of 128 tanh.

References:
    Unrolled Generative Adversarial Networks (Metz et al., 2017), arXiv:1611.02163, appendix A.
"""

from collections import OrderedDict

from torch import nn

from naqsh.core.spec import Shape
from naqsh.networks.conditional import Beside, Chain

HIDDEN = 128
"""Units of a hidden layer at width 1."""

EMBEDDING = 16
"""Numbers that stand for a label."""


def are_points(shape: Shape) -> bool:
    """Whether these are points, and no images: they have one pixel."""
    return shape[1:] == (1, 1)


def generator(shape: Shape, latent: int, width: int = 1, classes: int = 0) -> Chain:
    """A generator of points; nothing bounds them.

    Args:
        shape: (C, 1, 1) of the points.
        latent: size of the latent vector.
        width: factor on the units of both hidden layers.
        classes: how many labels it is told, each by an embedding beside the latent; 0 for none.

    Returns:
        latents with shape (N, latent) to points with shape (N, C, 1, 1), mostly in [-1, 1].
    """
    hidden = HIDDEN * width
    layers: dict[str, nn.Module] = {"label": Beside(classes, EMBEDDING)} if classes else {}
    layers |= {
        "linear1": nn.Linear(latent + (EMBEDDING if classes else 0), hidden),
        "relu1": nn.ReLU(inplace=True),
        "linear2": nn.Linear(hidden, hidden),
        "relu2": nn.ReLU(inplace=True),
        "linear3": nn.Linear(hidden, shape[0]),
        "point": nn.Unflatten(1, shape),
    }
    return Chain(layers)


def discriminator(shape: Shape, width: int = 1) -> nn.Sequential:
    """A discriminator of points; a critic is the same network.

    Args:
        shape: (C, 1, 1) of the points.
        width: factor on the units of both hidden layers.

    Returns:
        points with shape (N, C, 1, 1) to logits with shape (N,).
    """
    hidden = HIDDEN * width
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            linear1=nn.Linear(shape[0], hidden),
            relu1=nn.ReLU(inplace=True),
            linear2=nn.Linear(hidden, hidden),
            relu2=nn.ReLU(inplace=True),
            linear3=nn.Linear(hidden, 1),
            score=nn.Flatten(0),
        )
    )
