r"""Euler's method on the probability-flow equation.

With :math:`y = x/\alpha` and :math:`u = \sigma/\alpha` the equation whose solutions have the
distribution of :math:`x_t` at every time is

.. math:: \frac{dy}{du} = \hat\epsilon(x, t).

That is EDM's form. Euler's step, :math:`x_s = \alpha_s \hat x_0 + \sigma_s \hat\epsilon`, is the
same in that of flow matching (:mod:`naqsh.diffusion.samplers.heun`), and is DDIM's with
:math:`\eta = 0`.

References:
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364, algorithm 2 without its correction.
"""

from dataclasses import dataclass

from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.diffusion.samplers.churn import Churned
from naqsh.diffusion.samplers.sampler import Step, Walk


@dataclass(frozen=True)
class Euler(Churned):
    """Euler's method, of first order; one evaluation a step."""

    def stepper(self, walk: Walk) -> Step:
        """What takes Euler's step."""

        def step(x: Tensor, i: int, noise: Noise) -> tuple[Tensor, Tensor]:
            x, here = self.churned(walk, x, i, noise)
            seen = walk.look(x, *here)
            x = walk.alpha[i + 1] * seen.x0 + walk.sigma[i + 1] * seen.epsilon
            return x, seen.x0

        return step
