"""Flows of zuko and nflows on their own weights: the same densities, their inverse, quickly."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from naqsh.errors import NaqshError
from naqsh.flows.autoregressive import Autoregressive
from naqsh.flows.importing import (
    Affine,
    ImportedFlow,
    NflowsAffine,
    ZukoAffine,
    from_nflows,
    from_zuko,
)
from naqsh.noise import Noise


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
    ours = from_zuko(theirs.state_dict())
    x = numbers(1, 6, numbers_of_it["features"])
    with torch.no_grad():
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


def test_an_imported_flow_samples_and_learns() -> None:
    zuko = pytest.importorskip("zuko")
    flow = from_zuko(zuko.flows.MAF(6, 0, transforms=2, hidden_features=(8, 8)).state_dict())
    assert isinstance(flow, ImportedFlow)
    with torch.no_grad():
        samples = flow.sample(Noise(1, 5))
        torch.testing.assert_close(samples[2:], flow.sample(Noise(1, 3, first=2)))
    flow.log_prob(samples).sum().backward()
    assert all(parameter.grad is not None for parameter in flow.parameters())


@pytest.mark.parametrize("affine", [ZukoAffine(), NflowsAffine()])
def test_their_maps_have_the_right_gradients(affine: Affine) -> None:
    raw = numbers(1, 5, 4).mul(3).requires_grad_()
    log_scale = affine.log_scale(raw)
    (slope,) = torch.autograd.grad(log_scale.sum(), raw)
    torch.testing.assert_close(affine.log_scale_slope(log_scale.detach()), slope)
    torch.manual_seed(0)
    one = Autoregressive(5, (7,), affine).double()
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
        from_zuko(zuko.flows.NSF(3).state_dict())
    with pytest.raises(NaqshError, match="context"):
        from_zuko(zuko.flows.MAF(3, 2).state_dict())
    with pytest.raises(NaqshError, match="can be read here"):
        from_zuko(zuko.flows.MAF(3, hidden_features=(4, 4), residual=True).state_dict())
    state = zuko.flows.MAF(3, hidden_features=(4,), transforms=1).state_dict()
    state["transform.transforms.0.order"] = torch.tensor([2, 1, 0])
    with pytest.raises(NaqshError, match="not autoregressive"):
        from_zuko(state)
    del state["transform.transforms.0.hyper.0.mask"]
    with pytest.raises(NaqshError, match="has no 'hyper"):
        from_zuko(state)
