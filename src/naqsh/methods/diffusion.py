r"""Diffusion models: one network that sees the picture in a noisy one, trained in one phase.

A picture is drowned in noise, :math:`x_t = \alpha_t x_0 + \sigma_t \epsilon`; a U-Net learns to
tell the two apart again (:mod:`naqsh.diffusion.denoiser`); a sampler asks it over and over on the
way from noise to a picture (:mod:`naqsh.diffusion.samplers`). DDPM, improved DDPM, EDM and flow
matching differ in the schedule, in what the network is asked for, and in weights; DDIM and the fast
samplers take any of them. With DDPM's numbers the loss is

.. math:: L_{simple} = E_{t, x_0, \epsilon} \lVert \epsilon - \epsilon_\theta(x_t, t) \rVert^2 / D,

t even over 1..T. The loss says little by itself: nearly all of it is at times where the noise is
easy to see. So it is logged by noise too: ``noise_1`` is the mean over the quarter of the times
with the least noise over signal, ``noise_4`` over that with the most.

Labels make it conditional. In training a label is replaced by "none" now and then, so that the same
network also knows pictures of any class, and sampling can go from the one past the other,
:math:`\hat\epsilon = \epsilon_\varnothing + g\,(\epsilon_c - \epsilon_\varnothing)`.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, equations 4, 14.
    Denoising Diffusion Implicit Models (Song et al., 2021), arXiv:2010.02502, section 4.3: latents.
    Classifier-Free Diffusion Guidance (Ho and Salimans, 2022), arXiv:2207.12598, equation 6.
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364. Flow Matching for Generative Modeling (Lipman et al., 2023), arXiv:2210.02747.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from naqsh.core.abilities import BoundParts, LogProbKind
from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.method import LogProbOf, Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.precision import autocast, autocast_dtype
from naqsh.core.progress import Count
from naqsh.core.spec import Layout, MethodSpec, Precision, Shape
from naqsh.diffusion import strips
from naqsh.diffusion.bound import bound
from naqsh.diffusion.catalogue import SAMPLERS
from naqsh.diffusion.denoiser import Denoiser, Denoises, Parameterisation, Weighting
from naqsh.diffusion.guidance import Guided, drop
from naqsh.diffusion.likelihood import log_likelihood
from naqsh.diffusion.partial_bound import partial_bound
from naqsh.diffusion.quarters import by_noise
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.samplers import ddim, invert
from naqsh.diffusion.schedule import AnySchedule, Linear, Spacing
from naqsh.networks.unet import UNet

SamplerName = Literal["ancestral", "ddim", "euler", "heun", "dpm-solver++"]

PAPERS = Linear()
"""The schedule of DDPM."""

STRIP = 10
"""Pictures in a film strip."""


@dataclass(frozen=True)
class Spec(MethodSpec):
    """The numbers of a diffusion model.

    Attributes:
        schedule: how much signal and noise there is at each time.
        parameterisation: what the network is asked for.
        weighting: how the loss is weighted over time.
        gamma: where the ``min-snr`` weighting cuts.
        variance: which variance the noise of DDPM's reverse steps has.
        sigma_data: standard deviation of pixels in [-1, 1], for ``edm``.
        width: channels of the U-Net's first level.
        multipliers: the width of each level over `width`, finest first.
        blocks: residual blocks a level on the way down.
        attention: sides of the levels with self-attention; the middle always has it.
        heads: heads of each attention.
        dropout: chance of dropping a channel's value in each residual block.
        conditional: whether the network is told labels, so that a class can be asked for.
        label_dropout: how often a label is hidden from the network in training, for guidance.
        sampler: by which images are drawn unless another is asked for.
        steps: how many steps the sampler takes.
        optimizer: how all of it is trained.
    """

    schedule: AnySchedule = PAPERS
    parameterisation: Parameterisation = "epsilon"
    weighting: Weighting = "simple"
    gamma: float = 5.0
    variance: Variance = "large"
    sigma_data: float = field(default=0.5, metadata={"formerly": "data_deviation"})
    width: int = 16
    multipliers: tuple[int, ...] = (1, 2, 6)
    blocks: int = 1
    attention: tuple[int, ...] = ()
    heads: int = 1
    dropout: float = 0.0
    conditional: bool = False
    label_dropout: float = 0.1
    sampler: SamplerName = "dpm-solver++"
    steps: int = 20
    optimizer: Optimizer = Adam(lr=1e-3)

    def __post_init__(self) -> None:
        if min(self.width, self.blocks, self.heads, self.steps, *self.multipliers) < 1:
            raise ValueError("width, multipliers, blocks, heads and steps must be at least 1")
        if not 0 <= self.dropout < 1 or not 0 <= self.label_dropout < 1:
            raise ValueError("dropout and label_dropout must lie in [0, 1)")
        if min(self.gamma, self.sigma_data) <= 0:
            raise ValueError("gamma and sigma_data must be above 0")

    def build(self, layout: Layout) -> "Diffusion":
        """The method with a fresh network; classes are used where it is conditional."""
        classes = len(layout.classes)
        if self.conditional and not classes:
            raise ValueError("a conditional model needs labels, and these pictures have none")
        return Diffusion(self, layout.shape, classes if self.conditional else 0)


class Diffusion(Method):
    """A denoiser around a U-Net, trained in one phase; samplers make pictures with it."""

    label_ends: Tensor | None
    log_prob_kind: LogProbKind = "lower bound"
    log_prob_of: LogProbOf = "levels"

    def __init__(self, spec: Spec, shape: Shape, classes: int) -> None:
        super().__init__(shape)
        self.spec, self.classes = spec, classes
        # Share of the labels up to each; lies in the header of weights, which may be of before.
        self.register_buffer("label_ends", None, persistent=False)
        network = UNet(
            shape,
            spec.width,
            spec.multipliers,
            blocks=spec.blocks,
            attention=spec.attention,
            heads=spec.heads,
            dropout=spec.dropout,
            classes=classes,
            outputs=2 * shape[0] if spec.variance == "learned" else None,
        )
        self.denoiser = Denoiser(
            network,
            spec.schedule,
            parameterisation=spec.parameterisation,
            weighting=spec.weighting,
            gamma=spec.gamma,
            variance=spec.variance,
            sigma_data=spec.sigma_data,
        )

    def phases(self) -> list[Phase]:
        """The one phase."""
        return [Phase("diffusion", [self], self.losses, self.spec.optimizer)]

    def losses(self, batch: Batch, step: int) -> Losses:
        """The weighted loss, and it by quarters of the noise."""
        return self._losses(batch, self.spec.label_dropout)

    def validation(self, batch: Batch) -> Losses:
        """The same on held-out pictures, each at a time of its own that never changes."""
        return self._losses(batch, hidden=0.0)

    def _losses(self, batch: Batch, hidden: float) -> Losses:
        labels = self._seen_labels(batch, hidden)
        losses, t = self.denoiser.loss(batch.images, batch.noise, labels)
        quarters = by_noise(losses.detach(), t, self.spec.schedule)
        return {"total": losses.mean(), **quarters}

    def _seen_labels(self, batch: Batch, hidden: float) -> Tensor | None:
        if not self.classes:
            return None
        assert batch.labels is not None, "Spec.build refuses pictures without labels"
        return drop(batch.labels, batch.noise, hidden, self.classes) if hidden else batch.labels

    @property
    def sampling_network(self) -> nn.Module:
        """The U-Net, evaluated once or twice a step; guidance takes each picture twice."""
        return self.denoiser.network

    def sample(
        self,
        noise: Noise,
        sampler: SamplerName | None = None,
        steps: int | None = None,
        spacing: Spacing | None = None,
        eta: float = 0.0,
        clip: bool = True,
        label: int | None = None,
        guidance: float = 1.0,
        precision: Precision = "float32",
    ) -> Tensor:
        """Pictures in [0, 1] with shape (N, C, H, W), one for each stream of the noise.

        Args:
            noise: of N pictures.
            sampler: by which images are drawn; None is the recipe's.
            steps: how many steps the sampler takes; None is the recipe's.
            spacing: where the steps are; None is the schedule's own.
            eta: DDIM's share of fresh noise, from 0 to 1.
            clip: cut what the network takes for the clean picture to [-1, 1] at each step.
            label: the class of all images; None lets a conditional model draw one for each, as
                often as the training images have it.
            guidance: how far a label's part is exaggerated; 1 is not at all, at half the cost.
            precision: what the network computes in; in bfloat16 rounding makes an image depend a
                little on the batch.
        """
        labels = self._labels(noise, label)
        denoiser: Denoises = self.denoiser
        if guidance != 1:
            if not self.classes:
                raise NaqshError("guidance needs labels; train with --method.conditional true")
            denoiser = Guided(self.denoiser, guidance, self.classes)
        name = sampler or self.spec.sampler
        run = SAMPLERS[name]
        if eta:
            if name != "ddim":
                raise NaqshError(f"eta is DDIM's; leave it out or use sampler ddim, not {name}")
            run = partial(ddim, eta=eta)
        with autocast(autocast_dtype(precision, noise.device), noise.device):
            x = run(
                denoiser,
                noise,
                self.shape,
                steps=self.spec.steps if steps is None else steps,
                spacing=spacing,
                labels=labels,
                clip=clip,
            )
        return visible(x)

    def _labels(self, noise: Noise, label: int | None) -> Tensor | None:
        """The labels to draw pictures of, shape (N,)."""
        if not self.classes:
            if label is not None:
                raise NaqshError("this model knows no labels; train with --method.conditional true")
            return None
        if label is None:
            if self.label_ends is None:
                return noise.integers(self.classes)
            return torch.searchsorted(self.label_ends, noise.uniform().double(), right=True)
        if not 0 <= label < self.classes:
            raise NaqshError(f"label must lie in 0 to {self.classes - 1}, got {label}")
        return torch.full((len(noise),), label, device=noise.device)

    def count_labels(self, counts: Sequence[int]) -> None:
        """From now on labels are drawn as often as they occur in `counts`, one for each class."""
        ends = torch.tensor(counts, dtype=torch.float64).cumsum(0)
        self.label_ends = (ends / ends[-1]).to(next(self.parameters()).device)

    def encode(self, images: Tensor) -> Tensor:
        """The noise from which DDIM makes these pictures, shape of `images`, which is its range."""
        return invert(self.denoiser, images, steps=self.spec.steps, clip=True)

    def decode(self, codes: Tensor) -> Tensor:
        """What DDIM makes of noise with shape (N, C, H, W): float32 in [0, 1] of that shape."""
        noise = Noise(0, len(codes), device=codes.device)  # not drawn from: the start is given
        steps = self.spec.steps
        return visible(ddim(self.denoiser, noise, self.shape, steps=steps, clip=True, start=codes))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pictures to noise and back, float32 in [0, 1]."""
        return self.decode(self.encode(images))

    def log_prob(self, images: Tensor, noise: Noise, evaluations: int = 20) -> Tensor:
        """A random lower bound of each picture's log-probability in nats, shape (N,).

        Args:
            images: of 256 grey levels in [-1, 1] with shape (N, C, H, W).
            noise: of these N pictures.
            evaluations: of the network for each. The step into the picture is always among them;
                the more there are, the less chance is in the sum of the others.
        """
        return partial_bound(self.denoiser, images, noise, evaluations=evaluations)

    def bound(self, images: Tensor, noise: Noise, told: Count | None = None) -> BoundParts:
        """Every term of the whole bound, in bits a number.

        A conditional model is asked without labels.
        """
        return bound(self.denoiser, images, noise, told=told)

    def flow_log_prob(self, images: Tensor, noise: Noise, told: Count | None = None) -> Tensor:
        """The probability-flow equation's estimate of log-probabilities in nats, shape (N,).

        Noise evenly spread over a level's width is added, so that a level's probability is the
        density's mean over it; the log of one draw is below the log of the mean, on average.

        Args:
            images: of 256 grey levels in [-1, 1] with shape (N, C, H, W).
            noise: of these N pictures.
            told: called after each step.
        """
        width = 2 / 255
        spread = (noise.uniform(*images.shape[1:]).to(images) - 0.5) * width
        densities = log_likelihood(self.denoiser, images + spread, noise, told=told)
        return densities + images[0].numel() * math.log(width)

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """Film strips: a jump and a walk into noise, ways out of it, and between latents.

        ``forward`` has one picture by jumps q(x_t | x_0), each with the same noise, and below it by
        a walk q(x_t | x_s), each step with fresh noise. ``reverse`` has two samples on their way,
        and below each the clean picture that is seen at that time. ``interpolation`` goes from one
        real picture to another through their latents.
        """
        images, noise = batch.images, batch.noise
        schedule, sampler = self.spec.schedule, SAMPLERS[self.spec.sampler]
        codes = self.encode(images[[0, 1, -2, -1]])
        ways = [strips.between(codes[i], codes[3 - i], STRIP) for i in range(2)]
        two = noise.part(0, 2)
        labels = self._labels(two, None)
        steps = max(self.spec.steps, STRIP - 1)
        out = strips.reverse(sampler, self.denoiser, two, self.shape, steps, STRIP, labels)
        return {
            "forward": (
                visible(strips.forward(schedule, images[:1], noise.part(0, 1), STRIP)),
                STRIP,
            ),
            "reverse": (visible(out), STRIP),
            "interpolation": (self.decode(torch.cat(ways)), STRIP),
        }


def visible(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] as float32 in [0, 1], cut to it."""
    return x.float().add(1).div(2).clamp(0, 1)
