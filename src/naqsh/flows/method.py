r"""What every flow does with images: learn by likelihood, sample, encode, say what is unlikely.

An image is dequantised to a vector y (:mod:`naqsh.flows.dequantise`) and goes through bijections
to z, where the base density is the standard normal:

.. math:: \log p(x) = \sum_i \left[ \log \mathcal N(z_i; 0, 1) + \sum_k \ell_{ki} \right],

with the logarithms :math:`\ell_{ki}` of the factors of each layer's Jacobian determinant, that of
dequantisation among them. The term of each i is a pixel's share; with an autoregressive flow of one
layer it is the conditional :math:`\log p(x_i \mid x_{<i})` itself.

All is computed in float32 whatever precision is asked for: a layer that is undone must have been
computed as it is undone, and weights that are read once a step gain nothing from bfloat16.

References:
    Normalizing Flows for Probabilistic Modeling and Inference (Papamakarios et al., 2021),
    arXiv:1912.02762, equations 3 to 7.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from naqsh.core.abilities import LogProbKind
from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Optimizer
from naqsh.core.precision import full_precision
from naqsh.core.spec import Shape
from naqsh.core.ways import ways
from naqsh.flows.autoregressive import Autoregressive
from naqsh.flows.bijection import Bijection
from naqsh.flows.dequantise import LEVELS, Dequantise, bits_per_dimension
from naqsh.flows.points import Scaled

Sampler = Literal["fast", "naive"]


class Chain(nn.Module):
    """Bijections one after the other; called, it makes vectors from latents.

    Args:
        layers: from the images to the latents.
    """

    def __init__(self, layers: Sequence[Bijection]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def normalise(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (N, D) to latents and the logarithms of the Jacobian's factors, (N, D) both."""
        log_det = torch.zeros_like(y)
        for layer in self.layers:
            y, term = layer(y)
            log_det = log_det + term
        return y, log_det

    def forward(self, z: Tensor, sampler: Sampler = "fast") -> Tensor:
        """Latents to vectors, (N, D) both; ``naive`` undoes autoregressive layers in D passes."""
        for layer in reversed(self.layers):
            assert isinstance(layer, Bijection)
            if sampler == "naive" and isinstance(layer, Autoregressive):
                z = layer.naive_inverse(z)
            else:
                z = layer.inverse(z)
        return z


def normal_terms(z: Tensor, log_det: Tensor) -> Tensor:
    """The share of each dimension in a log-density whose latents `z` are standard normal, (N, D).

    Args:
        z: shape (N, D).
        log_det: the logarithms of the Jacobian's factors, shape (N, D).
    """
    return log_det - (z.square() + math.log(2 * math.pi)) / 2


class FlowMethod(Method):
    """Dequantisation, bijections and a normal base density, trained by maximum likelihood.

    Args:
        shape: (C, H, W) of the images.
        layers: bijections of C*H*W numbers, from the images to the latents.
        logit: how far from 0 and 1 the logit of dequantised values keeps, None for no logit.
        optimizer: how all layers are trained.
        extent: of points, which are not dequantised (:mod:`naqsh.flows.points`); 0 for images.
    """

    value_range = (0.0, 1.0)
    log_prob_kind: LogProbKind = "exact"

    def __init__(
        self,
        shape: Shape,
        layers: Sequence[Bijection],
        logit: float | None,
        optimizer: Optimizer,
        extent: float = 0.0,
    ) -> None:
        super().__init__(shape)
        self.dequantise = Scaled(shape, extent) if extent else Dequantise(shape, logit)
        self.chain, self.extent = Chain(layers), extent
        self.dimensions, self.optimizer = math.prod(shape), optimizer

    @property
    def level_width(self) -> float:
        """Of dequantised values each level has a bin; of coordinates there are no levels."""
        return 1.0 if self.extent else 1 / LEVELS

    def phases(self) -> list[Phase]:
        """The one phase."""
        return [Phase("flow", [self.chain], self.losses, self.optimizer)]

    def losses(self, batch: Batch, step: int) -> Losses:
        """The negative log-likelihood in nats, and the same in bits a dimension."""
        log_prob = self.log_prob(batch.images, batch.noise).mean()
        bits = bits_per_dimension(log_prob, self.dimensions, self.level_width)
        return {"total": -log_prob, "bits": bits}

    def validation(self, batch: Batch) -> Losses:
        """The same as in training."""
        return self.losses(batch, 0)

    def log_prob(self, images: Tensor, noise: Noise) -> Tensor:
        """The exact log-density of each dequantised image in nats, shape (N,).

        Args:
            images: whole levels in [0, 1] with shape (N, C, H, W); or points, (N, 2, 1, 1), whose
                density is with respect to coordinates.
            noise: of these N images; says where in its level's bin a value lies.
        """
        return self._terms(images, noise).sum(1)

    def surprise(self, images: Tensor, noise: Noise) -> Tensor:
        """Each pixel's share of -`log_prob` in nats, summed over channels, shape (N, H, W)."""
        return -self._terms(images, noise).view(-1, *self.shape).sum(1)

    def _terms(self, images: Tensor, noise: Noise) -> Tensor:
        """The share of each dimension in the log-density, shape (N, D)."""
        with full_precision(images):
            y, first = self.dequantise(images, noise)
            z, log_det = self.chain.normalise(y)
            return normal_terms(z, first + log_det)

    @property
    def sampling_network(self) -> nn.Module:
        """All bijections, undone once an image."""
        return self.chain

    def sample(self, noise: Noise, sampler: Sampler = "fast", temperature: float = 1.0) -> Tensor:
        """Images in [0, 1] with shape (N, C, H, W), one for each stream of the noise.

        Args:
            noise: of N images.
            sampler: how autoregressive layers are undone: ``fast`` in degree order, or ``naive``,
                by D passes of the network; the images are the same but for rounding.
            temperature: standard deviation of the latents; below 1 images are more usual.
        """
        return self.decode(temperature * noise.normal(self.dimensions), sampler)

    def encode(self, images: Tensor) -> Tensor:
        """The latents, shape (N, D), of images whose values lie in the middle of their bins."""
        with full_precision(images):
            codes: Tensor = self.chain.normalise(self.dequantise(images, None)[0])[0]
            return codes

    def decode(self, codes: Tensor, sampler: Sampler = "fast") -> Tensor:
        """Images, float32 in [0, 1] with shape (N, C, H, W), of latents with shape (N, D)."""
        with full_precision(codes):
            images: Tensor = self.dequantise.inverse(self.chain(codes, sampler))
            return images

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images there and back: the same up to rounding, whatever they show."""
        return self.decode(self.encode(images))

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """Reconstructions, and ways from one image to another through the latents."""
        images = batch.images
        count = len(images)
        codes = self.encode(images)
        return {
            "reconstructions": (torch.cat([images, self.decode(codes)]), count),
            "interpolation": (self.decode(ways(codes)), count),
        }
