"""Small networks for points in the plane, which are images of 2 channels and one pixel.

Two hidden layers of ReLU and no normalisation, as in the experiments on a ring of Gaussians, whose
networks have two of 128 tanh.

References:
    Unrolled Generative Adversarial Networks (Metz et al., 2017), arXiv:1611.02163, appendix A.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from naqsh.core.spec import Shape
from naqsh.networks.conditional import Beside, Chain
from naqsh.networks.embeddings import Sinusoidal

HIDDEN = 128
"""Units of a hidden layer of a generator or discriminator at width 1."""

LAYERS = 3
"""Hidden layers of a denoiser."""

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


class Denoiser(nn.Module):
    """A network that denoises points, called as a U-Net is.

    Three hidden layers, each of which is told the time by its sinusoidal embedding.

    Args:
        shape: (C, 1, 1) of the points.
        width: numbers of the time's embedding, even and at least 4; a layer has 8 `width` units.
        classes: how many labels it is conditioned on; 0 for none.
        outputs: numbers that it gives; as many as it takes by default.

    Attributes:
        null: the label that means "none".
    """

    def __init__(
        self, shape: Shape, width: int = 16, classes: int = 0, outputs: int | None = None
    ) -> None:
        super().__init__()
        hidden = 8 * width
        self.null = classes
        self.embed = nn.Sequential(Sinusoidal(width), nn.Linear(width, hidden), nn.SiLU())
        self.label = nn.Embedding(classes + 1, hidden) if classes else None
        self.first = nn.Linear(shape[0], hidden)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(LAYERS))
        self.times = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(LAYERS))
        self.last = nn.Linear(hidden, outputs or shape[0])

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """One evaluation.

        Args:
            x: noisy points with shape (N, C, 1, 1).
            time: real numbers with shape (N,), best spread over 0 to 1000.
            labels: int64 with shape (N,), `classes` for no class; None where no point has one.

        Returns:
            what the network was trained to tell, shape (N, outputs, 1, 1).
        """
        embedding = self.embed(time)
        if self.label is not None:
            if labels is None:
                labels = torch.full_like(time, self.null, dtype=torch.int64)
            embedding = embedding + self.label(labels)
        h = self.first(x.flatten(1))
        for layer, told in zip(self.layers, self.times, strict=True):
            h = h + layer(silu(h + told(embedding)))
        out: Tensor = self.last(silu(h))
        return out[:, :, None, None]
