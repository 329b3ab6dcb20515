r"""Generative adversarial networks: one method, six objectives, and the remedies as switches.

A generator G makes images from latents :math:`z \sim \mathcal N(0, I)`; a critic D scores them.
What they minimise is in :mod:`naqsh.adversarial.objectives`. A Wasserstein critic must be
1-Lipschitz: by weight clipping, spectral normalisation, or a penalty on its gradient
(:mod:`naqsh.adversarial.penalties`).

References:
    Generative Adversarial Networks (Goodfellow et al., 2014), arXiv:1406.2661, equation 1.
    Wasserstein GAN (Arjovsky et al., 2017), arXiv:1701.07875, algorithm 1.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from naqsh.adversarial import penalties
from naqsh.adversarial.objectives import OBJECTIVES, ObjectiveName
from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape, later
from naqsh.networks import convnets, points
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

    def __post_init__(self) -> None:
        if min(self.latent, self.width, self.n_critic) < 1:
            raise ValueError("latent, width and n_critic must be at least 1")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip must be above 0, got {self.clip}")
        for name in ("gradient_penalty", "r1", "r2"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

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
            ),
            Phase("generator", [self.generator], self.generator_losses, self.spec.generator),
        ]

    def critic_losses(self, batch: Batch, step: int) -> Losses:
        """The critic's loss on real images and as many fakes."""
        with torch.no_grad():
            fake_images = self._generate(batch.noise)
        images = torch.cat([batch.images, fake_images])
        images.requires_grad_(bool(self.spec.r1 or self.spec.r2))
        scores = self._score(images)
        real, fake = scores.chunk(2)
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
            halves = penalties.gradients(scores, images).chunk(2)
            for (name, gamma), half in zip(gammas.items(), halves, strict=True):
                if gamma:
                    losses[name] = penalties.zero_centred(half)
                    losses["total"] = losses["total"] + gamma * losses[name]
        if self.spec.gradient_penalty:
            share = batch.noise.uniform(1, 1, 1)
            between = penalties.interpolates(batch.images, fake_images, share)
            norms = penalties.gradients(self._score(between), between).norm(dim=1)
            losses["penalty"], losses["gradient_norm"] = penalties.lipschitz(norms), norms.mean()
            losses["total"] = losses["total"] + self.spec.gradient_penalty * losses["penalty"]
        return losses

    def generator_losses(self, batch: Batch, step: int) -> Losses:
        """The generator's loss, and how different its images are compared with real ones."""
        return self.passing(self._generate(batch.noise), batch, step)

    def passing(self, images: Tensor, batch: Batch, step: int) -> Losses:
        """What the generator loses with these of its images, shape (N, C, H, W) in [-1, 1]."""
        fake = self._score(images)
        real = self._score(batch.images) if self.objective.relative else None
        losses = {"total": self.objective.generator(real, fake)}
        if step % 10 == 0:  # it changes slowly, and is not free
            losses["diversity"] = torch.stack([variance(images.detach()), variance(batch.images)])
        return losses

    @property
    def sampling_network(self) -> nn.Module:
        """The generator, evaluated once an image."""
        return self.generator

    def sample(self, noise: Noise) -> Tensor:
        """Images in [0, 1] with shape (N, C, H, W), one for each stream of the noise."""
        return self._generate(noise).add(1).div(2).clamp(0, 1)

    def _generate(self, noise: Noise) -> Tensor:
        images: Tensor = self.generator(noise.normal(self.spec.latent))
        return images

    def _score(self, images: Tensor) -> Tensor:
        """The critic's logits of images in [-1, 1], float32 with shape (N,)."""
        scores: Tensor = self.critic(images)
        return scores.float()

    def _clip(self) -> None:
        assert self.spec.clip is not None
        weights: list[Tensor] = list(self.critic.parameters())
        with torch.no_grad():
            torch._foreach_clamp_min_(weights, -self.spec.clip)
            torch._foreach_clamp_max_(weights, self.spec.clip)


def variance(images: Tensor) -> Tensor:
    """The variance of images, summed over pixels: half of what neighbours differ by, squared.

    An average over pairs, which is that of a whole batch however it is shared out; the last of an
    odd number has no partner. 0 for a single image.
    """
    pairs = images[: len(images) // 2 * 2].flatten(1).float().unflatten(0, (-1, 2))
    squares: Tensor = (pairs[:, 0] - pairs[:, 1]).square().sum()
    return squares / (2 * max(1, len(pairs)))
