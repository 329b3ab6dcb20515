r"""Generative adversarial networks: one method, six objectives, and the remedies as switches.

A generator G makes images from latents :math:`z \sim \mathcal N(0, I)`; a critic D scores them.
What they minimise is in :mod:`naqsh.adversarial.objectives`. A Wasserstein critic must be
1-Lipschitz: by weight clipping, spectral normalisation, or a penalty on its gradient
(:mod:`naqsh.adversarial.penalties`).

What helps against generators that make few images over and over, each by a switch:
:mod:`naqsh.networks.minibatch`, and :mod:`~naqsh.adversarial.matching`,
:mod:`~naqsh.adversarial.packing`, :mod:`~naqsh.adversarial.unrolled` and
:mod:`~naqsh.adversarial.several` in :mod:`naqsh.adversarial`.

References:
    Generative Adversarial Networks (Goodfellow et al., 2014), arXiv:1406.2661, equation 1.
    Wasserstein GAN (Arjovsky et al., 2017), arXiv:1701.07875, algorithm 1.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor, nn

from naqsh.adversarial import matching, penalties, several
from naqsh.adversarial.diversity import variance
from naqsh.adversarial.objectives import OBJECTIVES, ObjectiveName
from naqsh.adversarial.packing import packed
from naqsh.adversarial.unrolled import unrolled, with_weights
from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape, later
from naqsh.networks import convnets, points
from naqsh.networks.heads import Judged, headed, judged
from naqsh.networks.several import Several
from naqsh.networks.spectral import normalise


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
        r1: gamma of the penalty gamma/2 E |grad D|^2 on real images; 0 leaves it out.
        r2: gamma of the same on generated images; R3GAN has both, and objective relativistic.
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
        self._refuse_what_excludes()

    def _refuse_what_excludes(self) -> None:
        """Refuse switches that make no sense together."""
        if self.minibatch and max(self.gradient_penalty, self.r1, self.r2):
            raise ValueError(
                "minibatch makes a score depend on other images, and gradient_penalty, r1 and r2 "
                "need scores of one image each; leave them or minibatch out"
            )
        if self.unroll and self.clip is not None:
            raise ValueError(
                "unroll looks ahead through the optimiser, which does not clip; leave clip out, "
                "and take gradient_penalty or spectral_norm"
            )
        if self.generators == 1:
            return
        if self.packing > 1:
            raise ValueError(
                "the images of a pack are of several generators; packing and generators exclude "
                "each other"
            )
        if self.several == "mad-gan" and self.objective != "non-saturating":
            raise ValueError(
                f"mad-gan has a softmax for an objective and not {self.objective}; take "
                "objective non-saturating, or several mgan"
            )

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, width=1)

    def networks(self, shape: Shape) -> tuple[nn.Module, nn.Module]:
        """A fresh generator, and a critic to which spectral normalisation is yet to come."""
        family = points if points.are_points(shape) else convnets
        made = family.generator(shape, self.latent, self.width)
        return made, family.discriminator(shape, self.width)

    def build(self, layout: Layout) -> "GAN":
        """The method with fresh networks; labels are not used."""
        return GAN(self, layout.shape)


class GAN(Method):
    """A generator and a critic, trained in two phases."""

    def __init__(self, spec: Spec, shape: Shape) -> None:
        super().__init__(shape)
        self.spec = spec
        self.objective = OBJECTIVES[spec.objective]
        self.generator, self.critic = spec.networks(shape)
        if spec.generators > 1:
            self.generator = Several([spec.networks(shape)[0] for _ in range(spec.generators)])
        if spec.packing > 1:
            self.critic = spec.networks((spec.packing * shape[0], *shape[1:]))[1]
        if spec.minibatch or spec.feature_matching or spec.generators > 1:
            ways = spec.generators if spec.generators > 1 else 0
            self.critic = headed(self.critic, spec.minibatch, ways, spec.several == "mad-gan")
        self.group = spec.packing
        self.whole = bool(spec.minibatch or spec.feature_matching or spec.unroll)
        self._live: torch.optim.Optimizer | None = None
        if spec.spectral_norm:
            normalise(self.critic)

    def phases(self) -> list[Phase]:
        """The critic's updates, then the generator's."""
        clip = self._clip if self.spec.clip is not None else None
        return [
            Phase(
                "critic",
                [self.critic],
                self.critic_losses,
                self.spec.critic,
                repeats=self.spec.n_critic,
                after=clip,
                trained_by=self._keep,
            ),
            Phase("generator", [self.generator], self.generator_losses, self.spec.generator),
        ]

    def critic_losses(self, batch: Batch, step: int) -> Losses:
        """The critic's loss on real images and as many fakes."""
        with torch.no_grad():
            fake_images = self._generate(batch.noise)
        return self.judging(fake_images, batch)

    def judging(self, fakes: Tensor, batch: Batch) -> Losses:
        """What the critic loses with these generated images, shape (N, C, H, W) in [-1, 1]."""
        real_images, fake_images = (self._packs(images) for images in (batch.images, fakes))
        images = torch.cat([real_images, fake_images])
        if self.spec.r1 or self.spec.r2:
            images.requires_grad_()
        of_real, of_fake = self._judge_halves(images)
        real, fake = of_real.scores, of_fake.scores
        loss = self.objective.critic(real, fake)
        losses = {"total": loss, "real": real.mean(), "fake": fake.mean()}
        if self.objective.relative:
            losses["accuracy"] = (real > fake).float().mean()
        elif self.objective.boundary is None:
            # By duality, the largest E D(x) - E D(G(z)) over 1-Lipschitz critics is the distance.
            losses["wasserstein"] = losses["real"] - losses["fake"]
        else:
            right = torch.cat([real > self.objective.boundary, fake < self.objective.boundary])
            losses["accuracy"] = right.float().mean()
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
            norms = penalties.gradients(judged(self.critic, between).scores, between).norm(dim=1)
            losses["penalty"], losses["gradient_norm"] = penalties.lipschitz(norms), norms.mean()
            losses["total"] = losses["total"] + self.spec.gradient_penalty * losses["penalty"]
        if of_fake.ways is not None:
            losses["maker"], right = several.told(of_fake.ways, self._makers(batch.noise))
            losses["maker_accuracy"] = right
            losses["total"] = losses["total"] + losses["maker"]
        return losses

    def generator_losses(self, batch: Batch, step: int) -> Losses:
        """The generator's loss, and how different its images are compared with real ones."""
        images = self._generate(batch.noise)
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
        fake, real = judged(self.critic, self._packs(images)), None
        if self.objective.relative or self.spec.feature_matching:
            real = judged(self.critic, self._packs(batch.images))
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

    def sample(self, noise: Noise) -> Tensor:
        """Images in [0, 1] with shape (N, C, H, W), one for each stream of the noise.

        Of several generators, image i is made by number i mod their number.
        """
        latents = noise.normal(self.spec.latent)
        return self._made(latents, noise).add(1).div(2).clamp(0, 1)

    def _generate(self, noise: Noise) -> Tensor:
        """The generated images of a training step; those of several generators share latents."""
        count, latent = self.spec.generators, self.spec.latent
        if count == 1:
            return self._made(noise.normal(latent), noise)
        return self._made(several.shared_latents(noise, count, latent), noise)

    def _made(self, latents: Tensor, noise: Noise) -> Tensor:
        by = (latents,) if self.spec.generators == 1 else (latents, self._makers(noise))
        images: Tensor = self.generator(*by)
        return images

    def _makers(self, noise: Noise) -> Tensor:
        return several.makers(noise, self.spec.generators)

    def _packs(self, images: Tensor) -> Tensor:
        return packed(images, self.spec.packing)

    def _judge_halves(self, images: Tensor) -> tuple[Judged, Judged]:
        """What it says of real and of generated ones, each half a batch of its own."""
        if self.spec.minibatch:
            real, fake = images.chunk(2)
            return judged(self.critic, real), judged(self.critic, fake)
        return judged(self.critic, images).chunk()

    def _keep(self, optimizer: torch.optim.Optimizer) -> None:
        self._live = optimizer

    def _clip(self) -> None:
        assert self.spec.clip is not None
        weights: list[Tensor] = list(self.critic.parameters())
        with torch.no_grad():
            torch._foreach_clamp_min_(weights, -self.spec.clip)
            torch._foreach_clamp_max_(weights, self.spec.clip)
