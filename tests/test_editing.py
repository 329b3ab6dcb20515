"""Editing by a diffusion model: what is known stays, and what is made has the law that it must."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from analytic import Gaussian, Learnt, Waves
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.diffusion import editing
from naqsh.diffusion.denoiser import Denoiser, Prediction
from naqsh.diffusion.editing import Asked
from naqsh.diffusion.process import posterior, transition
from naqsh.diffusion.repaint import Repaint
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.samplers import Ancestral, Ddim, DpmSolver, Euler, Heun
from naqsh.diffusion.schedule import EDM, Cosine, FlowMatching, Linear, Schedule
from naqsh.methods.diffusion import Diffusion, Spec

SHAPE = (1, 8, 8)


def method(exact: Gaussian | None = None, classes: int = 0, **changes: object) -> Diffusion:
    """A model of 8x8 images by an exact denoiser, or by a network without parameters."""
    numbers: dict[str, object] = {
        "width": 4,
        "multipliers": (1, 2),
        "steps": 6,
        "schedule": Linear(),
    }
    spec = Spec(**(numbers | {"conditional": bool(classes)} | changes))  # type: ignore[arg-type]
    made = Diffusion(spec, SHAPE, SHAPE, classes)
    network = Learnt(exact, spec.parameterisation) if exact else Waves()
    network.null = classes  # type: ignore[assignment]
    made.denoiser = Denoiser(network, spec.schedule, parameterisation=spec.parameterisation)
    return made.eval()


def levels(count: int) -> Tensor:
    """Images of 256 levels in [-1, 1], all levels among them."""
    whole = Noise(5, count).integers(256, *SHAPE)
    whole[0].view(-1)[:] = torch.arange(0, 256, 4)
    return whole.float() / 255 * 2 - 1


def stored(images: Tensor) -> Tensor:
    """Images in [0, 1] as files have them."""
    return (images * 255).round().int()


@pytest.mark.parametrize(
    ("steps", "jump", "resamples"),
    [(4, 2, 2), (10, 3, 3), (7, 1, 4), (5, 5, 2), (4, 9, 3), (1, 1, 2)],
)
def test_the_way_is_the_papers(steps: int, jump: int, resamples: int) -> None:
    # The released code (appendix B): levels of noise from the most to 0, and -1 for the image.
    jumps = dict.fromkeys(range(0, steps - jump, jump), resamples - 1)
    t, told = steps, []
    while t >= 1:
        t -= 1
        told.append(t)
        if jumps.get(t, 0) > 0:
            jumps[t] -= 1
            for _ in range(jump):
                t += 1
                told.append(t)
    told.append(-1)
    repaint = Repaint(jump, resamples)
    assert [steps - 1 - place for place in repaint.way(steps)] == told
    assert repaint.steps(steps) == sum(b < a for a, b in pairwise(told))


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), EDM(), FlowMatching()])
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_known_pixels_are_those_given(schedule: Schedule, strength: float) -> None:
    one = method(schedule=schedule, parameterisation="v")
    images, unknown = levels(2), Noise(7, 2).uniform(8, 8) < 0.5
    made = editing.fill(one, images, unknown, Noise(0, 2), strength)
    assert made.isfinite().all()
    assert torch.equal(stored(made)[:, 0][~unknown], stored((images + 1) / 2)[:, 0][~unknown])
    changed = stored(made)[:, 0][unknown] != stored((images + 1) / 2)[:, 0][unknown]
    assert changed.any() == (strength > 0)


@pytest.mark.parametrize("sampler", [Ancestral(6), Ddim(6, eta=0.5), Euler(6), Heun(6, churn=3.0)])
def test_any_sampler_without_memory_fills(sampler: Ancestral) -> None:
    one, unknown = method(), torch.zeros(2, 8, 8, dtype=torch.bool)
    unknown[:, :4] = True
    made = editing.fill(one, levels(2), unknown, Noise(0, 2), asked=Asked(sampler))
    assert made.isfinite().all()


def test_a_sampler_with_memory_is_refused() -> None:
    unknown = torch.ones(1, 8, 8, dtype=torch.bool)
    with pytest.raises(NaqshError, match="use ancestral, ddim, euler or heun"):
        editing.fill(method(), levels(1), unknown, Noise(0, 1), asked=Asked(DpmSolver(6)))
    with pytest.raises(NaqshError, match="at least 1"):
        Repaint(0, 1)


class Correlated:
    """The exact denoiser of three numbers that are jointly normal."""

    variance: Variance = "large"
    mean = torch.tensor([0.2, -0.1, 0.3], dtype=torch.float64)
    covariance = torch.tensor([[1, 0.7, 0.3], [0.7, 1, 0.5], [0.3, 0.5, 0.8]]).double() / 4

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        alpha, sigma = (float(number) for number in self.schedule(t))
        whole = alpha**2 * self.covariance + sigma**2 * torch.eye(3, dtype=torch.float64)
        gain = alpha * self.covariance @ torch.linalg.inv(whole)
        x = x_t.flatten(1).double()
        x0 = (self.mean + (x - alpha * self.mean) @ gain.T).view_as(x_t).to(x_t)
        return Prediction(x0, (x_t - alpha * x0) / sigma)

    def given(self, known: float) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the last two where the first is known."""
        gain = self.covariance[1:, :1] / self.covariance[0, 0]
        mean = self.mean[1:] + gain[:, 0] * (known - self.mean[0])
        return mean, self.covariance[1:, 1:] - gain @ self.covariance[:1, 1:]


def filled(repaint: Repaint, known: float, count: int = 400) -> tuple[Tensor, Tensor]:
    """Mean and covariance of what an exact model fills in for the last two numbers."""
    x0 = torch.full((count, 3, 1, 1), known, dtype=torch.float64)
    unknown = torch.tensor([False, True, True]).view(1, 3, 1, 1)
    exact = Correlated(Cosine())
    made = repaint(Ancestral(60), exact, x0, unknown, Noise(0, count))[:, :, 0, 0]
    assert torch.equal(made[:, 0], x0[:, 0, 0, 0])
    return made[:, 1:].mean(0), made[:, 1:].T.cov()


def test_what_is_filled_in_has_the_conditional_mean_and_covariance() -> None:
    mean, covariance = Correlated(Cosine()).given(0.7)
    made, spread = filled(Repaint(1, 20), 0.7)
    # Steps of this model are affine maps, so RePaint's own law follows from them: here its mean is
    # off by 0.016 and its covariance by 0.004, less than a standard error of 400 draws.
    of_mean = (covariance.diagonal() / 400).sqrt()
    variances = covariance.diagonal()
    of_covariance = ((variances[:, None] * variances + covariance**2) / 400).sqrt()
    assert of_mean.min() > 0.016
    assert of_covariance.min() > 0.004
    assert ((made - mean).abs() < 4 * of_mean + 0.016).all()
    assert ((spread - covariance).abs() < 4 * of_covariance + 0.004).all()
    # Straight down, the mean would be off by 0.16: that is what going again is for.
    straight, _ = filled(Repaint(1, 1), 0.7)
    assert ((straight - mean).abs() > 4 * of_mean).any()


def law(exact: Correlated, repaint: Repaint, steps: int, known: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of RePaint's outcome, by the affine maps that its steps are."""
    times = exact.schedule.times(steps).tolist()
    unknown, eye = torch.tensor([0.0, 1.0, 1.0]).double(), torch.eye(3, dtype=torch.float64)
    mean, covariance = torch.zeros(3, dtype=torch.float64), eye.clone()
    for here, there in pairwise(repaint.way(steps)):
        if there < here:
            kept, added = transition(exact.schedule, times[there], times[here])
            mean, covariance = kept * mean, kept**2 * covariance + added * eye
            continue
        (alpha, sigma), (alpha_s, sigma_s) = (
            exact.schedule(times[here]),
            exact.schedule(times[there]),
        )
        gain = alpha * exact.covariance @ (alpha**2 * exact.covariance + sigma**2 * eye).inverse()
        step = posterior(exact.schedule, times[here], times[there])
        matrix = step.of_x0 * gain + step.of_x * eye
        mean = matrix @ mean + step.of_x0 * (exact.mean - alpha * gain @ exact.mean)
        fresh = step.widest if there < steps else 0.0
        covariance = matrix @ covariance @ matrix.T + fresh * eye
        # What is known is put in by itself, as noisy as the time that is reached.
        mean = unknown * mean + (1 - unknown) * alpha_s * known
        covariance = covariance * unknown * unknown[:, None]
        covariance += torch.diag((1 - unknown) * sigma_s**2)
    return mean[1:], covariance[1:, 1:]


def test_few_steps_have_the_law_that_follows_from_their_maps() -> None:
    exact, repaint, count = Correlated(Cosine()), Repaint(2, 2), 20_000
    x0 = torch.full((count, 3, 1, 1), 0.7, dtype=torch.float64)
    unknown = torch.tensor([False, True, True]).view(1, 3, 1, 1)
    made = repaint(Ancestral(6), exact, x0, unknown, Noise(0, count))[:, 1:, 0, 0]
    mean, covariance = law(exact, repaint, 6, 0.7)
    variances = covariance.diagonal()
    of_covariance = ((variances[:, None] * variances + covariance**2) / count).sqrt()
    assert ((made.mean(0) - mean).abs() < 4 * (variances / count).sqrt()).all()
    assert ((made.T.cov() - covariance).abs() < 4 * of_covariance).all()


def test_strength_0_returns_the_image_and_1_equals_sampling() -> None:
    one, images = method(), levels(3)
    assert torch.equal(
        stored(editing.vary(one, images, Noise(0, 3), 0.0)), stored((images + 1) / 2)
    )
    assert torch.equal(editing.vary(one, images, Noise(0, 3), 1.0), one.sample(Noise(0, 3)))
    heun = Heun(5, churn=2.0)
    made = editing.vary(one, images, Noise(0, 3), 1.0, Asked(heun))
    assert torch.equal(made, one.sample(Noise(0, 3), heun))


@pytest.mark.parametrize("schedule", [Linear(), EDM(), FlowMatching()])
def test_what_is_left_of_an_image_is_what_the_exact_flow_leaves(schedule: Schedule) -> None:
    exact, images, errors = Gaussian(schedule), levels(2).double(), []
    for steps in (40, 80):
        time = float(schedule.times(steps)[steps // 2])
        alpha, sigma = schedule(time)
        noisy = alpha * images + sigma * Noise(0, 2).normal(*SHAPE).double()
        made = Heun(steps)(exact, Noise(0, 2), SHAPE, start=noisy, skip=steps // 2)
        errors.append(float((made - exact.flow(noisy, time, 0.0)).abs().max()))
    # Heun is of second order: a quarter with twice the steps, but for its last step, of the first.
    assert errors[1] < 0.4 * errors[0]
    assert errors[1] < 0.01


@pytest.mark.parametrize(
    ("strength", "steps", "due"), [(0, 20, 0), (0.01, 20, 1), (0.5, 20, 10), (1, 7, 7)]
)
def test_a_strength_is_a_share_of_the_steps(strength: float, steps: int, due: int) -> None:
    assert editing.taken(strength, steps) == due


@pytest.mark.parametrize("strength", [-0.1, 1.1, math.nan])
def test_a_strength_out_of_its_range_is_refused(strength: float) -> None:
    with pytest.raises(NaqshError, match=r"strength lies in \[0, 1\]"):
        editing.vary(method(), levels(1), Noise(0, 1), strength)


def test_a_blend_ends_in_the_images_within_the_order_of_ddim() -> None:
    exact = Gaussian(Linear(), 0.1, 0.4)
    one = method(exact)
    first, second = levels(2) * 0.8  # inside of where x0 is cut
    errors = []
    for steps in (10, 20, 40):
        ddim = Ddim(steps)
        noise = ddim.invert(one.denoiser, torch.stack([first, second]).double(), rounds=1)
        back = ddim(one.denoiser, Noise(0, 2), SHAPE, start=noise)
        errors.append(float((back - torch.stack([first, second])).abs().max()))
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.6 * errors[1]
    made = editing.blend(one, first, second, 5, steps=40)
    assert made.shape == (5, *SHAPE)
    for image, end in ((first, made[0]), (second, made[-1])):
        torch.testing.assert_close(end, (image + 1) / 2, rtol=0, atol=errors[2])
    # The exact noise of an image is (x - m) / s, and its arc is between these two.
    a, b = ((x - 0.1) / 0.4 for x in (first, second))
    angle = ((a * b).sum() / (a.norm() * b.norm())).acos()
    middle = 0.1 + 0.4 * (a + b) * (angle / 2).sin() / angle.sin()
    due = ((middle + 1) / 2).clamp(0, 1)
    torch.testing.assert_close(made[2], due, rtol=0, atol=3 * errors[2])


def test_labels_and_guidance_steer_an_edit() -> None:
    torch.manual_seed(0)
    one = method(classes=3)
    images, unknown = levels(2), torch.ones(2, 8, 8, dtype=torch.bool)
    acts: list[Callable[..., Tensor]] = [
        partial(editing.vary, one, images, strength=0.5),
        partial(editing.fill, one, images, unknown),
    ]
    hows: list[dict[str, Any]] = [{"label": 1}, {"label": 2}, {"label": 2, "guidance": 3.0}, {}]
    for act in acts:
        made = [act(noise=Noise(0, 2), asked=Asked(**how)) for how in hows]
        assert all(not torch.equal(a, b) for a, b in pairwise(made))
        nowhere = Asked(label=2, guidance=3.0, guidance_interval=(1.0, 1.0))
        none = act(noise=Noise(0, 2), asked=nowhere)
        assert torch.equal(none, made[1])
    with pytest.raises(NaqshError, match="label must lie in 0 to 2"):
        editing.vary(one, images, Noise(0, 2), 0.5, Asked(label=3))
    whole = method(classes=3, label_dropout=0.0)
    with pytest.raises(NaqshError, match=r"always told.*--label"):
        editing.vary(whole, images, Noise(0, 2), 0.5)


class Reads(Waves):
    """A network that is told captions, (N, 3), by their mean."""

    null = torch.zeros(3)

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None) -> Tensor:
        return super().forward(x, condition, None if labels is None else labels.mean(1))


def test_a_caption_steers_an_edit_of_what_follows_captions() -> None:
    spec = Spec(Linear(), conditional="captions", width=4, multipliers=(1, 2), steps=4)
    one = spec.build(Layout(SHAPE, caption=3))
    one.denoiser = Denoiser(Reads(), spec.schedule)
    images, caption = levels(2), torch.tensor([3.0, 6.0, 9.0])
    unknown = torch.ones(2, 8, 8, dtype=torch.bool)
    acts: list[Callable[..., Tensor]] = [
        partial(editing.vary, one, images, strength=0.5),
        partial(editing.fill, one, images, unknown),
    ]
    hows: list[dict[str, Any]] = [{}, {"caption": caption}, {"caption": caption, "guidance": 2.0}]
    for act in acts:
        made = [act(noise=Noise(0, 2), asked=Asked(**how)) for how in hows]
        assert all(not torch.equal(a, b) for a, b in pairwise(made))
    whole = replace(spec, label_dropout=0.0).build(Layout(SHAPE, caption=3))
    with pytest.raises(NaqshError, match=r"always told.*--caption"):
        editing.vary(whole, images, Noise(0, 2), 0.5)


def test_a_mask_of_latents_is_unknown_where_any_pixel_is() -> None:
    unknown = torch.zeros(1, 8, 8, dtype=torch.bool)
    unknown[0, 3, 4] = True
    due = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    due[0, 0, 1, 2] = True
    assert torch.equal(editing._in_space(unknown, (3, 4, 4)), due)
