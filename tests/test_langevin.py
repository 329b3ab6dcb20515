"""Langevin dynamics against closed forms, and the weights of modes that it finds."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from analytic import Gaussian
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion import levels
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.samplers import Ancestral, Langevin, PredictorCorrector
from naqsh.diffusion.samplers.langevin import plain
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Geometric, Linear, Schedule

SCHEDULES = [Linear(), Cosine(50), Geometric(20.0, 0.1, 12), EDM(), FlowMatching()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)

COUNT = 2000


def within(numbers: Tensor, mean: float, variance: float) -> None:
    """Their mean and variance are these but for chance: five standard errors."""
    found, count = numbers.double().flatten(), numbers.numel()
    assert float(found.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / count))
    assert float(found.var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / count))


def test_plain_steps_have_the_mean_and_variance_of_their_closed_form() -> None:
    """Of N(m, p) each step is x - a (x - m) / p + sqrt(2 a) z."""
    m, p, a = 0.7, 0.5, 0.1
    mean, variance = 3.0, 0.0
    start = torch.full((COUNT, 1, 2, 2), mean)
    for x in plain(lambda x: -(x - m) / p, start, Noise(0, COUNT), a, 12):
        mean, variance = m + (1 - a / p) * (mean - m), (1 - a / p) ** 2 * variance + 2 * a
        within(x, mean, variance)
    with pytest.raises(NaqshError, match="size above 0"):
        next(plain(torch.neg, start, Noise(0, COUNT), 0.0, 12))


@every_schedule
@pytest.mark.parametrize("size", [0.3, None])
def test_annealed_chains_have_the_mean_and_variance_of_their_closed_form(
    schedule: Schedule, size: float | None
) -> None:
    exact = Gaussian(schedule)
    sampler = Langevin(6, inner=3, size=size, denoise=False)
    walk = sampler.walk(exact, None)
    sizes = iter(sampler.sizes(walk))
    mean, variance = 0.0, schedule.prior**2

    def look(index: int, time: float, x: Tensor, x0: Tensor) -> None:
        nonlocal mean, variance
        alpha, sigma = walk.alpha[index], walk.sigma[index]
        p = float(exact.p(walk.times[index]))
        r = next(sizes)
        kept, target = 1 - r * sigma**2 / p, alpha * exact.mean
        for _ in range(3):
            mean, variance = target + kept * (mean - target), kept**2 * variance
            variance += 2 * r * sigma**2
        within(x, mean, variance)

    sampler(exact, Noise(1, COUNT), (1, 2, 2), callback=look)
    assert next(sizes, None) is None


@every_schedule
def test_the_last_step_sees_the_clean_image(schedule: Schedule) -> None:
    exact = Gaussian(schedule)
    noisy, clean = (
        Langevin(5, inner=2, denoise=d)(exact, Noise(1, 6), (1, 2, 2)) for d in (False, True)
    )
    t = float(schedule.times(5)[-2])
    alpha, sigma = (float(number) for number in schedule(t))
    tweedie = (noisy + sigma**2 * exact(noisy, t).score(sigma)) / alpha
    torch.testing.assert_close(clean, tweedie, rtol=1e-5, atol=1e-5)


def test_step_sizes_are_those_of_the_levels_that_are_taken() -> None:
    exact = Gaussian(Geometric(50.0, 0.01, 232))

    def sizes(sampler: Langevin) -> list[float]:
        return sampler.sizes(sampler.walk(exact, None))

    assert sizes(Langevin(232)) == pytest.approx([0.0618] * 232, rel=1e-3)
    coarse = levels.step_size(5000 ** (1 / 9), 3)
    assert sizes(Langevin(10, inner=3)) == pytest.approx([coarse] * 10, rel=1e-6)
    assert sizes(Langevin(4, size=0.2)) == [0.2] * 4
    assert 0 < sizes(Langevin(1))[0] < 1


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Langevin(3, inner=0), "at least 1 inner step, got 0"),
        (lambda: Langevin(3, size=0.0), r"must lie in \(0, 1\], got 0.0"),
        (lambda: Langevin(3, size=1.5), r"must lie in \(0, 1\], got 1.5"),
        (lambda: PredictorCorrector(3, snr=0.0), "snr must be above 0"),
        (lambda: PredictorCorrector(3, corrections=-1), "corrections at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(NaqshError, match=complaint):
        make()


def two_modes(schedule: Schedule) -> Mixture:
    """The toy of Song and Ermon (2019), figure 3: weights 0.8 and 0.2, far apart."""
    return Mixture(schedule, [(5.0, 5.0), (-5.0, -5.0)], [1.0, 1.0], [0.8, 0.2])


def share(x: Tensor) -> float:
    """Of the mode that has weight 0.8."""
    return float((x.sum(1) > 0).float().mean())


def test_annealed_dynamics_finds_the_weights_of_modes_and_plain_does_not() -> None:
    schedule = Geometric(20.0, 0.5, 20)
    exact, three_errors = two_modes(schedule), 3 * math.sqrt(0.8 * 0.2 / COUNT)
    # Coarser levels lag: with 10 the share of 10,000 chains was 0.780, with these 0.797.
    annealed = Langevin(20, inner=60, size=0.1)(exact, Noise(2, COUNT), (2, 1, 1))
    assert share(annealed) == pytest.approx(0.8, abs=three_errors)
    # The plain chain in the least noise, as many steps from even over [-8, 8]^2.
    sigma = float(schedule(1.0)[1])
    noise = Noise(3, COUNT)
    start = 16 * noise.uniform(2, 1, 1) - 8
    *_, x = plain(lambda x: exact(x, 1.0).score(sigma), start, noise, 0.1, 1200)
    # Each chain falls into the mode that is near; within it all is right.
    assert share(x) < 0.8 - 2 * three_errors
    assert share(x) == pytest.approx(0.5, abs=0.1)
    near = x[x.sum(1).flatten() > 0]
    within(near, 5.0, (2 * 0.1) / (1 - (1 - 0.1 / (1 + sigma**2)) ** 2))


@every_schedule
def test_the_mixtures_score_is_the_gradient_of_its_log_density(schedule: Schedule) -> None:
    exact = Mixture(schedule, [(0.3, -0.2), (-0.6, 0.5), (0.0, 0.0)], [0.1, 0.2, 0.4])
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64) * schedule.end
    alpha, sigma = schedule(t)
    x = Noise(0, 3).normal(2, 1, 1).double().requires_grad_()
    (of_x,) = torch.autograd.grad(exact.log_density(x, t).sum(), x)
    seen = exact(x.detach(), t)
    torch.testing.assert_close(seen.score(sigma), of_x, rtol=1e-9, atol=1e-9)
    together = alpha.view(-1, 1, 1, 1) * seen.x0 + sigma.view(-1, 1, 1, 1) * seen.epsilon
    torch.testing.assert_close(together, x.detach(), rtol=1e-9, atol=1e-9)
    one = exact(x.detach(), float(t[1]))
    torch.testing.assert_close(one.x0[1], seen.x0[1], rtol=1e-9, atol=1e-9)


def test_the_mixtures_density_is_that_of_its_gaussians() -> None:
    exact = Mixture(Geometric(), [(0.3, -0.2), (-0.6, 0.5)], [0.1, 0.2], [0.25, 0.75])
    x = Noise(0, 5).normal(2, 1, 1).double()
    parts = [
        torch.distributions.Normal(mean, s).log_prob(x.flatten(1)).sum(1)
        for mean, s in zip(exact.means, exact.deviations, strict=True)
    ]
    expected = torch.stack(parts, 1).exp() @ exact.weights
    torch.testing.assert_close(exact.log_density(x, 0.0).exp(), expected, rtol=1e-9, atol=1e-12)


def test_the_predictor_is_reverse_diffusion() -> None:
    """x + (sigma_t^2 - sigma_s^2) score + sqrt(sigma_t^2 - sigma_s^2) z, no z into the image."""
    schedule = Geometric(20.0, 0.1, 12)
    exact, states = Gaussian(schedule), []

    def look(index: int, time: float, x: Tensor, x0: Tensor) -> None:
        states.append(x)

    sampler = PredictorCorrector(4, corrections=0)
    sampler(exact, Noise(1, 6), (1, 2, 2), callback=look)
    walk, noise = sampler.walk(exact, None), Noise(1, 6)
    x = noise.normal(1, 2, 2) * 20
    for i, state in enumerate(states):
        added = walk.sigma[i] ** 2 - walk.sigma[i + 1] ** 2
        x = x + added * exact(x, walk.times[i]).score(walk.sigma[i])
        if i < 3:
            x = x + math.sqrt(added) * noise.normal(1, 2, 2)
        torch.testing.assert_close(state, x, rtol=1e-4, atol=1e-5)
        x = state
    # Where variance is preserved it is DDPM's step with its large variance.
    ddpm = Gaussian(Linear())
    ours, theirs = (
        sampler(ddpm, Noise(1, 6), (1, 2, 2))
        for sampler in (PredictorCorrector(9, corrections=0), Ancestral(9, variance="large"))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_correction_has_the_signal_to_noise_ratio_of_each_image() -> None:
    exact = Gaussian(Geometric(20.0, 0.1, 12))
    start = Noise(7, 3).normal(1, 2, 2) * torch.tensor([1.0, 5.0, 20.0]).view(-1, 1, 1, 1)
    sampler = PredictorCorrector(1, snr=0.2, corrections=1)
    end = sampler(exact, Noise(1, 3), (1, 2, 2), start=start)
    z, score = Noise(1, 3).normal(1, 2, 2), exact(start, 12.0).score(20.0)
    for i in range(3):
        size = 2 * (0.2 * z[i].norm() / score[i].norm()) ** 2
        moved = start[i] + size * score[i] + (2 * size).sqrt() * z[i]
        torch.testing.assert_close(end[i], exact(moved[None], 12.0).x0[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("corrections", [0, 1])
def test_many_steps_of_predictor_and_corrector_have_the_images_deviation(corrections: int) -> None:
    exact = Gaussian(Geometric(20.0, 0.02, 150))
    x = PredictorCorrector(150, corrections=corrections)(exact, Noise(1, 500), (1, 8, 8))
    assert float(x.mean()) == pytest.approx(exact.mean, abs=0.01)
    # Of 150 steps the discretisation leaves 2 % in the deviation, of corrections as much again.
    assert float(x.std()) == pytest.approx(exact.deviation, rel=0.05)
