r"""Generative adversarial networks: one method, six objectives, and the remedies as switches.

A generator G makes images from latents :math:`z \sim \mathcal N(0, I)`; a critic D scores them.
What they minimise is in :mod:`naqsh.adversarial.objectives`. A Wasserstein critic must be
1-Lipschitz: by weight clipping, spectral normalisation, or a penalty on its gradient
(:mod:`naqsh.adversarial.penalties`).

What helps against generators that make few images over and over, each by a switch:
:mod:`naqsh.networks.minibatch`, and :mod:`~naqsh.adversarial.matching`,
:mod:`~naqsh.adversarial.packing`, :mod:`~naqsh.adversarial.unrolled` and
:mod:`~naqsh.adversarial.several` in :mod:`naqsh.adversarial`; against a critic that knows few
images by heart, :mod:`naqsh.adversarial.augmentation`. With labels the generator's normalisation
is told them (:mod:`naqsh.networks.conditional`), and the critic (:mod:`naqsh.networks.heads`).

References:
    Generative Adversarial Networks (Goodfellow et al., 2014), arXiv:1406.2661, equation 1.
    Wasserstein GAN (Arjovsky et al., 2017), arXiv:1701.07875, algorithm 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Literal, Self

import torch
from torch import Tensor, nn

from naqsh.adversarial import augmentation, matching, penalties, several
from naqsh.adversarial.diversity import variance
from naqsh.adversarial.objectives import OBJECTIVES, ObjectiveName
from naqsh.adversarial.packing import packed
from naqsh.adversarial.unrolled import unrolled, with_weights
from naqsh.core.batch import Batch
from naqsh.core.labels import Labels
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Muon, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape, later
from naqsh.networks import convnets, points
from naqsh.networks.heads import Judged, headed, judged
from naqsh.networks.several import Several
from naqsh.networks.spectral import normalise

EXCLUDED = (
    (
        "minibatch",
        {"gradient_penalty", "r1", "r2"},
        "minibatch makes a score depend on other images, and penalties need one of each image",
    ),
    ("unroll", {"clip"}, "unroll looks ahead through the optimiser, which does not clip"),
    ("packing", {"generators"}, "packing and generators would make packs of several generators"),
    ("conditional", {"packing", "generators"}, "a pack has no label, and generators take none"),
)
"""Switches that make no sense together: one, others, why."""


@dataclass(frozen=True)
class Spec(MethodSpec):
    """Hyperparameters of a GAN.

    Attributes:
        objective: what the two players minimise.
        latent: size of z.
        width: factor on every number of channels of both networks.
        n_critic: critic updates, each on a fresh batch, to one of the generator.
        clip: the critic's weights are clipped to [-clip, clip] after each update (Wasserstein GAN).
        gradient_penalty: lambda of the penalty; 0 leaves it out.
        spectral_norm: divide each of the critic's weights by its largest singular value.
        generator: the generator's optimiser.
        critic: the critic's optimiser.
        r1: gamma of the penalty ``gamma/2 E |grad D|^2`` on real images; 0 leaves it out.
        r2: gamma of the same on generated images; R3GAN has both, and objective relativistic.
        augment: random changes of all images that the critic sees: colour, translation, cutout,
            with commas between (DiffAugment, Zhao et al., 2020); empty for none.
        conditional: both networks are told labels, so that a class can be asked for (Miyato and
            Koyama, 2018).
        minibatch: kernels of minibatch discrimination, by which the critic compares the images of a
            batch (Salimans et al., 2016); 0 leaves it out.
        feature_matching: the generator minimises the squared distance of the critic's mean features
            of real and generated images in the place of its own loss (Salimans et al., 2016).
        packing: images that the critic sees at once (PacGAN, Lin et al., 2018).
        unroll: steps that the critic looks ahead through its optimiser when the generator learns
            (Metz et al., 2017).
        generators: how many, which share all layers but the first.
        several: how they are kept apart: the critic tells them by a second head (Hoang et al.,
            2018), or by one softmax with real images (Ghosh et al., 2018).
        diversity: weight of telling them apart in the generators' loss of MGAN.
    """

    objective: ObjectiveName = "non-saturating"
    latent: int = 64
    width: int = 1
    n_critic: int = 1
    clip: float | None = None
    gradient_penalty: float = 0.0
    spectral_norm: bool = False
    generator: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))
    critic: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))
    r1: float = later(0.0)
    r2: float = later(0.0)
    augment: str = later("")
    conditional: bool = later(False)
    minibatch: int = later(0)
    feature_matching: bool = later(False)
    packing: int = later(1)
    unroll: int = later(0)
    generators: int = later(1)
    several: Literal["mgan", "mad-gan"] = later("mgan")
    diversity: float = later(0.125)

    def __post_init__(self) -> None:
        if min(self.latent, self.width, self.n_critic) < 1:
            raise ValueError("latent, width and n_critic must be at least 1")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip must be above 0, got {self.clip}")
        for name in ("gradient_penalty", "r1", "r2", "minibatch", "unroll", "diversity"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if min(self.packing, self.generators) < 1:
            raise ValueError("packing and generators must be at least 1")
        augmentation.named(self.augment)
        self._refuse_what_excludes()

    def _refuse_what_excludes(self) -> None:
        """Refuse switches that make no sense together."""
        on = {field.name for field in fields(Spec) if getattr(self, field.name) != field.default}
        for one, others, why in EXCLUDED:
            if one in on and (found := sorted(on & others)):
                raise ValueError(f"{why}; leave {one} out, or {' and '.join(found)}")
        if self.unroll and isinstance(self.critic, Muon):
            raise ValueError(
                "unroll looks ahead through the optimiser, which it cannot through muon; take "
                "another for the critic, such as adam, or leave unroll out"
            )
        if self.generators == 1:
            return
        if self.several == "mad-gan" and self.objective != "non-saturating":
            raise ValueError(
                f"mad-gan has a softmax for an objective and not {self.objective}; take "
                "objective non-saturating, or several mgan"
            )

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, width=1)

    def networks(self, shape: Shape, classes: int = 0) -> tuple[nn.Module, nn.Module]:
        """A fresh generator that is told labels of so many, and a critic without further heads."""
        family = points if points.are_points(shape) else convnets
        made = family.generator(shape, self.latent, self.width, classes)
        return made, family.discriminator(shape, self.width)

    def build(self, layout: Layout) -> "GAN":
        """The method with fresh networks; labels are used where it is conditional.

        Raises:
            ValueError: it is conditional and these images have no labels, or they are points and
                to be changed as images are.
        """
        if self.augment and points.are_points(layout.shape):
            raise ValueError("points are not changed as images are; leave augment out")
        return GAN(self, layout.shape, self.classes(layout))

    def classes(self, layout: Layout) -> int:
        """How many labels the networks are told; raises ValueError as :meth:`build`."""
        if self.conditional and not layout.classes:
            raise ValueError("a conditional model needs labels, and these images have none")
        return len(layout.classes) if self.conditional else 0


class GAN(Method):
    """A generator and a critic, trained in two phases."""

    def __init__(self, spec: Spec, shape: Shape, classes: int = 0) -> None:
        super().__init__(shape)
        self.spec, self.labels = spec, Labels(classes)
        self.objective = OBJECTIVES[spec.objective]
        self.augmentations = augmentation.named(spec.augment)
        self.generator, self.critic = spec.networks(shape, classes)
        if spec.generators > 1:
            self.generator = Several([spec.networks(shape)[0] for _ in range(spec.generators)])
        if spec.packing > 1:
            self.critic = spec.networks((spec.packing * shape[0], *shape[1:]))[1]
        if spec.minibatch or spec.feature_matching or spec.generators > 1 or classes:
            ways = spec.generators if spec.generators > 1 else 0
            joined = spec.several == "mad-gan"
            self.critic = headed(self.critic, spec.minibatch, ways, joined, classes)
        self.group = spec.packing
        self.whole = bool(spec.minibatch or spec.feature_matching or spec.unroll)
        self._live: torch.optim.Optimizer | None = None
        if spec.spectral_norm:
            normalise(self.critic)

    def phases(self) -> list[Phase]:
        """The critic's updates, then the generator's."""
        bound = self.spec.clip
        return [
            Phase(
                "critic",
                [self.critic],
                self.critic_losses,
                self.spec.critic,
                repeats=self.spec.n_critic,
                after=None if bound is None else partial(penalties.clip, self.critic, bound),
                trained_by=self._keep,
            ),
            Phase("generator", [self.generator], self.generator_losses, self.spec.generator),
        ]

    def critic_losses(self, batch: Batch, step: int) -> Losses:
        """The critic's loss on real images and as many fakes."""
        with torch.no_grad():
            fake_images = self._generate(batch.noise, self.labels.of(batch))
        return self.judging(fake_images, batch)

    def judging(self, fakes: Tensor, batch: Batch) -> Losses:
        """What the critic loses with these generated images, shape (N, C, H, W) in [-1, 1]."""
        real_images, fake_images = (self._packs(images) for images in (batch.images, fakes))
        images = torch.cat([real_images, fake_images])
        if self.spec.r1 or self.spec.r2:
            images.requires_grad_()
        of_real, of_fake = self._judge_halves(images, batch)
        real, fake = of_real.scores, of_fake.scores
        loss = self.objective.critic(real, fake)
        losses = {"total": loss, "real": real.mean(), "fake": fake.mean()}
        losses |= self.objective.told_apart(real, fake)
        if self.spec.r1 or self.spec.r2:
            gammas = {"r1": self.spec.r1, "r2": self.spec.r2}
            halves = penalties.gradients(torch.cat([real, fake]), images).chunk(2)
            for (name, gamma), half in zip(gammas.items(), halves, strict=True):
                if gamma:
                    losses[name] = penalties.zero_centred(half)
                    losses["total"] = losses["total"] + gamma * losses[name]
        if self.spec.gradient_penalty:
            share = batch.noise.uniform(1, 1, 1)[:: self.spec.packing]
            between = penalties.interpolates(real_images, fake_images, share)
            norms = penalties.gradients(self._judge(between, batch).scores, between).norm(dim=1)
            losses["penalty"], losses["gradient_norm"] = penalties.lipschitz(norms), norms.mean()
            losses["total"] = losses["total"] + self.spec.gradient_penalty * losses["penalty"]
        if of_fake.ways is not None:
            losses["maker"], right = several.told(of_fake.ways, self._makers(batch.noise))
            losses["maker_accuracy"] = right
            losses["total"] = losses["total"] + losses["maker"]
        return losses

    def generator_losses(self, batch: Batch, step: int) -> Losses:
        """The generator's loss, and how different its images are compared with real ones."""
        images = self._generate(batch.noise, self.labels.of(batch))
        if not self.spec.unroll:
            return self.passing(images, batch, step)
        ahead = unrolled(
            self.critic,
            lambda: self.judging(images, batch)["total"],
            self.spec.unroll,
            self.spec.critic,
            self._live,
        )
        return with_weights(self.critic, ahead, lambda: self.passing(images, batch, step))

    def passing(self, images: Tensor, batch: Batch, step: int) -> Losses:
        """What the generator loses with these of its images, shape (N, C, H, W) in [-1, 1]."""
        fake, real = self._judge(self._packs(images), batch), None
        if self.objective.relative or self.spec.feature_matching:
            real = self._judge(self._packs(batch.images), batch)
        if real is not None and self.spec.feature_matching:
            losses = {"total": matching.apart(real.shown, fake.shown)}
        else:
            scores = None if real is None else real.scores
            losses = {"total": self.objective.generator(scores, fake.scores)}
        if fake.ways is not None and self.spec.several == "mgan":
            losses["maker"], _ = several.told(fake.ways, self._makers(batch.noise))
            losses["total"] = losses["total"] + self.spec.diversity * losses["maker"]
        if step % 10 == 0:  # it changes slowly, and is not free
            losses["diversity"] = torch.stack([variance(images.detach()), variance(batch.images)])
        return losses

    @property
    def sampling_network(self) -> nn.Module:
        """The generator, evaluated once an image."""
        return self.generator

    def count_labels(self, counts: Sequence[int]) -> None:
        """From now on labels are drawn as often as they occur in `counts`, one for each class."""
        self.labels.count(counts, next(self.parameters()).device)

    def sample(self, noise: Noise, label: int | None = None) -> Tensor:
        """Images in [0, 1] with shape (N, C, H, W), one for each stream of the noise.

        Of several generators, image i is made by number i mod their number.

        Args:
            noise: of N images.
            label: the class of all images; None lets a conditional model draw one for each, as
                often as the training images have it.
        """
        latents = noise.normal(self.spec.latent)
        made = self._made(latents, noise, self.labels.draw(noise, label))
        return made.add(1).div(2).clamp(0, 1)

    def _generate(self, noise: Noise, labels: Tensor | None = None) -> Tensor:
        """The generated images of a training step; those of several generators share latents."""
        count, latent = self.spec.generators, self.spec.latent
        if count == 1:
            return self._made(noise.normal(latent), noise, labels)
        return self._made(several.shared_latents(noise, count, latent), noise)

    def _made(self, latents: Tensor, noise: Noise, labels: Tensor | None = None) -> Tensor:
        of = labels if self.spec.generators == 1 else self._makers(noise)
        images: Tensor = self.generator(latents) if of is None else self.generator(latents, of)
        return images

    def _makers(self, noise: Noise) -> Tensor:
        return several.makers(noise, self.spec.generators)

    def _packs(self, images: Tensor) -> Tensor:
        return packed(images, self.spec.packing)

    def _judge(self, packs: Tensor, batch: Batch) -> Judged:
        """What the critic says of one pack, or several, for each of the batch's."""
        labels = self.labels.of(batch)
        if labels is not None:
            labels = labels.repeat(len(packs) // len(labels))
        if self.augmentations:
            images = packs.reshape(-1, *self.shape).split(len(batch))
            seen = [augmentation.augmented(i, self.augmentations, batch.noise) for i in images]
            packs = self._packs(torch.cat(seen))
        return judged(self.critic, packs, labels)

    def _judge_halves(self, images: Tensor, batch: Batch) -> tuple[Judged, Judged]:
        """What it says of real and of generated ones, each half a batch of its own."""
        if self.spec.minibatch:
            real, fake = images.chunk(2)
            return self._judge(real, batch), self._judge(fake, batch)
        return self._judge(images, batch).chunk()

    def _keep(self, optimizer: torch.optim.Optimizer) -> None:
        self._live = optimizer
