"""The method of noise conditional score networks: its loss, its samplers, its recipes."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from naqsh import cli, data, recipes
from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.diffusion import levels, strips
from naqsh.diffusion.method import Denoising
from naqsh.diffusion.samplers import Langevin
from naqsh.diffusion.schedule import Geometric, Linear
from naqsh.methods import diffusion, ncsn
from naqsh.runs import kept
from naqsh.runs.folder import RunFolder
from naqsh.training.building import build
from small import tiny, tiny_data, tiny_points, trainer

IMAGES = Layout((1, 8, 8), ("a", "b"))


def small(**changes: object) -> ncsn.Spec:
    """A tiny score network, which the tests change."""
    return ncsn.Spec(width=4, multipliers=(1, 2), **changes)  # type: ignore[arg-type]


def batch(count: int = 6) -> Batch:
    return Batch(Noise(1, count).uniform(1, 8, 8) * 2 - 1, None, Noise(2, count))


def shaken(method: torch.nn.Module) -> None:
    """Weights away from the zeros that the network's end begins with."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize(("kind", "weighting"), [("score", "noise"), ("epsilon", "simple")])
def test_the_loss_is_the_papers_over_half_the_numbers_of_an_image(
    kind: str, weighting: str, blind: bool
) -> None:
    """mean of 1/2 sum |s + z / sigma|^2 sigma^2, as in the released code."""
    spec = small(parameterisation=kind, weighting=weighting, blind=blind)
    method = spec.build(IMAGES).eval()
    shaken(method)
    one = batch()
    found = method.losses(one, 0)["total"]

    sigmas = np.exp(np.linspace(math.log(2.0), math.log(0.02), 10))
    noise = Noise(2, 6)
    t = noise.integers(10) + 1
    z = noise.normal(1, 8, 8)
    sigma = torch.tensor(sigmas[10 - t.numpy()], dtype=torch.float32).view(-1, 1, 1, 1)
    assert isinstance(method, Denoising)
    output = method.denoiser.network((one.images + sigma * z), (t - 1).float(), None)
    score = output if kind == "score" else -output / sigma
    theirs = 0.5 * ((score + z / sigma) ** 2 * sigma**2).flatten(1).sum(1).mean()
    # Sums of float32 at sigmas from 0.02 on.
    torch.testing.assert_close(found * 64 / 2, theirs, rtol=1e-4, atol=1e-5)


def test_a_blind_network_sees_the_level_in_the_image_alone() -> None:
    x = batch().images
    for blind in (False, True):
        method = small(blind=blind).build(IMAGES).eval()
        shaken(method)
        assert isinstance(method, Denoising)
        with torch.no_grad():
            low, high = (method.denoiser(x, t).epsilon for t in (2.0, 9.0))
        assert torch.equal(low, high) == blind


def test_langevin_dynamics_is_as_the_recipe_sets_it() -> None:
    spec = small(inner=100, size=0.2, denoise=False)
    method = spec.build(IMAGES)
    assert isinstance(method, diffusion.Diffusion)
    expected = Langevin(10, clip=True, inner=100, size=0.2, denoise=False)
    assert method.default_sampler == "langevin"
    assert method.samplers["langevin"] == expected
    assert expected.evaluations == 1000
    assert method.samplers["heun"].steps == 10
    usual = small(steps=2, inner=2).build(IMAGES).eval()
    assert isinstance(usual, Denoising)
    with torch.no_grad():
        drawn = usual.sample(Noise(3, 4))
        same = usual.sample(Noise(3, 4), Langevin(2, clip=True, inner=2))
    assert torch.equal(drawn, same)


def trained(place: Path, inner: int) -> str:
    """The folder of a run whose chains take so many steps at each of two levels."""
    recipe = tiny(recipes.by_name("ncsn-digits"), method__steps=2, method__inner=inner)
    trainer(recipe, data.load("digits"), place).run()
    return str(place)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A score network that has hardly begun."""
    return trained(tmp_path_factory.mktemp("ncsn") / "run", 2)


def drawn(run: str, *said: str) -> bytes:
    """20 samples of a run as the command draws them."""
    grid = Path(run) / "drawn.png"
    assert cli.main(["sample", run, "--n", "20", "--out", str(grid), "--overwrite", *said]) == 0
    return grid.read_bytes()


def test_steps_of_a_trained_run_can_be_left_out_and_added(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the commands that measure what they are worth; all results are kept."""
    measured = ["--metrics", "frechet", "--features", "pixels", "--n", "20"]
    options: list[dict[str, object]] = [{}, {"denoise": False}, {"inner": 3}]
    images = []
    for option in options:
        said = [word for name, value in option.items() for word in (f"--{name}", str(value))]
        images.append(drawn(run, *said))
        assert cli.main(["evaluate", run, *measured, *said]) == 0
    capsys.readouterr()
    assert len(set(images)) == 3
    assert images[2] == drawn(trained(tmp_path / "run", 3))
    found = kept.evaluations(RunFolder(run))
    distances = found.find(metric="frechet")
    assert [one.of["sampling"] for one in distances] == options
    assert len({one.found["value"] for one in distances}) == 3
    # Levels times steps at each, and the denoising step.
    costs = [speed.found["evaluations_per_picture"] for speed in found.find(metric="speed")]
    assert costs == [2 * 2 + 1, 2 * 2, 2 * 3 + 1]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["--inner", "0"], "need at least 1 inner step, got 0"),
        (["--inner", "2.5"], "inner: need a whole number, got '2.5'"),
        (["--sampler", "ddim", "--inner", "3"], "ddim takes no inner; it takes steps, spacing"),
        (["--sampler", "heun", "--inner", "3"], "(inner is of langevin)"),
    ],
)
def test_steps_that_cannot_be_are_refused_in_one_line(
    said: list[str], words: str, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("sample", "evaluate"):
        assert cli.main([verb, run, "--n", "20", *said]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert words in lines[0]


@pytest.mark.parametrize("change", [{"inner": 0}, {"size": 0.0}, {"size": 2.0}, {"steps": 0}])
def test_settings_that_cannot_be_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must (be|lie)"):
        small(**change)


def test_levels_of_the_recipes_are_those_of_their_images() -> None:
    """33.8 and 100 are twice the largest distances of MNIST and CIFAR-10 in [0, 1]."""
    mnist = recipes.by_name("ncsnv2-mnist").method
    assert isinstance(mnist, ncsn.Spec)
    between = math.log(33.8 / 0.02) / math.log(levels.ratio(784))
    assert mnist.schedule == Geometric(33.8, 0.02, 1 + math.ceil(between))
    assert mnist.steps == mnist.schedule.levels == 96
    digits = recipes.by_name("ncsnv2-digits").method
    assert isinstance(digits, ncsn.Spec)
    images = torch.from_numpy(data.load("digits").images.copy()).float() / 127.5 - 1
    found = levels.chosen(images)
    assert digits.schedule == dataclasses.replace(found, most=round(found.most, 1))
    cifar = recipes.by_name("ncsnv2-cifar10").method
    assert isinstance(cifar, ncsn.Spec)
    assert (cifar.schedule, cifar.steps, cifar.inner) == (Geometric(100.0, 0.02, 232), 232, 5)
    first = recipes.by_name("ncsn-mnist").method
    assert isinstance(first, ncsn.Spec)
    # The paper's step of 2e-5 is at its least sigma, 0.01.
    assert first.size == pytest.approx(2e-5 / 0.01**2)
    assert (first.schedule, first.inner, first.denoise) == (Geometric(2.0, 0.02, 10), 100, False)


def test_one_network_and_training_for_all_methods_on_digits() -> None:
    """What `naqsh compare` lays side by side as one process under several names."""
    names = ["ddpm-digits", "edm-digits", "flow-matching-digits", "ncsn-digits", "ncsnv2-digits"]
    found = [recipes.by_name(name) for name in names]
    of_network = ("width", "multipliers", "blocks", "attention", "heads", "dropout", "optimizer")
    assert len({tuple(getattr(r.method, field) for field in of_network) for r in found}) == 1
    assert len({r.training for r in found}) == 1


def test_points_have_samples_and_no_likelihood() -> None:
    points = tiny_points()
    method = build(recipes.by_name("ncsn-ring").override({"method.steps": 3}), points.layout)
    assert isinstance(method, Denoising)
    assert not isinstance(method, diffusion.Diffusion)
    assert isinstance(method.samplers["langevin"], Langevin)
    assert method.sample(Noise(0, 5)).shape == (5, 2, 1, 1)


@pytest.mark.parametrize("schedule", [Geometric(levels=6), Linear(6)], ids=repr)
def test_few_levels_still_have_a_bound_and_a_strip(schedule: Geometric | Linear) -> None:
    data = tiny_data(1)
    method = small(schedule=schedule, steps=3).build(data.layout).eval()
    images = torch.from_numpy(data.images[:2]).float() / 127.5 - 1
    assert isinstance(method, diffusion.Diffusion)
    assert method.log_prob(images, Noise(0, 2)).isfinite().all()
    strip = strips.forward(schedule, images[:1], Noise(0, 1), 10)
    assert strip.shape == (20, 1, 16, 16)
    assert strip.isfinite().all()
