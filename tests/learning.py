"""The clause of the contract that eight images are learnt."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from naqsh.core.abilities import Samples, Validates
from naqsh.core.batch import Batch
from naqsh.core.method import Method
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Optimizer
from naqsh.core.spec import MethodSpec
from naqsh.data import DataSet, to_float
from naqsh.methods import cyclegan, gan, pix2pix, r3gan, stackgan, stackgan2
from naqsh.recipes.recipe import Recipe
from small import trainer

TWO_DOMAINS = cyclegan.Spec | pix2pix.Spec
"""Methods that need a second domain."""

CAPTIONED = stackgan.StageSpec
"""GANs of captions."""


def takes_captions(spec: MethodSpec) -> bool:
    """Whether a method cannot be without captions."""
    return isinstance(spec, CAPTIONED) or getattr(spec, "conditional", False) == "captions"


def captions_of(data: DataSet) -> NDArray[np.float32]:
    """Two captions of each image that tell its class, in numbers that also tell them apart."""
    assert data.labels is not None
    sign = 2.0 * data.labels[:, None] - 1
    several = [np.stack([sign, -sign, 0 * sign + k, sign * k], -1) for k in (-1, 1)]
    return np.concatenate(several, 1).astype(np.float32)


def seen(method: Method, data: DataSet) -> Batch:
    """The first eight images as the method sees them."""
    assert data.labels is not None
    images = to_float(torch.from_numpy(data.images[:8]), *method.value_range)
    second = None
    if data.second is not None:
        second = to_float(torch.from_numpy(data.second[:8]), *method.value_range)
    captions = mismatched = None
    if data.captions is not None:
        captions = torch.from_numpy(data.captions[:8, 0])
        mismatched = captions.roll(1, 0)  # the classes take turns
    return Batch(
        images,
        torch.from_numpy(data.labels[:8]),
        Noise(3, 8),
        captions=captions,
        mismatched=mismatched,
        second=second,
    )


def check_learns(recipe: Recipe, data: DataSet, folder: Path) -> None:
    """Eight images are learnt: by their loss where it means something, else by the samples.

    A GAN's samples must come to half the energy distance from the eight that they begin with.
    With all rates at 1e-3, of five recipes tried it was 0.13 to 0.37 of that after 30 steps;
    with the sign of the generator's loss turned 1.6 or more, with a critic that stands still
    0.97 (two recipes). R3GAN has no normalisation, and blocks that begin as the identity: at
    3e-3 it was 0.25 after 30 steps; with the sign turned 2.9, with a critic that stands still
    2.5. A translation of eight images, there and back or to their partners, must come to half
    of the error that it begins with: of two recipes it was 0.35 and 0.13 of it. StackGAN's
    stage I begins at grey: with rates of 5e-3 it was 0.13 of that distance after 120 steps.
    """
    if isinstance(recipe.method, stackgan2.Spec):
        pytest.skip("it stands on a stage that has learnt nothing: tests/test_stackgan.py has both")
    eight = data.subset(np.arange(8))
    rate = 1e-3 if isinstance(recipe.method, gan.Spec) else 5e-3
    if isinstance(recipe.method, r3gan.Spec):
        rate = 3e-3
    short = at_rate(recipe, rate).override({"training.steps": 60, "training.schedule": "constant"})
    one = trainer(short, eight, folder)
    method = one.method
    if isinstance(recipe.method, gan.Spec | CAPTIONED):
        start = distance(method, eight)
        for _ in range(30 if isinstance(recipe.method, gan.Spec) else 120):
            one.step()
        assert distance(method, eight) < start / 2
    elif isinstance(method, Validates):
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
