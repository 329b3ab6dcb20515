"""Masked networks, the autoregressive map, and its inversion in degree order with its gradient."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from naqsh.core.noise import Noise
from naqsh.flows.affine import Affine
from naqsh.flows.autoregressive import Autoregressive, Inverse
from naqsh.flows.inversion import blocks
from naqsh.networks.made import GROUPS, MADE, boundaries, even_degrees
from naqsh.networks.staircase import StaircaseLinear

SIZES = [  # dimensions, hidden units, groups
    (1, (4,), 1),
    (2, (3,), 1),
    (2, (5, 5), 2),
    (5, (7, 3), 3),
    (6, (9, 4, 5), 4),
    (40, (8, 8), 4),  # more dimensions than units
    (9, (40, 25), 16),  # more units than dimensions
    (33, (16, 33), 5),
]


def numbers(seed: int, count: int, *shape: int) -> Tensor:
    return Noise(seed, count).normal(*shape).double()


def made(dimensions: int, hidden: tuple[int, ...], groups: int, context: int = 0) -> MADE:
    """A network in float64 whose outputs are of the size of its inputs."""
    torch.manual_seed(0)
    network = MADE(dimensions, hidden, context, groups=groups).double()
    with torch.no_grad():
        network.output.weight.mul_(50)
        for layer in [*network.hidden, network.output]:
            layer.bias.normal_()
    return network


def layer(
    dimensions: int,
    hidden: tuple[int, ...],
    groups: int,
    reverse: bool = False,
    context: int = 0,
) -> Autoregressive:
    one = Autoregressive(dimensions, hidden, Affine(2.0), reverse, context).double()
    one.made = made(dimensions, hidden, groups, context)
    return one


def masks(network: MADE) -> list[Tensor]:
    """What each layer may see, from the definition by degrees: the independent source."""
    degrees = [torch.tensor(one) for one in network.degrees]
    inputs, outputs = torch.arange(network.features), torch.arange(network.features)
    first = inputs < degrees[0][:, None]
    deeper = [below <= one[:, None] for below, one in pairwise(degrees)]
    last = degrees[-1] <= outputs.repeat_interleave(2)[:, None]
    return [first, *deeper, last]


@pytest.mark.parametrize(("dimensions", "hidden", "groups"), SIZES)
def test_the_network_is_a_dense_one_with_masks(
    dimensions: int, hidden: tuple[int, ...], groups: int
) -> None:
    network, x = made(dimensions, hidden, groups), numbers(1, 4, dimensions)
    layers = [*network.hidden, network.output]
    for one, mask in zip(layers, masks(network), strict=True):
        # Every weight that may be there is, and no other.
        assert torch.equal(one.dense() != 0, mask)
    seen = x
    for one, mask in zip(layers, masks(network), strict=True):
        seen = nn.functional.linear(seen, one.dense() * mask, one.bias)
        seen = seen if one is network.output else seen.relu()
    torch.testing.assert_close(network(x).flatten(1), seen)


@pytest.mark.parametrize(("dimensions", "hidden", "groups"), SIZES)
def test_gradients_are_those_of_a_dense_network(
    dimensions: int, hidden: tuple[int, ...], groups: int
) -> None:
    network, x = made(dimensions, hidden, groups), numbers(1, 4, dimensions).requires_grad_()
    layers = [*network.hidden, network.output]
    weight = numbers(2, 4, dimensions, 2)
    (network(x) * weight).sum().backward()
    given, x.grad = x.grad, None
    dense = [one.dense().detach().requires_grad_() for one in layers]
    seen = x
    for one, matrix, mask in zip(layers, dense, masks(network), strict=True):
        seen = nn.functional.linear(seen, matrix * mask, one.bias.detach())
        seen = seen if one is network.output else seen.relu()
    (seen.unflatten(1, (-1, 2)) * weight).sum().backward()
    assert given is not None
    torch.testing.assert_close(given, x.grad)
    for one, matrix in zip(layers, dense, strict=True):
        assert one.weight.grad is not None
        packed = torch.zeros_like(matrix)
        for group, part in zip(one.groups, one.rectangles(one.weight.grad), strict=True):
            packed[group.first : group.last, : group.stop] = part
        torch.testing.assert_close(packed, matrix.grad)


@pytest.mark.parametrize(("dimensions", "units"), [(3072, 512), (784, 100), (20, 64), (7, 7)])
def test_degrees_are_even_so_that_every_input_but_the_last_reaches_an_output(
    dimensions: int, units: int
) -> None:
    degrees = even_degrees(units, 1, dimensions - 1)
    counts = torch.bincount(degrees)[1:]
    steps = degrees.diff()
    assert degrees[-1] == dimensions - 1
    assert steps.max() - steps.min() <= 1
    assert units < dimensions or counts.max() - counts.min() <= 1
    network = MADE(dimensions, (units, units))
    ways = torch.eye(dimensions)
    for mask in masks(network):
        ways = (mask.float() @ ways).clamp(max=1)
    assert ways[::2].sum(0)[:-1].min() > 0
    assert ways[::2].sum(0)[-1] == 0
    # Autoregressive: nothing on or above the diagonal.
    assert ways[::2].triu().max() == 0


def test_packing_stores_little_more_than_what_is_not_zero() -> None:
    network = MADE(3072, (512, 512))
    assert len(network.starts) - 1 == GROUPS
    dense = 3072 * 512 + 512 * 512 + 512 * 2 * 3072
    stored = sum(one.weight.numel() for one in [*network.hidden, network.output])
    # (1 + 1/16) / 2; the groups' bounds are whole degrees.
    assert stored / dense == pytest.approx(0.531, abs=0.002)


def test_groups_begin_with_a_degree() -> None:
    degrees = torch.tensor([1, 1, 1, 4, 6, 6, 9, 9])
    assert boundaries(degrees, 12, 4) == [0, 1, 6, 9, 12]
    assert boundaries(degrees, 12, 1) == [0, 12]
    assert boundaries(torch.zeros(5, dtype=torch.int64), 1, 4) == [0, 1]


def test_optimisers_and_loading_leave_the_unseen_at_zero() -> None:
    network = made(12, (10, 10), 3)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1, fused=True)
    for step in range(3):
        network(numbers(step, 4, 12)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    for one, mask in zip([*network.hidden, network.output], masks(network), strict=True):
        assert torch.equal(one.dense() != 0, mask)
    state = {name: torch.ones_like(tensor) for name, tensor in network.state_dict().items()}
    network.load_state_dict(state)
    for one, mask in zip([*network.hidden, network.output], masks(network), strict=True):
        assert torch.equal(one.dense(), mask.double())


def test_a_staircase_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="ever more"):
        StaircaseLinear(torch.tensor([2, 1]), [0, 2], [0, 2], 1.0)
    with pytest.raises(ValueError, match="bounds"):
        StaircaseLinear(torch.tensor([1, 2]), [0, 1, 2], [0, 1, 1], 1.0)
    with pytest.raises(ValueError, match="at least one"):
        MADE(3, ())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("dimensions", "hidden", "groups"), SIZES)
def test_the_jacobian_is_triangular_and_its_log_determinant_right_for_each_dimension(
    dimensions: int, hidden: tuple[int, ...], groups: int, reverse: bool
) -> None:
    one, x = layer(dimensions, hidden, groups, reverse), numbers(1, 1, dimensions)
    jacobian = torch.autograd.functional.jacobian(lambda v: one(v)[0][0], x)[:, 0]
    beyond = jacobian.tril(-1) if reverse else jacobian.triu(1)
    assert beyond.abs().max() == 0
    log_det = one(x)[1][0].detach()
    torch.testing.assert_close(log_det, jacobian.diagonal().log())
    torch.testing.assert_close(log_det.sum(), torch.linalg.slogdet(jacobian)[1])


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("dimensions", "hidden", "groups"), SIZES)
def test_the_inversion_is_exact(
    dimensions: int, hidden: tuple[int, ...], groups: int, reverse: bool, context: int
) -> None:
    one = layer(dimensions, hidden, groups, reverse, context)
    x, given = numbers(3, 5, dimensions), numbers(4, 5, context) if context else None
    with torch.no_grad():
        z, log_det = one(x, given)
        back, inverse_log_det = one.inverse_with_log_det(z, given)
        naive = one.naive_inverse(z, given)
    # Rounding of float64, 1e-16, grown by at most e^2 a dimension; measured 1e-14.
    torch.testing.assert_close(back, x, rtol=0, atol=1e-11)
    torch.testing.assert_close(back, naive, rtol=0, atol=1e-11)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=0, atol=1e-11)


def test_float32_comes_back_from_many_dimensions() -> None:
    torch.manual_seed(0)
    one, x = Autoregressive(3072, (64, 64)), Noise(0, 3).normal(3072)
    with torch.no_grad():
        back = one.inverse(one(x)[0])
    torch.testing.assert_close(back, x, rtol=0, atol=1e-5)


def test_a_block_for_each_degree_and_no_more() -> None:
    network = made(40, (8, 8), 4)
    degrees = set(network.degrees[0]) | set(network.degrees[1])
    plan = blocks(network)
    sizes = [size for group in plan for size in group.dimensions]
    begins = [sum(sizes[:block]) for block in range(len(sizes))]
    assert begins == sorted({0} | degrees)
    assert sum(sizes) == 40
    for level, layer in enumerate(network.degrees):
        units = [count for group in plan for count in group.units[level]]
        assert units == [layer.count(begin) for begin in begins]


def test_the_naive_inversion_tells_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    layer(4, (5,), 1).naive_inverse(numbers(1, 2, 4), progress=lambda *at: told.append(at))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_first_dimension_hangs_on_the_context_too() -> None:
    one, x = layer(4, (6,), 2, context=2), numbers(1, 1, 4)
    slopes = torch.autograd.functional.jacobian(lambda c: one(x, c)[0][0], numbers(2, 1, 2))
    assert slopes.flatten(1).abs().sum(1).min() > 0


GRADIENTS = [(1, (4,), 1, 0), (2, (5, 5), 2, 0), (6, (9, 4, 5), 3, 2), (7, (4, 10), 2, 0)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("dimensions", "hidden", "groups", "context"), GRADIENTS)
def test_the_inversions_gradient_is_that_of_the_naive_one(
    dimensions: int, hidden: tuple[int, ...], groups: int, context: int, reverse: bool
) -> None:
    one = layer(dimensions, hidden, groups, reverse, context)
    z = numbers(1, 3, dimensions).requires_grad_()
    given = numbers(2, 3, context).requires_grad_() if context else None
    into = [z, *one.parameters(), *([] if given is None else [given])]
    to_x, to_log_det = numbers(3, 3, dimensions), numbers(4, 3, dimensions)

    def gradients(x: Tensor, log_det: Tensor) -> tuple[Any, ...]:
        loss = (x * to_x).sum() + (log_det * to_log_det).sum()
        return torch.autograd.grad(loss, into, materialize_grads=True)

    naive = one.naive_inverse(z, given)
    ours = gradients(*one.inverse_with_log_det(z, given))
    theirs = gradients(naive, -one(naive, given)[1])
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("dimensions", "hidden", "groups", "context"), GRADIENTS)
def test_the_inversions_gradient_passes_gradcheck(
    dimensions: int, hidden: tuple[int, ...], groups: int, context: int
) -> None:
    one = layer(dimensions, hidden, groups, context=context)
    given = numbers(2, 3, context) if context else None
    z = numbers(1, 3, dimensions).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: one.inverse_with_log_det(v, given), z)
    names = [name for name, _ in one.named_parameters()]
    values = [parameter.detach().clone().requires_grad_() for parameter in one.parameters()]

    def of_weights(*weights: Tensor) -> Any:
        # What the layer takes for zero is kept there, as it is in training.
        kept = [_visible(one, name, w) for name, w in zip(names, weights, strict=True)]
        call: Callable[..., Any] = torch.func.functional_call
        return call(
            _Both(one), {f"one.{n}": w for n, w in zip(names, kept, strict=True)}, (z, given)
        )

    assert torch.autograd.gradcheck(of_weights, values)


class _Both(nn.Module):
    """The inversion as a forward pass, which functional_call needs."""

    def __init__(self, one: Autoregressive) -> None:
        super().__init__()
        self.one = one

    def forward(self, z: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.one.inverse_with_log_det(z.detach(), given)


def _visible(one: Autoregressive, name: str, packed: Tensor) -> Tensor:
    module = one.get_submodule(name.rpartition(".")[0])
    if not isinstance(module, StaircaseLinear) or not name.endswith("weight"):
        return packed
    mask = torch.ones_like(packed)
    module.clear(mask)
    return packed * mask


def test_turned_round_it_is_the_other_map() -> None:
    one = layer(6, (8, 8), 2, reverse=True)
    turned, x = Inverse(one), numbers(1, 4, 6)
    z, log_det = turned(x)
    torch.testing.assert_close(turned.inverse(z), x)
    jacobian = torch.autograd.functional.jacobian(lambda v: turned(v)[0][0], x[:1])[:, 0]
    torch.testing.assert_close(log_det[0], jacobian.diagonal().log())


@pytest.mark.parametrize("turn", [False, True])
def test_the_density_integrates_to_one(turn: bool) -> None:
    inner = layer(2, (8, 8), 2)
    flow = Inverse(inner) if turn else inner
    side = torch.linspace(-40, 40, 1601, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        z, log_det = flow(grid)
        log_density = (log_det - (z.square() + math.log(2 * math.pi)) / 2).sum(1)
    step = float(side[1] - side[0])
    # The trapezium rule on a function that is smooth but for kinks, whose error is O(step^2).
    assert float(log_density.exp().sum()) * step**2 == pytest.approx(1, abs=2e-3)


def test_the_log_scale_is_bounded_and_the_identity_near_zero() -> None:
    affine = Affine(1.5)
    raw = torch.tensor([-1e4, -1e-4, 0.0, 1e-4, 1e4], dtype=torch.float64, requires_grad=True)
    log_scale = affine.log_scale(raw)
    expected = torch.tensor([-1.5, -1e-4, 0.0, 1e-4, 1.5], dtype=torch.float64)
    torch.testing.assert_close(log_scale.detach(), expected, rtol=1e-8, atol=0)
    (slope,) = torch.autograd.grad(log_scale.sum(), raw)
    torch.testing.assert_close(affine.log_scale_slope(log_scale.detach()), slope)
    with pytest.raises(ValueError, match="above 0"):
        Affine(0.0)
