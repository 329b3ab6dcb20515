"""Flows of zuko and nflows on their own weights: the same densities, their inverse, quickly."""

import copy
import warnings
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.flows.autoregressive import Autoregressive
from naqsh.flows.imported import Affine, ImportedFlow, NflowsAffine, ZukoAffine
from naqsh.flows.importing import from_nflows, from_zuko
from naqsh.networks.activations import by_name, names
from naqsh.networks.made import MADE


def numbers(seed: int, count: int, *shape: int) -> Tensor:
    return Noise(seed, count).normal(*shape).double()


def stirred(flow: Any) -> Any:
    """In float64 with parameters far from where they begin."""
    flow = flow.double().eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for name, buffer in flow.named_buffers():
            if "running" in name:
                buffer.copy_(1 + torch.rand_like(buffer))
    return flow


ZUKO: list[dict[str, Any]] = [
    {"features": 2, "hidden_features": (5,)},
    {"features": 5, "transforms": 2, "hidden_features": (3, 4)},
    {"features": 9, "transforms": 3, "hidden_features": (30, 20), "randperm": True},
    {"features": 8, "transforms": 2, "hidden_features": (16, 16), "passes": 3},
]


@pytest.mark.parametrize("numbers_of_it", ZUKO)
def test_zukos_density_and_inverse(numbers_of_it: dict[str, Any]) -> None:
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(0)
    theirs = stirred(zuko.flows.MAF(context=0, **numbers_of_it))
    x = numbers(1, 6, numbers_of_it["features"])
    with torch.no_grad():
        ours = from_zuko(theirs.state_dict(), check=(x, theirs().log_prob(x)))
        torch.testing.assert_close(ours.log_prob(x), theirs().log_prob(x))
        z = numbers(2, 6, numbers_of_it["features"])
        inverse = theirs().transform.inv(z)
        torch.testing.assert_close(ours(z), inverse, rtol=1e-9, atol=1e-9)


NFLOWS: list[dict[str, Any]] = [
    {"features": 2, "hidden_features": 5, "use_residual_blocks": False},
    {"features": 7, "hidden_features": 4, "use_residual_blocks": False},
    {"features": 6, "hidden_features": 20, "use_residual_blocks": True},
    {"features": 8, "hidden_features": 6, "use_residual_blocks": True},
    {
        "features": 6,
        "hidden_features": 9,
        "use_residual_blocks": False,
        "use_random_masks": True,
        "use_random_permutations": True,
        "batch_norm_between_layers": True,
    },
]


@pytest.mark.parametrize("numbers_of_it", NFLOWS)
def test_nflows_density_and_inverse(numbers_of_it: dict[str, Any]) -> None:
    pytest.importorskip("nflows")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nflows.flows.autoregressive import MaskedAutoregressiveFlow
    torch.manual_seed(0)
    shape = {"num_layers": 3, "num_blocks_per_layer": 2}
    theirs = stirred(MaskedAutoregressiveFlow(**shape, **numbers_of_it))
    ours = from_nflows(theirs.state_dict())
    x, z = (numbers(seed, 6, numbers_of_it["features"]) for seed in (1, 2))
    with torch.no_grad():
        torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))
        inverse = theirs._transform.inverse(z)[0]
        torch.testing.assert_close(ours(z), inverse, rtol=1e-9, atol=1e-9)


def of_before(flow: Any) -> dict[str, Tensor]:
    """A state as zuko 1.0 to 1.5 write it."""
    names = {"base.loc": "base._0", "base.scale": "base._1"}
    return {names.get(name, name): tensor for name, tensor in flow.state_dict().items()}


def zukos(slope: float, activation: type[torch.nn.Module] = torch.nn.ReLU) -> Any:
    """A flow with factors far enough from 1 to tell slopes apart."""
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(0)
    univariate = partial(zuko.transforms.MonotonicAffineTransform, slope=slope)
    sizes = {"transforms": 2, "hidden_features": (8, 8), "shapes": [(), ()]}
    return zuko.flows.MAF(5, activation=activation, univariate=univariate, **sizes)


@pytest.mark.parametrize("slope", [1e-3, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_zukos_slope_is_given_or_found_by_densities(slope: float, dtype: torch.dtype) -> None:
    theirs = stirred(zukos(slope)).to(dtype)
    state, x = of_before(theirs), numbers(1, 20, 5).to(dtype)
    with torch.no_grad():
        given = theirs().log_prob(x)
        for ours in (from_zuko(state, slope=slope), from_zuko(state, check=(x, given))):
            torch.testing.assert_close(ours.log_prob(x), given)
    with pytest.raises(NaqshError, match="give slope, or check"):
        from_zuko(state)
    other = {1e-3: 1e-4, 1e-4: 1e-3}[slope]
    with pytest.raises(NaqshError, match=f"they agree with activation relu, slope {slope:g}"):
        from_zuko(state, slope=other, check=(x, given))
    for wrong in (0.0, 1.0, -1e-3):
        with pytest.raises(NaqshError, match="must lie in"):
            from_zuko(state, slope=wrong)


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Softplus, nn.Tanh],
    ids=lambda one: one.__name__,
)
def test_zukos_activation_is_given_and_checked(activation: type[nn.Module]) -> None:
    theirs = stirred(zukos(1e-3, activation))
    state, x = theirs.state_dict(), numbers(1, 20, 5)
    with torch.no_grad():
        given = theirs().log_prob(x)
        ours = from_zuko(state, activation=activation.__name__, check=(x, given))
        torch.testing.assert_close(ours.log_prob(x), given)
        inverse = theirs().transform.inv(x)
        torch.testing.assert_close(ours(x), inverse, rtol=1e-9, atol=1e-9)
    wrong = "elu" if activation is nn.ReLU else "relu"
    told = f"they agree with activation {activation.__name__.lower()}, slope 0.001"
    with pytest.raises(NaqshError, match=told):
        from_zuko(state, activation=wrong, check=(x, given))
    with pytest.raises(NaqshError, match="no activation named 'gelu'"):
        from_zuko(state, activation="gelu", check=(x, given))


def test_nflows_activation_is_given_and_checked() -> None:
    pytest.importorskip("nflows")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nflows.flows.autoregressive import MaskedAutoregressiveFlow
    torch.manual_seed(0)
    sizes = {"features": 5, "hidden_features": 8, "num_layers": 2, "num_blocks_per_layer": 2}
    plain = MaskedAutoregressiveFlow(**sizes, use_residual_blocks=False, activation=torch.tanh)
    theirs, x = stirred(plain), numbers(1, 20, 5)
    with torch.no_grad():
        given = theirs.log_prob(x)
        ours = from_nflows(theirs.state_dict(), activation="tanh", check=(x, given))
        torch.testing.assert_close(ours.log_prob(x), given)
    with pytest.raises(NaqshError, match="they agree with activation tanh"):
        from_nflows(theirs.state_dict(), check=(x, given))
    residual = stirred(MaskedAutoregressiveFlow(**sizes))
    with pytest.raises(NaqshError, match="ReLU alone, not tanh"):
        from_nflows(residual.state_dict(), activation="tanh")
    with pytest.raises(NaqshError, match="is not the one that was given"):
        from_nflows(residual.state_dict(), check=(x, given))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("package", ["zuko", "nflows"])
def test_half_precision_is_read_as_single(dtype: torch.dtype, package: str) -> None:
    pytest.importorskip(package)
    if package == "zuko":
        read, state = partial(from_zuko, slope=1e-3), zukos(1e-3).state_dict()
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nflows.flows.autoregressive import MaskedAutoregressiveFlow
        read, state = from_nflows, MaskedAutoregressiveFlow(5, 8, 2, 2).state_dict()
    # Every number as half precision holds it.
    half = {n: t.to(dtype) if t.is_floating_point() else t for n, t in state.items()}
    single = {n: t.float() if t.is_floating_point() else t for n, t in half.items()}
    flow, expected = read(half), read(single)
    x = numbers(1, 4, 5).float()
    with torch.no_grad():
        assert torch.equal(flow.log_prob(x), expected.log_prob(x))
        assert flow.sample(Noise(1, 3)).dtype == torch.float32
        assert torch.equal(flow.sample(Noise(1, 3)), expected.sample(Noise(1, 3)))
        read(half, check=(x.to(dtype), expected.log_prob(x.to(dtype).float()).to(dtype)))


@pytest.mark.parametrize(
    ("x", "given"),
    [((20, 4), (20,)), ((20, 5), (19,)), ((5,), (1,)), ((0, 5), (0,)), ((20, 5), (20, 1))],
    ids=str,
)
def test_a_check_of_other_shapes_is_refused(x: tuple[int, ...], given: tuple[int, ...]) -> None:
    state = zukos(1e-3).state_dict()
    with pytest.raises(NaqshError, match=r"check needs vectors \(N, 5\)"):
        from_zuko(state, check=(torch.zeros(x), torch.zeros(given)))


def test_densities_that_are_no_numbers_do_not_agree() -> None:
    theirs = zukos(1e-3)
    x = numbers(1, 2, 5).float()
    with pytest.raises(NaqshError, match="is not the one"):
        from_zuko(theirs.state_dict(), check=(x, torch.full((2,), torch.nan)))


@pytest.mark.parametrize("name", names())
def test_an_activations_slope_follows_from_its_value(name: str) -> None:
    one = by_name(name)
    x = torch.linspace(-3, 3, 50, dtype=torch.float64).requires_grad_()  # 0 is not among them
    (slope,) = torch.autograd.grad(one(x).sum(), x)
    torch.testing.assert_close(one.slope(one(x)).double(), slope)
    values = x.detach().clone()
    assert torch.equal(one.in_place(values), one(x.detach()))
    assert torch.equal(values, one(x.detach()))
    assert copy.deepcopy(one) is one


def test_an_imported_flow_samples_and_learns() -> None:
    zuko = pytest.importorskip("zuko")
    flow = from_zuko(
        zuko.flows.MAF(6, 0, transforms=2, hidden_features=(8, 8)).state_dict(), slope=1e-3
    )
    assert isinstance(flow, ImportedFlow)
    with torch.no_grad():
        samples = flow.sample(Noise(1, 5))
        torch.testing.assert_close(samples[2:], flow.sample(Noise(1, 3, first=2)))
    flow.log_prob(samples).sum().backward()
    assert all(parameter.grad is not None for parameter in flow.parameters())


@pytest.mark.parametrize("activation", ["relu", "elu", "tanh"])
@pytest.mark.parametrize("affine", [ZukoAffine(), ZukoAffine(1e-4), NflowsAffine()])
def test_their_maps_have_the_right_gradients(affine: Affine, activation: str) -> None:
    raw = numbers(1, 5, 4).mul(3).requires_grad_()
    log_scale = affine.log_scale(raw)
    (slope,) = torch.autograd.grad(log_scale.sum(), raw)
    torch.testing.assert_close(affine.log_scale_slope(log_scale.detach()), slope)
    torch.manual_seed(0)
    one = Autoregressive(5, (7,), affine)
    one.made = MADE(5, (7, 6), activation=by_name(activation))
    one.double()
    with torch.no_grad():
        one.made.output.weight.mul_(50)
    z = numbers(2, 3, 5).requires_grad_()
    weights = [z, *one.parameters()]
    naive = one.naive_inverse(z)
    theirs = torch.autograd.grad((naive.sin() - one(naive)[1].cos()).sum(), weights)
    x, log_det = one.inverse_with_log_det(z)
    ours = torch.autograd.grad((x.sin() - log_det.cos()).sum(), weights)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-10)


def test_other_flows_are_refused() -> None:
    zuko = pytest.importorskip("zuko")
    with pytest.raises(NaqshError, match="no MAF of nflows"):
        from_nflows(zuko.flows.MAF(3).state_dict())
    with pytest.raises(NaqshError, match="no MAF of zuko"):
        from_zuko({"weight": torch.zeros(2, 2)})
    with pytest.raises(NaqshError, match="only affine"):
        from_zuko(zuko.flows.NSF(3).state_dict(), slope=1e-3)
    with pytest.raises(NaqshError, match="context"):
        from_zuko(zuko.flows.MAF(3, 2).state_dict(), slope=1e-3)
    with pytest.raises(NaqshError, match="can be read here"):
        from_zuko(zuko.flows.MAF(3, hidden_features=(4, 4), residual=True).state_dict(), slope=1e-3)
    state = zuko.flows.MAF(3, hidden_features=(4,), transforms=1).state_dict()
    state["transform.transforms.0.order"] = torch.tensor([2, 1, 0])
    with pytest.raises(NaqshError, match="not autoregressive"):
        from_zuko(state, slope=1e-3)
    del state["transform.transforms.0.hyper.0.mask"]
    with pytest.raises(NaqshError, match="has no 'hyper"):
        from_zuko(state, slope=1e-3)
