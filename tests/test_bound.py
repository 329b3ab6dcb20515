import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from analytic import Gaussian, Waves
from naqsh.core.noise import Noise
from naqsh.diffusion.bound import KIND, bound, placed, prior_nats
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.process import posterior
from naqsh.diffusion.reverse import level_nats, log_variance, step_divergence
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Linear


def levels(count, mean=0.1, deviation=0.2):
    """Images of 256 levels in [-1, 1], drawn from a normal."""
    x = mean + deviation * Noise(9, count).normal(1, 4, 4).double()
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def test_probabilities_of_levels_are_the_normals_and_sum_to_one():
    grid = (torch.arange(256, dtype=torch.float64) / 127.5 - 1).view(256, 1, 1, 1)
    for mean, scale in ((0.3, 0.05), (-0.99, 0.2), (0.0, 0.004)):
        log_scale = torch.tensor(2 * math.log(scale), dtype=torch.float64)
        nats = level_nats(grid, torch.full_like(grid, mean), log_scale).numpy()
        assert np.exp(-nats).sum() == pytest.approx(1, abs=1e-12)
        x = grid.flatten().numpy()
        edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])
        expected = np.diff(stats.norm(mean, scale).cdf(edges))
        near = expected > 1e-10  # below, the reference has lost its digits
        np.testing.assert_allclose(np.exp(-nats)[near], expected[near], rtol=1e-5)


def test_far_levels_stay_finite_in_float32_with_their_gradients():
    x = torch.tensor([[-0.9, 0.9, -1.0, 1.0]]).view(4, 1, 1, 1)
    guess = torch.tensor([0.9, -0.9, 1.0, -1.0]).view(4, 1, 1, 1).requires_grad_()
    nats = level_nats(x, guess, torch.tensor(math.log(5e-5)))
    nats.sum().backward()
    # A tail's log-probability is that of its nearest point, to leading order.
    expected = (1.8 - 1 / 255) ** 2 / 2 / 5e-5
    np.testing.assert_allclose(nats.detach()[:2], expected, rtol=1e-3)
    assert guess.grad is not None
    assert guess.grad.isfinite().all()
    assert (guess.grad.sign().flatten() == torch.tensor([1, -1, 1, -1])).all()


@pytest.mark.parametrize("kind", ["small", "large"])
def test_divergence_is_that_by_quadrature(kind):
    step = posterior(Linear(50), 20.0, 19.0)
    x0, guess = torch.full((1, 1, 1, 1), 0.5).double(), torch.full((1, 1, 1, 1), 0.1).double()
    variance = log_variance(step, 1.0, kind, x0)
    got = float(step_divergence(step, x0, guess, variance))
    q = stats.norm(float(step.of_x0) * 0.5, math.sqrt(step.variance))
    p = stats.norm(float(step.of_x0) * 0.1, math.exp(float(variance) / 2))
    edges = q.mean() - 12 * q.std(), q.mean() + 12 * q.std()
    expected, _ = integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), *edges)
    assert got == pytest.approx(expected, rel=1e-8)


def test_divergence_is_that_by_monte_carlo():
    step = posterior(Cosine(50), 30.0, 29.0)
    x0, guess = levels(1), levels(1) + 0.2
    nats = step_divergence(step, x0, guess, log_variance(step, 1.0, "large", x0))
    x_t = Noise(1, 1).normal(1, 4, 4).double()
    draws = step.mean(x_t, x0) + step.variance.sqrt() * Noise(2, 20000).normal(1, 4, 4).double()
    q = torch.distributions.Normal(step.mean(x_t, x0), step.variance.sqrt())
    p = torch.distributions.Normal(step.mean(x_t, guess), step.added.sqrt())
    ratios = (q.log_prob(draws) - p.log_prob(draws)).flatten(1).mean(1)
    assert abs(float(ratios.mean() - nats)) < 4 * float(ratios.std()) / math.sqrt(20000)


def test_prior_of_the_papers_schedule_is_about_1e_5_bits():
    images = levels(4, 0.4, 0.4)
    bits = prior_nats(Linear(), images) / math.log(2)
    assert ((bits > 3e-6) & (bits < 3e-5)).all()
    alpha, sigma = (float(number) for number in Linear()(1000.0))
    for image, nats in zip(images, prior_nats(Linear(), images), strict=True):
        q = torch.distributions.Normal(alpha * image, sigma)
        exact = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).mean()
        # The reference loses digits in 1 - sigma^2 of 4e-5.
        assert float(nats) == pytest.approx(float(exact), rel=1e-6)
    assert (prior_nats(FlowMatching(), images) == 0).all()
    expected = images.square().flatten(1).mean(1) / 80**2 / 2
    np.testing.assert_allclose(prior_nats(EDM(), images), expected, rtol=1e-9)


def entropy(mean, deviation):
    """Bits of a pixel of the levels nearest to N(mean, deviation^2)."""
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 127.5 - 1, [np.inf]])
    p = np.diff(stats.norm(mean, deviation).cdf(edges))
    return float(-(p[p > 0] * np.log2(p[p > 0])).sum())


def test_bits_of_normal_pictures_reach_their_entropy():
    count, steps = 200, 200
    images = levels(count)
    exact = entropy(0.1, 0.2)
    schedule = Linear(steps, 1e-4, 0.09)
    # With its true variance each reverse step is exact: what is left is the levels' width.
    true = bound(Gaussian(schedule, 0.1, 0.2, "learned"), images, Noise(0, count))
    own = -stats.norm(0.1, 0.2).logpdf(images.numpy()).mean() / math.log(2) + math.log2(127.5)
    error = 4 * float(true.total.std()) / math.sqrt(count)
    assert own == pytest.approx(exact, abs=4 * 0.72 / math.sqrt(images.numel()))
    # Levels of 1/25 of the data's deviation, and the decoder's variance of about a level's:
    # measured 0.006 bits above.
    assert -error < float(true.total.mean()) - own < error + 0.02
    for kind in ("small", "large"):
        fixed = bound(Gaussian(schedule, 0.1, 0.2, kind), images, Noise(0, count))
        # The same noise, and a variance that is not the true one.
        assert float((fixed.total - true.total).mean()) > 0.005
    assert KIND == "lower bound"


def test_the_same_denoiser_has_the_same_bound_under_every_schedule():
    images = levels(16)
    own = -stats.norm(0.1, 0.2).logpdf(images.numpy()).mean() / math.log(2) + math.log2(127.5)
    told = {}
    for schedule in (Linear(), Cosine(), EDM(), FlowMatching(), FlowMatching("normal", 3.0)):
        parts = bound(Gaussian(schedule, 0.1, 0.2, "large"), images, Noise(0, 16))
        told[repr(schedule)] = float(parts.total.mean())
    # A thousand steps in log-SNR, of 0.02 each, cost about as many hundredths of a bit; so do the
    # coarse first steps of DDPM's. By evenly spaced times flow matching stood 3 bits above.
    for bits in told.values():
        assert own - 0.02 < bits < own + 0.06
    assert told[repr(FlowMatching())] == pytest.approx(told[repr(EDM())], abs=2e-3)


@pytest.mark.parametrize("schedule", [EDM(), EDM(least=0.1), FlowMatching()], ids=repr)
def test_steps_of_continuous_time_lie_evenly_in_log_snr_down_to_a_level(schedule):
    times = placed(schedule, 50)
    log_snr = schedule.log_snr(times[1:-1])
    np.testing.assert_allclose(log_snr.diff(), log_snr.diff().mean(), rtol=1e-6)
    assert times[0] == schedule.end
    least = max(2 / 255, schedule.extent[0])
    assert float(log_snr[-1]) == pytest.approx(-2 * math.log(least), rel=1e-9)
    assert len(placed(schedule)) == 1001
    assert torch.equal(placed(schedule, 50, "karras"), schedule.times(50, "karras"))


@pytest.mark.parametrize("kind", ["small", "large"])
def test_the_last_steps_variance_is_the_noise_that_is_left(kind):
    for schedule in (Linear(), EDM(), FlowMatching()):
        t = float(schedule.times(100)[-2])
        alpha, sigma = (float(number) for number in schedule(t))
        log = log_variance(posterior(schedule, t, 0.0), 1.0, kind, levels(1))
        assert float(log.exp()) == pytest.approx(sigma**2 / (alpha**2 + sigma**2), rel=1e-12)


@pytest.mark.parametrize("schedule", [Linear(60, 1e-3, 0.3), EDM(), FlowMatching()], ids=repr)
def test_any_times_give_a_bound_and_more_a_tighter_one(schedule):
    images = levels(100)
    exact = entropy(0.1, 0.2)
    denoiser = Gaussian(schedule, 0.1, 0.2)
    few, many = (
        bound(denoiser, images, Noise(0, 100), steps=steps, spacing="karras") for steps in (15, 60)
    )
    assert few.terms.shape == (100, 15)
    assert float(few.total.mean()) > float(many.total.mean()) > exact - 0.05
    assert few.times[-1] == schedule.end
    assert (few.times.diff() > 0).all()


def test_terms_stand_at_their_times():
    schedule, images = Linear(30, 1e-3, 0.3), levels(5)
    denoiser = Denoiser(Waves(), schedule, variance="large")
    parts = bound(denoiser, images, Noise(0, 5), clip=False)
    assert parts.times.tolist() == list(range(1, 31))
    noise = Noise(0, 5)
    for t in range(30, 0, -1):
        epsilon = noise.normal(1, 4, 4).double()
        alpha, sigma = schedule(float(t))
        seen = denoiser(alpha * images + sigma * epsilon, float(t))
        error = (seen.epsilon - epsilon).square().flatten(1).mean(1)
        np.testing.assert_allclose(parts.errors[:, t - 1], error, rtol=1e-9)
        if t > 1:
            # Ho et al., 2020, equation 12, and the part of the KL without the mean.
            beta, bar = schedule.betas()[t - 1], schedule.alpha_bar()
            tilde = (1 - bar[t - 1]) / (1 - bar[t]) * beta
            nats = beta / (2 * (1 - beta) * (1 - bar[t])) * error
            nats = nats + (tilde / beta - 1 - (tilde / beta).log()) / 2
            np.testing.assert_allclose(parts.terms[:, t - 1], nats / math.log(2), rtol=1e-8)
    np.testing.assert_allclose(parts.total, parts.terms.sum(1) + parts.prior)


def test_training_by_the_bound_averages_to_the_bound():
    schedule, images = Linear(20, 1e-3, 0.3), levels(2)
    denoiser = Denoiser(Waves(), schedule, weighting="vlb", variance="small")
    parts = bound(denoiser, images, Noise(0, 2), clip=False)
    noise, losses = Noise(0, 2), []
    for t in range(20, 0, -1):
        losses.append(denoiser.loss_at(images, torch.tensor([t, t]), noise))
    bits = torch.stack(losses).mean(0).detach() / math.log(2)
    np.testing.assert_allclose(bits, parts.terms.sum(1), rtol=1e-9)


def test_one_step_is_a_bound_too():
    parts = bound(Gaussian(FlowMatching(), 0.1, 0.2), levels(3), Noise(0, 3), steps=1)
    assert parts.terms.shape == (3, 1)
    assert parts.total.isfinite().all()
