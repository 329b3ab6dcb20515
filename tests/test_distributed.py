"""Two ranks over gloo are one: the same weights on both, and those of one rank."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from naqsh import api
from naqsh import api as run
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.core.world import GlobalBatchNorm, World, join, synchronise_batch_norm
from naqsh.io.foreign import read_lines
from naqsh.networks.pool import Pool
from naqsh.runs.folder import RunFolder
from naqsh.training import building, loop
from running import PATIENCE, differences, everything, ranks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork")

CPU = torch.device("cpu")

# --- the parts ------------------------------------------------------------------------------------

SHAPES = {"flat": (12, 5), "maps": (8, 3, 4, 6), "two": (2, 4)}


def norm_input(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Values far from zero mean, and the weights of a loss over them, in float64."""
    generator = torch.Generator().manual_seed(len(shape))
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 7
    return x, torch.randn(shape, generator=generator, dtype=torch.float64)


def norm_layer(shape: tuple[int, ...]) -> nn.Module:
    torch.manual_seed(1)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    layer = kind(shape[1], eps=1e-3, momentum=0.3).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer


def norm_results(layer: nn.Module, x: torch.Tensor, weights: torch.Tensor) -> dict:
    """Two steps in training mode, one in eval mode, and the gradients of the second step."""
    layer.train()
    layer(x * 0.5)
    x = x.clone().requires_grad_()
    y = layer(x)
    (y * weights).sum().backward()
    state = {f"state {name}": value.clone() for name, value in layer.state_dict().items()}
    layer.eval()
    gradients = {"x": x.grad, "weight": layer.weight.grad, "bias": layer.bias.grad}
    return {"y": y.detach(), "eval": layer(x).detach(), **gradients, **state}


def pool_input(step: int) -> torch.Tensor:
    return torch.arange(6 * step, 6 * step + 6, dtype=torch.float32).view(-1, 1, 1, 1)


def parts_of_a_rank(rank: int, where: str) -> None:
    found: dict = {"norms": {}}
    with join("cpu") as world:
        for name, shape in SHAPES.items():
            x, weights = norm_input(shape)
            half = slice(rank * len(x) // 2, (rank + 1) * len(x) // 2)
            holder = nn.Sequential(nn.Sequential(norm_layer(shape)))
            synchronise_batch_norm(holder)
            found["norms"][name] = norm_results(holder[0][0], x[half], weights[half])
            holder = nn.Sequential(norm_layer(shape).float())
            synchronise_batch_norm(holder)
            y = holder(x[half].detach().bfloat16()).detach()
            found["norms"][name]["bfloat16"] = y, holder[0].running_var
        pools, given = [Pool(5, (1, 1, 1)) for _ in "ab"], []
        for step in range(10):
            noise = Noise(step, 3, first=3 * rank)
            own = pool_input(step)[3 * rank : 3 * rank + 3]
            given.append(torch.stack([pool(own, noise) for pool in pools]))
        found["pools"] = torch.stack([pool.images for pool in pools]), torch.stack(given)
        found["any"] = [world.any(flag) for flag in (False, rank == 1, rank == 0, True)]
        found["mean"] = world.mean(torch.tensor([1.0 + rank, 5.0 * rank])).tolist()
        weights = [nn.Parameter(torch.zeros(n)) for n in (2, 3, 1)]
        weights[0].grad = torch.tensor([1.0, 2.0]) * (rank + 1)
        if rank == 1:  # the others have no gradient here, nor has the last one anywhere
            weights[1].grad = torch.ones(3)
        world.reduce_gradients(weights)
        found["gradients"] = [parameter.grad for parameter in weights]
        torch.manual_seed(rank)
        module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        module[1].running_mean.fill_(rank)
        module[1].num_batches_tracked.fill_(10 + rank)
        world.broadcast(module)
        found["module"] = {name: value.clone() for name, value in module.state_dict().items()}
    torch.save(found, Path(where) / f"{rank}.pt")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    where = tmp_path_factory.mktemp("parts")
    assert ranks(2, parts_of_a_rank, str(where)) == [0, 0]
    return [torch.load(where / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", SHAPES)
def test_batch_normalisation_over_ranks_is_that_over_the_whole_batch(name, parts):
    a, b = ({k: v for k, v in part["norms"][name].items() if k != "bfloat16"} for part in parts)
    whole = norm_results(norm_layer(SHAPES[name]), *norm_input(SHAPES[name]))
    assert a.keys() == b.keys() == whole.keys()
    for key, expected in whole.items():
        if key in ("y", "eval", "x"):
            got = torch.cat([a[key], b[key]])
        elif key in ("weight", "bias"):
            got = a[key] + b[key]  # which the trainer's all-reduce adds up
        else:
            got = a[key]
            assert torch.equal(a[key], b[key])
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-11, msg=lambda m, k=key: k + m)


@pytest.mark.parametrize("name", SHAPES)
def test_batch_normalisation_over_ranks_keeps_bfloat16_and_its_statistics(name, parts):
    (a, variance), (b, _) = (part["norms"][name]["bfloat16"] for part in parts)
    layer = norm_layer(SHAPES[name]).float()
    expected = layer(norm_input(SHAPES[name])[0].detach().bfloat16().float()).detach()
    assert a.dtype == b.dtype == torch.bfloat16
    # Rounded once, at the end: half of the last of 8 bits.
    torch.testing.assert_close(torch.cat([a, b]).float(), expected, rtol=2**-8, atol=2**-20)
    torch.testing.assert_close(variance, layer.running_var, rtol=1e-5, atol=1e-6)


def test_every_rank_has_the_pools_that_one_would_have(parts):
    """Two pools of five, one after the other from the same noise, in ten batches of six."""
    pools, given = [Pool(5, (1, 1, 1)) for _ in "ab"], []
    for step in range(10):
        noise = Noise(step, 6)
        given.append(torch.stack([pool(pool_input(step), noise) for pool in pools]))
    expected = torch.stack([pool.images for pool in pools])
    assert not torch.equal(expected[0], expected[1]), "each has coins of its own"
    for rank, (images, own) in enumerate(part["pools"] for part in parts):
        assert torch.equal(images, expected)
        assert torch.equal(own, torch.stack(given)[:, :, 3 * rank : 3 * rank + 3])


def test_what_ranks_agree_on(parts):
    for part in parts:
        assert part["any"] == [False, True, True, True]
        assert part["mean"] == [1.5, 2.5]
        first, second, third = part["gradients"]
        assert first.tolist() == [1.5, 3.0]
        assert second.tolist() == [0.5] * 3
        assert third.tolist() == [0.0]
        for name, value in part["module"].items():
            assert torch.equal(value, parts[0]["module"][name])
        assert part["module"]["1.num_batches_tracked"] == 10


def test_a_world_of_one_needs_no_group():
    world = World(0, 1, CPU)
    parameter = nn.Parameter(torch.zeros(2))
    world.reduce_gradients([parameter])
    assert parameter.grad is None
    assert world.mean(torch.tensor([2.0])).item() == 2.0
    assert (world.any(True), world.any(False), world.leads) == (True, False, True)
    assert world.share(10) == 10
    assert not dist.is_initialized()


def test_shares():
    assert World(1, 4, CPU).share(64) == 16
    assert World(1, 4, CPU).share(64, 8) == 16
    with pytest.raises(NaqshError, match=r"training\.batch 64 does not divide into 3 ranks$"):
        World(0, 3, CPU).share(64)
    with pytest.raises(NaqshError, match="batch 12 does not divide into 2 ranks of 4 parts each"):
        World(0, 2, CPU).share(12, 4)


def test_synchronised_layers_keep_their_names_and_weights():
    method = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3)))
    before = {name: value.clone() for name, value in method.state_dict().items()}
    parameters = [id(p) for p in method.parameters()]
    synchronise_batch_norm(method)
    assert isinstance(method[1][0], GlobalBatchNorm)
    assert [id(p) for p in method.parameters()] == parameters
    after = method.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


# --- training -------------------------------------------------------------------------------------

STEPS = 4
SGD = {
    f"method.{phase}.{name}": value
    for phase in ("critic", "generator")
    for name, value in (("kind", "sgd"), ("lr", 0.05))
}
ONE = {"method.optimizer.kind": "sgd", "method.optimizer.lr": 1e-4}
CONTROL = {"data.name": "digits", "method.kp": 1.0, "method.ki": 0.05}
SMALL = {"training.batch": 16, "training.steps": STEPS, "training.precision": "float32"}
RECIPES = {
    "gan-digits": SMALL | SGD | {"training.accumulate": 2, "training.ema": 0.5},
    "wgan-gp-digits": SMALL | SGD | {"method.n_critic": 2, "training.clip_norm": 1.0},
    # Losses that are functions of the whole batch's means; each rank's own would differ.
    "vae-iaf-digits": SMALL | ONE | {"method.free_bits": 0.2, "method.latent": 8},
    "vae-digits": SMALL | ONE | {"method.free_bits": 0.2, "training.accumulate": 2},
    "controlvae-dsprites": SMALL | ONE | CONTROL | {"training.accumulate": 2},
    "cyclegan-digits": SMALL | SGD | {"method.pool": 20, "training.accumulate": 2},
    "ddpm-digits": SMALL | ONE | {"method.optimizer.lr": 0.05, "training.accumulate": 2},
}


def train_as_rank(rank: int, where: str) -> None:
    """Train each recipe and keep what this rank's method ends with."""
    finish = loop.Trainer.run

    def keep(trainer: loop.Trainer) -> None:
        finish(trainer)
        path = Path(where) / f"{trainer.recipe.name}-{rank}.pt"
        torch.save(trainer.method.state_dict(), path)

    loop.Trainer.run = keep  # type: ignore[method-assign]
    for name, changes in RECIPES.items():
        api.train(name, out=Path(where) / name, overrides=changes, device="cpu", quiet=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of the same recipes, trained by two ranks and by one."""
    two, one = tmp_path_factory.mktemp("two"), tmp_path_factory.mktemp("one")
    assert ranks(2, train_as_rank, str(two)) == [0, 0]
    for name, changes in RECIPES.items():
        api.train(name, out=one / name, overrides=changes, device="cpu", quiet=True)
    return two, one


@pytest.mark.parametrize("name", RECIPES)
def test_both_ranks_end_with_the_same_weights(name, trained):
    a, b = (torch.load(trained[0] / f"{name}-{r}.pt", weights_only=True) for r in (0, 1))
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


# Normalisation of a generator's nearly constant features on digits magnifies rounding a thousand
# times a step, as it does between one rank's batch whole and in parts.
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "cyclegan-digits"])
def test_two_ranks_train_as_one_on_the_same_batch(name, trained):
    """With plain gradient descent, only the order of float32 sums differs.

    A sum of some hundred terms in another order moves a gradient by a few units of 6e-8 of its
    largest terms; gradients here are below 10, so that a step of 0.05 moves a weight by less than
    1e-7, and some steps by less than 2e-6. A gradient that is added where it should be averaged, or
    a batch normalised by half, moves weights by a thousandth and more.
    """
    two, one = (everything(folder / name) for folder in trained)
    assert two.keys() == one.keys()
    recipe = run.open(trained[1] / name).recipe
    start = building.build(recipe, Layout((1, 16, 16), tuple("0123456789"))).state_dict()
    moved = 0.0
    for key, value in one.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            torch.testing.assert_close(two[key], value, rtol=1e-5, atol=2e-6, msg=key)
            if key.startswith("weights.") and "running" not in key:
                moved = max(moved, float((value - start[key[8:]]).abs().max()))
    assert moved > 1e-3
    a, b = (read_lines(folder / name / "metrics.jsonl")[-1]["losses"] for folder in trained)
    assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_a_run_of_two_ranks_is_opened_like_any_other(trained):
    two, one = (run.open(folder / "gan-digits").sample(3, seed=5) for folder in trained)
    assert two.shape == (3, 1, 16, 16)
    torch.testing.assert_close(two, one, rtol=0, atol=1e-4)


def refused_as_rank(rank: int, where: str) -> None:
    from naqsh import cli

    sys.stderr = (Path(where) / f"log-{rank}").open("w")
    shared = ["train", "gan-digits", "--device", "cpu", "--steps", "3", "--out", f"{where}/run"]
    codes = [
        cli.main([*shared, "--training.batch", "15"]),
        cli.main([*shared, "--training.batch", "20", "--training.accumulate", "4"]),
        cli.main([*shared, "--training.batch", "16", "--method.generator.lr", "1e39"]),
    ]
    sys.stderr.close()
    sys.exit(0 if codes == [2, 2, 2] else 1)


def test_ranks_refuse_together(tmp_path):
    assert ranks(2, refused_as_rank, str(tmp_path)) == [0, 0]
    for rank in (0, 1):
        lines = [
            line
            for line in (tmp_path / f"log-{rank}").read_text().splitlines()
            if line.startswith("naqsh: ")
        ]
        assert len(lines) == 3
        assert lines[0] == "naqsh: training.batch 15 does not divide into 2 ranks"
        assert lines[1] == "naqsh: training.batch 20 does not divide into 2 ranks of 4 parts each"
        # Infinite, or where a gradient was 0 to the bit, which precision decides, infinity times 0.
        assert re.search(r"linear1.weight of phase generator is (inf|nan) in step 1", lines[2])


# --- interruptions --------------------------------------------------------------------------------

LONG = ["--training.batch", "16", "--steps", "12", "--device", "cpu", "--training.ema", "0.9"]
DRIVER = """
import os, signal, sys
from pathlib import Path
from naqsh.cli import main
from naqsh.training import loop

loop.LOG_EVERY, loop.CHECKPOINT_SECONDS = 2, -1.0
mark, step = Path(sys.argv[1]), loop.Trainer.step

def dies_once(trainer):
    if trainer.world.rank == 1 and trainer.state.step == 7 and not mark.exists():
        mark.write_text("killed")
        os.kill(os.getpid(), signal.SIGKILL)
    step(trainer)

loop.Trainer.step = dies_once
sys.exit(main(sys.argv[2:]))
"""


def long_as_rank(rank: int, folder: str, stop: int | None = None) -> None:
    from naqsh import cli

    sys.stderr = Path(f"{folder}-log-{rank}").open("a")  # noqa: SIM115
    loop.LOG_EVERY, loop.CHECKPOINT_SECONDS = 2, -1.0
    step = loop.Trainer.step

    def stopped(trainer: loop.Trainer) -> None:
        if rank == 1 and trainer.state.step == stop:
            os.kill(os.getpid(), signal.SIGTERM)
        step(trainer)

    loop.Trainer.step = stopped  # type: ignore[method-assign]
    code = cli.main(["train", "gan-digits", "--out", folder, *LONG])
    sys.stderr.close()
    sys.exit(code)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight") / "run"
    assert ranks(2, long_as_rank, str(folder)) == [0, 0]
    return everything(folder)


def test_a_killed_rank_is_restarted_from_the_last_checkpoint(straight, tmp_path):
    driver, mark, folder = tmp_path / "driver.py", tmp_path / "mark", tmp_path / "run"
    driver.write_text(DRIVER)
    launcher = (
        "-m torch.distributed.run --nproc-per-node 2 --max-restarts 1 --rdzv-backend c10d "
        "--rdzv-endpoint 127.0.0.1:0 --local-addr 127.0.0.1"
    )
    command = [sys.executable, *launcher.split(), str(driver), str(mark)]
    command += ["train", "gan-digits", "--out", str(folder), *LONG]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        environment.pop(name, None)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            code = process.wait(PATIENCE)
        finally:
            process.terminate()  # which it hands on to its ranks
            process.wait()
    assert code == 0, (tmp_path / "log").read_text()[-3000:]
    assert mark.exists()
    assert differences(everything(folder), straight) == set()
    assert [r["step"] for r in read_lines(folder / "metrics.jsonl")] == [2, 4, 6, 8, 10, 12]


def test_ranks_stop_together_and_go_on(straight, tmp_path):
    folder = tmp_path / "run"
    # Only one of them is told; both save and leave after the same step.
    assert ranks(2, long_as_rank, str(folder), 4) == [143, 143]
    assert RunFolder(folder).steps()[-1] == 5
    assert "naqsh: stopped after step 5 by SIGTERM" in Path(f"{folder}-log-0").read_text()
    assert ranks(2, long_as_rank, str(folder)) == [0, 0]
    assert differences(everything(folder), straight) == set()
