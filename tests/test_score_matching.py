"""The score that a denoiser has, and its loss as denoising score matching, by autograd."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from analytic import Mixture, Waves
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.parameterisation import Parameterisation
from naqsh.diffusion.process import q_sample, spread
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Geometric, Linear, Schedule
from naqsh.diffusion.weighting import Weighting

SCHEDULES = [Linear(50), Cosine(50), Geometric(), EDM(), FlowMatching()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


@every_schedule
def test_the_score_is_the_gradient_of_the_log_density(schedule: Schedule) -> None:
    """Of the noisy image itself, also where a schedule lets the signal fade."""
    exact = Mixture(schedule)
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64) * schedule.end
    alpha, sigma = (spread(number, torch.empty(3, 1, 2, 2).double()) for number in schedule(t))
    x = (Noise(0, 3).normal(1, 2, 2).double() * sigma + 0.3 * alpha).requires_grad_()
    deviation = (alpha[..., None] ** 2 * exact.deviations**2 + sigma[..., None] ** 2).sqrt()
    of_each = Normal(alpha[..., None] * exact.means, deviation).log_prob(x[..., None])
    (of_x,) = torch.autograd.grad((of_each + exact.weights.log()).logsumexp(-1).sum(), x)
    score = exact(x.detach(), t).score(schedule(t)[1])
    torch.testing.assert_close(score, of_x, rtol=1e-9, atol=1e-9)
    # One time for all.
    one = exact(x.detach(), float(t[1])).score(float(sigma.flatten()[1]))
    torch.testing.assert_close(one[1], of_x[1], rtol=1e-9, atol=1e-9)


@every_schedule
@pytest.mark.parametrize(
    ("kind", "weighting"), [("epsilon", "simple"), ("score", "noise"), ("x0", "noise")]
)
def test_the_loss_is_denoising_score_matching(
    schedule: Schedule, kind: Parameterisation, weighting: Weighting
) -> None:
    r"""sigma^2 |s(x_t) - grad log q(x_t | x_0)|^2 / D, the gradient by autograd."""
    if kind == "x0" and isinstance(schedule, FlowMatching):
        t = torch.tensor([0.3, 0.5, 0.9], dtype=torch.float64)
    else:
        t = torch.tensor([2.0, 5.0, 9.0], dtype=torch.float64) * schedule.end / 10
        t = t.round() if schedule.levels else t
    if float(schedule(schedule.end)[0]) == 0 and kind != "x0":
        pytest.skip("refused: it ends in noise alone")
    denoiser = Denoiser(Waves(), schedule, parameterisation=kind, weighting=weighting)
    images = Noise(1, 3).uniform(1, 4, 4).double() * 2 - 1
    losses = denoiser.loss_at(images, t, Noise(2, 3))

    epsilon = Noise(2, 3).normal(1, 4, 4).double()
    x_t = q_sample(images, t, epsilon, schedule).requires_grad_()
    alpha, sigma = (spread(number, images) for number in schedule(t))
    (of_x,) = torch.autograd.grad(Normal(alpha * images, sigma).log_prob(x_t).sum(), x_t)
    error = denoiser(x_t.detach(), t).score(schedule(t)[1]) - of_x
    expected = (sigma * error).square().flatten(1).mean(1)
    torch.testing.assert_close(losses, expected, rtol=1e-8, atol=1e-10)


class Cubic(nn.Module):
    """A model of few parameters of a score in one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor([0.1, -0.4, 0.2, -0.1], dtype=torch.float64))

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None = None) -> Tensor:
        return sum(factor * x**i for i, factor in enumerate(self.factors))  # type: ignore[return-value]


def test_matching_given_images_has_the_gradient_of_matching_the_score_itself() -> None:
    """Vincent (2011): the two differ by a constant; both integrals by quadrature."""
    images = torch.tensor([-0.8, 0.1, 0.5], dtype=torch.float64)
    schedule = Geometric(2.0, 0.2, 4)
    denoiser = Denoiser(Cubic(), schedule, parameterisation="score", weighting="noise")
    t = 2.0
    sigma = float(schedule(t)[1])
    x = torch.linspace(-5, 5, 4001, dtype=torch.float64).view(-1, 1, 1, 1).requires_grad_()
    given = Normal(images, sigma).log_prob(x.flatten()[:, None])
    log_density = given.logsumexp(-1) - math.log(3)
    (of_x,) = torch.autograd.grad(log_density.sum(), x)
    score = denoiser(x.detach(), t).score(sigma).flatten()
    density, given = log_density.detach().exp(), given.detach().exp() / 3
    explicit = (density * (score - of_x.flatten()).square()).sum()
    pulls = (images - x.detach().flatten()[:, None]) / sigma**2
    denoising = (given * (score[:, None] - pulls).square()).sum()
    gradients = [
        torch.autograd.grad(loss, denoiser.network.parameters(), retain_graph=True)[0]
        for loss in (explicit, denoising)
    ]
    assert denoising - explicit > 100  # they differ, by the same for every model
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)
