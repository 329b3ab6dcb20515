r"""Generative adversarial networks: one method, five objectives, and the remedies as switches.

A generator G makes images from latents :math:`z \sim \mathcal N(0, I)`; a critic D scores them.
Both losses are Monte Carlo estimates over a batch. With logits :math:`d = D(x)`, :math:`\tilde d =
D(G(z))` and :math:`\zeta(u) = \log(1 + e^u)`, so that :math:`-\log \sigma(u) = \zeta(-u)`:

=============== ============================================ =======================
objective       critic minimises                             generator minimises
=============== ============================================ =======================
non-saturating  E zeta(-d) + E zeta(d~)                      E zeta(-d~)
minimax         E zeta(-d) + E zeta(d~)                      -E zeta(d~)
least-squares   E (d - 1)^2 / 2 + E d~^2 / 2                 E (d~ - 1)^2 / 2
hinge           E max(0, 1 - d) + E max(0, 1 + d~)           -E d~
wasserstein     E d~ - E d                                   -E d~
=============== ============================================ =======================

The Wasserstein critic must be 1-Lipschitz: by weight clipping, spectral normalisation, or the
penalty :math:`\lambda\, E (\lVert \nabla_{\hat x} D(\hat x) \rVert_2 - 1)^2` at uniform
interpolates :math:`\hat x = x + u\,(G(z) - x)`, :math:`u \sim U(0, 1)` one an image.

References:
    Generative Adversarial Networks (Goodfellow et al., 2014), arXiv:1406.2661, equation 1.
    Least Squares GANs (Mao et al., 2017), arXiv:1611.04076, equation 2 with a = 0, b = c = 1.
    Geometric GAN (Lim and Ye, 2017), arXiv:1705.02894, equation 22.
    Wasserstein GAN (Arjovsky et al., 2017), arXiv:1701.07875, algorithm 1.
    Improved Training of Wasserstein GANs (Gulrajani et al., 2017), arXiv:1704.00028, algorithm 1.
    Spectral Normalization for GANs (Miyato et al., 2018), arXiv:1802.05957, equation 8.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus
from torch.nn.utils.parametrizations import spectral_norm

from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.networks import convnets


class Objective(NamedTuple):
    """What the two players minimise, as functions of logits.

    Attributes:
        critic: (real, fake), each with shape (N,), to the critic's scalar loss.
        generator: fake with shape (N,) to the generator's scalar loss.
        boundary: the logit that parts real from fake; None where scores have no zero of their own.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    boundary: float | None


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(fake).mean()


OBJECTIVES = {
    "non-saturating": Objective(_cross_entropy, lambda fake: softplus(-fake).mean(), 0.0),
    "minimax": Objective(_cross_entropy, lambda fake: -softplus(fake).mean(), 0.0),
    "least-squares": Objective(
        lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
        lambda fake: (fake - 1).square().mean() / 2,
        0.5,
    ),
    "hinge": Objective(
        lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
        lambda fake: -fake.mean(),
        0.0,
    ),
    "wasserstein": Objective(
        lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean(), None
    ),
}


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
    """

    objective: Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein"] = (
        "non-saturating"
    )
    latent: int = 64
    width: int = 1
    n_critic: int = 1
    clip: float | None = None
    gradient_penalty: float = 0.0
    spectral_norm: bool = False
    generator: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))
    critic: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))

    def __post_init__(self) -> None:
        if min(self.latent, self.width, self.n_critic) < 1:
            raise ValueError("latent, width and n_critic must be at least 1")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip must be above 0, got {self.clip}")
        if self.gradient_penalty < 0:
            raise ValueError(f"gradient_penalty must be at least 0, got {self.gradient_penalty}")

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, width=1)

    def networks(self, shape: Shape) -> tuple[nn.Module, nn.Module]:
        """A fresh generator, and a critic to which spectral normalisation is yet to come."""
        made = convnets.generator(shape, self.latent, self.width)
        return made, convnets.discriminator(shape, self.width)

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
        real, fake = self.critic(torch.cat([batch.images, fake_images])).float().chunk(2)
        loss = self.objective.critic(real, fake)
        losses = {"total": loss, "real": real.mean(), "fake": fake.mean()}
        if self.objective.boundary is None:
            # By duality, the largest E D(x) - E D(G(z)) over 1-Lipschitz critics is the distance.
            losses["wasserstein"] = losses["real"] - losses["fake"]
        else:
            right = torch.cat([real > self.objective.boundary, fake < self.objective.boundary])
            losses["accuracy"] = right.float().mean()
        if self.spec.gradient_penalty:
            norm = self._gradient_norm(batch, fake_images)
            penalty = (norm - 1).square().mean()
            losses |= {"penalty": penalty, "gradient_norm": norm.mean()}
            losses["total"] = loss + self.spec.gradient_penalty * penalty
        return losses

    def generator_losses(self, batch: Batch, step: int) -> Losses:
        """The generator's loss, and how different its images are compared with real ones."""
        return self.passing(self._generate(batch.noise), batch, step)

    def passing(self, images: Tensor, batch: Batch, step: int) -> Losses:
        """What the generator loses with these of its images, shape (N, C, H, W) in [-1, 1]."""
        losses = {"total": self.objective.generator(self.critic(images).float())}
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

    def _gradient_norm(self, batch: Batch, fake: Tensor) -> Tensor:
        """The norm of the critic's gradient at one interpolate an image, shape (N,)."""
        mixed = torch.lerp(batch.images, fake.to(batch.images), batch.noise.uniform(1, 1, 1))
        mixed.requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(mixed).sum(), mixed, create_graph=True)
        norm: Tensor = gradient.flatten(1).norm(dim=1)
        return norm

    def _clip(self) -> None:
        assert self.spec.clip is not None
        weights: list[Tensor] = list(self.critic.parameters())
        with torch.no_grad():
            torch._foreach_clamp_min_(weights, -self.spec.clip)
            torch._foreach_clamp_max_(weights, self.spec.clip)


def normalise(network: nn.Module) -> None:
    """Divide the weight of each of a network's layers by its largest singular value from now on."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)


def variance(images: Tensor) -> Tensor:
    """The variance of images, summed over pixels: half of what neighbours differ by, squared.

    An average over pairs, which is that of a whole batch however it is shared out; the last of an
    odd number has no partner. 0 for a single image.
    """
    pairs = images[: len(images) // 2 * 2].flatten(1).float().unflatten(0, (-1, 2))
    squares: Tensor = (pairs[:, 0] - pairs[:, 1]).square().sum()
    return squares / (2 * max(1, len(pairs)))
