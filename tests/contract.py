"""The contract that every method keeps, whatever it is: `check_method` runs it on a tiny recipe."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from naqsh.api import Run
from naqsh.core.abilities import Samples, Shows, Validates
from naqsh.core.batch import Batch
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.world import World
from naqsh.data import DataSet, to_float
from naqsh.io.files import write_text
from naqsh.recipes.recipe import Recipe
from naqsh.report.words import LANGUAGES, Words
from naqsh.runs.folder import RunFolder
from naqsh.training.estimate import estimate
from naqsh.training.launch import build
from naqsh.training.loop import Trainer
from naqsh.training.rows import fixed

CLASSES = ("dark", "bright")
CPU = torch.device("cpu")


def tiny_data(channels: int, count: int = 24) -> DataSet:
    """Bright and dark noisy discs, 16x16."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    row, column = np.mgrid[:16, :16] - 7.5
    disc = (row**2 + column**2 < 30) * (60 + 150 * labels[:, None, None])
    pixels = disc[:, None] + random.integers(0, 40, (count, channels, 16, 16))
    return DataSet.of("discs", pixels.astype(np.uint8), labels, CLASSES)


def tiny(recipe: Recipe, **changes: object) -> Recipe:
    """The recipe with few steps on few pictures."""
    small: dict[str, object] = {"training.batch": 8, "training.steps": 6, "training.warmup": 0}
    numbers = recipe.to_dict()["method"]
    if "multipliers" in numbers:  # of a U-Net, whose narrowest time embedding has four numbers
        small |= {"method.width": 4, "method.multipliers": (1, 2), "method.blocks": 1}
        small |= {"method.attention": (), "method.steps": 4}
    elif "width" in numbers:
        small["method.width"] = 1
    if isinstance(recipe.to_dict()["method"].get("hidden"), list):
        small |= {"method.hidden": [16, 16], "method.blocks": 2}
    return recipe.override(small | {name.replace("__", "."): v for name, v in changes.items()})


def trainer(recipe: Recipe, data: DataSet, folder: Path) -> Trainer:
    """A trainer on the CPU that writes into `folder`."""
    run = RunFolder(folder)
    run.grids.mkdir(parents=True, exist_ok=True)
    run.checkpoints.mkdir(exist_ok=True)
    write_text(run.recipe, recipe.to_yaml())
    method = build(recipe, data.layout)
    return Trainer(recipe, method, data, run, World(0, 1, CPU), display_quiet=True)


def state(method: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of all that a method remembers."""
    return {name: tensor.clone() for name, tensor in method.state_dict().items()}


def seen(method: Method, data: DataSet) -> Batch:
    """The first eight pictures as the method sees them."""
    assert data.labels is not None
    images = to_float(torch.from_numpy(data.images[:8]), *method.value_range)
    return Batch(images, torch.from_numpy(data.labels[:8]), Noise(3, 8))


def differences(a: dict[str, Tensor], b: dict[str, Tensor]) -> set[str]:
    """The names whose tensors are not equal to the bit."""
    assert a.keys() == b.keys()
    return {name for name in a if not torch.equal(a[name], b[name])}


def check_method(recipe: Recipe, channels: int, folder: Path) -> None:
    """Everything at once, so that one failure names one clause."""
    data = tiny_data(channels)
    recipe = tiny(recipe)
    check_losses(recipe, data)
    check_phases(recipe, data, folder / "phases")
    check_resume(recipe, data, folder / "resume")
    check_sampling(recipe, data)
    check_shows(recipe, data)
    check_save_and_load(recipe, data, folder / "load")
    check_overfits(recipe, data, folder / "overfit")
    # On the meta device a loss that reads a number back raises.
    cost = estimate(recipe, data.layout)
    method = build(recipe, data.layout)
    assert cost.parameters == sum(p.numel() for p in method.parameters())


def check_losses(recipe: Recipe, data: DataSet) -> None:
    """Every phase gives finite scalars, `total` among them."""
    method = build(recipe, data.layout).train()
    batch = seen(method, data)
    for phase in method.phases():
        losses = phase.loss(batch, 0)
        assert "total" in losses
        assert losses["total"].requires_grad
        for term, value in losses.items():
            assert value.shape in ((), (2,)), f"{phase.name}.{term}"
            assert value.isfinite().all(), f"{phase.name}.{term}"


def check_phases(recipe: Recipe, data: DataSet, folder: Path) -> None:
    """A phase changes every weight that it names, and no other parameter."""
    names = [phase.name for phase in build(recipe, data.layout).phases()]
    assert len(set(names)) == len(names)
    for number, name in enumerate(names):
        one = trainer(tiny(recipe), data, folder / name)
        one.phases, one.trained = [one.phases[number]], [one.trained[number]]
        mine = {id(parameter) for parameter in one.trained[0]}
        before = state(one.method)
        for _ in range(3):  # the first update may only reach a last layer that begins at zero
            one.step()
        for key, parameter in one.method.named_parameters():
            changed = not torch.equal(parameter, before[key])
            # A bias may rightly stand still: that of a Wasserstein critic cancels in its loss.
            assert changed or id(parameter) not in mine or parameter.dim() == 1, f"{name}, {key}"
            assert not changed or id(parameter) in mine, f"{name}, {key}"
            assert parameter.grad is None, f"phase {name} leaves a gradient on {key}"


def check_resume(recipe: Recipe, data: DataSet, folder: Path) -> None:
    """2N steps and N steps, a new process's worth of objects, N more: equal to the bit."""
    short = tiny(recipe, training__ema=0.9)
    straight = trainer(short, data, folder / "straight")
    straight.run()
    halted = trainer(short, data, folder / "halted")
    for _ in range(3):
        halted.step()
    halted.run = None  # type: ignore[assignment,method-assign]  # it never goes on
    save(halted)
    resumed = trainer(short, data, folder / "halted")
    resumed.run()
    assert resumed.state.step == straight.state.step == 6
    assert not differences(state(resumed.method), state(straight.method))
    assert resumed.average
    assert straight.average
    assert not differences(state(resumed.average.method), state(straight.average.method))
    fresh = state(build(short, data.layout))
    assert differences(state(straight.method), fresh)


def save(halted: Trainer) -> None:
    """Write the checkpoint of a trainer whose `run` was not called."""
    halted.save()


def check_sampling(recipe: Recipe, data: DataSet) -> None:
    """Shape, range, and one seed a picture."""
    method = build(recipe, data.layout).eval()
    if not isinstance(method, Samples):
        return
    with torch.no_grad():
        images = method.sample(Noise(5, 6))
        again = method.sample(Noise(5, 6))
        other = method.sample(Noise(6, 6))
        parts = torch.cat([method.sample(Noise(5, 2)), method.sample(Noise(5, 4, first=2))])
    assert images.shape == (6, *data.shape)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, again)
    assert not torch.equal(images, other)
    # The noise is equal to the bit; sums in other batch sizes may round otherwise.
    torch.testing.assert_close(images, parts, rtol=1e-4, atol=1e-5)


def check_shows(recipe: Recipe, data: DataSet) -> None:
    """What a method shows beside samples are pictures in whole rows."""
    method = build(recipe, data.layout).eval()
    if not isinstance(method, Shows):
        return
    batch = fixed(data, range(10), method.value_range, Noise(5, 10))
    with torch.no_grad():
        shown = method.show(batch)
    assert shown
    for name, (images, columns) in shown.items():
        for language in LANGUAGES:
            assert {f"shown.{name}", f"shown_names.{name}"} <= set(Words(language).texts), name
        assert images.shape[1:] == data.shape, name
        assert len(images) % columns == 0, name
        assert images.min() >= 0, name
        assert images.max() <= 1, name


def check_save_and_load(recipe: Recipe, data: DataSet, folder: Path) -> None:
    """A run folder opens with nothing beside it and holds the trained weights."""
    trained = trainer(tiny(recipe, training__steps=2), data, folder)
    trained.run()
    opened: Method = Run(RunFolder(folder)).method
    assert not opened.training
    averaged = trained.average.method if trained.average else trained.method
    assert not differences(state(opened), state(averaged))


def check_overfits(recipe: Recipe, data: DataSet, folder: Path) -> None:
    """Where a loss on given pictures means something, it falls on eight of them."""
    eight = data.subset(np.arange(8))
    short = tiny(recipe, training__steps=60, training__schedule="constant")
    if "optimizer" in short.to_dict()["method"]:
        short = short.override({"method.optimizer.lr": 5e-3})
    one = trainer(short, eight, folder)
    method = one.method
    if not isinstance(method, Validates):
        return
    batch = seen(method, eight)
    with torch.no_grad():
        method.train()
        before = method.validation(batch)["total"]
        for _ in range(60):
            with torch.enable_grad():
                one.step()
        after = method.validation(batch)["total"]
    # Not to half of it: a density's loss falls below 0, and the cross-entropy of grey
    # pixels cannot fall below their entropy.
    assert before - after > 0.3 * before.abs()
