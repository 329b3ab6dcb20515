r"""Noise schedules: from time to signal and noise.

A schedule is a map from time to the pair :math:`(\alpha_t, \sigma_t)` of

.. math:: x_t = \alpha_t\, x_0 + \sigma_t\, \epsilon, \qquad \epsilon \sim \mathcal N(0, I).

Time 0 is the clean image. The unit of time is each schedule's own:

* :class:`Linear`, :class:`Cosine`, :class:`SqrtLinear`: steps, t = 1..T as in DDPM, with
  :math:`\alpha_t^2 = \bar\alpha_t = \prod_{s \le t} (1 - \beta_s)` and
  :math:`\alpha_t^2 + \sigma_t^2 = 1`. Between whole steps the log-SNR is a straight line, and that
  line goes on between 1 and 0;
* :class:`Geometric`: levels, t = 1..L, whose noise rises by one factor while the signal is kept, as
  in NCSN; between whole levels and below the first the log-SNR is a straight line too;
* :class:`EDM`: the noise itself, :math:`\alpha_t = 1, \sigma_t = t`;
* :class:`FlowMatching`: from 0 to 1, :math:`\alpha_t = 1 - t, \sigma_t = t`.

All numbers are float64: the bound takes differences of neighbours. Tables are made once a device,
so that a training step copies nothing to it.

The interface, for any schedule::

    alpha, sigma = schedule(t)           # t: float or tensor; float64 of the shape of t
    schedule.log_snr(t)                  # ln(alpha^2 / sigma^2), inf at 0
    schedule.time(log_snr)               # its inverse
    schedule.times(steps, spacing=None)  # float64 (steps + 1,) on the CPU, from `end` down to 0
    schedule.draw(noise)                 # a training time for each image, shape (N,)
    schedule.condition(t)                # float32: the number that a network embeds
    schedule.levels                      # how many levels of noise; None in continuous time
    schedule.end, schedule.prior         # the last time, and the noise that sampling begins with

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, equation 4.
    Improved Denoising Diffusion Probabilistic Models (Nichol and Dhariwal, 2021),
    arXiv:2102.09672, equation 17.
    High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022),
    arXiv:2112.10752: the square root of beta rises evenly (released code).
    Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022),
    arXiv:2206.00364, equation 5 and table 1.
    Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon, 2019),
    arXiv:1907.05600, section 4: geometric levels.
    Flow Matching for Generative Modeling (Lipman et al., 2023), arXiv:2210.02747, equation 20.
    Scaling Rectified Flow Transformers (Esser et al., 2024), arXiv:2403.03206, equation 23: shift.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.diffusion.base import Discrete, Kept, Schedule, Spacing, as_tensor
from naqsh.diffusion.geometric import Geometric

__all__ = [
    "EDM",
    "AnySchedule",
    "Cosine",
    "Discrete",
    "FlowMatching",
    "Geometric",
    "Linear",
    "Schedule",
    "Spacing",
    "SqrtLinear",
]


@dataclass(frozen=True)
class Linear(Discrete):
    """DDPM's schedule: beta rises evenly from `first` to `last` over `steps` steps.

    Attributes:
        steps: noise levels from image to noise.
        first: beta of the first step.
        last: beta of the last step.
    """

    steps: int = 1000
    first: float = 1e-4
    last: float = 0.02

    def __post_init__(self) -> None:
        _check_betas(self.steps, self.first, self.last)

    def betas(self) -> Tensor:
        """Variance added in each step, float64 with shape (steps,)."""
        return torch.linspace(self.first, self.last, self.steps, dtype=torch.float64, device="cpu")


@dataclass(frozen=True)
class SqrtLinear(Discrete):
    """Latent diffusion's schedule: the square root of beta rises evenly.

    Its released code calls this ``linear`` (and DDPM's ``sqrt_linear``), diffusers
    ``scaled_linear``. Stable Diffusion has other ends, 0.00085 and 0.012.

    Attributes:
        steps: noise levels from image to noise.
        first: beta of the first step.
        last: beta of the last step.
    """

    steps: int = 1000
    first: float = 0.0015
    last: float = 0.0195

    def __post_init__(self) -> None:
        _check_betas(self.steps, self.first, self.last)

    def betas(self) -> Tensor:
        """Variance added in each step, float64 with shape (steps,)."""
        ends = math.sqrt(self.first), math.sqrt(self.last)
        return torch.linspace(*ends, self.steps, dtype=torch.float64, device="cpu") ** 2


@dataclass(frozen=True)
class Cosine(Discrete):
    r"""Improved DDPM's schedule, a squared cosine.

    :math:`\beta_t = \min(1 - f(t/T) / f((t-1)/T), 0.999)` with
    :math:`f(u) = \cos^2(\tfrac{u + 0.008}{1.008} \cdot \tfrac\pi2)`.

    Attributes:
        steps: noise levels from image to noise.
    """

    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")

    def betas(self) -> Tensor:
        """Variance added in each step, float64 with shape (steps,)."""
        u = torch.arange(self.steps + 1, dtype=torch.float64, device="cpu") / self.steps
        f = ((u + 0.008) / 1.008 * math.pi / 2).cos() ** 2
        return (1 - f[1:] / f[:-1]).clamp(max=0.999)


@dataclass(frozen=True)
class EDM(Kept):
    r"""Noise is added and the signal kept; training draws :math:`\ln\sigma` from a normal.

    Attributes:
        least: the last sigma above 0 in sampling.
        most: sigma where sampling begins.
        rho: power of the spacing of sampling times.
        mean: mean of ln sigma in training.
        deviation: standard deviation of ln sigma in training.
    """

    least: float = 0.002
    most: float = 80.0
    rho: float = 7.0
    mean: float = -1.2
    deviation: float = 1.2

    spacing = "karras"

    def __post_init__(self) -> None:
        if not 0 < self.least < self.most:
            raise ValueError(f"need 0 < least < most, got {self.least} and {self.most}")
        if min(self.rho, self.deviation) <= 0:
            raise ValueError("rho and deviation must be above 0")

    @property
    def end(self) -> float:
        """The largest sigma."""
        return self.most

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """1 and t, float64 with the shape of `t`."""
        sigma = as_tensor(t).double()
        return torch.ones_like(sigma), sigma

    def time(self, log_snr: Tensor | float) -> Tensor:
        """The sigma of a log-SNR, float64."""
        return (-as_tensor(log_snr) / 2).exp()

    def draw(self, noise: Noise) -> Tensor:
        """Sigmas whose logarithm is normal, float64 with shape (N,)."""
        return (self.mean + self.deviation * noise.normal().double()).exp()

    def quantile(self, share: Tensor) -> Tensor:
        """The sigma below which a share of the drawn ones lies, float64."""
        normal: Tensor = torch.special.ndtri(share)
        return (self.mean + self.deviation * normal).exp()

    def condition(self, t: Tensor | float) -> Tensor:
        """A quarter of ln sigma (table 1, c_noise)."""
        return (as_tensor(t).log() / 4).float()


@dataclass(frozen=True)
class FlowMatching(Schedule):
    r"""A straight line from image to noise, t from 0 to 1.

    Attributes:
        skew: training times; ``uniform``, or ``normal`` for a logit of t drawn from N(-1.2, 1.2^2),
            which is EDM's distribution of noise over signal.
        shift: above 1 moves training and sampling times towards noise, as larger images need: t
            becomes s t / (1 + (s - 1) t).
    """

    skew: Literal["uniform", "normal"] = "uniform"
    shift: float = 1.0

    def __post_init__(self) -> None:
        if self.shift <= 0:
            raise ValueError(f"shift must be above 0, got {self.shift}")

    @property
    def end(self) -> float:
        """1, where nothing of the image is left."""
        return 1.0

    @property
    def extent(self) -> tuple[float, float]:
        """EDM's, since at the end noise over signal is infinite."""
        return 0.002, 80.0

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """1 - t and t, float64 with the shape of `t`."""
        sigma = as_tensor(t).double()
        return 1 - sigma, sigma

    def time(self, log_snr: Tensor | float) -> Tensor:
        """The time of a log-SNR, float64."""
        return (-as_tensor(log_snr) / 2).sigmoid()

    def draw(self, noise: Noise) -> Tensor:
        """Times in (0, 1), float64 with shape (N,)."""
        if self.skew == "uniform":
            return self._fitted(noise.uniform().double())
        return self._fitted((1.2 * noise.normal().double() - 1.2).sigmoid())

    def quantile(self, share: Tensor) -> Tensor:
        """The time below which a share of the drawn ones lies, float64."""
        if self.skew == "uniform":
            return self._fitted(share)
        return self._fitted((1.2 * torch.special.ndtri(share) - 1.2).sigmoid())

    def condition(self, t: Tensor | float) -> Tensor:
        """1000 t, the range that networks made for DDPM embed."""
        return (1000 * as_tensor(t)).float()

    def _fitted(self, times: Tensor) -> Tensor:
        return self.shift * times / (1 + (self.shift - 1) * times)


AnySchedule = Linear | Cosine | SqrtLinear | Geometric | EDM | FlowMatching
"""The schedules that a method's Spec may name, by a ``kind``."""


def _check_betas(steps: int, first: float, last: float) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not 0 < first <= last < 1:
        raise ValueError(f"need 0 < first <= last < 1, got {first} and {last}")
