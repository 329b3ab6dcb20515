"""TarFlow: patches, causality, Jacobians, inversion with kept keys, noise and its removal."""

import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.flows.affine import Affine
from naqsh.flows.change_of_variables import log_abs_det_jacobian
from naqsh.flows.patches import HEAT, Patches
from naqsh.methods import tarflow
from naqsh.methods.tarflow import TarFlow

SHAPE = (2, 4, 6)
LAYOUT = Layout(SHAPE, ("a", "b"))
SIZE = math.prod(SHAPE)


def shaken(module: torch.nn.Module) -> None:
    """Weights away from the zeros that transformers end with."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)


def a_map(reverse: bool = False, classes: int = 0) -> Patches:
    torch.manual_seed(0)
    layer = Patches(SHAPE, 2, 8, 2, 2, Affine(), reverse, classes).double()
    shaken(layer)
    return layer


def method(**changes: object) -> TarFlow:
    torch.manual_seed(0)
    spec = tarflow.Spec(patch=2, blocks=3, layers=1, width=8, heads=2, **changes)  # type: ignore[arg-type]
    flow = spec.build(LAYOUT).double()
    shaken(flow)
    return flow.eval()


def vectors(count: int, seed: int = 1) -> Tensor:
    return Noise(seed, count).normal(SIZE).double()


def images(count: int) -> Tensor:
    """Whole levels in [0, 1]."""
    return (Noise(4, count).uniform(*SHAPE).double() * 256).floor() / 255


@pytest.mark.parametrize("reverse", [False, True])
def test_the_log_determinant_is_that_of_autograds_jacobian(reverse: bool) -> None:
    layer, x = a_map(reverse), vectors(2)
    found = layer(x)[1].sum(1)
    assert (found.abs() > 0.1).all()
    torch.testing.assert_close(found, log_abs_det_jacobian(lambda v: layer(v)[0], x))


@pytest.mark.parametrize("naive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_inverse_undoes_the_map(reverse: bool, naive: bool) -> None:
    layer, x = a_map(reverse, 2), vectors(3)
    labels = torch.tensor([0, 1, 2])
    z = layer(x, labels)[0]
    assert (z - x).abs().max() > 0.1
    torch.testing.assert_close(layer.inverse(z, labels, naive=naive), x)
    torch.testing.assert_close(layer.inverse(layer(x)[0], naive=naive), x)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_patch_depends_on_those_before_it_alone(reverse: bool) -> None:
    layer, x = a_map(reverse), vectors(1)
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v[None])[0][0], x[0])
    # Which patch each number is of, in the order of the map: 2 x 3 patches of 2x2.
    row, column = torch.arange(4).view(1, 4, 1) // 2, torch.arange(6) // 2
    patch = (row * 3 + column).expand(SHAPE).flatten()
    order = 5 - patch if reverse else patch
    later = order[None] > order[:, None]
    assert not jacobian[later].any()
    same = order[None] == order[:, None]
    off = same & ~torch.eye(SIZE, dtype=torch.bool)
    assert not jacobian[off].any(), "within a patch every number is scaled by itself"
    before = order[None] < order[:, None]
    assert (jacobian[before] != 0).double().mean() > 0.9


def test_patches_are_cut_row_by_row_and_joined_again() -> None:
    layer, x = a_map(), torch.arange(SIZE).double()[None]
    tokens = layer.cut(x)
    assert tokens.shape == (1, 6, 8)
    expected = x.view(SHAPE)[:, 0:2, 2:4].flatten()
    assert torch.equal(tokens[0, 1], expected)
    assert torch.equal(layer.join(tokens), x)


def guided(layer: Patches, x: Tensor, poor: Tensor, clear: Tensor, by: float) -> Tensor:
    """The z of x by parameters that lie `by` times as far from the poor ones as the clear ones."""
    parameters = poor + by * (clear - poor)
    z = layer.affine.forward(layer.cut(x), parameters.unflatten(-1, (-1, 2)))[0]
    return layer.join(z)


def test_guidance_exaggerates_both_parameters_of_every_patch() -> None:
    layer, z = a_map(classes=2), vectors(2)
    labels, none = torch.tensor([0, 1]), torch.full((2,), 2)
    x = layer.inverse(z, labels, guidance=2.5)
    torch.testing.assert_close(x, layer.inverse(z, labels, guidance=2.5, naive=True))
    told, plain = (layer.network(layer.cut(x), some) for some in (labels, none))
    torch.testing.assert_close(guided(layer, x, plain, told, 2.5), z)
    torch.testing.assert_close(layer.inverse(z, labels, guidance=0.0), layer.inverse(z))


@pytest.mark.parametrize("reverse", [False, True])
def test_guidance_without_labels_leads_away_from_attention_at_a_higher_temperature(
    reverse: bool,
) -> None:
    """Which is attention by queries that are as much smaller."""
    layer, z = a_map(reverse), vectors(2)
    x = layer.inverse(z, guidance=2.5)
    torch.testing.assert_close(x, layer.inverse(z, guidance=2.5, naive=True))
    warm = deepcopy(layer)
    with torch.no_grad():
        for part in warm.network.layers:
            queries = part.get_submodule("qkv").get_parameter("weight").chunk(3)[0]
            queries /= HEAT
            part.get_submodule("qkv").get_parameter("bias").chunk(3)[0].div_(HEAT)
    tokens = layer.cut(x)
    poor, clear = warm.network(tokens), layer.network(tokens)
    assert (poor - clear).abs().max() > 0.01
    torch.testing.assert_close(guided(layer, x, poor, clear, 2.5), z)
    torch.testing.assert_close(layer.inverse(z, guidance=0.0), warm.inverse(z))


def test_the_likelihood_is_the_change_of_variables_of_values_without_noise() -> None:
    flow, x = method(noise=0.3), images(2)
    place = Noise(1, 2).uniform(SIZE).double()
    values = ((x * 255).round().flatten(1) + place) / 256

    def latents(v: Tensor) -> Tensor:
        return flow.chain.normalise(v)[0]

    base = torch.distributions.Normal(0.0, 1.0).log_prob(latents(values)).sum(1)
    expected = base + log_abs_det_jacobian(latents, values)
    torch.testing.assert_close(flow.log_prob(x, Noise(1, 2)), expected)
    parts = flow.surprise(x, Noise(1, 2))
    assert parts.shape == (2, 4, 6)
    torch.testing.assert_close(parts.sum((1, 2)), -expected)


def test_training_sees_noise_and_the_loss_says_so() -> None:
    x = images(3)
    clean, noisy = method(noise=0.0), method(noise=0.3)
    batch = Batch(x, None, Noise(1, 3))
    plain = clean.losses(batch, 0)["total"]
    torch.testing.assert_close(plain, -clean.log_prob(x, Noise(1, 3)).mean())
    told = noisy.losses(Batch(x, None, Noise(1, 3)), 0)
    noise = Noise(1, 3)
    values = ((x * 255).round().flatten(1) + noise.uniform(SIZE).double()) / 256
    values = values + 0.15 * noise.normal(SIZE).double()
    z, log_det = noisy.chain.normalise(values)
    nats = (z.square() / 2 - log_det).sum(1).mean() + SIZE * math.log(2 * math.pi) / 2
    torch.testing.assert_close(told["total"], nats)
    torch.testing.assert_close(told["bits"], (nats / SIZE + math.log(256)) / math.log(2))


def test_denoising_is_the_posterior_mean_of_a_normal() -> None:
    """Values under no maps but one scale: N(0.5, s^2) with noise, whose mean is known."""
    flow = method(noise=0.4, bound=20.0)
    deviation = 0.3  # of noisy values in [0, 1]
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.zero_()
        for number, layer in enumerate(flow.chain.layers[1:]):
            assert isinstance(layer, Patches)
            if not number:
                log_scale = math.log(2 * deviation)
                raw = 20 * math.atanh(log_scale / 20)
                layer.network.last.bias[1::2] = raw
    values = 0.5 + deviation * vectors(70)
    found = flow.denoised(values)
    kept = (deviation**2 - 0.2**2) / deviation**2
    torch.testing.assert_close(found, 0.5 + kept * (values - 0.5))


@pytest.mark.parametrize("conditional", [True, False])
def test_both_ways_of_sampling_make_the_same_images(conditional: bool) -> None:
    flow = method(conditional=conditional).float()
    with torch.no_grad():
        one = flow.sample(Noise(3, 4), guidance=2.0)
        naive = flow.sample(Noise(3, 4), "naive", guidance=2.0)
        raw = flow.sample(Noise(3, 4), guidance=2.0, denoise=False)
    with torch.inference_mode():  # as commands sample
        part = flow.sample(Noise(3, 2, first=2), guidance=2.0)
    assert ((one > 0) & (one < 1)).float().mean() > 0.2, "the others are cut to the range"
    # Rounding of float32 goes through three maps with scales of up to e^3.
    torch.testing.assert_close(one, naive, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(part, one[2:], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(one, raw, atol=1e-3)


def test_samples_are_guided_as_the_recipe_has_it() -> None:
    with torch.no_grad():
        own = method(guidance=2.0).float().sample(Noise(3, 4))
        asked = method().float().sample(Noise(3, 4), guidance=2.0)
        plain = method(guidance=2.0).float().sample(Noise(3, 4), guidance=1.0)
        torch.testing.assert_close(own, asked)
        torch.testing.assert_close(plain, method().float().sample(Noise(3, 4)))
    assert not torch.allclose(own, plain, atol=1e-3)


def test_labels_change_the_density_and_none_is_asked_for_a_likelihood() -> None:
    flow, x = method(conditional=True, noise=0.0), images(2)
    told = [
        flow.validation(Batch(x, torch.tensor(labels), Noise(1, 2)))["total"]
        for labels in ([0, 0], [1, 1], [2, 2])
    ]
    assert told[0] != told[1]
    torch.testing.assert_close(told[2], -flow.log_prob(x, Noise(1, 2)).mean())


def test_there_and_back_is_the_same_image() -> None:
    flow, x = method(), images(3)
    with torch.no_grad():
        torch.testing.assert_close(flow.reconstruct(x), x)


@pytest.mark.parametrize(
    ("change", "layout"),
    [
        ({"patch": 3}, LAYOUT),
        ({"patch": 1}, Layout((2, 1, 1), extent=2.0)),
        ({"width": 9}, LAYOUT),
        ({"noise": -1.0}, LAYOUT),
        ({"blocks": 0}, LAYOUT),
        ({"conditional": True}, Layout(SHAPE)),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, float], layout: Layout) -> None:
    with pytest.raises(ValueError, match=r"must|patches|divide|labels"):
        tarflow.Spec(**{"patch": 2, **change}).build(layout)  # type: ignore[arg-type]
