"""Every recipe's method keeps the contract, at tiny size; so do those of other packages."""

import dataclasses
import importlib
import sys
from pathlib import Path

import pytest

from contract import CHECKS, data_for
from naqsh import data, recipes
from naqsh.core.frozen import Frozen
from naqsh.core.spec import Layout, Parent
from naqsh.methods import autoencoder, latent_diffusion, latent_meanflow, stackgan, stackgan2
from naqsh.recipes.recipe import REGISTRY, Recipe
from naqsh.training.building import build
from small import tiny, tiny_data

PLUGINS = {"gaussian-pixels-digits": "gaussian_pixels", "shifted-digits": "shifted"}
"""Recipes of modules in tests/plugins."""


@pytest.fixture
def recipe(name: str, monkeypatch: pytest.MonkeyPatch):
    """The recipe `name`; one that stands on another run stands on a tiny GAN."""
    module = PLUGINS.get(name)
    if module is None:
        yield on_a_parent(recipes.by_name(name))
        return
    monkeypatch.syspath_prepend(Path(__file__).parent / "plugins")
    monkeypatch.setenv("NAQSH_PLUGINS", module)
    importlib.import_module(module)
    yield on_a_parent(recipes.by_name(name))
    REGISTRY.pop(name)
    sys.modules.pop(module)


def on_a_parent(recipe: Recipe) -> Recipe:
    """The recipe with every parent filled in, as training would."""
    method, layout = recipes.by_name("gan-digits").method.tiny(), tiny_data(1).layout
    if isinstance(recipe.method, stackgan2.Spec):  # of half the size of the tiny sets
        method, layout = stackgan.Spec().tiny(), Layout((3, 8, 8), layout.classes, 4)
    if isinstance(recipe.method, latent_diffusion.Spec | latent_meanflow.Spec):
        channels = data.CATALOG[recipe.data.name].shape[0]
        method, layout = autoencoder.Spec().tiny(), tiny_data(channels).layout
    known = Parent("first", sha256="0" * 64, method=method, layout=layout)
    fields = dataclasses.fields(recipe.method)
    parents = [f.name for f in fields if isinstance(getattr(recipe.method, f.name), Parent)]
    method = dataclasses.replace(recipe.method, **dict.fromkeys(parents, known))
    return dataclasses.replace(recipe, method=method)


LONG = ("learns", "resume", "columns")
"""Checks that train for longer: of recipes that differ in numbers alone the first is enough.

In numbers other than 0, which switches something off.
"""


def kind(value: object) -> object:
    """Settings without their numbers and tuples, but for whether there are any."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return type(value), *((f.name, kind(getattr(value, f.name))) for f in fields)
    if isinstance(value, bool) or not isinstance(value, int | float | tuple):
        return value
    return isinstance(value, tuple), bool(value)


def cases() -> list[tuple[str, str]]:
    """The checks of each recipe."""
    found = [(name, check) for name in PLUGINS for check in CHECKS]
    seen = set()
    for name in recipes.all_recipes():
        recipe = tiny(recipes.by_name(name))
        are_points = bool(data.CATALOG[recipe.data.name].extent)
        which = kind(recipe.method), kind(recipe.training), are_points
        found += [(name, c) for c in CHECKS if which not in seen or c not in LONG]
        seen.add(which)
    return found


@pytest.mark.usefixtures("small_grids")
@pytest.mark.parametrize(("name", "check"), cases())
def test_contract(
    name: str, check: str, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    channels = data.CATALOG[recipe.data.name].shape[0]
    CHECKS[check](tiny(recipe), data_for(recipe, channels), tmp_path)


@pytest.mark.parametrize("name", ["shifted-digits"])
def test_a_frozen_part_has_buffers_to_watch(name: str, recipe: Recipe) -> None:
    method = build(tiny(recipe), tiny_data(1).layout)
    (frozen,) = (module for module in method.modules() if isinstance(module, Frozen))
    assert any("running_mean" in key for key, _ in frozen.named_buffers())
