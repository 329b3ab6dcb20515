import math

import numpy as np
import pytest
import torch
from torch import nn

from analytic import Waves
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.parameterisation import combine, form
from naqsh.diffusion.process import posterior, q_sample
from naqsh.diffusion.reverse import step_nats
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Geometric, Linear

KINDS = ["epsilon", "x0", "v", "velocity", "score", "edm"]
SCHEDULES = [Linear(), Cosine(50), Geometric(), EDM(), FlowMatching()]


class Fixed(nn.Module):
    """A network that always gives the same, whatever it sees; it keeps what it saw."""

    def __init__(self, output):
        super().__init__()
        self.output = nn.Parameter(output)

    def forward(self, x, condition, labels):
        self.seen = x, condition, labels
        return self.output


def drawn(count=3, dtype=torch.float64):
    noise = Noise(1, count)
    return noise.uniform(1, 4, 4).to(dtype) * 2 - 1, noise.normal(1, 4, 4).to(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_the_target_leads_back_to_picture_and_noise(kind, schedule):
    x0, epsilon = drawn()
    t = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64) * schedule.end
    x_t = q_sample(x0, t, epsilon, schedule)
    maps = form(kind, *schedule(t), sigma_data=0.7)
    target = combine(maps.target, x0, epsilon)
    # sigma / alpha of up to 200 multiplies float64's rounding.
    np.testing.assert_allclose(combine(maps.x0, x_t, target), x0, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(combine(maps.epsilon, x_t, target), epsilon, rtol=1e-9, atol=1e-10)


def test_targets_are_the_papers():
    alpha, sigma = torch.tensor([0.6, 0.8], dtype=torch.float64)
    x0, epsilon = drawn()

    def target(kind):
        return combine(form(kind, alpha, sigma).target, x0, epsilon)

    assert torch.equal(target("epsilon"), epsilon)
    assert torch.equal(target("x0"), x0)
    np.testing.assert_allclose(target("v"), 0.6 * epsilon - 0.8 * x0, rtol=1e-14)
    assert torch.equal(target("velocity"), epsilon - x0)


@pytest.mark.parametrize("sigma", [0.002, 0.5, 80.0])
def test_edm_is_table_1_of_its_paper(sigma):
    s = 0.5
    skip = s**2 / (sigma**2 + s**2)
    out = sigma * s / math.sqrt(s**2 + sigma**2)
    scale = 1 / math.sqrt(s**2 + sigma**2)
    maps = form("edm", *EDM()(sigma), s)
    np.testing.assert_allclose([*maps.x0, maps.scale], [skip, out, scale], rtol=1e-14)
    network = Fixed(torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)))
    denoiser = Denoiser(network, EDM(), parameterisation="edm", sigma_data=s)
    x = torch.ones(2, 1, 3, 3)
    seen = denoiser(x, sigma)
    torch.testing.assert_close(seen.x0, skip * x + out * network.output)
    torch.testing.assert_close(network.seen[0], scale * x)
    torch.testing.assert_close(network.seen[1], torch.full((2,), math.log(sigma) / 4))


def test_edm_on_unit_data_and_constant_variance_is_v_with_its_sign():
    alpha, sigma = Linear()(torch.arange(1, 1001))
    edm, v = form("edm", alpha, sigma, 1.0), form("v", alpha, sigma)
    for ours, theirs in zip(edm.target, v.target, strict=True):
        np.testing.assert_allclose(ours, -theirs, rtol=1e-12)
    assert edm.scale is not None
    np.testing.assert_allclose(edm.scale, 1, rtol=1e-12)


def losses_of(kind, schedule, t, weighting="simple", **more):
    """Losses of a network that gives 0.3 everywhere, beside the errors of image and noise."""
    x0, _ = drawn(len(t))
    output = torch.full_like(x0, 0.3)
    denoiser = Denoiser(Fixed(output), schedule, parameterisation=kind, weighting=weighting, **more)
    losses = denoiser.loss_at(x0, t, Noise(5, len(t)))
    epsilon = Noise(5, len(t)).normal(1, 4, 4).double()
    with torch.no_grad():
        seen = denoiser(q_sample(x0, t, epsilon, schedule), t)
    of_x0 = (seen.x0 - x0).square().flatten(1).mean(1)
    return losses.detach(), of_x0, (seen.epsilon - epsilon).square().flatten(1).mean(1)


T = torch.tensor([1, 20, 50])


def test_simple_loss_of_epsilon_is_the_error_of_the_noise():
    losses, _, of_epsilon = losses_of("epsilon", Linear(50), T)
    np.testing.assert_allclose(losses, of_epsilon, rtol=1e-12)


def test_simple_loss_of_edm_has_its_papers_weights():
    sigma = torch.tensor([0.01, 0.5, 50.0]).double()
    losses, of_x0, _ = losses_of("edm", EDM(), sigma)
    np.testing.assert_allclose(losses, (sigma**2 + 0.25) / (0.5 * sigma) ** 2 * of_x0, rtol=1e-8)


def test_simple_loss_of_v_weighs_by_snr_plus_one():
    schedule = Linear(50)
    losses, of_x0, _ = losses_of("v", schedule, T)
    np.testing.assert_allclose(losses, (schedule.log_snr(T).exp() + 1) * of_x0, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_weighs_to_the_error_of_the_noise_whatever_is_predicted(kind):
    losses, _, of_epsilon = losses_of(kind, Linear(50), T, "noise")
    np.testing.assert_allclose(losses, of_epsilon, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_cuts_the_weight_of_the_pictures_error(kind, gamma):
    schedule = Linear(50)
    losses, of_x0, _ = losses_of(kind, schedule, T, "min-snr", gamma=gamma)
    weight = schedule.log_snr(T).exp().clamp(max=gamma)
    np.testing.assert_allclose(losses, weight * of_x0, rtol=1e-9)


def test_min_snr_of_epsilon_is_equation_8():
    schedule = Linear(50)
    losses, _, of_epsilon = losses_of("epsilon", schedule, T, "min-snr")
    snr = schedule.log_snr(T).exp()
    np.testing.assert_allclose(losses, snr.clamp(max=5) / snr * of_epsilon, rtol=1e-9)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_vlb_weights_the_noises_error_as_equation_12(variance):
    schedule, t = Linear(50), torch.tensor([2, 20, 50])
    losses, _, of_epsilon = losses_of("epsilon", schedule, t, "vlb", variance=variance)
    beta, bar = schedule.betas()[t - 1], schedule.alpha_bar()
    tilde = (1 - bar[t - 1]) / (1 - bar[t]) * beta
    used = tilde if variance == "small" else beta
    weight = beta**2 / (2 * used * (1 - beta) * (1 - bar[t]))
    # With another variance than the posterior's, the KL has a part without the mean.
    rest = (tilde / used - 1 - (tilde / used).log()) / 2
    np.testing.assert_allclose(losses, 50 * (weight * of_epsilon + rest), rtol=1e-9)


def test_learnt_variance_adds_the_bound_and_leaves_the_mean_alone():
    schedule, x0 = Linear(50), drawn(3)[0]
    network = Fixed(torch.cat([torch.full_like(x0, 0.3), torch.full_like(x0, -0.4)], 1))
    denoiser = Denoiser(network, schedule, variance="learned")
    simple, _, _ = losses_of("epsilon", schedule, T)
    losses = denoiser.loss_at(x0, T, Noise(5, 3))
    epsilon = Noise(5, 3).normal(1, 4, 4).double()
    guess = denoiser(q_sample(x0, T, epsilon, schedule), T)
    assert guess.fraction is not None
    np.testing.assert_allclose(guess.fraction.detach(), 0.3, rtol=1e-12)
    nats = step_nats(schedule, x0, T, guess.x0, "learned", guess.fraction)
    expected = simple + 0.001 * 50 * nats.detach() / math.log(2)
    np.testing.assert_allclose(losses.detach(), expected, rtol=1e-12)
    losses.sum().backward()
    grad = network.output.grad
    assert grad is not None
    # The mean's gradient is the simple loss's, 2 (F - epsilon) / D.
    np.testing.assert_allclose(grad[:, :1], 2 * (0.3 - epsilon) / 16, rtol=1e-12)
    assert (grad[:, 1:] != 0).all()


def test_learnt_variance_lies_between_its_extremes_in_log_space():
    schedule, x0 = Linear(50), drawn(3)[0]
    guess = x0 + 0.1
    t = torch.tensor([5, 20, 50])
    least = step_nats(schedule, x0, t, guess, "learned", torch.zeros_like(x0))
    most = step_nats(schedule, x0, t, guess, "learned", torch.ones_like(x0))
    assert torch.equal(least, step_nats(schedule, x0, t, guess, "small"))
    np.testing.assert_allclose(most, step_nats(schedule, x0, t, guess, "large"), rtol=1e-12)
    half = step_nats(schedule, x0, t, guess, "learned", torch.full_like(x0, 0.5))
    step = posterior(schedule, t, t - 1)
    variance = (step.variance * step.added).sqrt()
    ratio, shift = step.variance / variance, step.of_x0 * 0.1
    expected = (ratio - 1 - ratio.log() + shift**2 / variance) / 2
    np.testing.assert_allclose(half, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_float32_under_autocast(kind):
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x, condition, labels):
            output = self.layer(x)
            assert output.dtype == torch.bfloat16
            return output

    denoiser = Denoiser(Half(), Linear(50), parameterisation=kind, weighting="min-snr")
    images = drawn()[0].float()
    with torch.autocast("cpu", torch.bfloat16):
        losses, t = denoiser.loss(images, Noise(0, 3))
        seen = denoiser(images, t)
    assert losses.dtype == seen.x0.dtype == seen.epsilon.dtype == torch.float32


def test_a_step_needs_no_number_from_the_device():
    for schedule in SCHEDULES:
        with torch.device("meta"):
            denoiser = Denoiser(Waves(), schedule, parameterisation="v", weighting="min-snr")
        losses, t = denoiser.loss(
            torch.zeros(4, 1, 2, 2, device="meta"), Noise(0, 4, device="meta")
        )
        assert losses.shape == t.shape == (4,)


def test_times_for_all_and_for_each_see_the_same():
    x, labels = drawn()[1].float(), torch.tensor([0, 1, 2])
    for schedule in SCHEDULES:
        denoiser = Denoiser(Waves(), schedule, parameterisation="x0")
        t = 0.4 * schedule.end
        one = denoiser(x, t, labels)
        each = denoiser(x, torch.full((3,), t, dtype=torch.float64), labels)
        # One rounding of float32 in what multiplies.
        torch.testing.assert_close(one.x0, each.x0)
        torch.testing.assert_close(one.epsilon, each.epsilon)


def test_losses_of_a_part_of_the_batch_are_the_parts_losses():
    denoiser = Denoiser(Waves(), Cosine(50))
    images, noise = drawn(4, torch.float32)[0], Noise(3, 4)
    whole, t = denoiser.loss(images, noise)
    part, part_t = denoiser.loss(images[1:3], noise.part(1, 2))
    assert torch.equal(part_t, t[1:3])
    # A mean of squares, each from a sine and four sums: other shapes are summed in another order.
    rounding = (images[0].numel() + 8) * torch.finfo(torch.float32).eps
    torch.testing.assert_close(part, whole[1:3], rtol=rounding, atol=0)


def test_clipping_keeps_picture_and_noise_together():
    x, denoiser = 3 * drawn()[1], Denoiser(Waves(), Linear(50))
    alpha, sigma = (float(number) for number in Linear(50)(30.0))
    seen = denoiser(x, 30.0)
    cut = seen.clipped(x, alpha, sigma)
    assert seen.x0.abs().max() > 1
    assert cut.x0.abs().max() == 1
    np.testing.assert_allclose(alpha * cut.x0 + sigma * cut.epsilon, x, rtol=1e-12, atol=1e-12)


def test_what_cannot_work_is_refused():
    with pytest.raises(NaqshError, match="no steps"):
        Denoiser(Waves(), EDM(), weighting="vlb")
    with pytest.raises(NaqshError, match="no steps"):
        Denoiser(Waves(), FlowMatching(), parameterisation="v", variance="learned")
    with pytest.raises(NaqshError, match="noise alone"):
        Denoiser(Waves(), FlowMatching())
