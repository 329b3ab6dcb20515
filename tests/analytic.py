"""Denoisers whose answers are known, for tests of what is built on them."""

import math

import torch
from torch import Tensor, nn

from naqsh.diffusion.denoiser import Prediction
from naqsh.diffusion.parameterisation import Parameterisation, combine, form
from naqsh.diffusion.process import posterior, spread
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.schedule import EDM, FlowMatching, Schedule


class Gaussian:
    """The best denoiser of images whose numbers are independent N(mean, deviation^2).

    x_t is N(alpha m, p) with p = alpha^2 s^2 + sigma^2, so the exact probability flow keeps
    (x_t - alpha m) / sqrt(p) as it is.
    """

    def __init__(
        self,
        schedule: Schedule,
        mean: float = 0.3,
        deviation: float = 0.4,
        variance: Variance = "small",
    ) -> None:
        self.schedule, self.mean, self.deviation = schedule, mean, deviation
        self.variance: Variance = variance

    def p(self, t: float | Tensor) -> Tensor:
        """Variance of x_t."""
        alpha, sigma = self.schedule(t)
        return alpha**2 * self.deviation**2 + sigma**2

    def __call__(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        alpha, sigma = (spread(number, x_t) for number in self.schedule(t))
        p = spread(self.p(t), x_t)
        away = (x_t - alpha * self.mean) / p
        fraction = None
        if self.variance == "learned":
            # The true variance of x_s given x_t, s = t - 1, as a place between the two extremes.
            step = posterior(self.schedule, t, t - 1)
            left = (self.deviation * self.schedule(t)[1]) ** 2 / self.p(t)
            true = step.variance + step.of_x0**2 * left
            place = (true / step.variance).log() / (step.widest / step.variance).log()
            fraction = torch.ones_like(x_t) * spread(place, x_t).nan_to_num(0.0)
        return Prediction(self.mean + alpha * self.deviation**2 * away, sigma * away, fraction)

    def flow(self, x: Tensor, t: float, s: float) -> Tensor:
        """Where the exact probability flow takes `x` from time t to s."""
        (at, _), (a_s, _) = self.schedule(t), self.schedule(s)
        return a_s * self.mean + (self.p(s) / self.p(t)).sqrt() * (x - at * self.mean)


class Mixture:
    """The best denoiser of images whose numbers are independently of a mixture of normals."""

    def __init__(
        self,
        schedule: Schedule,
        weights: tuple[float, ...] = (0.3, 0.7),
        means: tuple[float, ...] = (-0.6, 0.5),
        deviations: tuple[float, ...] = (0.1, 0.2),
        variance: Variance = "small",
    ) -> None:
        self.schedule = schedule
        self.variance: Variance = variance
        numbers = [torch.tensor(n, dtype=torch.float64) for n in (weights, means, deviations)]
        self.weights, self.means, self.deviations = numbers

    def __call__(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        alpha, sigma = (spread(number, x_t).double().unsqueeze(-1) for number in self.schedule(t))
        p = alpha**2 * self.deviations**2 + sigma**2
        away = x_t.double().unsqueeze(-1) - alpha * self.means
        share = (self.weights.log() - (away**2 / p + p.log()) / 2).softmax(-1)
        x0 = (share * (self.means + alpha * self.deviations**2 / p * away)).sum(-1)
        epsilon = (share * (sigma / p * away)).sum(-1)
        return Prediction(x0.to(x_t), epsilon.to(x_t))

    def below(self, x: Tensor) -> Tensor:
        """The distribution function of a clean number."""
        z = (x.double().unsqueeze(-1) - self.means) / self.deviations
        return (self.weights * torch.special.ndtr(z)).sum(-1)


class Learnt(nn.Module):
    """The network that has learnt an exact denoiser, whatever it is asked to predict."""

    def __init__(self, exact: Gaussian | Mixture, kind: Parameterisation) -> None:
        super().__init__()
        self.exact, self.kind = exact, kind

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None = None) -> Tensor:
        schedule, c = self.exact.schedule, float(condition.flatten()[0])
        if isinstance(schedule, EDM):
            t = math.exp(4 * c)
        else:
            t = c / 1000 if isinstance(schedule, FlowMatching) else c + 1
        maps = form(self.kind, *schedule(t))
        if maps.scale is not None:
            x = x / float(maps.scale)
        seen = self.exact(x, t)
        return combine(maps.target, seen.x0, seen.epsilon)


class Waves(nn.Module):
    """A network without parameters, smooth in images and time; `channels` times the input's."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None) -> Tensor:
        turn = condition.to(x).view(-1, *[1] * (x.dim() - 1)) / 300
        first = 0.7 * torch.sin(1.3 * x + turn) + 0.2 * x * torch.cos(turn)
        if labels is not None:
            first = first + 0.1 * labels.to(x).view(-1, *[1] * (x.dim() - 1))
        return torch.cat([first, torch.cos(x + turn)][: self.times], 1)
