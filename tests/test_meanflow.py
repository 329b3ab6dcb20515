"""MeanFlow: the identity of average velocities, their slope, the loss, jumps, guidance."""

import pytest
import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.process import spread
from naqsh.diffusion.samplers import Heun
from naqsh.diffusion.samplers.jump import Jump
from naqsh.diffusion.schedule import FlowMatching
from naqsh.methods import meanflow
from naqsh.methods.meanflow import MeanFlow, averaging, shares

LAYOUT = Layout((1, 8, 8), ("a", "b"))
MEAN, SCALE = 0.4, 0.3
"""Of the exact model's images."""


class Exact(nn.Module):
    """The average velocity where every value of an image is normal, N(MEAN, SCALE^2).

    Velocities of flow matching then keep an image's place among all in every value: z_t is
    (1 - t) MEAN + sqrt((1 - t)^2 SCALE^2 + t^2) times one number on the whole way.
    """

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        pair = time if time.dim() == 2 else torch.stack([time, 0 * time], 1)
        t, length = (spread(part / 1000, x) for part in pair.unbind(1))
        s = t - length
        place = (x - (1 - t) * MEAN) / self.deviation(t)
        before = (1 - s) * MEAN + self.deviation(s) * place
        short = length < 1e-9
        return torch.where(short, self.velocity(x, t), (x - before) / length.where(~short, 1))

    @staticmethod
    def deviation(t: Tensor) -> Tensor:
        """Of z at time t."""
        return ((1 - t) ** 2 * SCALE**2 + t**2).sqrt()

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """E[epsilon - x | z_t], by the covariance of the two normals."""
        variance = self.deviation(t) ** 2
        return -MEAN + (t - (1 - t) * SCALE**2) / variance * (x - (1 - t) * MEAN)


def shaken(spec: meanflow.Spec, layout: Layout = LAYOUT) -> MeanFlow:
    """A tiny method with weights away from the zeros that the network's end begins with."""
    torch.manual_seed(0)
    method = spec.tiny().build(layout).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return method


def images(count: int = 8) -> Tensor:
    return Noise(1, count).uniform(*LAYOUT.shape) * 2 - 1


def ways(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images, times, earlier times and velocities, float64."""
    t = 0.05 + 0.9 * Noise(2, count).uniform().double()
    x, v = (Noise(seed, count).normal(1, 8, 8).double() for seed in (3, 4))
    return x, t, t * Noise(5, count).uniform().double(), v


def test_the_exact_average_velocity_keeps_the_mean_flow_identity() -> None:
    exact = averaging(Exact())
    x, t, s, _ = ways(20)
    v = Exact().velocity(x, spread(t, x))
    u, slope = exact.with_slope(x, t, s, v)
    torch.testing.assert_close(u, v - spread(t - s, x) * slope)  # float64
    assert (slope.abs() > 0.1).any(), "nothing would be left of it if the slope were 0"


def test_slopes_are_differences_of_a_network_with_attention() -> None:
    spec = meanflow.Spec(width=4, multipliers=(1, 2), attention=(8,), heads=2)
    method = spec.build(LAYOUT).double()
    with torch.no_grad():
        for n, parameter in enumerate(method.parameters()):
            parameter += 0.1 * Noise(n, 1).normal(*parameter.shape)[0]
    network = method.averaging
    x, t, s, v = ways(3)
    u, slope = network.with_slope(x, t, s, v)
    torch.testing.assert_close(u, network.average(x, t, s))
    step = 1e-5
    ahead, behind = (network.average(x + h * v, t + h, s) for h in (step, -step))
    # The third derivative times step^2 is left: float64 has 1e-16 / step = 1e-11 beside it.
    torch.testing.assert_close(slope, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6)
    assert not slope.requires_grad


def test_the_gradient_reaches_the_weights_through_u_alone() -> None:
    method = shaken(meanflow.Spec()).double()
    x, t, s, v = ways(3)
    weights = list(method.parameters())
    _, slope = method.averaging.with_slope(x, t, s, v)
    target = (v - spread(t - s, x) * slope).detach()
    found = torch.autograd.grad(method.errors(x, t, s, v, None, True).sum(), weights)
    plain = (method.averaging.average(x, t, s) - target).square().sum()
    expected = torch.autograd.grad(plain, weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_intervals_of_no_length_have_flow_matchings_loss() -> None:
    method = shaken(meanflow.Spec(equal=1.0, power=0.0))
    x = images()
    told = method.losses(Batch(x, None, Noise(2, 8)), 0)
    noise = Noise(2, 8)
    late, early = -0.6 + 1.6 * noise.normal(), -4 + 1.6 * noise.normal()
    t = torch.maximum(late, early).sigmoid()
    plain = Denoiser(method.denoiser.network, FlowMatching(), parameterisation="velocity")
    expected = plain.loss_at(x, t, noise).mean()
    # Sums of 64 float32 numbers, and x_t from float64 coefficients there.
    torch.testing.assert_close(told["total"] / 64, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(told["flow"][0] / told["flow"][1], expected, rtol=1e-5, atol=1e-6)
    assert told["interval"].tolist() == [0, 0]
    validated = shaken(meanflow.Spec(equal=1.0)).validation(Batch(x, None, Noise(2, 8)))
    torch.testing.assert_close(validated["total"], expected, rtol=1e-5, atol=1e-6)


def test_the_loss_is_weighted_by_its_own_size() -> None:
    x = images()
    spec = meanflow.Spec(equal=0.0, power=0.5, constant=2.0)
    method, plain = shaken(spec), shaken(meanflow.Spec(equal=0.0, power=0.0))
    weighted = method.losses(Batch(x[:1], None, Noise(2, 1)), 0)["total"]
    error = plain.losses(Batch(x[:1], None, Noise(2, 1)), 0)["total"]
    torch.testing.assert_close(weighted, error / (error + 2).sqrt())
    one, other = (
        torch.autograd.grad(loss, next(m.parameters()))[0]
        for loss, m in ((weighted, method), (error, plain))
    )
    torch.testing.assert_close(one, other / (error.detach() + 2).sqrt(), rtol=1e-4, atol=1e-5)


def test_which_intervals_have_a_length_does_not_depend_on_how_a_batch_is_cut() -> None:
    cpu = torch.device("cpu")
    still, moving = shares(Noise(0, 12), 0.75, cpu)
    assert moving.tolist() == [3, 7, 11]
    assert sorted([*still.tolist(), *moving.tolist()]) == list(range(12))
    parts = [shares(Noise(0, 4, first=4 * n), 0.75, cpu)[1] + 4 * n for n in range(3)]
    assert torch.cat(parts).equal(moving)
    assert not len(shares(Noise(0, 8), 1.0, cpu)[1])
    assert not len(shares(Noise(0, 8), 0.0, cpu)[0])


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_jumps_by_the_exact_average_velocity_are_exact(steps: int) -> None:
    start = Noise(7, 5).normal(1, 8, 8).double()
    found = Jump(steps)(averaging(Exact()), Noise(7, 5), LAYOUT.shape, start=start)
    torch.testing.assert_close(found, MEAN + SCALE * start)
    assert Jump(steps).evaluations == steps


def test_other_samplers_take_the_velocity_at_a_time() -> None:
    start = Noise(7, 5).normal(1, 8, 8).double()
    found = Heun(200)(averaging(Exact()), Noise(7, 5), LAYOUT.shape, start=start)
    # Heun's error falls with the square of the step; with 200 it was 1e-4.
    torch.testing.assert_close(found, MEAN + SCALE * start, atol=1e-3, rtol=0)
    plain = Denoiser(Exact(), FlowMatching(), parameterisation="velocity")
    with pytest.raises(NaqshError, match="trained on intervals"):
        Jump(1)(plain, Noise(7, 5), LAYOUT.shape)


def test_samples_have_a_seed_an_image_in_every_number_of_evaluations() -> None:
    method = shaken(meanflow.Spec())
    assert method.default_sampler == "jump"
    with torch.no_grad():
        one = method.sample(Noise(3, 4))
        some = {n: method.sample(Noise(3, 4), Jump(n)) for n in (1, 2, 4)}
        part = method.sample(Noise(3, 2, first=2), Jump(4))
    assert torch.equal(one, some[1])
    assert not torch.equal(some[1], some[2])
    torch.testing.assert_close(part, some[4][2:], rtol=1e-4, atol=1e-5)


def test_guidance_is_in_the_target_of_images_with_a_label() -> None:
    method = shaken(meanflow.Spec(conditional=True, guidance=3.0, mixing=0.25))
    x, labels = images(4), torch.tensor([0, 1, 2, 0])
    t, v = Noise(2, 4).uniform(), Noise(3, 4).normal(1, 8, 8)
    found = method.aim(x, t, v, labels)
    with torch.no_grad():
        own = method.averaging.average(x, t, t, labels)
        free = method.averaging.average(x, t, t, torch.full_like(labels, 2))
    expected = 0.75 * (3 * v - 2 * free) + 0.25 * own
    expected[2] = v[2]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    plain = shaken(meanflow.Spec(conditional=True))
    assert plain.aim(x, t, v, labels) is v
    assert method.losses(Batch(x, labels.clamp(max=1), Noise(2, 4)), 0)["total"].isfinite()


def test_guidance_of_samples_goes_past_the_label() -> None:
    method = shaken(meanflow.Spec(conditional=True))
    method.visible = lambda x: x  # type: ignore[method-assign]
    with torch.no_grad():
        known, strong = (method.sample(Noise(3, 4), None, 1, w) for w in (1.0, 3.0))
        free = Jump(1)(method.averaging, Noise(3, 4), LAYOUT.shape, labels=torch.full((4,), 2))
    torch.testing.assert_close(strong, free + 3 * (known - free), rtol=1e-4, atol=1e-5)
    with pytest.raises(NaqshError, match="many levels"):
        method.sample(Noise(3, 4), guidance=2.0, guidance_interval=(0.3, 5.0))
    with pytest.raises(NaqshError, match="guidance needs labels"):
        shaken(meanflow.Spec()).sample(Noise(3, 4), guidance=2.0)


def test_points_are_learnt_by_a_network_that_is_told_intervals() -> None:
    layout = Layout((2, 1, 1), extent=2.0)
    method = shaken(meanflow.Spec(equal=0.5), layout)
    points = Noise(1, 8).uniform(2, 1, 1) * 2 - 1
    told = method.losses(Batch(points, None, Noise(2, 8)), 0)
    with torch.inference_mode():
        held_out = method.validation(Batch(points, None, Noise(2, 8)))
    assert held_out["total"].isfinite()
    assert told["interval"][1] == 4
    assert told["total"].isfinite()


@pytest.mark.parametrize(
    "change",
    [
        {"equal": 1.5},
        {"power": -1.0},
        {"constant": 0.0},
        {"later": (0.0, 0.0)},
        {"mixing": 1.0},
        {"guidance": 2.0},
        {"steps": 0},
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must|need"):
        meanflow.Spec(**change).build(LAYOUT)  # type: ignore[arg-type]
