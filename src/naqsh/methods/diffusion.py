r"""Diffusion models: one network that sees the image in a noisy one, trained in one phase.

How it learns and samples is in :mod:`naqsh.diffusion.method`; here x0 is the image itself, which
adds latents by DDIM's inverse, and likelihoods. DDPM, improved DDPM, EDM and flow matching differ
in the schedule, in what the network is asked for, and in weights; all samplers take any of them.
With DDPM's hyperparameters the loss is

.. math:: L_{simple} = E_{t, x_0, \epsilon} \lVert \epsilon - \epsilon_\theta(x_t, t) \rVert^2 / D,

t even over 1..T.

Labels or captions make it conditional. In training one is replaced by "none" now and then, so that
the same network also knows images of any class, and sampling can go from the one past the other,
:math:`\hat\epsilon = \epsilon_\varnothing + g\,(\epsilon_c - \epsilon_\varnothing)`.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, equations 4, 14.
    Denoising Diffusion Implicit Models (Song et al., 2021), arXiv:2010.02502, section 4.3: latents.
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598, equation 6.
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364. Flow Matching for Generative Modeling (Lipman et al., 2023), arXiv:2210.02747.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.core.abilities import BoundParts, LogProbKind
from naqsh.core.batch import Batch
from naqsh.core.method import LogProbOf
from naqsh.core.noise import Noise
from naqsh.core.progress import Count
from naqsh.core.spec import Layout
from naqsh.diffusion import strips
from naqsh.diffusion.bound import bound
from naqsh.diffusion.captioned import Following
from naqsh.diffusion.likelihood import log_likelihood
from naqsh.diffusion.method import STRIP, Denoising, DenoisingSpec
from naqsh.diffusion.partial_bound import partial_bound
from naqsh.diffusion.samplers import Ddim
from naqsh.networks.captions import require_captions


@dataclass(frozen=True)
class Spec(DenoisingSpec):
    """The hyperparameters of a diffusion model of pixels."""

    def build(self, layout: Layout) -> Denoising:
        """The method with a fresh network; classes or captions are used where it is conditional.

        Of points it has no likelihood: its bounds are of levels, and points have none.
        """
        if self.conditional == "captions":
            caption = require_captions(layout).caption
            return CaptionedDiffusion(self, layout.shape, layout.shape, caption)
        classes = len(layout.classes)
        if self.conditional and not classes:
            raise ValueError("a conditional model needs labels, and these images have none")
        kind = Denoising if layout.extent else Diffusion
        return kind(self, layout.shape, layout.shape, classes if self.conditional else 0)


class Diffusion(Denoising):
    """Diffusion of pixels: latents and likelihoods beside samples."""

    clips = True
    log_prob_kind: LogProbKind = "lower bound"
    log_prob_of: LogProbOf = "levels"

    @property
    def _ddim(self) -> Ddim:
        """The sampler of latents."""
        return Ddim(self.spec.steps, clip=True)

    def encode(self, images: Tensor) -> Tensor:
        """The noise from which DDIM makes these images, shape of `images`, which is its range."""
        return self._ddim.invert(self.denoiser, images)

    def decode(self, codes: Tensor) -> Tensor:
        """What DDIM makes of noise with shape (N, C, H, W): float32 in [0, 1] of that shape."""
        noise = Noise(0, len(codes), device=codes.device)  # not drawn from: the start is given
        return self.visible(self._ddim(self.denoiser, noise, self.space, start=codes))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images to noise and back, float32 in [0, 1]."""
        return self.decode(self.encode(images))

    def log_prob(self, images: Tensor, noise: Noise, evaluations: int = 20) -> Tensor:
        """A random lower bound of each image's log-probability in nats, shape (N,).

        Args:
            images: of 256 grey levels in [-1, 1] with shape (N, C, H, W).
            noise: of these N images.
            evaluations: of the network for each, no more than there are levels of noise. The step
                into the image is always among them; the more there are, the less chance is in the
                sum of the others.
        """
        evaluations = min(evaluations, self.spec.schedule.levels or evaluations)
        return partial_bound(self.denoiser, images, noise, evaluations=evaluations)

    def bound(self, images: Tensor, noise: Noise, progress: Count | None = None) -> BoundParts:
        """Every term of the whole bound, in bits a number.

        A conditional model is asked without labels or captions.
        """
        return bound(self.denoiser, images, noise, progress=progress)

    def flow_log_prob(self, images: Tensor, noise: Noise, progress: Count | None = None) -> Tensor:
        """The probability-flow equation's estimate of log-probabilities in nats, shape (N,).

        Noise evenly spread over a level's width is added, so that a level's probability is the
        density's mean over it; the log of one draw is below the log of the mean, on average.

        Args:
            images: of 256 grey levels in [-1, 1] with shape (N, C, H, W).
            noise: of these N images.
            progress: called after each step.
        """
        width = 2 / 255
        spread = (noise.uniform(*images.shape[1:]).to(images) - 0.5) * width
        densities = log_likelihood(self.denoiser, images + spread, noise, progress=progress)
        return densities + images[0].numel() * math.log(width)

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """Film strips: a jump and a walk into noise, ways out of it, and between latents.

        ``forward`` has one image by jumps q(x_t | x_0), each with the same noise, and below it by
        a walk q(x_t | x_s), each step with fresh noise; ``reverse`` is that of
        :meth:`Denoising.show`; ``interpolation`` goes from one real image to another through their
        latents.
        """
        images, noise = batch.images, batch.noise
        codes = self.encode(images[[0, 1, -2, -1]])
        ways = [strips.between(codes[i], codes[3 - i], STRIP) for i in range(2)]
        into = strips.forward(self.spec.schedule, images[:1], noise.part(0, 1), STRIP)
        return {
            "forward": (self.visible(into), STRIP),
            **super().show(batch),
            "interpolation": (self.decode(torch.cat(ways)), STRIP),
        }


class CaptionedDiffusion(Following, Diffusion):
    """Diffusion of pixels that is told captions."""
