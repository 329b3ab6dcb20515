"""The diffusion method: its loss and curves, labels, sampling options, latents, film strips."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analytic import Gaussian, Learnt
from naqsh import recipes
from naqsh.api import Run
from naqsh.core.abilities import Encodes, HasLogProb, Reconstructs, Samples, Shows, Validates
from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.data import DataSet
from naqsh.diffusion import strips
from naqsh.diffusion.bound import bound
from naqsh.diffusion.denoiser import Denoiser, Prediction
from naqsh.diffusion.partial_bound import partial_bound
from naqsh.diffusion.quarters import by_noise, ends
from naqsh.diffusion.reverse import Variance
from naqsh.diffusion.samplers import SAMPLERS, Ancestral, Ddim, DpmSolver, SamplerName
from naqsh.diffusion.schedule import (
    EDM,
    AnySchedule,
    Cosine,
    Discrete,
    FlowMatching,
    Linear,
    Schedule,
)
from naqsh.methods.diffusion import Diffusion, Spec
from naqsh.metrics import sampling_speed
from naqsh.runs import checkpoint, tensors
from naqsh.runs.folder import RunFolder
from naqsh.runs.loading import load
from naqsh.training.building import build
from small import CLASSES, tiny, tiny_data, trainer

SHAPE = (1, 8, 8)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    """Nothing here is differentiated."""
    with torch.no_grad():
        yield


def method(classes: int = 3, **changes: object) -> Diffusion:
    """A tiny method whose network says something."""
    numbers: dict[str, object] = {"width": 8, "multipliers": (1, 2), "steps": 3}
    torch.manual_seed(0)
    one = Spec(**(numbers | changes)).build(Layout(SHAPE, tuple("012"[:classes]))).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return one


def batch(count: int = 6) -> Batch:
    """Images in [-1, 1] of three classes."""
    images = Noise(1, count).uniform(*SHAPE) * 2 - 1
    return Batch(images, torch.arange(count) % 3, Noise(2, count))


def test_it_can_all_that_a_diffusion_model_can() -> None:
    one = method()
    for protocol in (Samples, Shows, Validates, Encodes, Reconstructs, HasLogProb):
        assert isinstance(one, protocol), protocol


def test_the_loss_is_the_papers_by_hand() -> None:
    one, seen = method().train(), batch()
    told = one.losses(seen, 0)
    noise = Noise(2, 6)
    t = noise.integers(1000) + 1
    epsilon = noise.normal(*SHAPE)
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    kept = alpha_bar[t - 1].float().view(-1, 1, 1, 1)
    x_t = kept.sqrt() * seen.images + (1 - kept).sqrt() * epsilon
    errors = (one.sampling_network(x_t, (t - 1).float()) - epsilon).square().flatten(1).mean(1)
    torch.testing.assert_close(told["total"], errors.mean())
    for number in range(4):  # a thousand times by the quarter
        inside = ((t - 1) * 4 // 1000 == number).float()
        expected = torch.stack([(errors * inside).mean(), inside.mean()])
        torch.testing.assert_close(told[f"noise_{number + 1}"], expected)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_quarters_sum_to_the_total_whatever_the_batch(count: int) -> None:
    told = method().validation(batch(count))
    quarters = torch.stack([told[f"noise_{i}"] for i in range(1, 5)])
    torch.testing.assert_close(quarters[:, 0].sum(), told["total"])
    torch.testing.assert_close(quarters[:, 1].sum(), torch.tensor(1.0))


@pytest.mark.parametrize(
    "schedule", [Linear(), Cosine(), EDM(), FlowMatching(), FlowMatching(skew="normal", shift=3.0)]
)
def test_quarters_are_drawn_alike(schedule: AnySchedule) -> None:
    """Of 4,000 other times 1,000 lie in each, by a standard error of 1.4 % of a quarter or 39."""
    t, between = schedule.draw(Noise(9, 4000)), ends(schedule.draw)
    shares = [float(pair[1]) for pair in by_noise(torch.ones(4000), t, between).values()]
    assert shares == pytest.approx([0.25] * 4, abs=0.05)
    order = [float(t[t < end].max()) for end in between]
    assert order == sorted(order)


def test_quarters_of_times_by_importance_are_drawn_alike() -> None:
    """As above; of the schedule's own quarters one would have less than a tenth of the draws."""
    one = method(schedule=Cosine(), parameterisation="v", weighting="min-snr", importance=True)
    t, _ = one.denoiser.draw(Noise(9, 4000))
    shares = [float(pair[1]) for pair in by_noise(torch.ones(4000), t, one.quarters).values()]
    assert shares == pytest.approx([0.25] * 4, abs=0.05)
    own = by_noise(torch.ones(4000), t, ends(Cosine().draw))
    assert min(float(pair[1]) for pair in own.values()) < 0.1


def test_validation_is_the_same_each_time_and_hides_no_label() -> None:
    one = method(conditional=True, label_dropout=0.9)
    first, again = (one.validation(batch())["total"] for _ in range(2))
    assert torch.equal(first, again)
    seen = batch()
    losses, _ = one.denoiser.loss(seen.images, seen.noise, seen.labels)
    assert torch.equal(first, losses.mean())


def test_labels_are_hidden_as_often_as_asked_for() -> None:
    seen: list[Tensor] = []
    one = method(conditional=True, label_dropout=0.25).train()
    one.sampling_network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2]))
    count = 400
    one.losses(Batch(torch.zeros(count, *SHAPE), torch.ones(count).long(), Noise(3, count)), 0)
    hidden = int((seen[0] == 3).sum())
    assert int((seen[0] == 1).sum()) == count - hidden
    # Four standard deviations of a binomial.
    assert abs(hidden - 100) < 4 * math.sqrt(400 * 0.25 * 0.75)


@pytest.mark.parametrize(
    ("sampler", "steps", "passes"),
    [("ancestral", 4, 4), ("ddim", 4, 4), ("euler", 4, 4), ("heun", 4, 7), ("dpm-solver++", 4, 4)],
)
def test_the_cost_of_a_picture_is_counted(sampler: SamplerName, steps: int, passes: int) -> None:
    one = method(conditional=True)

    def sample(count: int, guidance: float = 1.0) -> Tensor:
        return one.sample(Noise(1, count), SAMPLERS[sampler](steps), guidance=guidance)

    assert sampling_speed(sample, one.sampling_network, 3).evaluations_per_picture == passes
    guided = sampling_speed(lambda n: sample(n, guidance=2.0), one.sampling_network, 3)
    assert guided.evaluations_per_picture == 2 * passes


@pytest.mark.parametrize(
    "schedule", [Linear(), EDM(), FlowMatching()], ids=["ddpm", "edm", "flow matching"]
)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_takes_every_schedule(schedule: AnySchedule, sampler: SamplerName) -> None:
    form = {Linear: "epsilon", EDM: "edm", FlowMatching: "velocity"}[type(schedule)]
    one = method(schedule=schedule, parameterisation=form)
    images = one.sample(Noise(4, 2), SAMPLERS[sampler](5))
    assert images.shape == (2, *SHAPE)
    assert bool(images.isfinite().all())
    assert 0 <= float(images.min()) <= float(images.max()) <= 1


def test_options_change_what_is_drawn() -> None:
    one = method(conditional=True, steps=4)

    def drawn(**options: object) -> Tensor:
        images: Tensor = one.sample(Noise(5, 3), **options)  # type: ignore[arg-type]
        return images

    pictures = [
        drawn(),
        drawn(sampler=Ddim(4, clip=True)),
        drawn(sampler=Ddim(4, clip=True, eta=0.5)),
        drawn(sampler=DpmSolver(5, clip=True)),
        drawn(sampler=DpmSolver(4, "quadratic", clip=True)),
        drawn(sampler=DpmSolver(4)),
        drawn(label=1),
        drawn(label=1, guidance=3.0),
    ]
    for i, one_way in enumerate(pictures):
        assert not any(torch.equal(one_way, other) for other in pictures[:i])
    torch.testing.assert_close(drawn(label=1, guidance=1.0), drawn(label=1))


def test_without_a_label_each_picture_draws_its_own() -> None:
    one = method(conditional=True)
    labels = one.labels.draw(Noise(6, 300), None)
    assert labels is not None
    assert set(labels.tolist()) == {0, 1, 2}
    assert torch.equal(labels[:40], one.labels.draw(Noise(6, 40), None))  # type: ignore[arg-type]


def test_labels_are_drawn_as_often_as_training_had_them(tmp_path: Path) -> None:
    recipe = tiny(recipes.by_name("conditional-ddpm-mnist"))
    images = tiny_data(1, 40).images
    labels = np.array([1] * 30 + [3] * 10)
    data = DataSet.of("skewed", images, labels, ("none", "many", "none either", "few", "nor these"))
    with torch.enable_grad():
        one = trainer(recipe, data, tmp_path)
        one.run()
    opened = Run(RunFolder(tmp_path))
    weights = RunFolder(tmp_path).checkpoint(6) / "weights.safetensors"
    averaged = RunFolder(tmp_path).checkpoint(6) / "average.safetensors"
    for model in (one.method, opened.method, load(weights)[0], load(averaged)[0]):
        assert isinstance(model, Diffusion)
        drawn = torch.bincount(model.labels.draw(Noise(6, 2000), None), minlength=5).tolist()  # type: ignore[arg-type]
        assert (drawn[0], drawn[2], drawn[4]) == (0, 0, 0)
        # Four standard deviations of a binomial.
        assert abs(drawn[1] - 1500) < 4 * math.sqrt(2000 * 0.75 * 0.25)
        assert model.sample(Noise(0, 2)).shape == (2, *images.shape[1:])
    assert set(opened.method.labels.draw(Noise(6, 9), 0).tolist()) == {0}  # type: ignore[operator]


def test_weights_of_before_counts_draw_labels_evenly(tmp_path: Path) -> None:
    recipe = tiny(recipes.by_name("conditional-ddpm-mnist"))
    data = tiny_data(1)
    one = build(recipe, data.layout)
    old = checkpoint.header(recipe.to_yaml(), data.layout) | {"step": "0"}
    assert "counts" not in old
    tensors.save(tmp_path / "old.safetensors", one.state_dict(), old)
    opened = load(tmp_path / "old.safetensors")[0]
    assert isinstance(opened, Diffusion)
    assert torch.equal(opened.labels.draw(Noise(6, 40), None), Noise(6, 40).integers(2))  # type: ignore[arg-type]
    for counts in ("[1]", "[0, 0]", "[-1, 2]", "[1.5, 2]", "3", "[true, 1]", "{"):
        broken = tmp_path / "broken.safetensors"
        tensors.save(broken, one.state_dict(), old | {"counts": counts})
        with pytest.raises(NaqshError, match="header that does not fit"):
            load(broken)


@pytest.mark.parametrize(
    ("changes", "options", "complaint"),
    [
        ({}, {"label": 1}, "knows no labels"),
        ({}, {"guidance": 2.0}, "guidance needs labels"),
        ({"conditional": True}, {"label": 3}, "0 to 2, got 3"),
        ({}, {"sampler": Ddim(1001)}, "1 to 1000 sampling steps"),
        ({}, {"sampler": Ancestral(3, variance="learned")}, "learnt no variance"),
    ],
)
def test_what_cannot_be_sampled_is_refused(
    changes: dict[str, object], options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(NaqshError, match=complaint):
        method(**changes).sample(Noise(0, 1), **options)  # type: ignore[arg-type]


def test_numbers_that_cannot_be_are_refused() -> None:
    for numbers, complaint in [
        ({"width": 0}, "at least 1"),
        ({"multipliers": (1, 0)}, "at least 1"),
        ({"dropout": 1.0}, r"lie in \[0, 1\)"),
        ({"gamma": 0.0}, "above 0"),
    ]:
        with pytest.raises(ValueError, match=complaint):
            Spec(**numbers)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs labels"):
        Spec(conditional=True).build(Layout(SHAPE))


class Trained(nn.Module):
    """What a network of epsilon learns from pixels that are normal with deviation 1/2."""

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None = None) -> Tensor:
        """The expected noise in `x`."""
        alpha, sigma = Linear()((condition + 1).double())
        factor = sigma / (alpha**2 / 4 + sigma**2)
        return factor.float().view(-1, 1, 1, 1) * x


def test_a_picture_comes_back_from_its_latent_and_more_steps_bring_it_nearer() -> None:
    images = Noise(1, 4).normal(*SHAPE).clamp(-1.9, 1.9) / 2
    errors = []
    for steps in (5, 10, 20, 40):
        one = method(steps=steps)
        one.denoiser.network = Trained()
        assert one.encode(images).shape == images.shape
        errors.append(float((one.reconstruct(images) - (images + 1) / 2).abs().mean()))
    assert all(more < less for less, more in pairwise(errors))
    assert errors[-1] < 1e-3
    # Latents are noise: of deviation one.
    assert float(one.encode(images).std()) == pytest.approx(1, abs=0.15)


def test_the_forward_strip_begins_with_the_picture_and_ends_in_noise() -> None:
    image = torch.full((1, 1, 32, 32), 0.6)
    strip = strips.forward(Linear(), image, Noise(7, 1), 5)
    assert strip.shape == (10, 1, 32, 32)
    assert torch.equal(strip[0], image[0])
    assert torch.equal(strip[5], image[0])
    alpha, sigma = Linear()(torch.tensor([250, 500, 750, 1000]))
    for row in (strip[1:5], strip[6:]):
        # 1024 pixels: means within four standard errors, deviations within four of theirs.
        means, deviations = row.flatten(1).mean(1), row.flatten(1).std(1)
        assert bool(((means - 0.6 * alpha).abs() < 4 * sigma / 32).all())
        assert bool(((deviations - sigma).abs() < 4 * sigma / 45).all())
    assert not torch.equal(strip[1:5], strip[6:])


def test_the_reverse_strip_shows_what_the_sampler_went_through() -> None:
    one = method(steps=9)
    noise = Noise(8, 2)
    strip = one.show(replace(batch(10), noise=noise))["reverse"][0].view(2, 2, 10, *SHAPE)
    start = (Noise(8, 2).normal(*SHAPE) + 1) / 2
    torch.testing.assert_close(strip[:, 0, 0], start.clamp(0, 1))
    again = one.sample(Noise(8, 2))
    torch.testing.assert_close(strip[:, 0, -1], again)
    torch.testing.assert_close(strip[:, 1, -1], again)


def test_between_two_latents_lies_an_arc() -> None:
    a, b = Noise(9, 2).normal(1, 16, 16)
    way = strips.between(a, b, 5)
    torch.testing.assert_close(way[0], a, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(way[-1], b, rtol=1e-4, atol=1e-5)
    # Of two orthogonal vectors of one length it is a quarter of a circle.
    x, y = torch.zeros(2, 1, 1, 2).scatter_(3, torch.tensor([[[[0]]], [[[1]]]]), 3.0)
    arc = strips.between(x, y, 4).flatten(1)
    angles = torch.linspace(0, math.pi / 2, 4)
    torch.testing.assert_close(arc, 3 * torch.stack([angles.cos(), angles.sin()], 1))


class Stubborn(nn.Module):
    """A denoiser that sees the same image in everything: its bound has no chance in it."""

    def __init__(self, schedule: Schedule, x0: Tensor) -> None:
        super().__init__()
        self.schedule, self.x0 = schedule, x0
        self.variance: Variance = "small"

    def forward(self, x_t: Tensor, t: float | Tensor, labels: Tensor | None = None) -> Prediction:
        """The one image."""
        return Prediction(self.x0.expand_as(x_t), torch.zeros_like(x_t))


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize(
    "schedule", [Linear(steps=12, first=1e-3, last=0.3), EDM(), FlowMatching()], ids=repr
)
def test_with_every_step_the_partial_bound_is_the_bound(
    variance: Variance, schedule: Schedule
) -> None:
    images = (batch(3).images * 127.5).round() / 127.5
    images = images.clamp(-1, 1)
    steps = schedule.levels or 1000
    denoiser = Stubborn(schedule, 0.9 * images[:1])
    denoiser.variance = variance
    whole = bound(denoiser, images, Noise(1, 3)).total * 64 * math.log(2)
    told = partial_bound(denoiser, images, Noise(2, 3), evaluations=steps)
    torch.testing.assert_close(told, -whole, rtol=1e-9, atol=1e-9)


def test_the_partial_bounds_mean_is_the_bound() -> None:
    count = 4000
    image = (batch(1).images * 127.5).round().clamp(-127, 127) / 127.5
    images = image.expand(count, -1, -1, -1)
    denoiser = Stubborn(Linear(steps=12, first=1e-3, last=0.3), 0.9 * image)
    told = partial_bound(denoiser, images, Noise(3, count), evaluations=4)
    whole = bound(denoiser, image, Noise(1, 1)).total * 64 * math.log(2)
    error = float(told.std()) / math.sqrt(count)
    assert error > 0
    assert abs(float(told.mean() + whole)) < 4 * error


def test_log_prob_is_of_levels_and_refuses_a_single_evaluation() -> None:
    one = method()
    told = one.log_prob(batch().images, Noise(1, 6), evaluations=5)
    assert told.shape == (6,)
    assert bool((told < 0).all())  # the logarithm of a probability
    assert (one.log_prob_kind, one.log_prob_of) == ("lower bound", "levels")
    with pytest.raises(NaqshError, match="2 to 1000 evaluations, got 1"):
        one.log_prob(batch().images, Noise(1, 6), evaluations=1)


def test_the_flows_estimate_spreads_levels_evenly_about_themselves() -> None:
    one, count, deviation = method(schedule=EDM(), parameterisation="edm"), 400, 0.02
    one.denoiser = Denoiser(
        Learnt(Gaussian(EDM(), 0.0, deviation), "edm"), EDM(), parameterisation="edm"
    )
    # At three deviations a shift of half a level would be worth 0.6 nats a number.
    levels = torch.full((count, 1, 2, 2), 0.06)
    nats = one.flow_log_prob(levels, Noise(3, count)).view(-1) / 4
    p, width = deviation**2 + EDM().least ** 2, 2 / 255
    log_density = -(0.06**2) / 2 / p - math.log(2 * math.pi * p) / 2
    # The mean over a level of a parabola: minus half the curvature times width^2 / 12.
    expected = log_density - width**2 / 12 / 2 / p + math.log(width)
    assert float(nats.mean()) == pytest.approx(
        expected, abs=4 * float(nats.std()) / math.sqrt(count) + 5e-3
    )


@pytest.mark.parametrize("name", [n for n in recipes.all_recipes() if "ddpm" in n or "edm" in n])
def test_recipes_build_as_they_are(name: str) -> None:
    recipe = recipes.by_name(name)
    assert isinstance(recipe.method, Spec)
    shapes = {
        "mnist": (1, 28, 28),
        "digits": (1, 16, 16),
        "cifar10": (3, 32, 32),
        "ring": (2, 1, 1),
        "shapes": (3, 32, 32),
        "textured-shapes": (3, 32, 32),
    }
    shape = shapes[recipe.data.name]
    caption = recipe.data.text_size if recipe.data.text != "none" else 0
    with torch.device("meta"):
        one = recipe.method.build(Layout(shape, tuple("0123456789"), caption))
    size = sum(p.numel() for p in one.parameters())
    if recipe.data.name == "cifar10":
        assert size == 35_746_307
    else:
        assert size < (2.6e6 if recipe.data.name == "textured-shapes" else 1.3e6)
    assert isinstance(recipe.method.schedule, Discrete | EDM)


def test_a_conditional_recipe_learns_from_labels() -> None:
    recipe = tiny(recipes.by_name("conditional-ddpm-mnist"))
    data = tiny_data(1)
    assert data.labels is not None
    one = build(recipe, data.layout)
    assert isinstance(one, Diffusion)
    assert one.classes == len(CLASSES)
