r"""What every noise schedule can do, and the table of those that have whole steps.

The interface stands in :mod:`naqsh.diffusion.schedule`, where the schedules themselves are.
"""

import math
from abc import abstractmethod
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise

Spacing = Literal["even", "quadratic", "karras", "log-snr"]
"""How sampling times lie: evenly in t, in its root, in (sigma/alpha)^(1/7), or in log-SNR."""


class Schedule:
    """What every schedule can do.

    Attributes:
        levels: how many levels of noise there are; None where time is continuous.
        end: the time of the most noise.
        prior: standard deviation of the noise that sampling begins with.
        extent: least and largest :math:`\\sigma/\\alpha` that sampling steps through before 0.
        rho: power of the ``karras`` spacing.
        spacing: of sampling times, where none is asked for.
    """

    rho: float = 7.0
    spacing: Spacing = "even"

    @property
    def levels(self) -> int | None:
        """How many levels of noise there are, t = 1, 2, ...; None where time is continuous."""
        return None

    @property
    @abstractmethod
    def end(self) -> float:
        """The time of the most noise."""

    @property
    def prior(self) -> float:
        """Standard deviation of the noise that sampling begins with."""
        return 1.0

    @property
    @abstractmethod
    def extent(self) -> tuple[float, float]:
        """Least and largest sigma/alpha of the ``karras`` and ``log-snr`` spacings."""

    @abstractmethod
    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Signal and noise: float64 alpha and sigma with the shape of `t`, on its device."""

    @abstractmethod
    def time(self, log_snr: Tensor | float) -> Tensor:
        """The time of a log-SNR, float64 with its shape; the inverse of :meth:`log_snr`."""

    @abstractmethod
    def draw(self, noise: Noise) -> Tensor:
        """A time for each image to be trained at, shape (N,)."""

    @abstractmethod
    def quantile(self, share: Tensor) -> Tensor:
        """The time below which a share of all that :meth:`draw` draws lies, both shape (N,).

        Args:
            share: float64 in (0, 1).
        """

    @abstractmethod
    def condition(self, t: Tensor | float) -> Tensor:
        """The number that a network embeds for time `t`, float32 with its shape."""

    def log_snr(self, t: Tensor | float) -> Tensor:
        """Logarithm of alpha^2 / sigma^2, float64 with the shape of `t`; infinite without noise."""
        alpha, sigma = self(t)
        return 2 * (alpha.log() - sigma.log())

    def times(self, steps: int, spacing: Spacing | None = None) -> Tensor:
        """The times that a sampler of `steps` steps visits.

        Returns:
            float64 on the CPU with shape (steps + 1,), falling from `end` to 0.

        Raises:
            NaqshError: fewer than one step.
        """
        if steps < 1:
            raise NaqshError(f"need at least 1 sampling step, got {steps}")
        left = 1 - torch.arange(steps + 1, dtype=torch.float64, device="cpu") / steps
        if (spacing or self.spacing) == "even":
            return self._fitted(self.end * left)
        if (spacing or self.spacing) == "quadratic":
            return self._fitted(self.end * left**2)
        least, most = (torch.tensor(s, dtype=torch.float64, device="cpu") for s in self.extent)
        way = torch.linspace(0, 1, steps, dtype=torch.float64, device="cpu")
        if (spacing or self.spacing) == "karras":
            ratio = torch.lerp(most ** (1 / self.rho), least ** (1 / self.rho), way) ** self.rho
        else:
            ratio = torch.lerp(most.log(), least.log(), way).exp()
        times = torch.cat([self.time(-2 * ratio.log()), way.new_zeros(1)])
        times[0] = self.end
        return times

    def _fitted(self, times: Tensor) -> Tensor:
        """Times moved to where the schedule's own are best."""
        return times


class Whole(Schedule):
    """Schedules with levels of noise of their own, t = 1, 2, ..., of which training draws."""

    @property
    @abstractmethod
    def levels(self) -> int:
        """How many there are."""

    @property
    def end(self) -> float:
        """The last level."""
        return float(self.levels)

    def draw(self, noise: Noise) -> Tensor:
        """Whole times evenly from 1 to the last, int64 with shape (N,)."""
        return noise.integers(self.levels) + 1

    def quantile(self, share: Tensor) -> Tensor:
        """The level in which a share of all evenly drawn ones ends, int64."""
        return (share * self.levels).long().clamp(max=self.levels - 1) + 1

    def condition(self, t: Tensor | float) -> Tensor:
        """t - 1, for networks count the levels of noise from 0."""
        return (as_tensor(t) - 1).float()

    def _fitted(self, times: Tensor) -> Tensor:
        """Whole times, no two alike."""
        count = len(times) - 1
        if count > self.levels:
            raise NaqshError(f"need 1 to {self.levels} sampling steps, got {count}")
        return torch.maximum(times.round(), torch.arange(count, -1, -1, device="cpu"))


class Kept(Schedule):
    """Schedules that add noise and keep the signal, alpha = 1, from sigma `least` to `most`."""

    least: float
    most: float

    @property
    def prior(self) -> float:
        """The largest sigma."""
        return self.most

    @property
    def extent(self) -> tuple[float, float]:
        """`least` and `most`."""
        return self.least, self.most


class Discrete(Whole):
    """Variance-preserving schedules of `steps` steps, each with its own betas."""

    steps: int

    @abstractmethod
    def betas(self) -> Tensor:
        """Variance added in each step: float64 on the CPU with shape (steps,)."""

    @property
    def levels(self) -> int:
        """As many as steps."""
        return self.steps

    @property
    def extent(self) -> tuple[float, float]:
        """Noise over signal at t = 1 and at T, where that is not above 200.

        The cosine schedule ends far beyond, where there is nothing to see; steps would be lost.
        """
        table = _log_snr(self, torch.device("cpu"))
        return math.exp(-float(table[1]) / 2), min(200.0, math.exp(-float(table[-1]) / 2))

    def alpha_bar(self) -> Tensor:
        """Product of the signal kept: float64 on the CPU, shape (steps + 1,), falling from 1."""
        return _log_snr(self, torch.device("cpu")).sigmoid()

    def log_snr(self, t: Tensor | float) -> Tensor:
        """Logarithm of alpha^2 / sigma^2, float64 with the shape of `t`; infinite at 0."""
        t = as_tensor(t)
        table = _log_snr(self, t.device)
        if not t.is_floating_point():
            return table[t]
        low = t.floor().clamp(1, max(1, self.steps - 1))
        index = low.long()
        slope = table[(index + 1).clamp(max=self.steps)] - table[index]
        return torch.where(t == 0, math.inf, table[index] + (t - low) * slope)

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Signal and noise: float64 alpha and sigma with the shape of `t`; whole or real times."""
        log_snr = self.log_snr(t)
        return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()

    def time(self, log_snr: Tensor | float) -> Tensor:
        """The real time of a log-SNR, from 1 to T: more or less noise than theirs is cut."""
        log_snr = as_tensor(log_snr)
        table = _log_snr(self, log_snr.device)
        rising = table.flip(0)[:-1].contiguous()
        place = torch.searchsorted(rising, log_snr.contiguous()).clamp(1, max(1, self.steps - 1))
        low, high = rising[place - 1], rising[place.clamp(max=self.steps - 1)]
        part = (log_snr - low) / (high - low)
        return (self.steps - (place - 1) - part).nan_to_num(1.0).clamp(1, self.steps)


def as_tensor(number: Tensor | float) -> Tensor:
    """Numbers as they are if on a device; a float as a float64 scalar on the CPU."""
    if isinstance(number, Tensor):
        return number.double() if number.is_floating_point() else number
    return torch.tensor(number, dtype=torch.float64, device="cpu")


@lru_cache(maxsize=64)
def _log_snr(schedule: Discrete, device: torch.device) -> Tensor:
    """Log-SNR at t = 0..T, float64 on `device`."""
    # By sums of logarithms: 1 - alpha_bar itself would lose digits near the clean image.
    log_alpha_bar = torch.cumsum(torch.log1p(-schedule.betas()), dim=0)
    log_snr = log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))
    return torch.cat([log_snr.new_full((1,), math.inf), log_snr]).to(device)
