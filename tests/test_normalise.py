"""Normalisation in flows: against autograd and PyTorch's own, in training, evaluation and ranks."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from naqsh.core.noise import Noise
from naqsh.core.world import join
from naqsh.flows.normalise import ActNorm, BatchNormFlow, Normalise
from running import ranks

LAYERS = (ActNorm, BatchNormFlow)


def vectors(count: int = 8, seed: int = 0) -> Tensor:
    """Six numbers each, far from zero mean and unit deviation."""
    numbers = Noise(seed, count).normal(6).double()
    return numbers * torch.tensor([0.1, 1, 3, 1, 20, 1]) + torch.tensor([5.0, -3, 0, 0, 100, 1])


def layer(kind: type[Normalise], channels: int = 6, pixels: int = 1) -> Normalise:
    """In double precision, with learnt numbers that do something."""
    one = kind(channels, pixels).double()
    with torch.no_grad():
        one.log_scale.copy_(Noise(7, 1).normal(channels)[0] / 2)
        one.shift.copy_(Noise(8, 1).normal(channels)[0])
    return one


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("channels", "pixels"), [(6, 1), (3, 2)])
def test_evaluation_is_undone_and_has_autograds_determinant(
    kind: type[Normalise], channels: int, pixels: int
) -> None:
    one = layer(kind, channels, pixels)
    for seed in range(3):
        one.train()(vectors(seed=seed))
    one.eval()
    x = vectors(seed=9)
    z, log_factors = one(x)
    assert log_factors.shape == x.shape
    # Relative to values near 100, a few roundings of double precision.
    torch.testing.assert_close(one.inverse(z), x, rtol=0, atol=1e-11)
    for row, told in zip(x, log_factors, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: one(v[None])[0][0], row)
        torch.testing.assert_close(jacobian.diagonal().log(), told, rtol=0, atol=1e-12)
        assert not (jacobian - torch.diag(jacobian.diagonal())).any()


@pytest.mark.parametrize("pixels", [1, 2])
def test_batch_norm_is_pytorchs(pixels: int) -> None:
    channels = 6 // pixels
    theirs = nn.BatchNorm1d(channels, momentum=0.3).double()
    mine = BatchNormFlow(channels, pixels, momentum=0.3).double()
    weights = Noise(4, 8).normal(6).double()
    for seed in range(3):
        x, same = vectors(seed=seed).requires_grad_(), vectors(seed=seed).requires_grad_()
        z = mine(x)[0]
        expected = theirs(same.view(8, channels, pixels)).flatten(1)
        torch.testing.assert_close(z, expected, rtol=0, atol=1e-11)
        (z * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(x.grad, same.grad, rtol=0, atol=1e-10)
    torch.testing.assert_close(mine.mean, theirs.running_mean)
    torch.testing.assert_close(mine.variance, theirs.running_var)
    mine.eval(), theirs.eval()
    expected = theirs(vectors(seed=5).view(8, channels, pixels)).flatten(1)
    torch.testing.assert_close(mine(vectors(seed=5))[0], expected)


def test_batch_norms_determinant_has_gradients_through_the_batch() -> None:
    one = layer(BatchNormFlow)
    x = vectors().requires_grad_()
    _, log_factors = one(x)
    log_factors.sum().backward()
    # 8 rows of -log(v + eps) / 2, and dv / dx = 2 (x - m) / 8.
    centred = (x - x.mean(0)).detach()
    variance = x.var(0, unbiased=False).detach() + one.epsilon
    torch.testing.assert_close(x.grad, -centred / variance, rtol=0, atol=1e-10)


def test_actnorm_normalises_its_first_batch_and_keeps_its_numbers() -> None:
    one = ActNorm(6).double()
    z, _ = one.eval()(vectors())
    # Nothing is known yet: as good as the identity (the variance 1 has epsilon beside it).
    torch.testing.assert_close(z, vectors(), rtol=1e-5, atol=0)
    assert not one.seen
    z, _ = one.train()(vectors())
    torch.testing.assert_close(z.mean(0), torch.zeros(6).double(), rtol=0, atol=1e-11)
    # epsilon takes part of the smallest variance, 0.01.
    torch.testing.assert_close(z.std(0, unbiased=False), torch.ones(6).double(), rtol=1e-3, atol=0)
    assert one.seen
    before = copy.deepcopy(one.state_dict())
    again, _ = one(vectors())
    other, _ = one(vectors(seed=1) + 50)
    assert torch.equal(again, z)
    assert float(other.mean().detach()) > 1
    assert all(torch.equal(value, before[name]) for name, value in one.state_dict().items())


def test_actnorm_remembers_in_its_state() -> None:
    one, copied = ActNorm(6).double(), ActNorm(6).double()
    one(vectors())
    copied.load_state_dict(one.state_dict())
    x = vectors(seed=1)
    assert torch.equal(copied.train()(x)[0], one(x)[0])
    assert torch.equal(copied.eval()(x)[0], one(x)[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_step_reads_nothing_back(kind: type[Normalise]) -> None:
    # Tensors on the meta device have no numbers: reading one raises.
    with torch.device("meta"):
        one = kind(3, 4)
        z, log_factors = one(torch.zeros(5, 12))
    assert z.shape == log_factors.shape == (5, 12)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_channel_without_variance_stays_finite(kind: type[Normalise]) -> None:
    one = kind(2)
    z, log_factors = one(torch.tensor([[1.0, 5.0], [2.0, 5.0]]))
    assert z.isfinite().all()
    assert log_factors.isfinite().all()


def test_impossible_statistics_are_refused() -> None:
    with pytest.raises(ValueError, match="more than one value"):
        BatchNormFlow(3)(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="momentum"):
        BatchNormFlow(3, momentum=0.0)


def results(one: Normalise, part: slice) -> dict[str, Tensor]:
    """Two steps, and the second one's output, log-factors and gradients."""
    one(vectors(seed=1)[part])
    x = vectors(seed=2)[part].requires_grad_()
    z, log_factors = one(x)
    (z.square() / 2 - log_factors).sum().backward()
    assert x.grad is not None
    found = {"z": z.detach(), "log_factors": log_factors.detach().clone(), "x": x.grad}
    gradients = {f"gradient {name}": p.grad for name, p in one.named_parameters()}
    return found | {name: g for name, g in gradients.items() if g is not None} | one.state_dict()


def parts_of_a_rank(rank: int, where: str) -> None:
    part = slice(4 * rank, 4 * rank + 4)
    with join("cpu"):
        found = [results(layer(kind), part) for kind in LAYERS]
    torch.save(found, Path(where) / f"{rank}.pt")


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork")
def test_two_ranks_are_one(tmp_path: Path) -> None:
    assert ranks(2, parts_of_a_rank, str(tmp_path)) == [0, 0]
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for kind, first, second in zip(LAYERS, *parts, strict=True):
        whole = results(layer(kind), slice(None))
        assert first.keys() == second.keys() == whole.keys()
        for name, expected in whole.items():
            got = first[name]
            if name in ("z", "log_factors", "x"):
                got = torch.cat([first[name], second[name]])
            elif name.startswith("gradient"):
                got = first[name] + second[name]  # which the trainer's all-reduce adds up
            else:
                assert torch.equal(got, second[name])
            # Sums of eight in two orders, in double precision.
            torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)
