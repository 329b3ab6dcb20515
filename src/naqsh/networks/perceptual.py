r"""How far apart two images look to a network that was trained to name what is in images.

Layer by layer features are brought to length 1 at each position and compared there,

.. math:: d(x, y) = \sum_l \frac{1}{H_l W_l} \sum_{h, w}
   \left\lVert \frac{f_l(x)}{\lVert f_l(x) \rVert} - \frac{f_l(y)}{\lVert f_l(y) \rVert}
   \right\rVert^2,

as LPIPS does before its learnt weights. The networks are those whose features images are measured
by: of the small ones all convolutions, of Inception its stem, on images as large as they are. What
they are filled with is not known here.

References:
    The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (Zhang et al., 2018),
    arXiv:1801.03924, equation 1.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from naqsh.networks.classifier import SmallClassifier
from naqsh.networks.inception import Inception
from naqsh.networks.reader import Reader

Eye = Literal["none", "digits", "mnist", "shapes", "inception"]
"""Whose features: those of the same name that images are measured by, or nobody's."""

READER = 4
"""Convolutions of the reader; linear layers come after them, which take one size alone."""


LEAST = {"inception": 19}
"""Pixels across that a network needs at least; its convolutions shrink an image."""


def _trunk(eye: Eye) -> nn.Sequential:
    """The convolutions of a network, by the names that they have in the whole of it."""
    if eye == "shapes":
        return nn.Sequential(*list(Reader({"any": 1}).trunk)[:READER])
    if eye == "inception":
        whole = Inception()
        first = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
        layers = [(name, getattr(whole, name)) for name in first]
        layers.append(("pool", nn.MaxPool2d(3, 2)))
        layers += [(name, getattr(whole, name)) for name in ("Conv2d_3b_1x1", "Conv2d_4a_3x3")]
        return nn.Sequential(OrderedDict(layers))
    return SmallClassifier().trunk


class Perceptual(nn.Module):
    """The distance, of a network with fresh weights.

    Args:
        eye: whose features, not none; the classifiers' are of grey images, the others' of colour.
    """

    def __init__(self, eye: Eye) -> None:
        super().__init__()
        self.channels = 3 if eye in ("shapes", "inception") else 1
        self.trunk = _trunk(eye)

    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Be filled with those of the whole network that this is a part of."""
        named = dict(weights) | {f"trunk.{name}": value for name, value in weights.items()}
        self.load_state_dict({name: named[name] for name in self.state_dict()})

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance of each pair of images in [-1, 1] with shape (N, C, H, W), shape (N,)."""
        x = torch.cat([self._seen(a), self._seen(b)])
        total = torch.zeros(len(a), device=a.device)
        for layer in self.trunk:
            x = layer(x)
            one, other = normalize(x.float(), dim=1, eps=1e-6).chunk(2)
            total = total + (one - other).square().sum(1).mean((1, 2))
        return total

    def _seen(self, images: Tensor) -> Tensor:
        """Images in the network's channels: colour as its mean, grey three times."""
        if images.shape[1] == self.channels:
            return images
        if self.channels == 1:
            return images.mean(1, keepdim=True)
        return images.expand(-1, self.channels, -1, -1)
