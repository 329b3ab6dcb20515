r"""TarFlow: an autoregressive flow of patches by transformers.

Maps of patches (:mod:`naqsh.flows.patches`) stand one after the other, every other one from the
last patch to the first, with dequantised values in [-1, 1] before them and the standard normal
behind them. The likelihood is exact; with :math:`\alpha_k` the log-scales of map k the loss is

.. math:: -\log p(y) = \sum_i \Bigl[ \tfrac12 z_i^2 + \sum_k \alpha_{ki} \Bigr]
   + \mathrm{const}.

Trained on images with Gaussian noise, :math:`y = x + \sigma \epsilon`, a flow is smooth between
them, and its samples have that noise on them; the score takes it off again (Tweedie's formula),

.. math:: \hat x = y + \sigma^2\, \nabla_y \log p(y).

A likelihood is always that of dequantised images without the noise, so that it stands beside those
of other flows; what sigma costs of it, it shows.

Without the noise it is a better density and a worse sampler. Labels make it conditional; what is
unlikely is asked without them. Guidance makes samples clearer, with labels and without
(:mod:`naqsh.flows.patches`); what is drawn then is no longer what the likelihood is of.

References:
    Normalizing Flows are Capable Generative Models (Zhai et al., 2024), arXiv:2412.06329:
    equations 6 to 9; sections 3.3 to 3.5: noise, denoising, guidance.
    Tweedie's Formula and Selection Bias (Efron, 2011), doi:10.1198/jasa.2011.tm11181.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from naqsh.core.batch import Batch
from naqsh.core.labels import Labels
from naqsh.core.method import Losses
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.precision import full_precision
from naqsh.core.spec import Layout, MethodSpec, later
from naqsh.diffusion.guidance import drop
from naqsh.flows.affine import Affine
from naqsh.flows.bijection import Bijection
from naqsh.flows.dequantise import bits_per_dimension
from naqsh.flows.method import Chain, FlowMethod, Sampler, normal_terms
from naqsh.flows.patches import Patches

ROWS = 64
"""Images that are denoised at once: all that the flow computes of them is kept for the gradient."""


@dataclass(frozen=True)
class Spec(MethodSpec):
    """Hyperparameters of an autoregressive flow of patches.

    Attributes:
        patch: side of a patch in pixels.
        blocks: number of maps.
        layers: of the transformer of each.
        width: numbers of a token inside it.
        heads: of each attention.
        bound: largest size of the log-scale of a map.
        noise: standard deviation of the noise on training images, for values in [-1, 1]; 0 for
            none beside dequantisation.
        conditional: whether the maps are conditioned on labels, so that a class can be asked for.
        label_dropout: how often a label is hidden in training, for guidance and likelihood.
        guidance: of samples unless another is asked for; 1 is none.
        optimizer: how all of it is trained.
    """

    patch: int = 4
    blocks: int = 4
    layers: int = 2
    width: int = 64
    heads: int = 4
    bound: float = 3.0
    noise: float = 0.1
    conditional: bool = False
    label_dropout: float = 0.1
    guidance: float = later(1.0)
    optimizer: Optimizer = Adam(lr=2e-3, betas=(0.9, 0.95))

    def __post_init__(self) -> None:
        if min(self.patch, self.blocks, self.layers, self.width, self.heads) < 1:
            raise ValueError("patch, blocks, layers, width and heads must be at least 1")
        if self.noise < 0 or self.bound <= 0:
            raise ValueError("noise must be at least 0, and bound above 0")
        if not 0 <= self.label_dropout < 1:
            raise ValueError(f"label_dropout must lie in [0, 1), got {self.label_dropout}")

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, blocks=2, layers=1, width=16, heads=2)

    def build(self, layout: Layout) -> "TarFlow":
        """The method with fresh networks; classes are used where it is conditional."""
        classes = len(layout.classes) if self.conditional else 0
        if self.conditional and not classes:
            raise ValueError("a conditional model needs labels, and these images have none")
        sizes = self.patch, self.width, self.layers, self.heads
        maps = [
            Patches(layout.shape, *sizes, Affine(self.bound), number % 2 == 1, classes)
            for number in range(self.blocks)
        ]
        return TarFlow(self, layout, classes, [Centre(), *maps])


class Centre(Bijection):
    """Values in [0, 1] to values in [-1, 1]."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """2 x - 1 and log 2 for each number, (N, D) both."""
        return 2 * x - 1, torch.full_like(x, math.log(2))

    def inverse(self, z: Tensor) -> Tensor:
        """(z + 1) / 2."""
        return (z + 1) / 2


class Told(Chain):
    """Bijections of which some take labels."""

    def normalise(self, y: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Vectors (N, D) to latents and the logarithms of the Jacobian's factors, (N, D) both."""
        log_det = torch.zeros_like(y)
        for layer in self.layers:
            y, term = layer(y, labels) if isinstance(layer, Patches) else layer(y)
            log_det = log_det + term
        return y, log_det

    def forward(
        self,
        z: Tensor,
        sampler: Sampler = "fast",
        labels: Tensor | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """Latents to vectors, (N, D) both; ``naive`` runs whole networks for every patch."""
        for layer in reversed(self.layers):
            if isinstance(layer, Patches):
                z = layer.inverse(z, labels, guidance, naive=sampler == "naive")
            else:
                assert isinstance(layer, Bijection)
                z = layer.inverse(z)
        return z


class TarFlow(FlowMethod):
    """Dequantisation, maps of patches and a normal base density.

    Args:
        spec: its hyperparameters.
        layout: of the images.
        classes: how many labels the maps are conditioned on; 0 for none.
        layers: from the images to the latents.
    """

    def __init__(
        self, spec: Spec, layout: Layout, classes: int, layers: Sequence[Bijection]
    ) -> None:
        super().__init__(layout.shape, layers, None, spec.optimizer)
        self.chain: Told = Told(layers)
        self.spec, self.classes, self.labels = spec, classes, Labels(classes)

    def count_labels(self, counts: Sequence[int]) -> None:
        """From now on labels are drawn as often as they occur in `counts`, one for each class."""
        self.labels.count(counts, next(self.parameters()).device)

    def losses(self, batch: Batch, step: int) -> Losses:
        """The negative log-likelihood of noisy images in nats; the same in bits a dimension."""
        return self._losses(batch, self.spec.label_dropout)

    def validation(self, batch: Batch) -> Losses:
        """The same as in training, but that no label is hidden."""
        return self._losses(batch, 0.0)

    def _losses(self, batch: Batch, hidden: float) -> Losses:
        labels = self.labels.of(batch)
        if labels is not None and hidden:
            labels = drop(labels, batch.noise, hidden, self.classes)
        with full_precision(batch.images):
            values, first = self.dequantise(batch.images, batch.noise)
            if self.spec.noise:
                values = values + self._sigma * batch.noise.normal(self.dimensions).to(values)
            log_prob = self._density(values, labels).add(first.sum(1)).mean()
        return {"total": -log_prob, "bits": bits_per_dimension(log_prob, self.dimensions)}

    @property
    def _sigma(self) -> float:
        """The noise on values in [0, 1]."""
        return self.spec.noise / 2

    def _density(self, values: Tensor, labels: Tensor | None) -> Tensor:
        """The log-density of values in [0, 1] with shape (N, D), shape (N,)."""
        z, log_det = self.chain.normalise(values, labels)
        return normal_terms(z, log_det).sum(1)

    def sample(
        self,
        noise: Noise,
        sampler: Sampler = "fast",
        temperature: float = 1.0,
        label: int | None = None,
        guidance: float | None = None,
        denoise: bool = True,
    ) -> Tensor:
        """Images in [0, 1] with shape (N, C, H, W), one for each stream of the noise.

        Args:
            noise: of N images.
            sampler: how maps are undone: ``fast`` keeps what it has seen of the patches before,
                ``naive`` runs the whole network for each patch; the images are the same but for
                rounding.
            temperature: standard deviation of the latents; below 1 images are more usual.
            label: the class of all images; None lets a conditional model draw one for each, as
                often as the training images have it.
            guidance: how far a label's part is exaggerated, or that of clear attention where there
                are no labels; 1 is not at all, at half the cost. None is the recipe's.
            denoise: whether the noise that training images had is taken off.
        """
        guidance = self.spec.guidance if guidance is None else guidance
        codes = temperature * noise.normal(self.dimensions)
        labels = self.labels.draw(noise, label)
        with full_precision(codes):
            values = self.chain(codes, sampler, labels, guidance)
            if denoise and self.spec.noise:
                values = self.denoised(values, labels)
            images: Tensor = self.dequantise.inverse(values)
        return images

    def denoised(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """What is expected under the noise of training.

        Args:
            values: with that noise, in [0, 1] without it, shape (N, D).
            labels: int64 with shape (N,), or None for no class.

        Returns:
            shape (N, D).
        """
        parts = []
        for start in range(0, len(values), ROWS):
            rows = slice(start, start + ROWS)
            # Of tensors that inference mode has made there is no gradient, of copies there is.
            with torch.inference_mode(False), torch.enable_grad():
                some = None if labels is None else labels[rows].clone()
                part = values[rows].clone().requires_grad_()
                (score,) = torch.autograd.grad(self._density(part, some).sum(), part)
            parts.append(part.detach() + self._sigma**2 * score)
        return torch.cat(parts)
