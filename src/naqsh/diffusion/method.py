r"""What every diffusion model does, whatever space it works in: learn to denoise, and sample.

An x0 is drowned in noise, :math:`x_t = \alpha_t x_0 + \sigma_t \epsilon`; a U-Net learns to tell
the two apart again (:mod:`naqsh.diffusion.denoiser`); a sampler asks it over and over on the way
from noise to x0 (:mod:`naqsh.diffusion.samplers`). Here x0 is the image itself; a model of latents
says in :meth:`Denoising.clean` and :meth:`Denoising.visible` how images become its x0 and back. No
likelihood is here, for that of a latent is none of its image.

The loss says little by itself: nearly all of it is at times where the noise is easy to see. So it
is logged by noise too: ``noise_1`` is the mean over the quarter of the times with the least noise
over signal, ``noise_4`` over that with the most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self, cast

from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.labels import Labels
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.precision import autocast, autocast_dtype
from naqsh.core.spec import MethodSpec, Precision, Shape, later
from naqsh.diffusion import strips
from naqsh.diffusion.denoiser import Denoiser, Denoises
from naqsh.diffusion.guidance import Guided, Interval, drop
from naqsh.diffusion.parameterisation import Parameterisation
from naqsh.diffusion.quarters import by_noise, ends
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.samplers import SAMPLERS, Sampler, SamplerName
from naqsh.diffusion.schedule import AnySchedule, Linear
from naqsh.diffusion.weighting import Weighting
from naqsh.networks import points
from naqsh.networks.unet import UNet

PAPERS = Linear()
"""The schedule of DDPM."""

STRIP = 10
"""Images in a film strip."""


@dataclass(frozen=True)
class DenoisingSpec(MethodSpec):
    """The hyperparameters of a diffusion model.

    Attributes:
        schedule: how much signal and noise there is at each time.
        parameterisation: what the network is asked for.
        weighting: how the loss is weighted over time.
        gamma: where the ``min-snr`` weighting cuts.
        importance: whether training draws times as often as they weigh, and counts them alike: the
            same loss by gradients of less variance.
        variance: which variance the noise of DDPM's reverse steps has.
        sigma_data: standard deviation of pixels in [-1, 1], for ``edm``.
        width: channels of the U-Net's first level. Points have an MLP instead, with eight times as
            many units a layer, to which the U-Net's other hyperparameters mean nothing.
        multipliers: the width of each level over `width`, finest first.
        blocks: residual blocks a level on the way down.
        attention: sides of the levels with self-attention; the middle always has it.
        heads: heads of each attention.
        dropout: chance of dropping a channel's value in each residual block.
        places: whether the U-Net learns a map of places, which helps where captions say what
            stands where.
        conditional: whether the network is conditioned on labels, so that a class can be asked for,
            or on captions.
        label_dropout: how often a label or caption is hidden from the network in training, for
            guidance.
        sampler: by which images are drawn unless another is asked for.
        steps: how many steps the sampler takes.
        optimizer: how all of it is trained.
    """

    schedule: AnySchedule = PAPERS
    parameterisation: Parameterisation = "epsilon"
    weighting: Weighting = "simple"
    gamma: float = 5.0
    importance: bool = later(False)
    variance: Variance = "large"
    sigma_data: float = field(default=0.5, metadata={"formerly": "data_deviation"})
    width: int = 16
    multipliers: tuple[int, ...] = (1, 2, 6)
    blocks: int = 1
    attention: tuple[int, ...] = ()
    heads: int = 1
    dropout: float = 0.0
    places: bool = later(False)
    conditional: bool | Literal["captions"] = False
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

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        # The narrowest time embedding has four numbers.
        return replace(self, width=4, multipliers=(1, 2), blocks=1, attention=(), steps=4)

    @property
    def told_by(self) -> int:
        """Tokens that a label or caption is told by in cross-attention; 0 tells it with time."""
        return 0

    def make_network(self, space: Shape, classes: int, captions: int = 0) -> nn.Module:
        """A fresh network that denoises x0 with shape (C, H, W): of points an MLP, else a U-Net.

        Args:
            space: (C, H, W).
            classes: that it is conditioned on; 0 for none.
            captions: numbers in the embeddings that it is conditioned on; 0 for none.
        """
        outputs = 2 * space[0] if self.variance == "learned" else space[0]
        if points.are_points(space):
            return points.Denoiser(space, self.width, classes, outputs)
        return UNet(
            space,
            self.width,
            self.multipliers,
            blocks=self.blocks,
            attention=self.attention,
            heads=self.heads,
            dropout=self.dropout,
            classes=classes,
            outputs=outputs,
            captions=captions,
            tokens=self.told_by,
            places=self.places,
        )

    def samplers(self, clip: bool) -> Mapping[str, Sampler]:
        """Every sampler by its name, as it is set unless it is said otherwise.

        Args:
            clip: whether they cut x0 to [-1, 1].
        """
        return {name: kind(self.steps, clip=clip) for name, kind in SAMPLERS.items()}


class Denoising(Method):
    """A denoiser around a U-Net, trained in one phase; samplers make images with it.

    Args:
        spec: its hyperparameters.
        shape: (C, H, W) of the images.
        space: (C, H, W) of x0.
        classes: how many labels the network is conditioned on; 0 for none.
        captions: numbers in the embeddings of captions that it is conditioned on; 0 for none.
    """

    clips = False
    """Whether samplers cut x0 to [-1, 1] unless it is said otherwise; for spaces that end there."""

    def __init__(
        self, spec: DenoisingSpec, shape: Shape, space: Shape, classes: int, captions: int = 0
    ) -> None:
        super().__init__(shape)
        self.spec, self.space, self.classes = spec, space, classes
        self.is_told = bool(classes or captions)
        self.labels = Labels(classes)
        self.denoiser = Denoiser(
            spec.make_network(space, classes, captions),
            spec.schedule,
            parameterisation=spec.parameterisation,
            weighting=spec.weighting,
            gamma=spec.gamma,
            importance=spec.importance,
            variance=spec.variance,
            sigma_data=spec.sigma_data,
        )

    def clean(self, batch: Batch) -> Tensor:
        """The x0 of a batch's images, shape (N, *space)."""
        return batch.images

    def visible(self, x: Tensor) -> Tensor:
        """The images of x0 with shape (N, *space): float32 in [0, 1], cut to it."""
        return x.float().add(1).div(2).clamp(0, 1)

    def told(self, batch: Batch) -> Tensor | None:
        """What the network is told of a batch: labels (N,), captions (N, d), or nothing."""
        return self.labels.of(batch)

    def drawn(self, noise: Noise) -> Tensor | None:
        """What the network is told of images that nobody asked for, as often as in training."""
        return self.labels.draw(noise, None)

    @property
    def null(self) -> int | Tensor:
        """What the network is told where a label or caption is hidden from it."""
        return cast("int | Tensor", self.denoiser.network.null) if self.is_told else 0

    def phases(self) -> list[Phase]:
        """The one phase."""
        return [Phase("diffusion", [self], self.losses, self.spec.optimizer)]

    def losses(self, batch: Batch, step: int) -> Losses:
        """The weighted loss, and it by quarters of the noise."""
        return self._losses(batch, self.spec.label_dropout)

    def validation(self, batch: Batch) -> Losses:
        """The same on held-out images, each at a time of its own that never changes."""
        return self._losses(batch, hidden=0.0)

    def _losses(self, batch: Batch, hidden: float) -> Losses:
        labels = self.told(batch)
        if labels is not None and hidden:
            labels = drop(labels, batch.noise, hidden, self.null)
        losses, t = self.denoiser.loss(self.clean(batch), batch.noise, labels)
        quarters = by_noise(losses.detach(), t, self.quarters)
        return {"total": losses.mean(), **quarters}

    @cached_property
    def quarters(self) -> tuple[float, ...]:
        """The times between quarters that training draws alike."""
        return ends(lambda noise: self.denoiser.draw(noise)[0])

    def count_labels(self, counts: Sequence[int]) -> None:
        """From now on labels are drawn as often as they occur in `counts`, one for each class."""
        self.labels.count(counts, next(self.parameters()).device)

    @property
    def sampling_network(self) -> nn.Module:
        """The U-Net, evaluated once or twice a step; guidance takes each image twice."""
        return self.denoiser.network

    @property
    def samplers(self) -> Mapping[str, Sampler]:
        """Every sampler by its name, as it is set unless it is said otherwise."""
        return self.spec.samplers(self.clips)

    @property
    def default_sampler(self) -> str:
        """The recipe's."""
        return self.spec.sampler

    def sample(
        self,
        noise: Noise,
        sampler: Sampler | None = None,
        label: int | None = None,
        guidance: float = 1.0,
        guidance_interval: Interval | None = None,
        precision: Precision = "float32",
    ) -> Tensor:
        """Images in [0, 1] with shape (N, C, H, W), one for each stream of the noise.

        Args:
            noise: of N images.
            sampler: by which images are drawn; None is the recipe's.
            label: the class of all images; None lets a conditional model draw one for each, as
                often as the training images have it.
            guidance: how far a label's part is exaggerated; 1 is not at all, at half the cost.
            guidance_interval: least and most noise over signal with guidance, such as 0.3,5; there
                is none outside. By default it is everywhere.
            precision: what the network computes in; in bfloat16 rounding makes an image depend a
                little on the batch.
        """
        labels = self.labels.draw(noise, label)
        return self.denoise(noise, labels, sampler, precision, guidance, guidance_interval)

    def denoise(
        self,
        noise: Noise,
        labels: Tensor | None,
        sampler: Sampler | None,
        precision: Precision,
        guidance: float = 1.0,
        interval: Interval | None = None,
    ) -> Tensor:
        """As :meth:`sample`, of images with these labels (N,) or captions (N, d)."""
        denoiser = self.guided(guidance, interval)
        run = sampler or self.samplers[self.default_sampler]
        with autocast(autocast_dtype(precision, noise.device), noise.device):
            x = run(denoiser, noise, self.space, labels=labels)
        return self.visible(x)

    def guided(self, scale: float = 1.0, interval: Interval | None = None) -> Denoises:
        """The denoiser under guidance, see :mod:`naqsh.diffusion.guidance`; itself at scale 1.

        Raises:
            NaqshError: it knows no labels or captions, or an interval that is none.
        """
        under = Guided(self.denoiser, scale, self.null, interval)
        if scale == 1:
            return self.denoiser
        if not self.is_told:
            raise NaqshError("guidance needs labels; train with --method.conditional true")
        return under

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """A film strip of two samples.

        ``reverse`` has them on their way, and below each the clean image that is predicted at that
        time.
        """
        two = batch.noise.part(0, 2)
        steps = max(self.spec.steps, STRIP - 1)
        sampler = replace(self.samplers[self.default_sampler], steps=steps)
        out = strips.reverse(sampler, self.denoiser, two, self.space, STRIP, self.drawn(two))
        return {"reverse": (self.visible(out), STRIP)}
