r"""DDIM and its inverse.

.. math:: x_s = \alpha_s \hat x_0 + \sqrt{\sigma_s^2 - \eta^2 \tilde\sigma^2}\, \hat\epsilon
   + \eta \tilde\sigma z,

where :math:`\tilde\sigma^2` is the variance of :math:`q(x_s \mid x_t, x_0)`. At :math:`\eta = 1` it
is the ancestral sampler of small variance.

References:
    Denoising Diffusion Implicit Models (Song et al., 2021), arXiv:2010.02502, equations 12 and 16.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoises
from naqsh.diffusion.samplers.sampler import Callback, Memoryless, Step, Walk


@dataclass(frozen=True)
class Ddim(Memoryless):
    """DDIM; one evaluation a step.

    Attributes:
        eta: share of fresh noise, from 0 for none after the start to 1 for that of DDPM's steps.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise NaqshError(f"eta must lie in [0, 1], got {self.eta}")

    def stepper(self, walk: Walk) -> Step:
        """What takes DDIM's step."""
        variance = walk.posterior().variance.tolist()

        def step(x: Tensor, i: int, noise: Noise) -> tuple[Tensor, Tensor]:
            fresh = self.eta * math.sqrt(variance[i])
            seen = walk.see(x, i)
            kept = math.sqrt(max(0.0, walk.sigma[i + 1] ** 2 - fresh**2))
            x = walk.alpha[i + 1] * seen.x0 + kept * seen.epsilon
            if fresh:
                x = x + fresh * noise.normal(*x.shape[1:]).to(x)
            return x, seen.x0

        return step

    @torch.no_grad()
    def invert(
        self,
        denoiser: Denoises,
        images: Tensor,
        *,
        labels: Tensor | None = None,
        rounds: int = 5,
        callback: Callback | None = None,
    ) -> Tensor:
        r"""The noise from which this sampler makes given images.

        Each step back is the :math:`x_t` that DDIM's step takes to :math:`x_s`. With :math:`z = x /
        (\alpha + \sigma)` and :math:`w = \sigma / (\alpha + \sigma)` that is

        .. math:: z_t = z_s + (w_t - w_s) \bigl(\hat\epsilon(x_t, t) - \hat x_0(x_t, t)\bigr),

        found by putting the last guess on the right; the first guess is :math:`z_s`. Without `clip`
        a schedule that ends in nearly no signal, as the cosine does, makes of a small error in
        epsilon a large one in the image.

        Args:
            denoiser: what predicts the image.
            images: in the denoiser's range of values with shape (N, C, H, W).
            labels: passed on to the denoiser.
            rounds: how often the right side is put in, one network evaluation each. One solves the
                equation forwards by Euler's method, as in the paper; more come as near as one likes
                to the exact inverse where steps are short.
            callback: as in a call, on the way to noise.

        Returns:
            x at the schedule's end, shape and dtype of `images`.

        Raises:
            NaqshError: no round, or an `eta` above 0.
        """
        if rounds < 1:
            raise NaqshError(f"need at least 1 round, got {rounds}")
        if self.eta:
            raise NaqshError(f"DDIM has an inverse for eta 0 alone, got {self.eta}")
        walk = self.walk(denoiser, labels)
        x = images
        for i in reversed(range(len(walk))):
            there, here = walk.alpha[i] + walk.sigma[i], walk.alpha[i + 1] + walk.sigma[i + 1]
            width = walk.sigma[i] / there - walk.sigma[i + 1] / here
            z = x / here
            guess = there * z
            for _ in range(rounds):
                seen = walk.see(guess, i)
                guess = there * (z + width * (seen.epsilon - seen.x0))
            x = guess
            if callback:
                callback(len(walk) - 1 - i, walk.times[i], x, seen.x0)
        return x
