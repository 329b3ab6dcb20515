r"""RePaint: what is known of an image stays, what is not is made by a model that never saw a mask.

At every step the known pixels are replaced by the given ones with as much noise as the step has
reached, and the others come from the reverse step,

.. math:: x_s = m \odot (\alpha_s x_0 + \sigma_s \epsilon) + (1 - m) \odot x_s^{\text{unknown}},
   \qquad x_s^{\text{unknown}} \sim p_\theta(x_s \mid x_t).

One pass would fit the unknown to what was known of the noisy image alone, and not to what is made
beside it. So after every `jump` steps towards the image the way goes back as many, by
:math:`q(x_t \mid x_s)`, and comes again, `resamples` times in all: each time both parts see each
other. Even so it is no exact draw from the distribution given the known pixels: what the step from
t to s sees of these has the noise of t.

References:
    RePaint: Inpainting using Denoising Diffusion Probabilistic Models (Lugmayr et al., 2022),
    arXiv:2201.09865, algorithm 1 and appendix B.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoises
from naqsh.diffusion.process import q_sample, q_step
from naqsh.diffusion.samplers.sampler import Memoryless


@dataclass(frozen=True)
class Repaint:
    """How often the way is gone again.

    Attributes:
        jump: steps of the sampler that are gone back and taken again together.
        resamples: how often each is taken in all; 1 goes straight down.

    Raises:
        NaqshError: a number below 1.
    """

    jump: int = 5
    resamples: int = 5

    def __post_init__(self) -> None:
        if min(self.jump, self.resamples) < 1:
            raise NaqshError(
                f"jump and resamples must be at least 1, got {self.jump} and {self.resamples}"
            )

    def way(self, steps: int) -> list[int]:
        """The places that are visited, from 0, the noise, to `steps`, the image."""
        # Above the image lie 1, 1 + jump, ... places at which the way turns.
        left = dict.fromkeys(range(1, steps - self.jump + 1, self.jump), self.resamples - 1)
        above, way = steps, [0]
        while above:
            above -= 1
            way.append(steps - above)
            if left.get(above):
                left[above] -= 1
                way += [steps - above - back for back in range(1, self.jump + 1)]
                above += self.jump
        return way

    def steps(self, steps: int) -> int:
        """How many steps of the sampler that are."""
        return sum(there > here for here, there in pairwise(self.way(steps)))

    @torch.no_grad()
    def __call__(
        self,
        sampler: Memoryless,
        denoiser: Denoises,
        x0: Tensor,
        unknown: Tensor,
        noise: Noise,
        *,
        labels: Tensor | None = None,
        skip: int = 0,
    ) -> Tensor:
        """Draw what is unknown.

        Args:
            sampler: that takes the steps; its noise is the model's, or none.
            denoiser: see :class:`naqsh.diffusion.denoiser.Denoises`.
            x0: with shape (N, C, H, W) in the denoiser's range; where it is unknown it counts only
                if `skip` is above 0.
            unknown: True where it is to be made, broadcast to the shape of `x0`.
            noise: of these N.
            labels: passed on to the denoiser.
            skip: steps left out at the beginning, where `x0` with the noise of that time stands for
                what they would have made.

        Returns:
            x at time 0, shape and dtype of `x0`, equal to it where that is known.
        """
        schedule = denoiser.schedule

        def noisy(time: float) -> Tensor:
            return q_sample(x0, time, noise.normal(*x0.shape[1:]).to(x0), schedule)

        walk = sampler.walk(denoiser, labels).after(skip)
        step, times = sampler.stepper(walk), walk.times
        if not len(walk):
            return x0
        x = noisy(times[0]) if skip else noise.normal(*x0.shape[1:]).to(x0) * schedule.prior
        for here, there in pairwise(self.way(len(walk))):
            if there > here:
                x, _ = step(x, here, noise)
                given = noisy(times[there]) if there < len(walk) else x0
                x = torch.where(unknown, x, given)
            else:
                fresh = noise.normal(*x0.shape[1:]).to(x0)
                x = q_step(x, times[there], fresh, schedule, times[here])
        return x
