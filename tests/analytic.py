"""Denoisers whose answers are known, for tests of what is built on them."""

import torch
from torch import Tensor, nn

from naqsh.diffusion.denoiser import Prediction
from naqsh.diffusion.process import posterior, spread
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.schedule import Schedule


class Gaussian:
    """The best denoiser of pictures whose numbers are independent N(mean, deviation^2).

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
            place = (true / step.variance).log() / (step.added / step.variance).log()
            fraction = torch.ones_like(x_t) * spread(place, x_t).nan_to_num(0.0)
        return Prediction(self.mean + alpha * self.deviation**2 * away, sigma * away, fraction)

    def flow(self, x: Tensor, t: float, s: float) -> Tensor:
        """Where the exact probability flow takes `x` from time t to s."""
        (at, _), (a_s, _) = self.schedule(t), self.schedule(s)
        return a_s * self.mean + (self.p(s) / self.p(t)).sqrt() * (x - at * self.mean)


class Waves(nn.Module):
    """A network without parameters, smooth in pictures and time; `channels` times the input's."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None) -> Tensor:
        turn = condition.to(x).view(-1, *[1] * (x.dim() - 1)) / 300
        first = 0.7 * torch.sin(1.3 * x + turn) + 0.2 * x * torch.cos(turn)
        if labels is not None:
            first = first + 0.1 * labels.to(x).view(-1, *[1] * (x.dim() - 1))
        return torch.cat([first, torch.cos(x + turn)][: self.times], 1)
