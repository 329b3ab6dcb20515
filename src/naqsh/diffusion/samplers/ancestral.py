"""DDPM's sampler: a draw from each reverse step p(x_s | x_t), the mean alone in the last.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, algorithm 2.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.samplers.sampler import Memoryless, Step, Walk


@dataclass(frozen=True)
class Ancestral(Memoryless):
    """DDPM's sampler; one evaluation a step.

    Attributes:
        variance: of a reverse step (:mod:`naqsh.diffusion.reverse`); None is the model's own.
    """

    variance: Variance | None = None

    def stepper(self, walk: Walk) -> Step:
        """What draws from a reverse step."""
        kind = self.variance or walk.denoiser.variance
        step = walk.posterior()
        of_x0, of_x = step.of_x0.tolist(), step.of_x.tolist()
        small, large = step.variance.tolist(), step.widest.tolist()

        def down(x: Tensor, i: int, noise: Noise) -> tuple[Tensor, Tensor]:
            seen = walk.see(x, i)
            x = of_x0[i] * seen.x0 + of_x[i] * x
            if i + 1 < len(walk):
                deviation = _deviation(small[i], large[i], kind, seen.fraction)
                x = x + deviation * noise.normal(*x.shape[1:]).to(x)
            return x, seen.x0

        return down


def _deviation(
    small: float, large: float, kind: Variance, fraction: Tensor | None
) -> Tensor | float:
    """Standard deviation of a reverse step, a number a pixel where it is learnt."""
    if kind != "learned":
        return math.sqrt(small if kind == "small" else large)
    if fraction is None:
        raise NaqshError("this model learnt no variance; use variance small or large")
    return (fraction * (math.log(large / small) / 2)).exp() * math.sqrt(small)
