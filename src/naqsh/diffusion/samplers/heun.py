r"""Heun's method on the probability-flow equation.

EDM's form of the equation (:mod:`naqsh.diffusion.samplers.euler`) is for a schedule that keeps the
signal. Where signal is lost on the way u grows without bound: the cosine schedule ends at u =
20,000, and a step from there to u = 6 would turn an error of the slope, however small, into one of
thousands. There the same equation is solved in :math:`y = x/(\alpha + \sigma)`, :math:`u =
\sigma/(\alpha + \sigma)`, which lies in [0, 1], where

.. math:: \frac{dy}{du} = \hat\epsilon(x, t) - \hat x_0(x, t)

is flow matching's velocity. Each step averages the slope at both ends, and takes Euler's step into
the clean image, where there is no noise to divide by.

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364, algorithms 1 and 2.
    Flow Matching for Generative Modeling (Lipman et al., 2023), arXiv:2210.02747, equation 1.
"""

from dataclasses import dataclass

from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Prediction
from naqsh.diffusion.samplers.churn import Churned
from naqsh.diffusion.samplers.sampler import Step, Walk


@dataclass(frozen=True)
class Heun(Churned):
    """Heun's method, of second order; two evaluations a step, one in the last."""

    @property
    def evaluations(self) -> int:
        """How often the network is run for an image; guidance runs it twice as often."""
        return 2 * self.steps - 1

    def stepper(self, walk: Walk) -> Step:
        """What takes Heun's step; the x0 is that predicted at its beginning."""
        straight = walk.alpha[0] < walk.alpha[-1]

        def step(x: Tensor, i: int, noise: Noise) -> tuple[Tensor, Tensor]:
            x, here = self.churned(walk, x, i, noise)
            seen = walk.look(x, *here)
            alpha, sigma = walk.alpha[i + 1], walk.sigma[i + 1]
            reached = alpha * seen.x0 + sigma * seen.epsilon
            if i + 1 < len(walk):
                after = walk.see(reached, i + 1)
                before = _scale(here.alpha, here.sigma, straight)
                there = _scale(alpha, sigma, straight)
                width = sigma / there - here.sigma / before
                slope = (_slope(seen, straight) + _slope(after, straight)) / 2
                reached = there * (x / before + width * slope)
            return reached, seen.x0

        return step


def _scale(alpha: float, sigma: float, straight: bool) -> float:
    """What x is divided by to be y."""
    return alpha + sigma if straight else alpha


def _slope(seen: Prediction, straight: bool) -> Tensor:
    """The derivative of y by u."""
    return seen.epsilon - seen.x0 if straight else seen.epsilon
