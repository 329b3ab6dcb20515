r"""StackGAN, stage I: small images of what a sentence says.

The generator G makes an image from z and a condition c, which conditioning augmentation draws from
:math:`\mathcal N(\mu(\varphi), \sigma^2(\varphi))` for a caption's embedding :math:`\varphi`
(:mod:`naqsh.networks.stackgan`). The discriminator D scores an image *with* a caption. Beside real
images with their captions and made ones it is shown real images with captions of others, so that an
image which is beautiful and of something else is not enough. With logits d of the three kinds and
:math:`\zeta(u) = \log(1 + e^u)`:

.. math::
   L_D = E\,\zeta(-d_{right}) + \tfrac12 \bigl(E\,\zeta(d_{wrong}) + E\,\zeta(d_{fake})\bigr),
   \qquad L_G = E\,\zeta(-d_{fake}) + \lambda\, D_{KL}(\mathcal N(\mu, \sigma^2) \,\|\, \mathcal
   N(0, I))

The divergence is a mean over the dimensions of c, with a weight of 2, as in both released codes;
the paper writes a sum with a weight of 1. What is wrong is the caption here, as in the paper, and
comes from another class where there are classes; in the released codes it is the image. D's batch
normalisation takes the statistics of real and of made images apart, as there.

Where images are simple, D soon tells made ones by a trace of blur, with near certainty, and G is
not told any more what captions ask for. Against that D's gradient is drawn to 0 on real images with
their captions, every k steps and k times as strongly (:math:`R_1`,
:mod:`naqsh.adversarial.penalties`); D then has no batch normalisation, for its score of an image
must depend on that image alone.

References:
    StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative Adversarial Networks
    (Zhang et al., 2017), arXiv:1612.03242, equations 3 and 4.
    Generative Adversarial Text to Image Synthesis (Reed et al., 2016), arXiv:1605.05396,
    algorithm 1: the mismatched pairs.
    Analyzing and Improving the Image Quality of StyleGAN (Karras et al., 2020), arXiv:1912.04958,
    section 3.1: a penalty every k steps.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import softplus

from naqsh.adversarial import penalties
from naqsh.adversarial.diversity import variance
from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.once import OnceAStep
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, later
from naqsh.networks import stackgan
from naqsh.networks.captions import Captions, require_captions
from naqsh.networks.stackgan import Condition, Upsample


@dataclass(frozen=True)
class StageSpec(MethodSpec):
    """What both stages may be set to.

    Attributes:
        condition: numbers in c, which the generator is told of a caption.
        text: numbers that the discriminator compresses a caption to.
        width: channels of the generator.
        critic_width: channels of the discriminator's first layer.
        upsample: how features are doubled: nearest repeats pixels before a convolution, shuffle
            unfolds channels into pixels, with four times the weights.
        kl: lambda, the weight of the condition's KL to N(0, I) a dimension.
        generator: the generator's optimiser.
        critic: the discriminator's optimiser.
        r1: gamma of the penalty ``gamma/2 E |grad D|^2`` on real images with their captions, with
            which the discriminator has no batch normalisation; 0 leaves it out.
        r1_every: steps from one penalty to the next, which is that many times as strong.
    """

    condition: int = 128
    text: int = 128
    width: int = 128
    critic_width: int = 64
    upsample: Upsample = "nearest"
    kl: float = 2.0
    generator: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))
    critic: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))
    r1: float = later(0.0)
    r1_every: int = later(1)

    def __post_init__(self) -> None:
        if min(self.condition, self.text, self.width, self.critic_width) < 1:
            raise ValueError("condition, text, width and critic_width must be at least 1")
        if min(self.kl, self.r1) < 0:
            raise ValueError(f"kl and r1 must be at least 0, got {self.kl} and {self.r1}")
        if self.r1_every < 1:
            raise ValueError(f"r1_every must be at least 1, got {self.r1_every}")

    def tiny(self) -> Self:
        """The same with narrow networks, for tests and quick looks."""
        return replace(self, condition=8, text=8, width=4, critic_width=8)


@dataclass(frozen=True)
class Spec(StageSpec):
    """Hyperparameters of stage I.

    Attributes:
        latent: size of z.
        condition: numbers in c, which the generator is told of a caption.
        text: numbers that the discriminator compresses a caption to.
        width: an eighth of the generator's widest features.
        critic_width: channels of the discriminator's first layer.
        upsample: how features are doubled: nearest repeats pixels before a convolution, shuffle
            unfolds channels into pixels, with four times the weights.
        kl: lambda, the weight of the condition's KL to N(0, I) a dimension.
        generator: the generator's optimiser.
        critic: the discriminator's optimiser.
        r1: gamma of the penalty ``gamma/2 E |grad D|^2`` on real images with their captions, with
            which the discriminator has no batch normalisation; 0 leaves it out.
        r1_every: steps from one penalty to the next, which is that many times as strong.
    """

    latent: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latent < 1:
            raise ValueError(f"latent must be at least 1, got {self.latent}")

    def build(self, layout: Layout) -> "StageOne":
        """The method with fresh networks; classes are used to mismatch captions alone.

        Raises:
            ValueError: the images have no captions, or no side that the networks can make.
        """
        return StageOne(self, require_captions(layout))


class Stage(Method):
    """A generator that follows captions and a discriminator that compares with them.

    Args:
        spec: its hyperparameters.
        layout: with captions.
    """

    spec: StageSpec
    generator: stackgan.StageOne | stackgan.StageTwo

    def __init__(self, spec: StageSpec, layout: Layout) -> None:
        super().__init__(layout.shape)
        self.spec = spec
        self.critic = stackgan.Discriminator(
            layout.shape, layout.caption, spec.text, spec.critic_width, normalised=not spec.r1
        )
        self.captions = Captions(layout.caption)
        self._fakes = OnceAStep()

    @abstractmethod
    def make(self, noise: Noise, captions: Tensor) -> tuple[tuple[Tensor, ...], Condition]:
        """Images of captions in [-1, 1] of every stage up to this one, and its own conditions."""

    def phases(self) -> list[Phase]:
        """The generator, then the discriminator on what it made."""
        return [
            Phase("generator", [self.generator], self.generator_losses, self.spec.generator),
            Phase("critic", [self.critic], self.critic_losses, self.spec.critic),
        ]

    def generator_losses(self, batch: Batch, step: int) -> Losses:
        """The generator's: to pass for real and right, with conditions near N(0, I)."""
        captions, _ = _captions(batch)
        stages, condition = self.make(batch.noise, captions)
        fake = stages[-1]
        self._fakes.keep(batch, step, fake)
        fooled = softplus(-self.critic.judge(self.critic.features(fake), captions)).mean()
        kl = condition.kl
        losses = {"total": fooled + self.spec.kl * kl, "fooled": fooled, "condition_kl": kl}
        if step % 10 == 0:  # it changes slowly, and is not free
            losses["diversity"] = torch.stack([variance(fake.detach()), variance(batch.images)])
        return losses

    def critic_losses(self, batch: Batch, step: int) -> Losses:
        """The discriminator's, on right and wrong pairs and on those of this step's fakes."""
        captions, mismatched = _captions(batch)
        kept = self._fakes.take(batch, step)
        if kept is None:  # the phase by itself, as tests run it
            with torch.no_grad():
                kept = self.make(batch.noise, captions)[0][-1:]
        every = self.spec.r1_every
        penalised = self.spec.r1 > 0 and step % every == 0
        images = batch.images.detach().requires_grad_(penalised)
        seen = self.critic.features(images)
        real, wrong = self.critic.judge(seen, captions), self.critic.judge(seen, mismatched)
        fake = self.critic.judge(self.critic.features(kept[0]), captions)
        losses = {
            "total": softplus(-real).mean() + (softplus(wrong).mean() + softplus(fake).mean()) / 2,
            "real": real.mean(),
            "fake": fake.mean(),
            "wrong": wrong.mean(),
            "accuracy": torch.cat([real > 0, fake < 0]).float().mean(),
            "reading": (real > wrong).float().mean(),
        }
        if penalised:
            losses["r1"] = penalties.zero_centred(penalties.gradients(real, images))
            losses["total"] = losses["total"] + self.spec.r1 * every * losses["r1"]
        return losses

    @property
    def sampling_network(self) -> stackgan.StageOne | stackgan.StageTwo:
        """The generator, evaluated once an image."""
        return self.generator

    def keep_captions(self, captions: Tensor) -> None:
        """From now on samples are of these captions, embeddings with shape (N, d)."""
        self.captions.keep(captions)

    def sample(self, noise: Noise) -> Tensor:
        """Images in [0, 1] with shape (N, C, H, W), each of a caption that it draws."""
        return self.follow(noise, self.captions.draw(noise))[-1]

    def follow(self, noise: Noise, captions: Tensor) -> tuple[Tensor, ...]:
        """Images of captions in [0, 1], of stage I, then of stage II where there is one."""
        stages, _ = self.make(noise, captions)
        return tuple(images.float().add(1).div(2).clamp(0, 1) for images in stages)


def _captions(batch: Batch) -> tuple[Tensor, Tensor]:
    """The captions of a batch, and those of other images."""
    assert batch.captions is not None, "Spec.build refuses images without captions"
    assert batch.mismatched is not None
    return batch.captions, batch.mismatched


class StageOne(Stage):
    """Stage I: small images from z and a caption."""

    spec: Spec
    generator: stackgan.StageOne

    def __init__(self, spec: Spec, layout: Layout) -> None:
        super().__init__(spec, layout)
        self.generator = stackgan.StageOne(
            layout.shape,
            layout.caption,
            spec.latent,
            spec.condition,
            spec.width,
            spec.upsample,
        )

    def make(self, noise: Noise, captions: Tensor) -> tuple[tuple[Tensor, ...], Condition]:
        """Images of captions in [-1, 1], one stage, and their conditions."""
        z, chance = noise.normal(self.spec.latent), noise.normal(self.spec.condition)
        images, condition = self.generator(z, captions, chance)
        return (images.float(),), condition
