r"""Conditional VAEs: both networks are told a label or a caption c.

The encoder gives :math:`q(z \mid x, c)` and the decoder :math:`p(x \mid z, c)`; the prior of z is
the same for every c, so z holds what c does not say. The bound is that of
:mod:`naqsh.methods.vae` on :math:`\log p(x \mid c)`.

c is made a vector (:func:`naqsh.networks.conditional.embedding`), which stands beside the latents
and, through one layer more, is added to what the encoder says. In training it is replaced by "none"
now and then, so that images can also be encoded, and be likely, where nothing is told of them.

References:
    Learning Structured Output Representation using Deep Conditional Generative Models (Sohn et al.,
    2015), NeurIPS, equation 4. The prior there depends on c too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.labels import Labels
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout, Shape
from naqsh.diffusion.guidance import drop
from naqsh.methods import vae
from naqsh.networks.captions import Captions, require_captions
from naqsh.networks.conditional import embedding, null, repeated

LENGTH = 128
"""Numbers of the vector that the networks are told."""


@dataclass(frozen=True)
class Spec(vae.Spec):
    """Hyperparameters of a conditional VAE.

    Attributes:
        conditional: what both networks are told.
        label_dropout: how often a label or caption is hidden from them in training.
    """

    conditional: Literal["labels", "captions"] = "labels"
    label_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_dropout < 1:
            raise ValueError("label_dropout must lie in [0, 1)")

    def build(self, layout: Layout) -> "CVAE":
        """The method with fresh networks.

        Raises:
            ValueError: the images have no labels or captions.
        """
        if self.conditional == "captions":
            return Captioned(self, layout.shape, captions=require_captions(layout).caption)
        if not layout.classes:
            raise ValueError("a conditional model needs labels, and these images have none")
        return Labelled(self, layout.shape, classes=len(layout.classes))


class CVAE(vae.BetaVAE):
    """A VAE whose networks are told something of each image.

    Args:
        spec: its hyperparameters.
        shape: (C, H, W) of the images.
        classes: how many labels there are, if it is told labels.
        captions: numbers in the embedding of a caption, if it is told captions.
    """

    asked: Labels | Captions

    def __init__(self, spec: Spec, shape: Shape, classes: int = 0, captions: int = 0) -> None:
        super().__init__(spec, shape, LENGTH)
        self.hidden = spec.label_dropout
        made = embedding(classes, captions, LENGTH)
        assert made is not None, "one of both"
        self.embed = made
        outputs = self.encoder[-1].out_features
        assert isinstance(outputs, int)
        self.beside = nn.Linear(LENGTH, outputs, bias=False)
        self.asked = Captions(captions) if captions else Labels(classes)

    def told(self, batch: Batch, training: bool) -> Tensor:
        """The labels (N,) or captions (N, d) of a batch; of some hidden in training."""
        told = self.asked.of(batch)
        assert told is not None
        if training and self.hidden:
            told = drop(told, batch.noise, self.hidden, null(self.embed))
        return told

    def numbers(self, images: Tensor, told: Tensor | None) -> Tensor:
        """What the encoder gives of images that something is told of, or nothing."""
        given: Tensor = self.encoder(images) + self.beside(self._vectors(told, images))
        return given

    def parameters_of(self, codes: Tensor, told: Tensor | None) -> Tensor:
        """What the decoder gives of latents with which something is told, or nothing."""
        given: Tensor = self.decoder(torch.cat([codes, self._vectors(told, codes)], dim=1))
        return given

    def _vectors(self, told: Tensor | None, beside: Tensor) -> Tensor:
        """The vectors of what is told, shape (N, LENGTH); as many as what they stand beside."""
        if told is None:
            told = repeated(null(self.embed), len(beside), beside.device)
        vectors: Tensor = self.embed(told)
        return vectors


class Labelled(CVAE):
    """A VAE that is told labels."""

    asked: Labels

    def count_labels(self, counts: Sequence[int]) -> None:
        """From now on labels are drawn as often as they occur in `counts`, one for each class."""
        self.asked.count(counts, next(self.parameters()).device)

    def sample(self, noise: Noise, label: int | None = None) -> Tensor:
        """Expected images in [0, 1] with shape (N, C, H, W), one for each stream of the noise.

        Args:
            noise: of N images.
            label: the class of all images; None draws one for each, as often as the training images
                have it.
        """
        return self.decode(noise.normal(self.latent), self.asked.draw(noise, label))


class Captioned(CVAE):
    """A VAE that is told captions."""

    asked: Captions

    def keep_captions(self, captions: Tensor) -> None:
        """From now on samples are of these captions, embeddings with shape (N, d)."""
        self.asked.keep(captions)

    def sample(self, noise: Noise) -> Tensor:
        """Expected images in [0, 1] with shape (N, C, H, W), each of a caption that it draws."""
        return self.follow(noise, self.asked.draw(noise))[0]

    def follow(self, noise: Noise, captions: Tensor) -> tuple[Tensor]:
        """Expected images of captions, embeddings with shape (N, d)."""
        return (self.decode(noise.normal(self.latent), captions),)
