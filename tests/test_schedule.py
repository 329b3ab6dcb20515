import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.schedule import (
    EDM,
    AnySchedule,
    Cosine,
    Discrete,
    FlowMatching,
    Geometric,
    Linear,
    SqrtLinear,
)
from naqsh.io import codec

EVERY = [
    Linear(),
    Linear(40, 0.01, 0.3),
    Cosine(),
    Cosine(25),
    SqrtLinear(),
    Geometric(50.0, 0.01, 40),
    EDM(),
    FlowMatching(),
    FlowMatching("normal", 3.0),
]
WHOLE = [schedule for schedule in EVERY if isinstance(schedule, Discrete)]


def name(schedule):
    return repr(schedule)


def test_linear_betas_are_the_papers():
    betas = Linear().betas()
    assert betas.dtype == torch.float64
    assert torch.equal(betas, torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))


def test_sqrt_linear_rises_evenly_in_its_root():
    betas = SqrtLinear(5, 0.01, 0.09).betas()
    # Roots 0.1, 0.15, ..., 0.3; rounding of a square and a root.
    np.testing.assert_allclose(betas.sqrt(), [0.1, 0.15, 0.2, 0.25, 0.3], rtol=1e-14)
    # Latent diffusion's own ends (configs/latent-diffusion), over a thousand steps.
    betas = SqrtLinear().betas()
    assert len(betas) == 1000
    np.testing.assert_allclose(betas[[0, -1]], [0.0015, 0.0195], rtol=1e-14)


def test_cosine_follows_its_formula():
    steps = 100

    def f(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = [min(1 - f((i + 1) / steps) / f(i / steps), 0.999) for i in range(steps)]
    # The difference 1 - ratio has lost at most four of float64's sixteen digits.
    np.testing.assert_allclose(Cosine(steps).betas(), expected, rtol=1e-12)
    assert Cosine(steps).betas()[-1] == 0.999
    # Without a cut the products telescope: alpha_bar = f(t/T) / f(0).
    t = torch.arange(steps)
    kept = [f(i / steps) / f(0) for i in range(steps)]
    np.testing.assert_allclose(Cosine(steps).alpha_bar()[t], kept, rtol=1e-12)


@pytest.mark.parametrize("schedule", WHOLE, ids=name)
def test_alpha_bar_is_the_product_of_what_is_kept(schedule):
    expected = np.concatenate([[1], np.cumprod(1 - schedule.betas().numpy())])
    np.testing.assert_allclose(schedule.alpha_bar(), expected, rtol=1e-12)
    alpha, sigma = schedule(torch.arange(schedule.steps + 1))
    np.testing.assert_allclose(alpha**2, expected, rtol=1e-12)
    # 1e-13: the reference itself loses digits in 1 - alpha_bar near the clean image.
    np.testing.assert_allclose(sigma**2, 1 - expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("schedule", EVERY, ids=name)
def test_time_zero_is_clean_and_the_end_is_noise(schedule):
    alpha, sigma = schedule(0.0)
    assert (float(alpha), float(sigma)) == (1, 0)
    assert schedule.log_snr(0.0) == math.inf
    assert schedule.log_snr(schedule.end) < -1
    if schedule != Linear(40, 0.01, 0.3):  # too short to end in noise
        assert float(schedule(schedule.end)[1]) == pytest.approx(schedule.prior, rel=5e-3)


@pytest.mark.parametrize("schedule", EVERY, ids=name)
def test_log_snr_falls_and_has_its_inverse(schedule):
    t = torch.linspace(0.02, 0.98, 50, dtype=torch.float64) * schedule.end
    t = t.clamp(min=1) if schedule.levels else t
    log_snr = schedule.log_snr(t)
    alpha, sigma = schedule(t)
    np.testing.assert_allclose(log_snr, 2 * (alpha / sigma).log(), rtol=1e-9, atol=1e-9)
    assert (log_snr.unique().flip(0) == log_snr.unique_consecutive()).all()
    np.testing.assert_allclose(schedule.time(log_snr), t, rtol=1e-9)


@pytest.mark.parametrize("schedule", WHOLE, ids=name)
def test_real_times_run_in_lines_through_whole_ones(schedule):
    table = schedule.log_snr(torch.arange(schedule.steps + 1))
    np.testing.assert_allclose(schedule.log_snr(torch.arange(1.0, schedule.steps + 1)), table[1:])
    middle = schedule.log_snr(torch.arange(1.5, schedule.steps))
    np.testing.assert_allclose(middle, (table[1:-1] + table[2:]) / 2, rtol=1e-12, atol=1e-12)
    assert torch.equal(schedule.time(table), torch.arange(schedule.steps + 1.0).clamp(1).double())


def test_geometric_levels_are_ncsns():
    schedule = Geometric(1.0, 0.01, 10)
    alpha, sigma = schedule(torch.arange(11))
    # As the paper's released code lists them.
    assert alpha.tolist() == [1] * 11
    told = [0, 0.01, 0.0167, 0.0278, 0.0464, 0.0774, 0.1292, 0.2154, 0.3594, 0.5995, 1]
    np.testing.assert_allclose(sigma, told, atol=5e-5)
    np.testing.assert_allclose(sigma[2:] / sigma[1:-1], schedule.ratio, rtol=1e-12)
    # All levels are visited, as whole times but for rounding, which what a network embeds has not.
    times = schedule.times(10)
    np.testing.assert_allclose(times, torch.arange(10, -1, -1), atol=1e-9)
    assert schedule.condition(times).tolist() == [*range(9, -1, -1), -1]
    assert schedule.draw(Noise(0, 200)).unique().tolist() == list(range(1, 11))
    # Some levels, from the most noise to the least.
    sigma = schedule(schedule.times(4))[1]
    np.testing.assert_allclose(sigma, [1, 0.01 ** (1 / 3), 0.01 ** (2 / 3), 0.01, 0], rtol=1e-9)


def test_one_step_is_enough_for_a_schedule():
    schedule = Linear(1, 0.5, 0.5)
    assert float(schedule(1.0)[0]) == pytest.approx(math.sqrt(0.5))
    assert float(schedule.time(0.3)) == 1
    assert schedule.times(1).tolist() == [1, 0]


@pytest.mark.parametrize("schedule", EVERY, ids=name)
@pytest.mark.parametrize("spacing", ["even", "quadratic", "karras", "log-snr"])
@pytest.mark.parametrize("steps", [1, 2, 7, 25])
def test_sampling_times_fall_from_the_end_to_zero(schedule, spacing, steps):
    times = schedule.times(steps, spacing)
    assert times.shape == (steps + 1,)
    assert times.dtype == torch.float64
    assert times[0] == schedule.end
    assert times[-1] == 0
    assert (times.diff() < 0).all()


@pytest.mark.parametrize("spacing", ["even", "quadratic"])
def test_whole_times_stay_whole_and_apart_for_every_number_of_steps(spacing):
    schedule = Linear(60)
    for steps in range(1, 61):
        times = schedule.times(steps, spacing)
        assert torch.equal(times, times.round())
        assert (times.diff() <= -1).all()
    assert torch.equal(schedule.times(60, spacing), torch.arange(60.0, -1, -1).double())
    with pytest.raises(NaqshError, match="1 to 60"):
        schedule.times(61, spacing)
    with pytest.raises(NaqshError, match="at least 1"):
        schedule.times(0, spacing)


def test_karras_times_follow_equation_5():
    rho, least, most, steps = 7, 0.002, 80, 18
    expected = [
        (most ** (1 / rho) + i / (steps - 1) * (least ** (1 / rho) - most ** (1 / rho))) ** rho
        for i in range(steps)
    ]
    np.testing.assert_allclose(EDM().times(steps), [*expected, 0], rtol=1e-12)
    # Of another schedule, sigma / alpha takes these values.
    alpha, sigma = FlowMatching().__call__(FlowMatching().times(steps, "karras")[1:-1])
    np.testing.assert_allclose(sigma / alpha, expected[1:], rtol=1e-9)


def test_log_snr_spacing_is_even():
    log_snr = Linear().log_snr(Linear().times(9, "log-snr")[:-1])
    np.testing.assert_allclose(log_snr.diff(), log_snr.diff().mean(), rtol=1e-6)


def test_training_times_have_their_distributions():
    count = 20000
    whole = Linear(10).draw(Noise(0, count))
    assert whole.dtype == torch.int64
    share = torch.bincount(whole, minlength=11)[1:] / count
    # Four standard errors of a share of one tenth: 4 sqrt(0.09 / 20000).
    assert (share - 0.1).abs().max() < 0.0085
    log_sigma = EDM().draw(Noise(0, count)).log()
    assert abs(float(log_sigma.mean()) + 1.2) < 4 * 1.2 / math.sqrt(count)
    assert abs(float(log_sigma.std()) - 1.2) < 4 * 1.2 / math.sqrt(2 * count)
    skewed = FlowMatching("normal").draw(Noise(0, count))
    # The same noise over signal as EDM draws, from the same numbers.
    np.testing.assert_allclose((skewed / (1 - skewed)).log(), log_sigma, rtol=1e-9, atol=1e-9)
    even = FlowMatching().draw(Noise(0, count))
    shifted = FlowMatching(shift=3.0).draw(Noise(0, count))
    np.testing.assert_allclose(shifted, 3 * even / (1 + 2 * even), rtol=1e-12)
    assert abs(float(even.mean()) - 0.5) < 4 / math.sqrt(12 * count)


def test_what_a_network_embeds():
    assert Linear().condition(torch.tensor([1, 1000])).tolist() == [0, 999]
    assert float(EDM().condition(math.e**2)) == pytest.approx(0.5)
    assert FlowMatching().condition(0.25) == 250
    for schedule in EVERY:
        assert schedule.condition(schedule.draw(Noise(0, 3))).dtype == torch.float32


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(0),
        lambda: Linear(first=0.0),
        lambda: Linear(first=0.03),
        lambda: SqrtLinear(last=1.0),
        lambda: Cosine(0),
        lambda: EDM(least=0.0),
        lambda: EDM(least=81.0),
        lambda: EDM(rho=0.0),
        lambda: FlowMatching(shift=0.0),
        lambda: Geometric(least=0.0),
        lambda: Geometric(least=3.0),
        lambda: Geometric(levels=1),
    ],
)
def test_numbers_that_cannot_be_are_refused(make):
    with pytest.raises(ValueError, match=r"must be|need"):
        make()


@dataclass(frozen=True)
class Holder:
    schedule: AnySchedule


def test_a_spec_names_a_schedule_by_its_kind():
    for schedule in EVERY:
        plain = codec.encode(Holder(schedule))
        assert plain["schedule"]["kind"] == type(schedule).__name__.lower()
        assert codec.decode(Holder, plain) == Holder(schedule)
    with pytest.raises(NaqshError, match="did you mean 'cosine'"):
        codec.decode(Holder, {"schedule": {"kind": "cosin"}})


def test_a_table_made_under_inference_can_be_trained_with():
    schedule = Linear(33)
    with torch.inference_mode():
        schedule(torch.tensor([3]))
    x = torch.ones(1, requires_grad=True)
    (x * schedule(torch.tensor([3]))[0]).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("schedule", EVERY, ids=name)
def test_shares_of_what_is_drawn_lie_below_their_quantiles(schedule):
    """By a standard error of at most 0.5 % among 10,000, and by what one level has."""
    drawn = schedule.draw(Noise(3, 10_000)).double()
    level = 1 / schedule.levels if schedule.levels else 0
    for share in (0.02, 0.3, 0.5, 0.8, 0.999):
        end = schedule.quantile(torch.tensor([share], dtype=torch.float64))
        below = float((drawn <= end).double().mean())
        assert share - 0.02 < below < share + level + 0.02
        if share == 0.999:
            assert schedule.levels or below < 1
