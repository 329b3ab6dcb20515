"""What all samplers share: steps, the times they lie at, and how a sampler is called.

Coefficients are computed on the CPU in float64 and reach the device as arguments of its kernels;
nothing in the loop waits for it.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Shape
from naqsh.diffusion.denoiser import Denoises, Prediction
from naqsh.diffusion.process import Posterior, posterior
from naqsh.diffusion.schedule import Spacing

Callback = Callable[[int, float, Tensor, Tensor], None]
"""Called after a step with its index from 0, the time reached, x there, and the x0 predicted."""


Step = Callable[[Tensor, int, Noise], tuple[Tensor, Tensor]]
"""Takes x at the i-th time of a walk to the next: x there, and the x0 predicted on the way."""


@dataclass(frozen=True)
class Walk:
    """The times of one sampling with their signal and noise, and what the denoiser sees there.

    Attributes:
        denoiser: that is asked.
        labels: passed on to it.
        clip: whether its clean image is cut to [-1, 1].
        times: falling from the schedule's end to 0, shape (steps + 1,).
        alpha: of each time.
        sigma: of each time.
    """

    denoiser: Denoises
    labels: Tensor | None
    clip: bool
    times: list[float]
    alpha: list[float]
    sigma: list[float]

    def __len__(self) -> int:
        return len(self.times) - 1

    def see(self, x: Tensor, i: int) -> Prediction:
        """What the denoiser sees in `x` at the `i`-th time."""
        return self.look(x, self.times[i], self.alpha[i], self.sigma[i])

    def look(self, x: Tensor, time: float, alpha: float, sigma: float) -> Prediction:
        """What the denoiser sees in `x` at any time."""
        seen = self.denoiser(x, time, self.labels)
        return seen.clipped(x, alpha, sigma) if self.clip else seen

    def after(self, skip: int) -> "Walk":
        """The walk without its first `skip` steps."""
        times, alpha, sigma = self.times[skip:], self.alpha[skip:], self.sigma[skip:]
        return replace(self, times=times, alpha=alpha, sigma=sigma)

    def posterior(self) -> Posterior:
        """The posterior of every step, its coefficients with shape (steps,)."""
        times = torch.tensor(self.times, dtype=torch.float64, device="cpu")
        return posterior(self.denoiser.schedule, times[:-1], times[1:])


@dataclass(frozen=True)
class Sampler:
    """A way from noise to images; what all of them take.

    Attributes:
        steps: how many steps the sampler takes.
        spacing: where the steps are; None is the schedule's own.
        clip: cut what the network takes for the clean image to [-1, 1] at each step.

    Raises:
        NaqshError: a value out of its range.
    """

    steps: int
    spacing: Spacing | None = None
    clip: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise NaqshError(f"need at least 1 sampling step, got {self.steps}")

    @property
    def evaluations(self) -> int:
        """How often the network is run for an image; guidance runs it twice as often."""
        return self.steps

    def within(self, evaluations: int, levels: int | None = None) -> Self:
        """The same with as many steps as so many evaluations allow, at least one.

        Args:
            evaluations: of the network an image.
            levels: the most steps that there are; None where time is continuous.
        """
        one, two = (replace(self, steps=steps).evaluations for steps in (1, 2))
        steps = 1 + max(0, evaluations - one) // (two - one)
        return replace(self, steps=min(steps, levels or steps))

    @torch.no_grad()
    def __call__(
        self,
        denoiser: Denoises,
        noise: Noise,
        shape: Shape,
        *,
        labels: Tensor | None = None,
        start: Tensor | None = None,
        skip: int = 0,
        callback: Callback | None = None,
    ) -> Tensor:
        """Draw images.

        Args:
            denoiser: see :class:`naqsh.diffusion.denoiser.Denoises`.
            noise: of N images; the start is its first draw, others come in the order of steps.
            shape: (C, H, W) of an image.
            labels: passed on to the denoiser.
            start: x at the schedule's end, or where the steps begin that are not skipped, instead
                of noise; its dtype is kept.
            skip: steps left out at the beginning; then `start` is needed.
            callback: called after every step.

        Returns:
            x at time 0 with shape (N, C, H, W), in the denoiser's range of values, not cut.

        Raises:
            NaqshError: more steps than the schedule has.
        """
        walk = self.walk(denoiser, labels).after(skip)
        x = noise.normal(*shape) * denoiser.schedule.prior if start is None else start
        path = self.path(walk, x, noise)
        for i, (x, x0) in enumerate(path):
            if callback:
                callback(i, walk.times[i + 1], x, x0)
        return x

    def walk(self, denoiser: Denoises, labels: Tensor | None) -> Walk:
        """The times from the end of the denoiser's schedule to 0 in `steps` steps."""
        times = denoiser.schedule.times(self.steps, self.spacing)
        alpha, sigma = (numbers.tolist() for numbers in denoiser.schedule(times))
        return Walk(denoiser, labels, self.clip, times.tolist(), alpha, sigma)

    @abstractmethod
    def path(self, walk: Walk, x: Tensor, noise: Noise) -> Iterator[tuple[Tensor, Tensor]]:
        """x after each step from the start `x`, and the x0 that was predicted on the way."""


@dataclass(frozen=True)
class Memoryless(Sampler):
    """A sampler whose steps remember nothing of those before, so that any can be taken again."""

    @abstractmethod
    def stepper(self, walk: Walk) -> Step:
        """What takes a step of the walk, from any of its times."""

    def path(self, walk: Walk, x: Tensor, noise: Noise) -> Iterator[tuple[Tensor, Tensor]]:
        """x after each step, and the x0 predicted in it."""
        step = self.stepper(walk)
        for i in range(len(walk)):
            x, x0 = step(x, i, noise)
            yield x, x0
