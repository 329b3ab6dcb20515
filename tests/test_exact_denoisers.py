"""Every sampler on exact denoisers: both ends of every schedule, every parameterisation."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import pytest
import torch
from torch import Tensor

from analytic import Gaussian, Learnt, Mixture
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser, Prediction
from naqsh.diffusion.parameterisation import Parameterisation
from naqsh.diffusion.process import posterior
from naqsh.diffusion.samplers import SAMPLERS, Ancestral, Ddim, Heun, SamplerName
from naqsh.diffusion.schedule import (
    EDM,
    Cosine,
    Discrete,
    FlowMatching,
    Geometric,
    Linear,
    Schedule,
    Spacing,
    SqrtLinear,
)

SCHEDULES = [
    Linear(),
    Linear(40, 0.01, 0.3),
    Cosine(),
    Cosine(50),
    SqrtLinear(),
    Geometric(40.0, 0.02, 60),
    EDM(),
    FlowMatching(),
    FlowMatching("normal", 3.0),
]
SPACINGS: list[Spacing] = ["even", "quadratic", "karras", "log-snr"]
KINDS: list[Parameterisation] = ["epsilon", "x0", "v", "velocity", "score", "edm"]
SOLVERS: list[SamplerName] = ["ddim", "euler", "heun", "dpm-solver++"]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def own(schedule: Schedule, spacing: Spacing) -> Spacing:
    """Evenly in sigma up to 80 no step would lie where images are; EDM has its own there."""
    return "karras" if isinstance(schedule, EDM) and spacing in ("even", "quadratic") else spacing


def errors(
    name: SamplerName, schedule: Schedule, spacing: Spacing, steps: int
) -> tuple[float, float]:
    """How far mean and deviation are from the exact flow's, in deviations: on the way, at the end.

    A solver maps a normal by a line, so two points, a deviation from the mean, tell both.
    """
    exact = Gaussian(schedule)
    told: list[float] = []

    def far(time: float, x: Tensor, deviation: float) -> float:
        below, above = x.flatten().tolist()
        mean = float(schedule(time)[0]) * exact.mean
        return max(abs((above - below) / 2 - deviation), abs((above + below) / 2 - mean))

    def look(index: int, time: float, x: Tensor, x0: Tensor) -> None:
        deviation = float(exact.p(time).sqrt())
        if not time:
            # The last step gives the expectation of x0, whose deviation is a little less.
            before = float(schedule.times(steps, spacing)[-2])
            kept = float(schedule(before)[0]) * exact.deviation / float(exact.p(before).sqrt())
            told.append(far(time, x, deviation * kept) / deviation)
        else:
            told.append(far(time, x, deviation) / deviation)

    end = schedule.end
    mean, deviation = float(schedule(end)[0]) * exact.mean, float(exact.p(end).sqrt())
    start = torch.tensor([mean - deviation, mean + deviation]).double().view(2, 1, 1, 1)
    SAMPLERS[name](steps, spacing)(exact, Noise(0, 2), (1, 1, 1), start=start, callback=look)
    assert len(told) == steps
    return max(told[:-1]), told[-1]


@every_schedule
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_keep_mean_and_deviation_at_every_time(
    schedule: Schedule, spacing: Spacing, name: SamplerName
) -> None:
    spacing = own(schedule, spacing)
    (coarse, _), (fine, end) = (errors(name, schedule, spacing, steps) for steps in (10, 40))
    # From the first step on nothing is far off; where signal ends in 20,000 times as much noise,
    # Heun's method in x / alpha was.
    assert coarse < 0.35
    if spacing in ("karras", "log-snr"):
        # A quarter of the step: at most a quarter of the error, with what the first steps distort.
        # (Even times come nearer to 0, where the flow bends most, the more there are.)
        assert fine < 0.4 * coarse
    assert end < 1.01 * fine + 1e-12
    if name in ("heun", "dpm-solver++"):
        assert fine < 0.9 * errors("euler", schedule, spacing, 40)[0]


@every_schedule
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_what_the_network_predicts_changes_rounding_alone(
    schedule: Schedule, kind: Parameterisation, name: SamplerName
) -> None:
    least = float(schedule(schedule.end)[0])
    by_noise = kind in ("epsilon", "score")
    if by_noise and not least:
        pytest.skip("refused: the noise says nothing of the image there")
    if name == "predictor-corrector" and kind == "x0" and isinstance(schedule, EDM):
        pytest.skip("corrections measure the score, which has x0's rounding over sigma squared")
    exact = Gaussian(schedule)
    denoiser = Denoiser(Learnt(exact, kind), schedule, parameterisation=kind, variance="small")
    start = Noise(1, 6).normal(1, 2, 2) * schedule.prior
    mine, best = (
        SAMPLERS[name](12)(d, Noise(0, 6), (1, 2, 2), start=x)
        for d, x in ((denoiser, start), (exact, start.double()))
    )
    # Float32's 6e-8 of numbers up to 4, divided by the signal where x0 comes from the noise; the
    # step keeps of x0 what its own signal is, below 0.2 where the divisor is below 1/200. It is
    # rounded at each evaluation, of which these two take two a step.
    amplified = 0.2 / least if by_noise else 1.0
    evaluations = 24 if name in ("heun", "predictor-corrector") else 12
    bound = evaluations * 4 * 6e-8 * (4 + amplified)
    torch.testing.assert_close(mine.double(), best, rtol=0, atol=bound)


@every_schedule
@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_take_quantiles_to_quantiles_of_a_mixture(
    schedule: Schedule, name: SamplerName
) -> None:
    exact, count = Mixture(schedule), 400
    levels = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    start = torch.special.ndtri(levels).view(-1, 1, 1, 1) * schedule.prior

    def distance(steps: int) -> float:
        sampler = SAMPLERS[name](steps, "log-snr")
        x = sampler(exact, Noise(0, count), (1, 1, 1), start=start).flatten()
        assert all(low < high for low, high in pairwise(x.tolist()))  # paths never cross
        return float((exact.below(x) - levels).abs().max())

    # What is not yet noise at the end cannot be made up for: the start's own distance from x_T.
    alpha, sigma = (float(number) for number in schedule(schedule.end))
    p = alpha**2 * exact.deviations**2 + sigma**2
    z = (start.flatten().unsqueeze(-1) - alpha * exact.means) / p.sqrt()
    missing = float(((exact.weights * torch.special.ndtr(z)).sum(-1) - levels).abs().max())
    order = 2 if name in ("heun", "dpm-solver++") else 1
    few, many = (distance(steps) for steps in (12, 36))
    assert many < missing + 0.05 / order
    assert few < missing + 0.2 / order


@every_schedule
@pytest.mark.parametrize("way", ["ancestral small", "ancestral large", "ddim eta 1"])
def test_drawn_steps_have_the_variance_of_their_closed_form(schedule: Schedule, way: str) -> None:
    """A chain of linear steps and fresh noise maps variances by a recursion."""
    exact, count, steps = Gaussian(schedule, 0.0, 0.4), 3000, 15
    times = schedule.times(steps)
    variance = schedule.prior**2
    expected = []
    for t, s in pairwise(times.tolist()):
        step, (alpha, _) = posterior(schedule, t, s), schedule(t)
        kept = step.of_x0 * alpha * exact.deviation**2 / exact.p(t) + step.of_x
        fresh = step.widest if way.endswith("large") else step.variance
        variance = float(kept) ** 2 * variance + (float(fresh) if s else 0.0)
        expected.append(variance)
    seen: list[float] = []

    def look(index: int, time: float, x: Tensor, x0: Tensor) -> None:
        seen.append(float(x.double().square().mean()))

    noise = Noise(3, count)
    if way == "ddim eta 1":
        Ddim(steps, eta=1.0)(exact, noise, (1, 2, 2), callback=look)
    else:
        exact.variance = "large" if way.endswith("large") else "small"
        Ancestral(steps)(exact, noise, (1, 2, 2), callback=look)
    # Five standard errors of a variance of 12,000 numbers, at 15 times of 24 cases.
    for got, wanted in zip(seen, expected, strict=True):
        assert got == pytest.approx(wanted, rel=5 * math.sqrt(2 / (4 * count)))


@every_schedule
@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_large_variance_is_exact_for_standard_normal_data(
    schedule: Schedule, spacing: Spacing
) -> None:
    times = schedule.times(7, spacing).tolist()
    for t, s in pairwise(times):
        step, (alpha, sigma), (alpha_s, sigma_s) = (
            posterior(schedule, t, s),
            schedule(t),
            schedule(s),
        )
        kept = step.of_x0 * alpha / (alpha**2 + sigma**2) + step.of_x
        variance = kept**2 * (alpha**2 + sigma**2) + step.widest
        assert float(variance) == pytest.approx(float(alpha_s**2 + sigma_s**2), rel=1e-9)
        if isinstance(schedule, Discrete):
            # Where variance is preserved it is DDPM's beta.
            assert float(step.widest) == pytest.approx(float(step.added), rel=1e-12)


@pytest.mark.parametrize("steps", [5, 20])
def test_ancestral_of_edm_on_standard_normal_data_has_their_deviation(steps: int) -> None:
    exact = Gaussian(EDM(), 0.0, 1.0, "large")
    x = Ancestral(steps)(exact, Noise(0, 3000), (1, 2, 2))
    # The last step gives the mean alone: exactly x0's expectation at the least noise but 0.
    t = float(EDM().times(steps)[-2])
    expected = math.sqrt(1 / (1 + t**2))
    assert float(x.std()) == pytest.approx(expected, rel=4 / math.sqrt(2 * 12000))


@every_schedule
def test_churn_adds_as_much_noise_as_it_says(schedule: Schedule) -> None:
    """Whatever the chance on the way, x_t stays a draw from the process: N(alpha m, p)."""
    exact, steps, seen = Gaussian(schedule), 40, []

    def look(index: int, time: float, x: Tensor, x0: Tensor) -> None:
        alpha, deviation = float(schedule(time)[0]), float(exact.p(time).sqrt())
        if time:
            seen.append(float(((x.double() - alpha * exact.mean) / deviation).square().mean()))

    (alpha, _), p = schedule(schedule.end), exact.p(schedule.end)
    start = Noise(1, 3000).normal(1, 2, 2) * float(p.sqrt()) + float(alpha) * exact.mean
    heun = Heun(steps, "log-snr", churn=8.0)
    heun(exact, Noise(2, 3000), (1, 2, 2), start=start, callback=look)
    # Heun's steps are off by less than 2 %; the rest is five standard errors of 12,000 numbers.
    assert seen == pytest.approx([1.0] * (steps - 1), abs=0.02 + 5 * math.sqrt(2 / 12000))


@pytest.mark.parametrize("schedule", [Linear(), EDM(), FlowMatching()], ids=repr)
def test_ddims_inverse_gives_back_the_start(schedule: Schedule) -> None:
    exact, sampler = Gaussian(schedule), Ddim(10, "log-snr")
    start = Noise(1, 4).normal(1, 2, 2).double() * schedule.prior
    images = sampler(exact, Noise(0, 4), (1, 2, 2), start=start)
    back = [sampler.invert(exact, images, rounds=rounds) for rounds in (1, 50)]
    errors = [float((one - start).abs().max()) / schedule.prior for one in back]
    assert errors[1] < 1e-6 < 1e-2 * errors[0]
    with pytest.raises(NaqshError, match="inverse for eta 0 alone"):
        Ddim(10, eta=0.5).invert(exact, images)
    with pytest.raises(NaqshError, match="at least 1 round"):
        sampler.invert(exact, images, rounds=0)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 7])
def test_evaluations_are_those_of_the_network(name: SamplerName, steps: int) -> None:
    asked = []

    class Counted(Gaussian):
        def __call__(
            self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None
        ) -> Prediction:
            asked.append(t)
            return super().__call__(x_t, t, labels)

    sampler = SAMPLERS[name](steps)
    sampler(Counted(EDM()), Noise(0, 2), (1, 1, 1))
    assert sampler.evaluations == len(asked)
    assert get_args(SamplerName) == tuple(SAMPLERS)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Heun(0), "at least 1 sampling step, got 0"),
        (lambda: Ddim(3, eta=1.5), r"eta must lie in \[0, 1\], got 1.5"),
        (lambda: Heun(3, churn=-1.0), "churn must be at least 0, got -1"),
        (lambda: Heun(3, churn_scale=-1.0), "churn_scale must be at least 0"),
    ],
)
def test_values_out_of_range_are_refused(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(NaqshError, match=complaint):
        make()
