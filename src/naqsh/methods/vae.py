r"""Variational autoencoders: Bernoulli or Gaussian images, a weight on the KL term, free bits.

Latents :math:`z \sim \mathcal N(0, I)` make an image by :math:`p(x \mid z)`; an encoder gives the
posterior :math:`q(z \mid x) = \mathcal N(\mu, \operatorname{diag} \sigma^2)`. Minimised is

.. math:: \underbrace{-E_q \log p(x \mid z)}_{\text{reconstruction}} + \beta \sum_j \max(\lambda,
   \mathrm{KL}_j), \qquad \mathrm{KL}_j = \tfrac12 (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2),

both terms averaged over the batch, the expectation from one sample :math:`z = \mu + \sigma
\epsilon`. The maximum is taken of that average, and the batch is that of all ranks and accumulated
parts. Without free bits, :math:`\lambda = 0`, no maximum is taken: the KL of a draw may be below 0.
With :math:`\beta = 1` and :math:`\lambda = 0` it is a bound,
:math:`\log p(x) \ge E_q \log p(x \mid z) - \mathrm{KL}`. With K samples

.. math:: \log p(x) \ge E \log \frac1K \sum_k \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)},

which rises with K towards :math:`\log p(x)`.

The posterior may also be an inverse autoregressive flow: further steps change z, one pass each (see
:mod:`naqsh.flows.posterior`). Its KL has no closed form: the loss has one sample's
:math:`\log q(z \mid x) - \log p(z)`, as a sum with a term of each latent.

Pixels lie in [0, 1]. The Gaussian is a density of them. The Bernoulli is a probability of black and
white pixels; of a grey image it is the mean log-probability of its random black-and-white
versions, whose pixels are white with probability x.

References:
    Auto-Encoding Variational Bayes (Kingma and Welling, 2013), arXiv:1312.6114, equation 10.
    beta-VAE (Higgins et al., 2017), ICLR, equation 4.
    Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
    arXiv:1606.04934, equation 16: free bits; algorithm 1: the flow.
    Importance Weighted Autoencoders (Burda et al., 2015), arXiv:1509.00519, equation 8.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor, nn

from naqsh.core import ranks
from naqsh.core.abilities import LogProbKind
from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.core.ways import ways
from naqsh.flows.posterior import Drawn, InverseAutoregressive, Posterior, draw
from naqsh.networks import vae as networks
from naqsh.networks.likelihoods import LEAST_SCALE, Bernoulli, Gaussian


@dataclass(frozen=True)
class Common(MethodSpec):
    """Hyperparameters that every VAE has.

    Attributes:
        likelihood: how a pixel is distributed given the latents.
        latent: number of latents.
        width: factor on every number of channels of both networks.
        scale: standard deviation of a Gaussian pixel, of pixels in [0, 1].
        learn_scale: whether a Gaussian's `scale` is only where training begins.
        posterior: a normal distribution with independent latents, or an inverse autoregressive
            flow from it.
        posterior_steps: how many steps the flow of the posterior has.
        posterior_hidden: units of both hidden layers of a step, and how many numbers the encoder
            tells the steps of an image.
        optimizer: how all of it is trained.
    """

    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    latent: int = 10
    width: int = 1
    scale: float = 0.1
    learn_scale: bool = False
    posterior: Literal["diagonal", "iaf"] = "diagonal"
    posterior_steps: int = 2
    posterior_hidden: int = 320
    optimizer: Optimizer = Adam(lr=1e-4)

    def __post_init__(self) -> None:
        if min(self.latent, self.width) < 1:
            raise ValueError("latent and width must be at least 1")
        if min(self.posterior_steps, self.posterior_hidden) < 1:
            raise ValueError("posterior_steps and posterior_hidden must be at least 1")
        if self.scale <= LEAST_SCALE:
            raise ValueError(f"scale must be above half a grey level, 1/510, got {self.scale}")

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, width=1, posterior_hidden=16)


@dataclass(frozen=True)
class Spec(Common):
    """Hyperparameters of a VAE.

    Attributes:
        beta: weight of the KL term; 1 maximises the lower bound.
        free_bits: the KL of a latent, averaged over the batch, counts for no less than so many
            nats; 0 leaves it as it is.
    """

    beta: float = 1.0
    free_bits: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.beta, self.free_bits) < 0:
            raise ValueError("beta and free_bits must be at least 0")

    def build(self, layout: Layout) -> "VAE":
        """The method with fresh networks; labels are not used."""
        return BetaVAE(self, layout.shape)


class VAE(Method):
    """An encoder and a decoder, trained in one phase; how the KL is weighted is a subclass's.

    Args:
        spec: its hyperparameters.
        shape: (C, H, W) of the images.
        told: numbers that the decoder takes beside the latents.
    """

    value_range = (0.0, 1.0)
    log_prob_kind: LogProbKind = "lower bound"

    def __init__(self, spec: Common, shape: Shape, told: int = 0) -> None:
        super().__init__(shape)
        self.latent, self.optimizer = spec.latent, spec.optimizer
        context = spec.posterior_hidden if spec.posterior == "iaf" else 0
        self.encoder = networks.encoder(shape, spec.latent, spec.width, context)
        self.decoder = networks.decoder(shape, spec.latent + told, spec.width)
        self.likelihood: Bernoulli | Gaussian = Bernoulli()
        self.log_prob_of = "black and white"
        if spec.likelihood == "gaussian":
            self.likelihood = Gaussian(spec.scale, spec.learn_scale)
            self.log_prob_of = "density"
        self.flow: InverseAutoregressive | None = None
        if spec.posterior == "iaf":
            self.flow = InverseAutoregressive(spec.latent, spec.posterior_steps, context)

    def weighted(self, kl: Tensor, whole: Tensor, step: int) -> tuple[Tensor, Losses]:
        """What the KL adds to the loss in `step`.

        Args:
            kl: nats of each latent, averaged over this part of the batch, shape (latent,).
            whole: the same averaged over all parts and ranks, without gradient. Only how `kl` is
                weighted may depend on it, so that the parts' gradients add up.
            step: of training, from 0.

        Returns:
            the scalar to minimise beside the reconstruction, and scalars to log.
        """
        raise NotImplementedError

    def losses(self, batch: Batch, step: int) -> Losses:
        """Reconstruction, KL and their weighted sum; the KL of each latent beside them, in nats."""
        reconstruction, kl = self._terms(batch, self.told(batch, training=True))
        penalty, further = self.weighted(kl, self._whole(kl, batch), step)
        losses = {"total": reconstruction + penalty, "reconstruction": reconstruction}
        losses |= {"kl": kl.sum(), **further}
        if isinstance(self.likelihood, Gaussian):
            losses["scale"] = self.likelihood.scale
        digits = max(2, len(str(self.latent - 1)))
        return losses | {f"kl_{j:0{digits}}": value for j, value in enumerate(kl.detach())}

    def survey(self, batch: Batch) -> Tensor:
        """The KL of each latent averaged over one part of a batch, shape (latent,)."""
        told = self.told(batch, training=True)
        return self._draw(self.posterior(batch.images, told), batch.noise).kl.mean(0)

    def _whole(self, kl: Tensor, batch: Batch) -> Tensor:
        """The KL of each latent averaged over all parts and ranks, without gradient."""
        if batch.surveyed is not None:
            return batch.surveyed
        return ranks.total(kl.detach()) / ranks.count()

    def validation(self, batch: Batch) -> Losses:
        """The negative lower bound and its two parts, whatever the KL's weight in training."""
        reconstruction, kl = self._terms(batch, self.told(batch, training=False))
        kl = kl.sum()
        return {"total": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def told(self, batch: Batch, training: bool) -> Tensor | None:
        """What the networks are told of a batch beside its images; of some hidden in training."""
        return None

    def numbers(self, images: Tensor, told: Tensor | None) -> Tensor:
        """What the encoder gives of images that something is told of."""
        given: Tensor = self.encoder(images)
        return given

    def parameters_of(self, codes: Tensor, told: Tensor | None) -> Tensor:
        """What the decoder gives of latents with which something is told."""
        given: Tensor = self.decoder(codes)
        return given

    def posterior(self, images: Tensor, told: Tensor | None = None) -> Posterior:
        """What the encoder says of images in [0, 1] with shape (N, C, H, W)."""
        # The KL holds exponentials and differences of like numbers: not for bfloat16.
        numbers = self.numbers(images, told).float()
        rest = numbers.shape[1] - 2 * self.latent
        return Posterior(*numbers.split([self.latent, self.latent, rest], dim=1))

    @property
    def sampling_network(self) -> nn.Module:
        """The decoder, evaluated once an image."""
        return self.decoder

    def sample(self, noise: Noise) -> Tensor:
        """Expected images in [0, 1] with shape (N, C, H, W), one for each stream of the noise."""
        return self.decode(noise.normal(self.latent))

    def encode(self, images: Tensor, told: Tensor | None = None) -> Tensor:
        """The means of the latents, shape (N, latent), of images in [0, 1].

        With a flow they are where it takes the mean of the normal distribution that it begins with.
        """
        posterior = self.posterior(images, told)
        return (
            posterior.mean if self.flow is None else self.flow(posterior.mean, posterior.context)[0]
        )

    def decode(self, codes: Tensor, told: Tensor | None = None) -> Tensor:
        """Expected images, float32 in [0, 1], of latents with shape (N, latent)."""
        return self.likelihood.mean(self.parameters_of(codes, told))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images in [0, 1] there and back, through the means of their latents."""
        return self.decode(self.encode(images))

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """Reconstructions, traversals of each latent, and ways from one image to another."""
        images, told = batch.images, self.told(batch, training=False)
        count = len(images)
        codes = self.encode(images, told)
        moved = codes[:1].repeat(self.latent, count, 1)
        latents = torch.arange(self.latent, device=images.device)
        moved[latents, :, latents] = 6 * torch.linspace(0, 1, count, device=images.device) - 3

        def as_of(codes: Tensor, of: Tensor) -> Tensor:
            return self.decode(codes, None if told is None else told[of])

        rows = torch.arange(count // 2, device=images.device).repeat_interleave(count)
        return {
            "reconstructions": (torch.cat([images, self.decode(codes, told)]), count),
            "traversal": (as_of(moved.flatten(0, 1), rows.new_zeros(self.latent * count)), count),
            "interpolation": (as_of(ways(codes), rows), count),
        }

    def log_prob(self, images: Tensor, noise: Noise, samples: int = 1) -> Tensor:
        """A random lower bound of each image's log-likelihood in nats, shape (N,).

        Args:
            images: images in [0, 1] with shape (N, C, H, W).
            noise: of these N images.
            samples: 1 gives the ELBO, its KL in closed form if there is one; more, the
                importance-weighted bound, which is tighter. One pass of the decoder each.
        """
        posterior = self.posterior(images)
        if samples == 1:
            fit, kl = self._bound(images, posterior, noise, None)
            return fit - kl.sum(1)
        weights = []
        for _ in range(samples):
            drawn = self._draw(posterior, noise)
            fit = self.likelihood(images, self.parameters_of(drawn.z, None))
            weights.append(fit + drawn.ratio.sum(1))
        return torch.stack(weights).logsumexp(0) - math.log(samples)

    def _terms(self, batch: Batch, told: Tensor | None) -> tuple[Tensor, Tensor]:
        """Reconstruction, a scalar, and the KL of each latent, shape (latent,): batch means."""
        posterior = self.posterior(batch.images, told)
        fit, kl = self._bound(batch.images, posterior, batch.noise, told)
        return -fit.mean(), kl.mean(0)

    def _bound(
        self, images: Tensor, posterior: Posterior, noise: Noise, told: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """log p(x|z) of one draw, shape (N,), and the KL of each latent, shape (N, latent)."""
        drawn = self._draw(posterior, noise)
        fit: Tensor = self.likelihood(images, self.parameters_of(drawn.z, told))
        return fit, drawn.kl

    def _draw(self, posterior: Posterior, noise: Noise) -> Drawn:
        """Latents of one draw of the posterior."""
        return draw(posterior, noise.normal(self.latent), self.flow)


class BetaVAE(VAE):
    """A VAE whose KL has a fixed weight."""

    def __init__(self, spec: Spec, shape: Shape, told: int = 0) -> None:
        super().__init__(spec, shape, told)
        self.beta, self.free_bits = spec.beta, spec.free_bits

    def phases(self) -> list[Phase]:
        """The one phase; free bits ask for the KL of the whole batch."""
        survey = self.survey if self.free_bits else None
        return [Phase("vae", [self], self.losses, self.optimizer, survey=survey)]

    def weighted(self, kl: Tensor, whole: Tensor, step: int) -> tuple[Tensor, Losses]:
        """`beta` times the KL, of each latent no less than `free_bits`."""
        if self.free_bits:
            kl = torch.where(whole < self.free_bits, self.free_bits, kl)
        return self.beta * kl.sum(), {}
