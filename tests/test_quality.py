"""Samples measured while a run goes on: when, against what, and what follows."""

import numpy as np
import pytest
import torch

from naqsh import metrics
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise, derive
from naqsh.core.world import World
from naqsh.data import DataSet
from naqsh.io import headers
from naqsh.io.foreign import read_lines
from naqsh.methods import cyclegan, gan, vae
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.runs.folder import RunFolder
from naqsh.runs.trained import open_trained
from naqsh.training import quality
from naqsh.training.diagnosis import Diagnosis
from naqsh.training.loop import Trainer
from naqsh.training.quality import Quality, due
from naqsh.training.stages import plan

GAN = gan.Spec(latent=4)


def noise_images(count, seed=0, side=8):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 1, side, side), np.uint8)
    return DataSet.of("noise", pixels)


def trainer(folder, data, **training):
    recipe = Recipe("toy", Data("noise"), GAN, Training(**training))
    torch.manual_seed(0)
    method = GAN.build(data.layout)
    run = RunFolder(folder)
    run.grids.mkdir(parents=True)
    run.checkpoints.mkdir()
    world = World(0, 1, torch.device("cpu"))
    return Trainer(recipe, method, data, run, world, display_quiet=True)


def test_the_distance_is_that_of_the_same_latents_to_the_same_images():
    """By the textbook's formula, with the eigenvalues of the product of the covariances."""
    real = noise_images(300)
    recipe = Recipe("toy", Data("noise"), GAN, Training(seed=3))
    torch.manual_seed(0)
    method = GAN.build(real.layout)
    found = Quality(recipe, method, plan(recipe.training, 300, 64), real, torch.device("cpu"))
    value = found.measure(method)
    assert value == found.measure(method)
    with torch.no_grad():
        samples = method.sample(Noise(derive(3, "measured"), 300)).mul(255).round().byte()
    tables = [
        metrics.by_name("random")(torch.as_tensor(x)).double().numpy()
        for x in (real.images, samples)
    ]
    means, covariances = [t.mean(0) for t in tables], [np.cov(t, rowvar=False) for t in tables]
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0))
    traces = sum(np.trace(covariance) for covariance in covariances)
    expected = np.square(means[0] - means[1]).sum() + traces - 2 * roots.sum()
    # Eigenvalues that should be 0 are off by about 1e-16 of the largest, their roots by 1e-8.
    assert value == pytest.approx(expected, abs=len(roots) * 1e-8 * traces)


def test_a_sets_own_classifier_measures_its_images_and_random_filters_others():
    assert quality.features("mnist", (1, 28, 28)).name == "mnist"
    assert quality.features("mnist", (1, 40, 40)).name == "random"
    assert quality.features("cifar10", (3, 32, 32)).name == "random"


def test_stages_of_what_has_no_likelihood_are_measured_and_others_are_if_asked():
    data = noise_images(64)
    toy = Recipe("toy", Data("noise"), GAN, Training(epochs=8, batch=16))
    method = GAN.build(data.layout)
    whole = plan(toy.training, 64, 16)
    assert whole.total == 32
    assert due(toy, method, whole) == {4, 16, 32}
    assert due(toy.override({"training.measure_every": 3.0}), method, whole) == {12, 24, 32}
    assert due(toy.override({"training.measure_every": 0.1}), method, whole) == set(range(1, 33))
    assert (
        due(toy.override({"training.epochs": 2.0}), method, plan(Training(epochs=2.0), 64, 16))
        == set()
    )
    likely = Recipe("toy", Data("noise"), vae.Spec().tiny(), toy.training)
    spec = vae.Spec().tiny()
    built = spec.build(noise_images(4, side=64).layout)
    assert due(likely, built, whole) == set()
    assert due(likely.override({"training.measure_every": 4.0}), built, whole) == {16, 32}


def test_what_makes_no_images_from_noise_cannot_be_measured():
    spec = cyclegan.Spec().tiny()
    data = noise_images(4, side=32).with_columns(noise_images(4, 1, 32).images)
    recipe = Recipe("two", Data("noise"), spec, Training(measure_every=1.0))
    method = spec.build(data.layout)
    with pytest.raises(NaqshError, match=r"^two makes no images from noise.*measure_every"):
        due(recipe, method, plan(recipe.training, 4, 1))
    points = Recipe("ring", Data("ring"), GAN, Training(measure_every=1.0))
    made = GAN.build(noise_images(4).layout)
    with pytest.raises(NaqshError, match=r"^ring makes points.*measure_every"):
        due(points, made, plan(points.training, 4, 1), points=True)
    once = points.override({"training.measure_every": 0.0, "training.epochs": 9.0})
    assert due(once, made, plan(once.training, 4, 1), points=True) == set()


def test_the_best_weights_are_those_with_the_least_distance_to_held_out_images(
    tmp_path, monkeypatch
):
    made = trainer(
        tmp_path, noise_images(80), epochs=6, batch=16, validation=0.2, measure_every=2.0
    )
    assert made.quality.steps == {8, 16, 24}
    distances = iter([4.0, 1.0, 3.0])
    monkeypatch.setattr(Quality, "measure", lambda quality, method: next(distances))
    made.run()
    assert made.state.best == (1.0, 16)
    assert headers.texts(made.folder.best)["step"] == "16"
    records = [r for r in read_lines(made.folder.metrics) if "samples.frechet" in r["losses"]]
    assert [r["losses"]["samples.frechet"] for r in records] == [4.0, 1.0, 3.0]
    (note,) = [r for r in read_lines(made.folder.diagnosis) if r["rule"] == "samples_worse"]
    assert (note["step"], note["value"]) == (24, 2.0)
    # It is no validation loss, by which a search would judge.
    assert open_trained(tmp_path).best_validation() is None


def test_a_single_held_out_image_measures_nothing(tmp_path):
    made = trainer(tmp_path, noise_images(20), epochs=3, validation=0.05, measure_every=1.0)
    assert made.held_out is not None
    assert (len(made.held_out), made.quality.steps) == (1, frozenset())
    made.run()


def test_without_held_out_images_no_weights_are_the_best(tmp_path):
    made = trainer(tmp_path, noise_images(64), epochs=3, batch=16)
    made.run()
    assert made.state.best is None
    assert not made.folder.best.exists()
    records = [r for r in read_lines(made.folder.metrics) if "samples.frechet" in r["losses"]]
    assert [r["step"] for r in records] == sorted(made.plan.stages)


def test_a_rise_is_said_once_and_heard_again_after_a_resume():
    diagnosis = Diagnosis()
    said = [diagnosis.held_out({"samples.frechet": d}) for d in (2.0, 1.0, 1.4, 1.6, 2.0, 1.2)]
    assert [[s.rule for s in words] for words in said] == [
        [],
        [],
        [],
        ["samples_worse"],
        [],
        ["back"],
    ]
    resumed = Diagnosis()
    resumed.replay([{"losses": {"samples.frechet": d}} for d in (2.0, 1.0, 1.6)])
    assert resumed.held_out({"samples.frechet": 2.0}) == []


def test_measuring_moves_no_weight(tmp_path):
    data = {"epochs": 3.0, "batch": 16, "validation": 0.2}
    plain = trainer(tmp_path / "plain", noise_images(80), **data)
    plain.quality.steps = frozenset()
    measured = trainer(tmp_path / "measured", noise_images(80), **data, measure_every=0.5)
    plain.run()
    measured.run()
    for name, tensor in plain.method.state_dict().items():
        assert torch.equal(tensor, measured.method.state_dict()[name]), name


def test_a_number_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="measure_every must be at least 0"):
        Training(measure_every=-1.0)
