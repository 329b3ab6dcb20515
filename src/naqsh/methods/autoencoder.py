r"""An autoencoder whose latents are a small image, for diffusion to work in.

The encoder gives a mean and a variance for each latent number, z is drawn from them, and the
decoder makes the image again. With mean absolute error over an image's D numbers, divergence over
its d latent ones, the distance P of :mod:`naqsh.networks.perceptual` and a discriminator of
patches it minimises

.. math:: \frac{1}{D} \lVert x - \hat x \rVert_1 + w_P\, P(x, \hat x)
   + w_{KL}\, \frac{1}{d} \sum_j D_{KL}(\mathcal N(\mu_j, \sigma_j^2) \,\|\, \mathcal N(0, 1))
   - w_A\, E\, C(\hat x).

The released code sums over pixels and over latents, so that its weight of the KL means another
thing at another size; here both are means. It also multiplies the discriminator's part by a ratio
of two gradients' norms; here the weight is fixed, so that parts of a batch, and ranks, add up to
the whole. Its learnt scale of the error has no optimiser there and stays 1; here is none.

The KL's weight is small: latents are kept from growing and are far from standard normal, so a z
from N(0, I) decodes to no image. That is meant so, and why the method has no samples of its own:
:mod:`naqsh.methods.latent_diffusion` learns where latents lie. With a weight of 0 there is no
variance and nothing is drawn.

Reconstructions that were compared by a network's features are flattered by a distance in the same
features, and so are samples of latents decoded from them: measure them by others, too (`naqsh
evaluate RUN --features random`).

The standard deviation and the KL of each latent channel are logged (``std_0``, ``kl_0``, ...): one
whose KL is 0 is not used, and one that is far wider than the others is what diffusion will see of
an image.

References:
    High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022),
    arXiv:2112.10752, section 3.1, appendix G, equation 25.
    Taming Transformers for High-Resolution Image Synthesis (Esser et al., 2021),
    arXiv:2012.09841, section 3.1: the perceptual and the adversarial part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from naqsh.adversarial.objectives import OBJECTIVES
from naqsh.core.batch import Batch
from naqsh.core.frozen import Frozen
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.once import OnceAStep
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.core.ways import ways
from naqsh.networks import patchgan
from naqsh.networks.autoencoder import Decoder, Encoder, latent_shape
from naqsh.networks.perceptual import LEAST, Eye, Perceptual

LOG_VARIANCES = (-30.0, 20.0)
"""What a log-variance is cut to, as in the released code."""


@dataclass(frozen=True)
class Spec(MethodSpec):
    """Hyperparameters of an autoencoder.

    Attributes:
        latent: channels of the latents.
        width: channels of both networks at the images' own side.
        multipliers: the width of each level over `width`, finest first; each but the last halves
            the sides.
        blocks: residual blocks a level of the encoder; the decoder has one more.
        attention: whether the middle of both networks has self-attention.
        kl: weight of the mean KL of a latent number; 0 is an autoencoder without variance.
        perceptual: whose features reconstructions are compared by, beside their pixels; those of
            inception have to be downloaded once (92 MB).
        perceptual_weight: the weight of that.
        adversarial: weight of passing for real before a discriminator of patches; 0 has none.
        adversarial_after: steps before that weight counts; the discriminator learns from the first.
        critic_width: channels of the discriminator's first layer.
        optimizer: of encoder and decoder.
        critic: the discriminator's optimiser.
    """

    latent: int = 4
    width: int = 16
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int = 1
    attention: bool = False
    kl: float = 1e-3
    perceptual: Eye = "none"
    perceptual_weight: float = 0.1
    adversarial: float = 0.0
    adversarial_after: int = 0
    critic_width: int = 32
    optimizer: Optimizer = Adam(lr=1e-3)
    critic: Optimizer = Adam(lr=2e-4, betas=(0.5, 0.999))

    def __post_init__(self) -> None:
        if not self.multipliers:
            raise ValueError("an autoencoder needs at least one multiplier")
        sizes = (self.latent, self.width, self.blocks, self.critic_width, *self.multipliers)
        if min(sizes) < 1:
            raise ValueError(
                "latent, width, multipliers, blocks and critic_width must be at least 1"
            )
        weights = (self.kl, self.perceptual_weight, self.adversarial, self.adversarial_after)
        if min(weights) < 0:
            raise ValueError(
                "kl, perceptual_weight, adversarial and adversarial_after must be at least 0"
            )

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, latent=2, width=4, multipliers=(1, 2), critic_width=4)

    def space(self, shape: Shape) -> Shape:
        """(C, H, W) of the latents of images with shape (C, H, W); ValueError if none fit."""
        return latent_shape(shape, self.latent, len(self.multipliers))

    def build(self, layout: Layout) -> "Autoencoder":
        """The method with fresh networks; labels are not used.

        Raises:
            ValueError: sides that do not halve evenly, or too small for a discriminator.
        """
        return Autoencoder(self, layout.shape)


class Autoencoder(Method):
    """Encoder and decoder, and a discriminator where there is one."""

    def __init__(self, spec: Spec, shape: Shape) -> None:
        super().__init__(shape)
        least = LEAST.get(spec.perceptual, 0)
        if min(shape[1:]) < least:
            raise ValueError(
                f"perceptual {spec.perceptual} needs images of at least {least}x{least}; give "
                "data.size, or perceptual none"
            )
        self.spec, self.space = spec, spec.space(shape)
        sizes = (spec.width, spec.multipliers, spec.blocks, spec.attention)
        self.encoder = Encoder(shape[0], (2 if spec.kl else 1) * spec.latent, *sizes)
        self.decoder = Decoder(spec.latent, shape[0], *sizes)
        self.eye = None if spec.perceptual == "none" else Frozen(Perceptual(spec.perceptual))
        self.critic: nn.Module | None = None
        if spec.adversarial:
            self.critic = patchgan.discriminator(shape, spec.critic_width)
        self._made = OnceAStep()

    @property
    def features_wanted(self) -> str:
        """By whose features images are compared, ``none`` by nobody's."""
        return self.spec.perceptual

    def take_features(self, weights: Mapping[str, Tensor]) -> None:
        """Fill the network that compares images with the weights of the one that it is part of."""
        assert self.eye is not None, "asked only where features are wanted"
        assert isinstance(self.eye.module, Perceptual)
        self.eye.module.take(weights)

    def phases(self) -> list[Phase]:
        """The autoencoder, then the discriminator on what it made."""
        own = [self.encoder, self.decoder]
        found = [Phase("autoencoder", own, self.losses, self.spec.optimizer)]
        if self.critic is not None:
            found.append(Phase("critic", [self.critic], self.critic_losses, self.spec.critic))
        return found

    def losses(self, batch: Batch, step: int) -> Losses:
        """The weighted sum, its parts, and the spread and KL of each latent channel."""
        made, losses = self._reconstructed(batch, draw=True)
        if self.critic is not None:
            self._made.keep(batch, step, made)
            if step >= self.spec.adversarial_after:
                fooled = OBJECTIVES["hinge"].generator(None, self.critic(made).float().flatten())
                losses["total"] = losses["total"] + self.spec.adversarial * fooled
                losses["fake"] = -fooled.detach()
        return losses

    def validation(self, batch: Batch) -> Losses:
        """The same on held-out images, through the means of their latents; no discriminator."""
        return self._reconstructed(batch, draw=False)[1]

    def critic_losses(self, batch: Batch, step: int) -> Losses:
        """The discriminator's hinges on real images and on this step's reconstructions."""
        assert self.critic is not None
        kept = self._made.take(batch, step)
        if kept is None:  # the phase by itself, as tests run it
            with torch.no_grad():
                kept = self._reconstructed(batch, draw=True)[:1]
        hinge = OBJECTIVES["hinge"]
        real, fake = (self.critic(x).float().flatten() for x in (batch.images, kept[0]))
        losses = {"total": hinge.critic(real, fake), "real": real.mean(), "fake": fake.mean()}
        return losses | hinge.told_apart(real, fake)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and log-variance of the latents, each (N, *space); None where they have none."""
        numbers = self.encoder(images).float()
        if not self.spec.kl:
            return numbers, None
        mean, log_variance = numbers.chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCES)

    def _reconstructed(self, batch: Batch, draw: bool) -> tuple[Tensor, Losses]:
        """Reconstructions in about [-1, 1], and all losses but the discriminator's."""
        mean, log_variance = self.posterior(batch.images)
        z = mean
        if log_variance is not None and draw:
            z = mean + (log_variance / 2).exp() * batch.noise.normal(*self.space).to(mean)
        made = self.decoder(z).float()
        error = (made - batch.images).abs().mean()
        total, losses = error, {"error": error}
        if self.eye is not None:
            losses["perceptual"] = self.eye(batch.images, made).mean()
            total = total + self.spec.perceptual_weight * losses["perceptual"]
        if log_variance is not None:
            kl = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
            channels = kl.sum((2, 3)).mean(0)  # nats an image
            losses["kl"] = channels.sum()
            total = total + self.spec.kl * kl.mean()
            losses |= {f"kl_{j}": value for j, value in enumerate(channels.detach())}
        spread = mean.detach().transpose(0, 1).flatten(1).std(1)
        losses |= {f"std_{j}": value for j, value in enumerate(spread)}
        return made, {"total": total, **losses}

    def encode(self, images: Tensor) -> Tensor:
        """The means of the latents, float32 (N, *space), of images in [-1, 1]."""
        return self.posterior(images)[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Images, float32 in [0, 1], of latents with shape (N, *space)."""
        images: Tensor = self.decoder(codes).float().add(1).div(2).clamp(0, 1)
        return images

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] there and back, float32 in [0, 1]."""
        return self.decode(self.encode(images))

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """Reconstructions, and ways from one image to another through their latents."""
        images = batch.images
        count = len(images)
        codes = self.encode(images)
        seen = images.float().add(1).div(2)
        return {
            "reconstructions": (torch.cat([seen, self.decode(codes)]), count),
            "interpolation": (self.decode(ways(codes)), count),
        }
