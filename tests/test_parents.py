"""Methods on other runs, and training that begins with another run's weights."""

import copy
import shutil
import sys
from pathlib import Path

import pytest
import torch

import naqsh
from naqsh import recipes
from naqsh.core.errors import NaqshError
from naqsh.core.frozen import Frozen
from naqsh.core.method import Phase
from naqsh.core.optimizers import SGD
from naqsh.recipes.recipe import REGISTRY, from_yaml
from naqsh.training import building

pytestmark = pytest.mark.usefixtures("small_grids")

TINY = {"method.width": 1, "training.batch": 8, "training.steps": 4}


@pytest.fixture(autouse=True)
def plugin(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "plugins")
    monkeypatch.setenv("NAQSH_PLUGINS", "shifted")
    yield
    REGISTRY.pop("shifted-digits", None)
    sys.modules.pop("shifted", None)


@pytest.fixture
def parent(alone) -> str:
    naqsh.train("gan-digits", out="first", overrides=TINY, device="cpu", quiet=True)
    return "first"


def child(out: str, parent: str = "first", **changes: object) -> naqsh.Run:
    numbers = {"method.first.run": parent} | changes
    return naqsh.train("shifted-digits", out=out, overrides=numbers, device="cpu", quiet=True)


def weights(folder: str) -> dict[str, torch.Tensor]:
    return naqsh.open(folder).method.state_dict()


def test_what_is_frozen_stands_still():
    inner = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    outer = torch.nn.Sequential(Frozen(inner), torch.nn.Linear(3, 2)).train()
    assert not inner.training
    assert not any(
        p.requires_grad for p in outer.requires_grad_(True)[0].requires_grad_().parameters()
    )
    own = Phase("all", [outer], lambda batch, step: {}, SGD()).parameters()
    assert {id(p) for p in own} == {id(p) for p in outer[1].parameters()}
    twin = copy.deepcopy(outer)
    assert twin[0] is outer[0]
    assert twin[1] is not outer[1]
    given = torch.randn(4, 3, requires_grad=True)
    outer(given).sum().backward()
    assert given.grad is not None  # gradients flow through it


def test_a_run_on_another_needs_it_at_the_beginning_alone(parent, alone):
    first = weights(parent)
    made = child("second")
    for name, value in first.items():
        assert torch.equal(weights("second")[f"first.module.{name}"], value), name
    assert made.method.shift.weight.item() != 0
    recipe = from_yaml((alone / "second" / "recipe.yaml").read_text())
    assert recipe.method.first.run == "first"
    assert len(recipe.method.first.sha256) == 64
    assert recipe.method.first.layout.shape == (1, 16, 16)
    shutil.rmtree(parent)
    samples = naqsh.open("second").sample(3)
    assert samples.shape == (3, 1, 16, 16)
    longer = child("second", **{"training.steps": 9})  # resumes without the parent
    assert longer.step == 9
    for name, value in first.items():
        assert torch.equal(weights("second")[f"first.module.{name}"], value), name


def test_the_parent_is_asked_for_and_must_be_there(parent, alone):
    with pytest.raises(NaqshError, match=r"stands on another run; give it: --method\.first\.run"):
        naqsh.train("shifted-digits", out="x", device="cpu", quiet=True)
    with pytest.raises(NaqshError, match="nowhere"):
        child("x", parent="nowhere")
    child("second")
    changes = TINY | {"training.steps": 5}
    naqsh.train("gan-digits", out="first", overrides=changes, device="cpu", quiet=True)
    file = str(alone / "second" / "recipe.yaml")
    with pytest.raises(NaqshError, match="trained further since"):
        naqsh.train(file, out="third", device="cpu", quiet=True)
    assert not (alone / "x").exists()
    assert not (alone / "third").exists()


def tuned(out: str, **changes: object) -> naqsh.Run:
    numbers = TINY | {"training.init_from": "first", "training.steps": 1} | changes
    return naqsh.train("gan-digits", out=out, overrides=numbers, device="cpu", quiet=True)


def test_training_begins_with_the_weights_of_another_run(parent, capsys):
    still = {"method.generator.lr": 1e-12, "method.critic.lr": 1e-12}
    made = tuned("second", **still)
    fresh = building.build(made.recipe, naqsh.data.load("digits").layout).state_dict()
    for name, value in weights(parent).items():
        if value.dim() > 1:
            got = made.method.state_dict()[name]
            assert (got - value).norm() < 0.1 * (fresh[name] - value).norm(), name
    assert len(made.recipe.training.init_sha256) == 64
    file = naqsh.open(parent).weights_file
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(NaqshError, match="is damaged"):
        tuned("third", **still)
    shutil.rmtree(parent)
    assert tuned("second", **still, **{"training.steps": 2}).step == 2


def test_what_does_not_fit_is_left_fresh_and_said(parent, alone):
    from naqsh.training import parents

    wide = recipes.by_name("gan-digits").override(
        TINY | {"method.latent": 7, "training.init_from": "first"}
    )
    wide = parents.completed(wide, None)
    method = building.build(wide, naqsh.data.load("digits").layout)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    (said,) = parents.load(wide, method)
    fresh = [n for n, v in method.state_dict().items() if v.shape != weights(parent)[n].shape]
    assert fresh
    for name in fresh:
        assert name in said
        assert torch.equal(method.state_dict()[name], before[name])
    other = recipes.by_name("vae-digits").override({"training.init_from": "first"})
    other = parents.completed(other, None)
    with pytest.raises(NaqshError, match="nothing of first fits vae-digits"):
        parents.load(other, building.build(other, naqsh.data.load("digits").layout))
