"""The contract that every method keeps, whatever it is: `CHECKS`, each run on a tiny recipe."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from columns import with_every_column
from naqsh.api import Run
from naqsh.core.abilities import Samples, Shows, Validates
from naqsh.core.batch import Batch
from naqsh.core.frozen import Frozen
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Optimizer
from naqsh.core.spec import MethodSpec
from naqsh.data import DataSet, to_float
from naqsh.methods import cyclegan, gan, pix2pix
from naqsh.networks import instance
from naqsh.recipes.recipe import Recipe
from naqsh.report.words import LANGUAGES, Words
from naqsh.runs.folder import RunFolder
from naqsh.training.building import build
from naqsh.training.estimate import estimate
from naqsh.training.rows import fixed
from small import differences, state, tiny_data, trainer

TWO_DOMAINS = cyclegan.Spec | pix2pix.Spec
"""Methods that need a second domain."""


def data_for(recipe: Recipe, channels: int) -> DataSet:
    """A tiny set with the columns that a recipe's method needs."""
    data = tiny_data(channels)
    if isinstance(recipe.method, TWO_DOMAINS):
        paired = isinstance(recipe.method, pix2pix.Spec)
        return data.with_columns(second=255 - data.images, paired=paired)
    return data


def seen(method: Method, data: DataSet) -> Batch:
    """The first eight images as the method sees them."""
    assert data.labels is not None
    images = to_float(torch.from_numpy(data.images[:8]), *method.value_range)
    second = None
    if data.second is not None:
        second = to_float(torch.from_numpy(data.second[:8]), *method.value_range)
    return Batch(images, torch.from_numpy(data.labels[:8]), Noise(3, 8), second=second)


def check_losses(recipe: Recipe, data: DataSet, _: Path) -> None:
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
    """A phase changes every weight that it names, no other parameter, and nothing frozen."""
    names = [phase.name for phase in build(recipe, data.layout).phases()]
    assert len(set(names)) == len(names)
    for number, name in enumerate(names):
        one = trainer(recipe, data, folder / name)
        phase = one.phases[number]
        one.updates.phases = one.updates.phases[number : number + 1]
        one.updates._trained = one.updates._trained[number : number + 1]
        mine = {id(parameter) for parameter in phase.parameters()}
        still = may_stand_still(recipe.method) | dead_biases(one.method)
        assert still <= {key for key, _ in one.method.named_parameters()}
        before, frozen = state(one.method), frozen_state(one.method)
        for _ in range(3):  # the first update may only reach a last layer that begins at zero
            one.step()
        for key, parameter in one.method.named_parameters():
            changed = not torch.equal(parameter, before[key])
            assert changed or id(parameter) not in mine or key in still, f"{name}, {key}"
            assert not changed or id(parameter) in mine, f"{name}, {key}"
            assert parameter.grad is None, f"phase {name} leaves a gradient on {key}"
        assert not differences(frozen_state(one.method), frozen), name


def may_stand_still(spec: MethodSpec) -> set[str]:
    """The parameters that a phase may leave as they are, though it trains them.

    A Wasserstein critic's last bias cancels in E D(G(z)) - E D(x), and in the penalty's gradient.
    """
    if isinstance(spec, gan.Spec) and spec.objective == "wasserstein":
        return {"critic.linear2.bias"}
    return set()


def dead_biases(method: Method) -> set[str]:
    """The biases that normalisation takes away, which nothing adds."""
    return {
        f"{name}.bias"
        for name, module in method.named_modules()
        if isinstance(module, instance.Conv | instance.Transposed) and module.bias is not None
    }


def frozen_state(method: Method) -> dict[str, torch.Tensor]:
    """A copy of all that the frozen parts hold, buffers included."""
    return {
        f"{name}.{key}": tensor
        for name, module in method.named_modules()
        if isinstance(module, Frozen)
        for key, tensor in state(module).items()
    }


def check_columns(recipe: Recipe, data: DataSet, folder: Path) -> None:
    """Columns that the losses do not look at change neither the networks nor the steps."""
    every = with_every_column(data)
    looked = set()
    method = build(recipe, every.layout).train()
    for phase in method.phases():
        batch = Watched(**vars(fixed(every, range(8), method.value_range, Noise(3, 8))))
        phase.loss(batch, 0)
        looked |= batch.looked
    if "mismatched" in looked:
        looked.add("captions")
    unused = {"captions", "second"} - looked
    assert unused, "it looks at every column: nothing to check"
    columns = {name: getattr(every, name) for name in sorted(unused)}
    if "second" in looked:
        columns |= {"second": data.second, "paired": data.paired}
    plain = trainer(recipe, data, folder / "plain")
    more = trainer(recipe, data.with_columns(**columns), folder / "more")
    for _ in range(3):
        plain.step()
        more.step()
    assert not differences(state(plain.method), state(more.method))


class Watched(Batch):
    """A batch that notes which of its columns were looked at."""

    @property
    def looked(self) -> set[str]:
        """Their names."""
        return set(vars(self).get("_looked", ()))

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name in ("captions", "mismatched", "second"):
            vars(self).setdefault("_looked", set()).add(name)
        return value


def check_resume(recipe: Recipe, data: DataSet, folder: Path) -> None:
    """2N steps and N steps, a new process's worth of objects, N more: equal to the bit."""
    short = recipe.override({"training.ema": 0.9})
    straight = trainer(short, data, folder / "straight")
    straight.run()
    halted = trainer(short, data, folder / "halted")
    for _ in range(3):
        halted.step()
    halted.run = None  # type: ignore[assignment,method-assign]  # it never goes on
    halted.save()
    resumed = trainer(short, data, folder / "halted")
    resumed.run()
    assert resumed.state.step == straight.state.step == 6
    assert not differences(state(resumed.method), state(straight.method))
    assert resumed.average
    assert straight.average
    assert not differences(state(resumed.average.method), state(straight.average.method))
    fresh = state(build(short, data.layout))
    assert differences(state(straight.method), fresh)


def check_sampling(recipe: Recipe, data: DataSet, _: Path) -> None:
    """Shape, range, and one seed an image."""
    method = build(recipe, data.layout).eval()
    if not isinstance(method, Samples):
        pytest.skip("it makes no images")
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


def check_shows(recipe: Recipe, data: DataSet, _: Path) -> None:
    """What a method shows beside samples are images in whole rows."""
    method = build(recipe, data.layout).eval()
    if not isinstance(method, Shows):
        pytest.skip("it shows nothing but samples")
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
    trained = trainer(recipe.override({"training.steps": 2}), data, folder)
    trained.run()
    opened: Method = Run(RunFolder(folder)).method
    assert not opened.training
    averaged = trained.average.method if trained.average else trained.method
    assert not differences(state(opened), state(averaged))


def check_learns(recipe: Recipe, data: DataSet, folder: Path) -> None:
    """Eight images are learnt: by their loss where it means something, else by the samples.

    A GAN's samples must come to half the energy distance from the eight that they begin with.
    With all rates at 1e-3, of five recipes tried it was 0.13 to 0.37 of that after 30 steps; with
    the sign of the generator's loss turned 1.6 or more, with a critic that stands still 0.97 (two
    recipes). A translation of eight images, there and back or to their partners, must come to half
    of the error that it begins with: of two recipes it was 0.35 and 0.13 of it.
    """
    eight = data.subset(np.arange(8))
    rate = 1e-3 if isinstance(recipe.method, gan.Spec) else 5e-3
    short = at_rate(recipe, rate).override({"training.steps": 60, "training.schedule": "constant"})
    one = trainer(short, eight, folder)
    method = one.method
    if isinstance(method, Validates):
        batch = seen(method, eight)
        with torch.no_grad():
            before = method.train().validation(batch)["total"]
        for _ in range(60):
            one.step()
        with torch.no_grad():
            after = method.validation(batch)["total"]
        # Not to half of it: a density's loss falls below 0, and the cross-entropy of grey
        # pixels cannot fall below their entropy.
        assert before - after > 0.3 * before.abs()
    elif isinstance(recipe.method, gan.Spec):
        start = distance(method, eight)
        for _ in range(30):
            one.step()
        assert distance(method, eight) < start / 2
    elif isinstance(recipe.method, TWO_DOMAINS):
        start = astray(method, eight)
        for _ in range(60):
            one.step()
        assert astray(method, eight) < start / 2
    else:
        pytest.skip("it has no loss on given images, makes none and translates none")


def astray(method: Method, data: DataSet) -> float:
    """Mean absolute error of the way there and back, or of the partner, over eight images."""
    with torch.no_grad():
        losses = method.phases()[0].loss(seen(method, data), 0)
    return float(losses["cycle" if "cycle" in losses else "distance"])


def at_rate(recipe: Recipe, rate: float) -> Recipe:
    """The recipe with one learning rate for every optimiser."""
    given = {f.name: getattr(recipe.method, f.name) for f in dataclasses.fields(recipe.method)}
    new = {
        name: dataclasses.replace(value, lr=rate)
        for name, value in given.items()
        if isinstance(value, Optimizer)
    }
    return dataclasses.replace(recipe, method=dataclasses.replace(recipe.method, **new))


def distance(method: Method, data: DataSet) -> float:
    """The energy distance of 64 samples from the images of a set, in the norm of pixels in [0, 1].

    Szekely and Rizzo, 2013: twice the mean distance of a sample to an image, less those of samples
    and of images among themselves. One image over and over, or the mean of all, keeps away from 0.
    """
    assert isinstance(method, Samples)
    with torch.no_grad():
        drawn = method.eval().sample(Noise(5, 64)).flatten(1)
    real = to_float(torch.from_numpy(data.images), 0, 1).flatten(1)
    among = torch.cdist(drawn, drawn).mean() + torch.cdist(real, real).mean()
    return float(2 * torch.cdist(drawn, real).mean() - among)


def check_estimate(recipe: Recipe, data: DataSet, _: Path) -> None:
    """On the meta device a loss that reads a number back raises."""
    cost = estimate(recipe, data.layout)
    method = build(recipe, data.layout)
    assert cost.parameters == sum(p.numel() for p in method.parameters())


CHECKS: dict[str, Callable[[Recipe, DataSet, Path], None]] = {
    "losses": check_losses,
    "phases": check_phases,
    "columns": check_columns,
    "resume": check_resume,
    "sampling": check_sampling,
    "shows": check_shows,
    "load": check_save_and_load,
    "learns": check_learns,
    "estimate": check_estimate,
}
"""Each by its name: takes a tiny recipe, a tiny set, and a folder to write into."""
