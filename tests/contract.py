"""The contract that every method keeps, whatever it is: `CHECKS`, each run on a tiny recipe."""

import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from columns import with_every_column
from learning import TWO_DOMAINS, captions_of, check_learns, seen, takes_captions
from naqsh.api import Run
from naqsh.core.abilities import Samples, Shows
from naqsh.core.batch import Batch
from naqsh.core.frozen import Frozen
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.spec import MethodSpec
from naqsh.data import CATALOG, DataSet
from naqsh.methods import gan, pix2pix
from naqsh.methods.autoencoder import Autoencoder
from naqsh.networks import instance
from naqsh.recipes.recipe import Recipe
from naqsh.report.words import LANGUAGES, Words
from naqsh.runs.folder import RunFolder
from naqsh.training.building import build
from naqsh.training.estimate import estimate
from naqsh.training.rows import fixed
from small import differences, state, tiny_data, tiny_points, trainer

DIFFERENCES = ("wasserstein", "relativistic")
"""Objectives to which a constant added to every score is nothing."""


def data_for(recipe: Recipe, channels: int) -> DataSet:
    """A tiny set with the columns that a recipe's method needs."""
    if CATALOG[recipe.data.name].extent:
        return tiny_points()
    data = tiny_data(channels)
    if isinstance(recipe.method, TWO_DOMAINS):
        paired = isinstance(recipe.method, pix2pix.Spec)
        return data.with_columns(second=255 - data.images, paired=paired)
    if takes_captions(recipe.method):
        return data.with_columns(captions=captions_of(data))
    return data


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
        still = may_stand_still(recipe.method, one.method) | dead_biases(one.method)
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


def may_stand_still(spec: MethodSpec, method: Method) -> set[str]:
    """The parameters that a phase may leave as they are, though it trains them.

    A critic's last bias cancels where only differences of scores count, and in its gradient; one
    with hinges' does while every score lies within the margins, as at the beginning.
    """
    if isinstance(method, Autoencoder) and isinstance(method.critic, nn.Sequential):
        return {f"critic.{len(method.critic) - 1}.bias"}
    if not isinstance(spec, gan.Spec) or spec.objective not in (*DIFFERENCES, "hinge"):
        return set()
    assert isinstance(method, gan.GAN)
    return {
        f"critic.{name}.bias"
        for name, module in method.critic.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == 1 and module.bias is not None
    }


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
    if "captions" in looked:
        columns |= {"captions": data.captions}
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
    """2N steps and N steps, a new process's worth of objects, N more: equal to the bit.

    And what a finished training had goes with its trainer, at once.
    """
    short = recipe.override({"training.ema": 0.9})
    straight = trainer(short, data, folder / "straight")
    straight.run()
    halted = trainer(short, data, folder / "halted")
    halted.encode_once()
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
    held = [weakref.ref(one) for one in (straight, straight.method, straight.average.method)]
    del straight
    assert [one() for one in held] == [None] * 3, "it refers to itself"


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
