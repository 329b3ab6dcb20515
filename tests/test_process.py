import math

import numpy as np
import pytest
import torch

from naqsh.core.noise import Noise
from naqsh.diffusion.process import posterior, q_sample, q_step, transition
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Linear

EVERY = [Linear(), Cosine(50), EDM(), FlowMatching()]


def test_neighbours_are_the_papers_steps():
    schedule = Linear()
    t = torch.arange(1, 1001)
    kept, added = transition(schedule, t, t - 1)
    np.testing.assert_allclose(added, schedule.betas(), rtol=1e-11)
    np.testing.assert_allclose(kept**2, 1 - schedule.betas(), rtol=1e-13)


def test_posterior_coefficients_are_the_papers():
    schedule = Cosine(50)
    beta, bar = schedule.betas()[1:], schedule.alpha_bar()
    before, now = bar[1:-1], bar[2:]
    t = torch.arange(2, 51)
    step = posterior(schedule, t, t - 1)
    # Ho et al., 2020, equation 7.
    np.testing.assert_allclose(step.variance, (1 - before) / (1 - now) * beta, rtol=1e-9)
    np.testing.assert_allclose(step.of_x0, before.sqrt() * beta / (1 - now), rtol=1e-9)
    np.testing.assert_allclose(step.of_x, (1 - beta).sqrt() * (1 - before) / (1 - now), rtol=1e-9)


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_steps_and_jump_agree_in_mean_and_variance(schedule):
    # The exact recursion: a step maps mean and variance, so the chain must give the jump's.
    times = schedule.times(40).flip(0)
    mean, variance = 1.0, 0.0
    for s, t in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        kept, added = (float(number) for number in transition(schedule, t, s))
        mean, variance = kept * mean, kept**2 * variance + added
    alpha, sigma = schedule(schedule.end)
    # Forty products of float64.
    assert mean == pytest.approx(float(alpha), rel=1e-12, abs=1e-12)
    assert variance == pytest.approx(float(sigma**2), rel=1e-12)


def test_drawn_steps_agree_with_drawn_jumps():
    schedule, count = Linear(20, 0.01, 0.2), 4000
    x0 = torch.full((count, 1, 2, 2), 0.8)
    noise, x = Noise(0, count), x0
    for t in range(1, 21):
        x = q_step(x, torch.full((count,), t), noise.normal(1, 2, 2), schedule)
    jump = q_sample(x0, 20.0, noise.normal(1, 2, 2), schedule)
    alpha, sigma = (float(number) for number in schedule(20.0))
    for drawn in (x, jump):
        # Four standard errors of the mean and of the deviation of n independent numbers.
        n = drawn.numel()
        assert abs(float(drawn.mean()) - 0.8 * alpha) < 4 * sigma / math.sqrt(n)
        assert abs(float(drawn.std()) - sigma) < 4 * sigma / math.sqrt(2 * n)


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_bayes_rule_gives_the_posterior(schedule):
    # Precision and mean from prior q(x_s | x_0) and likelihood q(x_t | x_s), multiplied out.
    t, s = 0.8 * schedule.end, 0.5 * schedule.end
    alpha_s, sigma_s = schedule(s)
    kept, added = transition(schedule, t, s)
    x0, x_t = 0.7, -0.4
    precision = 1 / sigma_s**2 + kept**2 / added
    mean = (alpha_s * x0 / sigma_s**2 + kept * x_t / added) / precision
    step = posterior(schedule, t, s)
    np.testing.assert_allclose(step.variance, 1 / precision, rtol=1e-12)
    got = step.mean(*torch.tensor([[x_t], [x0]], dtype=torch.float64))
    np.testing.assert_allclose(got, [mean], rtol=1e-12)


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_both_forms_of_the_mean_are_equal(schedule):
    noise = Noise(0, 4)
    x0, epsilon = noise.normal(1, 3, 3).double(), noise.normal(1, 3, 3).double()
    t = torch.tensor([0.2, 0.5, 0.7, 0.9], dtype=torch.float64) * schedule.end
    s = t / 2
    x_t = q_sample(x0, t, epsilon, schedule)
    step = posterior(schedule, t, s)
    # Rounding of float64 after division by what a long step keeps, at least 1e-3.
    np.testing.assert_allclose(
        step.mean(x_t, x0), step.mean_of_epsilon(x_t, epsilon), rtol=1e-10, atol=1e-11
    )


def test_the_step_into_the_clean_picture_is_certain():
    step = posterior(Linear(), 1.0, 0.0)
    assert float(step.variance) == 0
    assert float(step.of_x) == 0
    assert float(step.of_x0) == pytest.approx(1, rel=1e-12)


def test_pictures_keep_their_dtype_and_times_are_their_own():
    x0, epsilon = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    t = torch.tensor([0, 1000])
    x_t = q_sample(x0, t, epsilon, Linear())
    assert x_t.dtype == torch.float32
    assert torch.equal(x_t[0], x0[0])
    assert float(x_t[1].max()) < 0.01
    assert torch.equal(q_sample(x0, 1000, epsilon, Linear())[1], x_t[1])
