r"""Variational autoencoders: Bernoulli or Gaussian pictures, a weight on the KL term, free bits.

Latents :math:`z \sim \mathcal N(0, I)` make a picture by :math:`p(x \mid z)`; an encoder gives the
posterior :math:`q(z \mid x) = \mathcal N(\mu, \operatorname{diag} \sigma^2)`. Minimised is

.. math:: \underbrace{-E_q \log p(x \mid z)}_{\text{reconstruction}} + \beta \sum_j \max(\lambda,
   \mathrm{KL}_j), \qquad \mathrm{KL}_j = \tfrac12 (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2),

both terms averaged over the batch (before the maximum is taken), the expectation from one sample
:math:`z = \mu + \sigma \epsilon`. With :math:`\beta = 1` and :math:`\lambda = 0` it is a bound,
:math:`\log p(x) \ge E_q \log p(x \mid z) - \mathrm{KL}`. With K samples

.. math:: \log p(x) \ge E \log \frac1K \sum_k \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)},

which rises with K towards :math:`\log p(x)`.

Pixels lie in [0, 1]. The Gaussian is a density of them. The Bernoulli is a probability of black and
white pixels; of a grey picture it is the mean log-probability of its random black-and-white
versions, whose pixels are white with probability x.

References:
    Auto-Encoding Variational Bayes (Kingma and Welling, 2013), arXiv:1312.6114, equation 10.
    beta-VAE (Higgins et al., 2017), ICLR, equation 4.
    Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
    arXiv:1606.04934, equation 16: free bits.
    Importance Weighted Autoencoders (Burda et al., 2015), arXiv:1509.00519, equation 8.
    Simple and Effective VAE Training with Calibrated Decoders (Rybkin et al., 2020),
    arXiv:2006.13202, section 3.1: the learnt scale.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from naqsh.core import Batch, LogProbKind, Losses, Method, Phase
from naqsh.networks import vae as networks
from naqsh.noise import Noise
from naqsh.spec import Adam, MethodSpec, Optimizer, Shape

LEAST_SCALE = 1 / 510
"""Half a grey level: pictures of 256 levels say nothing of finer differences."""


@dataclass(frozen=True)
class Common(MethodSpec):
    """The numbers that every VAE has.

    Attributes:
        likelihood: of a pixel given the latents.
        latent: number of latents.
        width: factor on every number of channels of both networks.
        scale: standard deviation of a Gaussian pixel, of pixels in [0, 1].
        learn_scale: whether a Gaussian's `scale` is only where training begins.
        optimizer: how all of it is trained.
    """

    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    latent: int = 10
    width: int = 1
    scale: float = 0.1
    learn_scale: bool = False
    optimizer: Optimizer = Adam(lr=1e-4)

    def __post_init__(self) -> None:
        if min(self.latent, self.width) < 1:
            raise ValueError("latent and width must be at least 1")
        if self.scale <= LEAST_SCALE:
            raise ValueError(f"scale must be above half a grey level, 1/510, got {self.scale}")


@dataclass(frozen=True)
class Spec(Common):
    """The numbers of a VAE.

    Attributes:
        beta: weight of the KL term; 1 maximises the lower bound.
        free_bits: the KL of a latent counts for no less than so many nats.
    """

    beta: float = 1.0
    free_bits: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.beta, self.free_bits) < 0:
            raise ValueError("beta and free_bits must be at least 0")

    def build(self, shape: Shape, classes: int) -> "VAE":
        """The method with fresh networks; classes are not used."""
        return BetaVAE(self, shape)


class Bernoulli(nn.Module):
    """Independent pixels, black or white, from their logits."""

    def forward(self, images: Tensor, logits: Tensor) -> Tensor:
        """Nats of pictures in [0, 1] with shape (N, C, H, W), given logits of that shape: (N,)."""
        cross = binary_cross_entropy_with_logits(logits.float(), images, reduction="none")
        return -cross.flatten(1).sum(1)

    def mean(self, logits: Tensor) -> Tensor:
        """The expected picture, float32 in [0, 1]."""
        return logits.float().sigmoid()


class Gaussian(nn.Module):
    """Independent pixels with one standard deviation for all, from their means."""

    log_excess: Tensor

    def __init__(self, scale: float, learn: bool) -> None:
        super().__init__()
        log_excess = torch.tensor(math.log(scale - LEAST_SCALE))
        if learn:
            self.log_excess = nn.Parameter(log_excess)
        else:
            self.register_buffer("log_excess", log_excess)

    @property
    def scale(self) -> Tensor:
        """The standard deviation of a pixel."""
        # Without a floor a decoder that learns its pictures by heart has a loss without one.
        return LEAST_SCALE + self.log_excess.exp()

    def forward(self, images: Tensor, means: Tensor) -> Tensor:
        """Nats of pictures in [0, 1] with shape (N, C, H, W), given means of that shape: (N,)."""
        squares = ((images - means.float()) / self.scale).square().flatten(1)
        constant = squares.shape[1] * (self.scale.log() + math.log(2 * math.pi) / 2)
        return -squares.sum(1) / 2 - constant

    def mean(self, means: Tensor) -> Tensor:
        """The expected picture, float32, cut to [0, 1]."""
        return means.float().clamp(0, 1)


class VAE(Method):
    """An encoder and a decoder, trained in one phase; how the KL is weighed is a subclass's."""

    value_range = (0.0, 1.0)
    log_prob_kind: LogProbKind = "lower bound"

    def __init__(self, spec: Common, shape: Shape) -> None:
        super().__init__(shape)
        self.latent, self.optimizer = spec.latent, spec.optimizer
        self.encoder = networks.encoder(shape, spec.latent, spec.width)
        self.decoder = networks.decoder(shape, spec.latent, spec.width)
        self.likelihood: Bernoulli | Gaussian = Bernoulli()
        self.log_prob_of = "black and white"
        if spec.likelihood == "gaussian":
            self.likelihood = Gaussian(spec.scale, spec.learn_scale)
            self.log_prob_of = "density"

    def weighed(self, kl: Tensor, step: int) -> tuple[Tensor, Losses]:
        """What the KL adds to the loss in `step`.

        Args:
            kl: nats of each latent, averaged over the batch, shape (latent,).
            step: of training, from 0.

        Returns:
            the scalar to minimise beside the reconstruction, and scalars to log.
        """
        raise NotImplementedError

    def phases(self) -> list[Phase]:
        """The one phase."""
        return [Phase("vae", [self], self.losses, self.optimizer)]

    def losses(self, batch: Batch, step: int) -> Losses:
        """Reconstruction, KL and their weighed sum; the KL of each latent beside them, in nats."""
        reconstruction, kl = self._terms(batch)
        penalty, further = self.weighed(kl, step)
        losses = {"total": reconstruction + penalty, "reconstruction": reconstruction}
        losses |= {"kl": kl.sum(), **further}
        if isinstance(self.likelihood, Gaussian):
            losses["scale"] = self.likelihood.scale
        digits = max(2, len(str(self.latent - 1)))
        return losses | {f"kl_{j:0{digits}}": value for j, value in enumerate(kl.detach())}

    def validation(self, batch: Batch) -> Losses:
        """The negative lower bound and its two parts, whatever the KL's weight in training."""
        reconstruction, kl = self._terms(batch)
        kl = kl.sum()
        return {"total": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances of the latents, each float32 with shape (N, latent).

        Args:
            images: pictures in [0, 1] with shape (N, C, H, W).
        """
        # The KL holds exponentials and differences of like numbers: not for bfloat16.
        mean, log_variance = self.encoder(images).float().chunk(2, dim=1)
        return mean, log_variance

    @property
    def sampling_network(self) -> nn.Module:
        """The decoder, evaluated once a picture."""
        return self.decoder

    def sample(self, noise: Noise) -> Tensor:
        """Expected pictures in [0, 1] with shape (N, C, H, W), one for each stream of the noise."""
        return self.decode(noise.normal(self.latent))

    def encode(self, images: Tensor) -> Tensor:
        """The means of the latents, shape (N, latent), of pictures in [0, 1]."""
        return self.posterior(images)[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Expected pictures, float32 in [0, 1], of latents with shape (N, latent)."""
        return self.likelihood.mean(self.decoder(codes))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pictures in [0, 1] there and back, through the means of their latents."""
        return self.decode(self.encode(images))

    def show(self, images: Tensor, noise: Noise) -> dict[str, tuple[Tensor, int]]:
        """Reconstructions, traversals of each latent, and ways from one picture to another."""
        count = len(images)
        codes = self.encode(images)
        way = torch.linspace(0, 1, count, device=images.device).view(-1, 1)
        moved = codes[:1].repeat(self.latent, count, 1)
        latents = torch.arange(self.latent, device=images.device)
        moved[latents, :, latents] = 6 * way.T - 3
        ways = [torch.lerp(codes[n], codes[-1 - n], way) for n in range(count // 2)]
        return {
            "reconstructions": (torch.cat([images, self.decode(codes)]), count),
            "traversal": (self.decode(moved.flatten(0, 1)), count),
            "interpolation": (self.decode(torch.cat(ways)), count),
        }

    def log_prob(self, images: Tensor, noise: Noise, samples: int = 1) -> Tensor:
        """A random lower bound of each picture's log-likelihood in nats, shape (N,).

        Args:
            images: pictures in [0, 1] with shape (N, C, H, W).
            noise: of these N pictures.
            samples: 1 gives the ELBO with its KL in closed form; more, the importance-weighted
                bound, which is tighter. One pass of the decoder each.
        """
        mean, log_variance = self.posterior(images)
        deviation = (log_variance / 2).exp()
        if samples == 1:
            z = mean + deviation * noise.normal(self.latent)
            fit: Tensor = self.likelihood(images, self.decoder(z))
            return fit - divergence(mean, log_variance).sum(1)
        weights = []
        for _ in range(samples):
            normal = noise.normal(self.latent)
            z = mean + deviation * normal
            # The normalising constants of prior and posterior cancel but for the deviation.
            ratio = (normal.square() - z.square() + log_variance).sum(1) / 2
            weights.append(self.likelihood(images, self.decoder(z)) + ratio)
        return torch.stack(weights).logsumexp(0) - math.log(samples)

    def _terms(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Reconstruction, a scalar, and the KL of each latent, shape (latent,): batch means."""
        mean, log_variance = self.posterior(batch.images)
        z = mean + (log_variance / 2).exp() * batch.noise.normal(self.latent)
        fit = self.likelihood(batch.images, self.decoder(z))
        return -fit.mean(), divergence(mean, log_variance).mean(0)


class BetaVAE(VAE):
    """A VAE whose KL has a fixed weight."""

    def __init__(self, spec: Spec, shape: Shape) -> None:
        super().__init__(spec, shape)
        self.beta, self.free_bits = spec.beta, spec.free_bits

    def weighed(self, kl: Tensor, step: int) -> tuple[Tensor, Losses]:
        """`beta` times the KL, of each latent no less than `free_bits`."""
        return self.beta * kl.clamp(min=self.free_bits).sum(), {}


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, exp(log_variance)) from N(0, 1) in nats; shape of both."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2
