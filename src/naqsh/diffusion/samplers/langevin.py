r"""Langevin dynamics: chains that walk by a density's score alone, and their annealing.

A step goes up the score and shakes, :math:`x \leftarrow x + a\, s(x) + \sqrt{2a}\, z`. With short
steps a chain ends in the density whatever it began with, but it may take very long: between modes
there is no density, no image was seen there, and no score tells how much each mode weighs.

Annealed dynamics walks the levels of noise down, T steps at each, from where all modes are one.
With :math:`a = r \sigma^2` and :math:`s = -\hat\epsilon / \sigma` a step is

.. math:: x \leftarrow x - r \sigma \hat\epsilon(x, t) + \sqrt{2 r}\, \sigma z,

the same whatever unit images have. The papers write :math:`a = \epsilon \sigma^2 / \sigma_L^2` for
images in [0, 1]: NCSN's :math:`\epsilon` of 2e-5 is r = 0.2, NCSNv2's 6.2e-6 for CIFAR-10 0.062.
(The equations of the first paper halve a; its code does not, and neither do we.) A level begins
with x as the one before has left it, under any schedule.

The last level still has noise in it. Where `denoise` is set the chain ends in what the denoiser
makes of it, :math:`\hat x_0 = x + \sigma_L^2 s` where the signal is kept. One sees little
difference and FID sees much (CIFAR-10: 31.8 without, 10.87 with it).

References:
    Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon, 2019),
    arXiv:1907.05600, algorithm 1; sections 3.2 and 5.1: densities without overlap.
    Improved Techniques for Training Score-Based Generative Models (Song and Ermon, 2020),
    arXiv:2006.09011, algorithm 1 and technique 4.
    Adversarial Score Matching and Improved Sampling for Image Generation (Jolicoeur-Martineau et
    al., 2021), arXiv:2009.05475, section 3.1: the last denoising step.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.levels import step_size
from naqsh.diffusion.samplers.sampler import Sampler, Walk

FARTHEST = 1e3
"""A ratio of two levels' noise beyond which the step size is that of this one."""


def plain(
    score: Callable[[Tensor], Tensor], x: Tensor, noise: Noise, size: float, steps: int
) -> Iterator[Tensor]:
    """Langevin dynamics in one density; x after each step.

    Args:
        score: the gradient of the log-density of each image, shape (N, ...) to the same.
        x: where the chains begin, one for each of the noise's streams.
        noise: drawn from once a step.
        size: of a step, a above: in the square of the unit of `x`.
        steps: how many.

    Raises:
        NaqshError: no step, or a size that is not above 0.
    """
    if steps < 1 or size <= 0:
        raise NaqshError(f"need at least 1 step of a size above 0, got {steps} of {size}")
    for _ in range(steps):
        x = x + size * score(x) + math.sqrt(2 * size) * noise.normal(*x.shape[1:]).to(x)
        yield x


@dataclass(frozen=True)
class Langevin(Sampler):
    """Annealed Langevin dynamics; its `steps` are levels of noise.

    Attributes:
        inner: Langevin steps at each level, one evaluation each.
        size: of a step, over sigma squared; None is NCSNv2's choice for the levels and `inner`.
        denoise: end in the denoiser's clean image, one evaluation more, not in the last level.
    """

    inner: int = 5
    size: float | None = None
    denoise: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner < 1:
            raise NaqshError(f"need at least 1 inner step, got {self.inner}")
        if self.size is not None and not 0 < self.size <= 1:
            raise NaqshError(f"the size of a step must lie in (0, 1], got {self.size}")

    @property
    def evaluations(self) -> int:
        """How often the network is run for an image; guidance runs it twice as often."""
        return self.steps * self.inner + self.denoise

    def within(self, evaluations: int, levels: int | None = None) -> Self:
        """The same with as many steps as so many evaluations allow; of few levels each has several.

        The denoising step at the end is not counted.

        Args:
            evaluations: of the network an image.
            levels: of noise that there are; None where time is continuous.
        """
        steps = min(evaluations, levels or evaluations)
        return replace(self, steps=steps, inner=evaluations // steps)

    def path(self, walk: Walk, x: Tensor, noise: Noise) -> Iterator[tuple[Tensor, Tensor]]:
        """x after each level's steps, and the last x0 predicted there."""
        for i, size in enumerate(self.sizes(walk)):
            shake = math.sqrt(2 * size) * walk.sigma[i]
            for _ in range(self.inner):
                seen = walk.see(x, i)
                x = x - size * walk.sigma[i] * seen.epsilon
                x = x + shake * noise.normal(*x.shape[1:]).to(x)
            if self.denoise and i + 1 == len(walk):
                seen = walk.see(x, i)
                x = seen.x0
            yield x, seen.x0

    def sizes(self, walk: Walk) -> list[float]:
        """The size of a step at each level, over sigma squared."""
        if self.size is not None:
            return [self.size] * len(walk)
        over = [s / a if a else math.inf for a, s in zip(walk.alpha, walk.sigma, strict=True)]
        ratios = [min(before / here, FARTHEST) for before, here in pairwise(over[:-1])]
        # What the first level comes from is unknown: as much noise more as it has than the next.
        ratios = [*ratios[:1], *ratios] or [FARTHEST]
        return [step_size(ratio, self.inner) for ratio in ratios]


@dataclass(frozen=True)
class PredictorCorrector(Sampler):
    r"""Reverse diffusion, each step after Langevin steps that correct what came before.

    A correction has the size :math:`a = 2 (r \lVert z \rVert / \lVert s \rVert)^2` with r the
    signal-to-noise ratio, of each image by itself, where the paper takes norms' means over the
    batch: an image must not depend on the others. The step down is the mean of q(x_s | x_t) and all
    of the variance that the step up adds; into the clean image it is the mean alone.

    From "Score-Based Generative Modeling through Stochastic Differential Equations" (Song et al.,
    2021), arXiv:2011.13456, algorithms 2 and 4.

    Attributes:
        snr: the signal-to-noise ratio of corrections.
        corrections: before each step, one evaluation each.
    """

    snr: float = 0.16
    corrections: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corrections < 0 or self.snr <= 0:
            raise NaqshError(
                "snr must be above 0 and corrections at least 0, got "
                f"{self.snr} and {self.corrections}"
            )

    @property
    def evaluations(self) -> int:
        """How often the network is run for an image; guidance runs it twice as often."""
        return self.steps * (1 + self.corrections)

    def path(self, walk: Walk, x: Tensor, noise: Noise) -> Iterator[tuple[Tensor, Tensor]]:
        """x after each step down, and the x0 predicted in it."""
        step = walk.posterior()
        of_x0, of_x, added = step.of_x0.tolist(), step.of_x.tolist(), step.added.tolist()
        for i in range(len(walk)):
            for _ in range(self.corrections):
                x = self._corrected(walk, x, i, noise)
            seen = walk.see(x, i)
            x = of_x0[i] * seen.x0 + of_x[i] * x
            if i + 1 < len(walk):
                x = x + math.sqrt(added[i]) * noise.normal(*x.shape[1:]).to(x)
            yield x, seen.x0

    def _corrected(self, walk: Walk, x: Tensor, i: int, noise: Noise) -> Tensor:
        score, z = walk.see(x, i).score(walk.sigma[i]), noise.normal(*x.shape[1:]).to(x)
        size = 2 * (self.snr * _norms(z) / _norms(score)) ** 2
        return x + size * score + (2 * size).sqrt() * z


def _norms(x: Tensor) -> Tensor:
    """The length of each image, to multiply it; not 0."""
    lengths: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return lengths.clamp(min=1e-12).view(-1, 1, 1, 1)
