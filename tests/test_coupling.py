"""Couplings: undone exactly, determinants and structure against autograd, masses by quadrature."""

import math

import pytest
import torch
from torch import Tensor, nn

from naqsh.core.abilities import Encodes, HasLogProb, Localises, Reconstructs, Samples, Validates
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.flows.bijection import Bijection
from naqsh.flows.change_of_variables import log_abs_det_jacobian
from naqsh.flows.coupling import (
    Coupling,
    Normalisation,
    Scale,
    Subset,
    convolutional,
    dense,
    squeeze,
)
from naqsh.flows.method import FlowMethod
from naqsh.flows.normalise import ActNorm, Normalise
from naqsh.methods.coupling import Spec
from naqsh.recipes import by_name

SHAPE = (2, 4, 8)
SIZE = math.prod(SHAPE)


def stirred(layers: list[Bijection], strength: float = 0.3) -> list[Bijection]:
    """The layers in double precision with weights that change everything; not the identity."""
    for seed, layer in enumerate(layers):
        layer.double().eval()
        with torch.no_grad():
            for number, parameter in enumerate(layer.parameters()):
                noise = Noise(100 + seed, 1, first=number).normal(*parameter.shape)[0]
                parameter.copy_(strength * noise)
            for part in layer.modules():
                if isinstance(part, Normalise):
                    part.mean.copy_(Noise(200 + seed, 1).normal(part.channels)[0])
                    part.variance.copy_(0.5 + Noise(300 + seed, 1).uniform(part.channels)[0])
    return layers


def couplings(layers: list[Bijection]) -> list[Coupling]:
    return [layer for layer in layers if isinstance(layer, Coupling)]


def through(layers: list[Bijection], x: Tensor) -> tuple[Tensor, Tensor]:
    """What all layers make of x, and the sum of their log-factors, shape (N, D) both."""
    total = torch.zeros_like(x)
    for layer in layers:
        x, log_factors = layer(x)
        total = total + log_factors
    return x, total


def back(layers: list[Bijection], z: Tensor) -> Tensor:
    for layer in reversed(layers):
        z = layer.inverse(z)
    return z


KINDS: dict[str, list[Bijection]] = {
    "dense affine": dense(6, 4, 8, 2, normalisation="actnorm"),
    "dense additive": dense(7, 3, 8, 1, affine=False),
    "images affine": convolutional(SHAPE, 2, 3, 1, scales=2, normalisation="batch"),
    "images additive": convolutional(SHAPE, 2, 3, 1, affine=False),
}


@pytest.mark.parametrize("name", KINDS)
def test_undone_and_of_autograds_determinant(name: str) -> None:
    layers = stirred(KINDS[name], 0.1 if "images" in name else 0.3)
    dimensions = SIZE if "images" in name else 6 + ("additive" in name)
    x = Noise(1, 3).normal(dimensions).double() * 2
    z, log_factors = through(layers, x)
    assert float((z - x).abs().median().detach()) > 0.1
    # Some ten layers that each lose a few roundings of numbers up to e^2 times as large.
    torch.testing.assert_close(back(layers, z), x, rtol=0, atol=1e-10)
    expected = log_abs_det_jacobian(lambda v: through(layers, v)[0], x)
    assert float(expected.abs().min()) > 0.01
    torch.testing.assert_close(log_factors.sum(1), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("affine", [True, False])
def test_a_couplings_jacobian_is_a_block_triangle(affine: bool) -> None:
    layers = stirred(convolutional(SHAPE, 1, 3, 1, scales=2, affine=affine))
    assert len(couplings(layers)) == 4
    x = Noise(2, 1).normal(SIZE).double()
    for coupling in couplings(layers):
        jacobian = torch.autograd.functional.jacobian(lambda v, c=coupling: c(v[None])[0][0], x[0])
        log_factors = coupling(x)[1][0]
        torch.testing.assert_close(jacobian.diagonal().log(), log_factors, rtol=0, atol=1e-12)
        rest = jacobian - torch.diag(jacobian.diagonal())
        assert rest[coupling.changed][:, coupling.kept].any()
        rest[coupling.changed[:, None], coupling.kept] = 0
        assert not rest.any()
        untouched = torch.ones(SIZE, dtype=torch.bool)
        untouched[coupling.changed] = False
        assert not log_factors[untouched].any()
        assert bool(log_factors[coupling.changed].all()) == affine


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("normalisation", ["none", "actnorm", "batch"])
def test_the_density_in_two_dimensions_has_mass_one(
    affine: bool, normalisation: Normalisation
) -> None:
    layers = stirred(dense(2, 4, 8, 2, affine, normalisation), strength=0.4)
    side = torch.linspace(-30, 30, 601, dtype=torch.float64)
    x = torch.cartesian_prod(side, side)
    with torch.no_grad():
        z, log_factors = through(layers, x)
    density = (log_factors.sum(1) - z.square().sum(1) / 2).exp() / (2 * math.pi)
    mass = float(density.sum() * (side[1] - side[0]) ** 2)
    # For smooth densities the sum is exact; ReLU's kinks cost less than step^2 = 0.01.
    assert mass == pytest.approx(1, abs=1e-3)
    # The mass is inside, not just missing the border by luck.
    edge = density.view(601, 601)
    assert float(edge[0].max()) < 1e-12
    assert float(edge[:, -1].max()) < 1e-12


def test_couplings_begin_as_the_identity() -> None:
    dense_layers, pictures = dense(6, 4, 8, 2), convolutional(SHAPE, 2, 3, 1, affine=False)
    for layers, dimensions in ((dense_layers, 6), (pictures, SIZE)):
        x = Noise(3, 2).normal(dimensions)
        z, log_factors = through(layers, x)
        # The factor at 0 is 1 up to float32's rounding.
        torch.testing.assert_close(z, x, rtol=1e-6, atol=0)
        assert float(log_factors.abs().max().detach()) < 1e-6


def test_everything_is_changed_and_every_pixel_reaches_far() -> None:
    for layers, dimensions in ((dense(6, 2, 8, 2), 6), (convolutional(SHAPE, 2, 3, 2), SIZE)):
        changed = {int(place) for layer in couplings(layers) for place in layer.changed}
        assert changed == set(range(dimensions))
        stirred(layers)
        jacobian = torch.autograd.functional.jacobian(
            lambda v, ls=layers: through(ls, v[None])[0][0],
            Noise(4, 1).normal(dimensions).double()[0],
        )
        assert (jacobian != 0).sum(0).min() > 1
        assert (jacobian != 0).sum(1).max() > dimensions / 2


def test_a_second_scale_leaves_half_alone() -> None:
    layers = couplings(convolutional(SHAPE, 2, 3, 1, scales=2))
    first, second = layers[:4], layers[4:]
    assert len(second) == 4
    places = [{int(p) for layer in part for p in layer.changed} for part in (first, second)]
    assert len(places[0]) == SIZE
    assert len(places[1]) == SIZE / 2
    # The upper row of every 2x2 square goes on.
    grid = torch.arange(SIZE).view(SHAPE)
    assert places[1] == set(grid[:, ::2].flatten().tolist())


def test_squeeze_takes_squares_apart() -> None:
    picture = torch.arange(SIZE).view(SHAPE)
    squares = squeeze(picture)
    assert squares.shape == (4, 2, 2, 4)
    for k, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert torch.equal(squares[k], picture[:, row::2, column::2])


def test_the_first_masks_are_checkerboards() -> None:
    layers = couplings(convolutional((1, 4, 4), 2, 3, 1))
    row, column = torch.arange(16) // 4, torch.arange(16) % 4
    odd = (row + column) % 2 == 1
    for coupling, expected in zip(layers[:2], (odd, ~odd), strict=True):
        changed = torch.zeros(16, dtype=torch.bool)
        changed[coupling.changed] = True
        assert torch.equal(changed, expected)


def test_the_factor_is_bounded_whatever_comes() -> None:
    network = nn.Linear(1, 2)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.0], [1.0]]))
        network.bias.zero_()
    one = Coupling(torch.tensor([0]), torch.tensor([1]), network, affine=True)
    x = torch.tensor([[-1e30, 1.0], [0.0, 1.0], [1e30, 1.0]])
    z, log_factors = one(x)
    # exp(-3), 1, and exp(-3) + (1 - exp(-3)) / sigmoid(2).
    factors = torch.tensor([0.0497871, 1.0, 1.1285970])
    torch.testing.assert_close(z[:, 1], factors, rtol=1e-6, atol=0)
    torch.testing.assert_close(log_factors[:, 1].exp(), factors, rtol=1e-6, atol=0)
    torch.testing.assert_close(one.inverse(z), x)


def test_double_precision_survives_autocast() -> None:
    # Under autocast the conditioner computes in bfloat16; both ways get the same numbers of it.
    layers = stirred(dense(6, 4, 8, 2))
    for layer in layers:
        layer.float()
    x = Noise(5, 4).normal(6)
    with torch.autocast("cpu", torch.bfloat16):
        z, log_factors = through(layers, x)
        again = back(layers, z)
    assert z.dtype == log_factors.dtype == torch.float32
    # The kept half is equal but for float32's roundings, which bfloat16 may turn into one of its
    # own, 2^-8, where it rounds the other way: rare, and not in these numbers.
    torch.testing.assert_close(again, x, rtol=0, atol=1e-4)


def test_a_subset_is_a_layer_of_some() -> None:
    places = torch.tensor([4, 1, 3])
    one = stirred([Subset(places, Scale(3))])[0]
    x = Noise(6, 2).normal(5).double()
    z, log_factors = one(x)
    assert torch.equal(z[:, [0, 2]], x[:, [0, 2]])
    assert not log_factors[:, [0, 2]].any()
    factors = one.layer.log_scale  # type: ignore[union-attr]
    torch.testing.assert_close(z[:, places], x[:, places] * factors.exp())  # type: ignore[operator]
    torch.testing.assert_close(one.inverse(z), x)


def test_actnorm_of_pictures_is_per_channel_of_the_squares() -> None:
    layers = convolutional(SHAPE, 1, 3, 1, normalisation="actnorm")
    norm = layers[0]
    assert isinstance(norm, Subset)
    assert isinstance(norm.layer, ActNorm)
    x = Noise(7, 16).normal(*SHAPE) * 3 + torch.tensor([5.0, -5.0]).view(2, 1, 1)
    x[:, :, ::2, 1::2] += 10
    z = norm.train()(x.flatten(1))[0].detach().view(-1, *SHAPE)
    # 16 images of eight pixels a channel and place: the means vanish, up to float32.
    for row in (0, 1):
        for column in (0, 1):
            means = z[:, :, row::2, column::2].mean((0, 2, 3))
            torch.testing.assert_close(means, torch.zeros(2), rtol=0, atol=1e-5)


def test_sides_must_divide() -> None:
    with pytest.raises(ValueError, match="3 scales need sides that divide by 8, got 4x8"):
        convolutional(SHAPE, 1, 3, 1, scales=3)


@pytest.mark.parametrize("name", ["nice-digits", "realnvp-digits"])
def test_a_recipe_reconstructs_to_the_grey_level_and_shares_its_surprise(name: str) -> None:
    method = by_name(name).method.build(Layout((1, 16, 16)))
    assert isinstance(method, FlowMethod)
    for capability in (Samples, Validates, Encodes, Reconstructs, HasLogProb, Localises):
        assert isinstance(method, capability)
    with torch.no_grad():
        for number, parameter in enumerate(method.eval().parameters()):
            parameter.add_(0.03 * Noise(9, 1, first=number).normal(*parameter.shape)[0])
        images = (Noise(10, 4).uniform(1, 16, 16) * 255).round() / 255
        again = method.reconstruct(images)
        log_prob, parts = (
            told(images, Noise(11, 4)) for told in (method.log_prob, method.surprise)
        )
    assert torch.equal((again * 255).round(), (images * 255).round())
    # Sums of 256 numbers of order 1 in two orders, in single precision.
    torch.testing.assert_close(-parts.sum((1, 2)), log_prob, rtol=1e-4, atol=1e-2)


def test_impossible_numbers_are_refused() -> None:
    for name in ("blocks", "hidden", "depth", "scales"):
        with pytest.raises(ValueError, match=name):
            Spec(**{name: 0})  # type: ignore[arg-type]
