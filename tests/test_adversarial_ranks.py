"""What looks at a whole batch sees all ranks': two over gloo, each with a half, are one."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from naqsh.core import ranks
from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.optimizers import SGD
from naqsh.core.spec import Layout
from naqsh.core.world import join
from naqsh.methods import gan
from naqsh.networks.minibatch import Minibatch
from running import ranks as run_ranks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork")


def features() -> Tensor:
    return torch.randn(6, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def discriminated(own: Tensor) -> dict[str, Tensor]:
    """What minibatch discrimination adds, and gradients of its mean, of two orders."""
    torch.manual_seed(0)
    layer = Minibatch(7, 3).double()
    own = own.clone().requires_grad_()
    added = layer(own)[:, 7:]
    (first,) = torch.autograd.grad(added.square().mean(), own, create_graph=True)
    first.square().mean().backward()
    assert own.grad is not None
    assert layer.weight.grad is not None
    found = {"added": added, "first": first, "second": own.grad, "weight": layer.weight.grad}
    return {name: value.detach() for name, value in found.items()}


SWITCHES: dict[str, dict[str, Any]] = {
    "minibatch": {"minibatch": 3},
    "feature matching": {"feature_matching": True},
    "packing": {"packing": 2, "gradient_penalty": 1.0},
    "unroll": {"unroll": 2},
    "all": {"unroll": 2, "minibatch": 3, "feature_matching": True},
    "mgan": {"generators": 3},
}


def learnt(name: str, first: int, count: int) -> dict[str, Tensor]:
    """A GAN's gradients of the mean over images `first` to `first + count` of a batch of eight."""
    torch.manual_seed(2)
    spec = gan.Spec(latent=4, critic=SGD(lr=0.5), **SWITCHES[name])
    method = spec.build(Layout((2, 1, 1))).train()
    images = Noise(5, 8).uniform(2, 1, 1)[first : first + count] * 2 - 1
    found = {}
    for phase in method.phases():
        losses = phase.loss(Batch(images, None, Noise(6, count, first)), 1)
        weights = phase.parameters()
        gradients = torch.autograd.grad(losses["total"], weights)
        found[phase.name] = torch.cat([gradient.flatten() for gradient in gradients])
    return found


def half_of_a_rank(rank: int, where: str) -> None:
    with join("cpu"):
        half = slice(3 * rank, 3 * rank + 3)
        own = features()[half]
        found = discriminated(own) | {"gathered": ranks.gathered(own)}
        for name in SWITCHES:
            for phase, gradient in learnt(name, 4 * rank, 4).items():
                found[f"{name}, {phase}"] = gradient
    torch.save(found, Path(where) / f"{rank}.pt")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    where = tmp_path_factory.mktemp("parts")
    assert run_ranks(2, half_of_a_rank, str(where)) == [0, 0]
    return [torch.load(where / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_every_rank_is_given_all_images_in_order(parts: list[dict[str, Tensor]]) -> None:
    assert all(torch.equal(part["gathered"], features()) for part in parts)


def test_minibatch_discrimination_is_of_all_ranks(parts: list[dict[str, Tensor]]) -> None:
    """Each rank's loss is the mean of its half, so a gradient is twice that of the whole mean."""
    whole = discriminated(features())
    close = {"rtol": 1e-9, "atol": 1e-12}

    def both(name: str) -> Tensor:
        return torch.cat([part[name] for part in parts])

    torch.testing.assert_close(both("added"), whole["added"], **close)
    torch.testing.assert_close(both("first") / 2, whole["first"], **close)
    # Of the square of twice as much, over half of the numbers.
    torch.testing.assert_close(both("second") / 8, whole["second"], **close)
    weight = (parts[0]["weight"] + parts[1]["weight"]) / 8
    torch.testing.assert_close(weight, whole["weight"], **close)
    assert float(whole["second"].norm()) > 1e-4


@pytest.mark.parametrize("phase", ["critic", "generator"])
@pytest.mark.parametrize("name", SWITCHES)
def test_two_ranks_learn_as_one(name: str, phase: str, parts: list[dict[str, Tensor]]) -> None:
    """The mean of their gradients, as the trainer takes it, is that of one rank's whole batch.

    Equal but for float32 sums in another order, some 1e-6 of a gradient; that of half of a batch
    is another by far more.
    """
    whole = learnt(name, 0, 8)[phase]
    mean = (parts[0][f"{name}, {phase}"] + parts[1][f"{name}, {phase}"]) / 2
    assert float((mean - whole).norm()) < 1e-4 * float(whole.norm())
    assert float((learnt(name, 0, 4)[phase] - whole).norm()) > 1e-2 * float(whole.norm())
