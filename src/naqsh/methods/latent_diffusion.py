r"""Latent diffusion: diffusion of an autoencoder's latents, which are smaller than its images.

A trained autoencoder E, D (``method.autoencoder``, :mod:`naqsh.methods.autoencoder`) is frozen.
What is drowned in noise is

.. math:: x_0 = (E(x) - m) / s,

with mean m and standard deviation s of each channel over training images, taken once before the
first step and kept with the weights. (The released code divides by the deviation of the first
batch, all channels together.) E gives the means of its latents; nothing is drawn. A sample is
:math:`D(s\, x_0 + m)`: one pass of the decoder beside all the steps of the sampler, which see small
images. How it learns and samples, schedules, guidance and all, is
:mod:`naqsh.diffusion.method`.

Labels or captions are told by tokens and cross-attention (:mod:`naqsh.networks.attention`), which
the middle of the U-Net has and every level that attends; with 0 tokens they are told with the time,
as to a model of pixels. What is known of an image is one vector, a class or a caption's embedding;
a linear map, or two with a SiLU between them, makes all tokens of it.

There is no likelihood here: that of a latent is none of its image, for many images share it.

Images are encoded once, by the encoder alone and without gradient, where training keeps what it
gives (`frozen_latents`; 76 ms of one core a step of ldm-mnist), else anew in each batch (104 ms).

References:
    High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022),
    arXiv:2112.10752, sections 3.2 and 3.3, appendix G.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.core.batch import Batch
from naqsh.core.frozen import Frozen
from naqsh.core.spec import Layout, Parent, Shape
from naqsh.diffusion.captioned import Following
from naqsh.diffusion.method import Denoising, DenoisingSpec
from naqsh.diffusion.parameterisation import Parameterisation
from naqsh.diffusion.schedule import AnySchedule, SqrtLinear
from naqsh.methods.autoencoder import Autoencoder
from naqsh.methods.autoencoder import Spec as AutoencoderSpec
from naqsh.networks.captions import require_captions

LEAST = 1e-6
"""A channel of less spread than this is the same in every image, and is left as it is."""


PAPERS = SqrtLinear()
"""The schedule of the released code."""


@dataclass(frozen=True)
class Spec(DenoisingSpec):
    """The hyperparameters of a diffusion model of latents.

    Attributes:
        autoencoder: the run of the autoencoder.
        tokens: that a label or caption is told by, in cross-attention; 0 tells it with the time.
        schedule: how much signal and noise there is at each time.
        parameterisation: what the network is asked for.
        sigma_data: standard deviation of the latents, for ``edm``; they are brought to 1.
        width: channels of the U-Net's first level, at the latents' own side.
        multipliers: the width of each level over `width`, finest first.
    """

    autoencoder: Parent = Parent()
    tokens: int = 4
    schedule: AnySchedule = PAPERS
    parameterisation: Parameterisation = "v"
    sigma_data: float = 1.0
    width: int = 48
    multipliers: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokens < 0:
            raise ValueError(f"tokens must be at least 0, got {self.tokens}")
        if self.weighting == "vlb" or self.variance == "learned":
            raise ValueError(
                "latents have no levels of grey, so no bound to train by; use weighting simple, "
                "noise or min-snr, and variance small or large"
            )

    @property
    def told_by(self) -> int:
        """As many tokens as it says."""
        return self.tokens

    def build(self, layout: Layout) -> "LatentDiffusion":
        """The method on its autoencoder with a fresh network of its own.

        Raises:
            ValueError: no autoencoder of such images, or a condition that these images have not.
        """
        space = space_of(self.autoencoder, layout)
        if self.conditional == "captions":
            return CaptionedLatents(self, layout.shape, space, require_captions(layout).caption)
        classes = len(layout.classes)
        if self.conditional and not classes:
            raise ValueError("a conditional model needs labels, and these images have none")
        return LatentDiffusion(self, layout.shape, space, classes if self.conditional else 0)


def space_of(parent: Parent, layout: Layout) -> Shape:
    """(C, H, W) of the latents of an autoencoder.

    Raises:
        ValueError: no run is named, or one that is no autoencoder of such images.
    """
    if parent.method is None or parent.layout is None:
        raise ValueError("it stands on another run, and none is named")
    if not isinstance(parent.method, AutoencoderSpec):
        raise ValueError(
            f"method.autoencoder is a run of {parent.method.kind}; latent diffusion stands on one "
            "of autoencoder"
        )
    if parent.layout.shape != layout.shape:
        given, wanted = ("x".join(map(str, s)) for s in (layout.shape, parent.layout.shape))
        raise ValueError(
            f"the autoencoder in {parent.run} is of images {wanted}, and these are {given}; give "
            "data.size and data.channels as it has them"
        )
    return parent.method.space(layout.shape)


class InLatents(Denoising):
    """A denoiser whose x0 is what a frozen autoencoder makes of an image; see `stand_on`."""

    mean: Tensor
    deviation: Tensor

    def stand_on(self, parent: Parent) -> None:
        """Take the autoencoder of that run; what its latents are brought to is still to be seen."""
        self.autoencoder = Frozen(parent.build())
        self.register_buffer("mean", torch.zeros(self.space[0], 1, 1))
        self.register_buffer("deviation", torch.ones(self.space[0], 1, 1))

    @property
    def _parent(self) -> Autoencoder:
        parent = self.autoencoder.module
        assert isinstance(parent, Autoencoder)
        return parent

    @torch.no_grad()
    def look_first(self, images: Iterable[Tensor]) -> None:
        """Take mean and deviation of each channel of the latents, over images and places."""
        sums: list[Tensor] = []
        count = 0
        for part in images:
            rows = self.frozen_latents(part).double().transpose(0, 1).flatten(1)
            sums.append(torch.stack([rows.sum(1), rows.square().sum(1)]))
            count += rows.shape[1]
        first, second = torch.stack(sums).sum(0) / count
        spread = (second - first.square()).clamp(min=0).sqrt()
        self.mean.copy_(first.view_as(self.mean))
        self.deviation.copy_(torch.where(spread > LEAST, spread, 1.0).view_as(self.deviation))

    @torch.no_grad()
    def frozen_latents(self, images: Tensor) -> Tensor:
        """The means of the latents of images in [-1, 1], float32 (N, *space), as they are."""
        return self._parent.encode(images)

    @torch.no_grad()
    def clean(self, batch: Batch) -> Tensor:
        """The latents of a batch's images, brought to mean 0 and deviation 1 a channel."""
        latents = batch.latents
        if latents is None:
            latents = self.frozen_latents(batch.images)
        return (latents - self.mean) / self.deviation

    def visible(self, x: Tensor) -> Tensor:
        """What the decoder makes of latents: float32 in [0, 1]."""
        return self._parent.decode(x * self.deviation + self.mean)


class LatentDiffusion(InLatents):
    """A denoiser of an autoencoder's latents, of labels or of nothing."""

    spec: Spec

    def __init__(
        self, spec: Spec, shape: Shape, space: Shape, classes: int, captions: int = 0
    ) -> None:
        super().__init__(spec, shape, space, classes, captions)
        self.stand_on(spec.autoencoder)


class CaptionedLatents(Following, LatentDiffusion):
    """Latent diffusion that is told captions."""
