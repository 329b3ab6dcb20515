"""Runs of StackGAN: stage II on stage I from the command line, resumed, and by two ranks."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import naqsh
from naqsh import report
from naqsh.captions import encoder as encoders
from naqsh.cli import main
from naqsh.training import building
from running import ranks

pytestmark = pytest.mark.usefixtures("small_grids")

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220), "grey": (128,) * 3}
SIZE = 6
TINY = {
    "data.name": "patches",
    "data.holdout": 0.25,
    "data.text_size": SIZE,
    "method.condition": 4,
    "method.text": 4,
    "method.width": 2,
    "method.critic_width": 4,
    "training.batch": 8,
    "training.steps": 3,
    "training.precision": "float32",
}
ONE = TINY | {"data.size": 8}
TWO = TINY | {"data.size": 16, "method.first.run": "one", "method.blocks": 1}


def write_patches(folder: Path) -> None:
    """Images of one colour with a darker corner, and a caption beside each."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(24):
        name, colour = list(COLOURS.items())[number % 4]
        image = np.broadcast_to(np.array(colour, np.uint8), (16, 16, 3)).copy()
        corner = ("top", "bottom")[number // 4 % 2]
        half = slice(0, 8) if corner == "top" else slice(8, 16)
        image[half] //= 2
        image = np.clip(image + chance.integers(0, 9, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / f"{number:02d}.png")
        text = f"a {name} patch\nit is {name} and dark at the {corner}\n"
        (folder / f"{number:02d}.txt").write_text(text)


def train(name: str, out: Path | str, **changes: object) -> naqsh.Run:
    given = (ONE if name.endswith("1") else TWO) | changes
    return naqsh.train(name, out=out, overrides=given, device="cpu", quiet=True)


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    return naqsh.open(folder).method.state_dict()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and a trained stage I; copy it before changing it."""
    place = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAQSH_CACHE", str(place / "cache"))
        patch.chdir(place)
        write_patches(place / "patches")
        train("stackgan-shapes-1", "one")
    return place


@pytest.fixture
def here(trained: Path, alone: Path) -> Path:
    """A working folder with the images and stage I."""
    for name in ("patches", "one"):
        shutil.copytree(trained / name, alone / name)
    return alone


def test_stage_two_stands_on_a_run_of_stage_one(here: Path) -> None:
    first = weights("one")
    made = train("stackgan-shapes-2", "two")
    for name, value in first.items():
        assert torch.equal(weights("two")[f"first.module.{name}"], value), name
    assert encoders.digest(made.encoder) == encoders.digest(naqsh.open("one").encoder)
    shutil.rmtree("one")  # from now on it stands by itself
    longer = train("stackgan-shapes-2", "two", **{"training.steps": 5})
    assert longer.step == 5
    for name, value in first.items():
        assert torch.equal(weights("two")[f"first.module.{name}"], value), name
    images = longer.sample_captions(["a red patch", "it is blue and dark at the top"], 2)
    assert images.shape == (2, 2, 3, 16, 16)
    assert longer.sample(3).shape == (3, 3, 16, 16)


def test_samples_are_of_captions_of_the_test_split(here: Path) -> None:
    run = naqsh.open("one")
    test = run.images("test").images
    assert len(test) == 6
    assert run.method.captions.count == 6
    assert test.captions is not None
    rows = np.arange(6)
    kept = run.method.captions.kept[:6].numpy()
    np.testing.assert_allclose(kept, test.captions[rows, rows % 2], rtol=1e-5, atol=1e-6)


def test_a_report_of_both_stages_has_four_networks_and_their_curves(here: Path) -> None:
    train("stackgan-shapes-2", "two")
    page = report.open(["one", "two"])
    networks = [name for name in page.tables if name.startswith("networks")]
    said = " ".join(str(page.table(name)) for name in networks)
    for layer in ("coarse.0", "residual.0", "conditioning.linear", "joint.0", "text.0"):
        assert layer in said, layer
    curves = page.figure("losses").html
    for phase in ("generator", "critic"):
        assert f"{phase}.total" in curves
    assert {"captions_test-1", "captions_test-2", "captions_changed-1"} <= set(page.figures)
    assert page.figure("captions_test-2").html.count("<img") == 6  # as many as there are


def options(changes: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in changes.items() if value]


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("1", {"data.text": "none"}, "it needs captions, and these images have none"),
        ("2", {"method.first.run": ""}, "stands on another run; give it: --method.first.run RUN"),
        ("2", {"method.first.run": "nowhere"}, "nowhere"),
        ("2", {"data.size": 8}, "stage I makes images of 8x8x3, and these have 8x8x3"),
        ("2", {"data.channels": 1}, "stage I makes images of 8x8x3, and these have 16x16x1"),
        ("2", {"data.text_size": 5}, "by data.text tfidf-words and data.text_size 6"),
        ("1", {"data.size": 12}, "sides must be equal and 8, 16, 32, 64, …, got 12x12"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_line(
    name: str,
    changes: dict[str, object],
    said: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = (ONE if name == "1" else TWO) | changes
    words = ["train", f"stackgan-shapes-{name}", "--out", "new", "--device", "cpu", "--quiet"]
    assert main([*words, *options(given)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not (here / "new").exists()


def test_a_stage_one_that_was_trained_further_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("stackgan-shapes-2", "two")
    train("stackgan-shapes-1", "one", **{"training.steps": 4})
    assert main(["train", "two/recipe.yaml", "--out", "new", "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert "it was trained further since" in error
    assert len(error.strip().splitlines()) == 1


SGD = {
    f"method.{phase}.{name}": value
    for phase in ("critic", "generator")
    for name, value in (("kind", "sgd"), ("lr", 0.05))
}
BY_RANKS = SGD | {
    "training.accumulate": 2,
    "training.schedule": "constant",
    "method.kl": 2.0,
    "method.r1": 0.0,  # its gradient jumps where a leaky ReLU's slope does, by rounding alone
}


def train_as_rank(rank: int, where: str) -> None:
    """Train both stages; every rank comes here."""
    os.chdir(where)
    train("stackgan-shapes-1", "by-ranks-1", **BY_RANKS)
    train("stackgan-shapes-2", "by-ranks-2", **BY_RANKS)


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork")
def test_two_ranks_train_as_one(here: Path) -> None:
    """With plain gradient descent only the order of float32 sums differs.

    That is 1e-6 of how far weights move, and more where it turns the sign of a feature next to 0
    and with it the slope of its leaky ReLU. Faults are far larger: both ranks with the images of
    the first change a discriminator's first layer by 0.64 of how far it moves, batch statistics of
    one rank alone by 0.56.
    """
    alone = {name: train(f"stackgan-shapes-{name}", name, **BY_RANKS).method for name in "12"}
    assert ranks(2, train_as_rank, str(here)) == [0, 0]
    for name, method in alone.items():
        both = weights(f"by-ranks-{name}")
        run = naqsh.open(f"by-ranks-{name}")
        assert encoders.digest(run.encoder) == encoders.digest(naqsh.open(name).encoder)
        start = building.build(run.recipe, run.layout).state_dict()
        for key, value in method.state_dict().items():
            moved = (value - start[key]).double().norm()
            assert (both[key] - value).double().norm() <= 0.05 * moved, (name, key)
        assert (
            both["generator.conditioning.linear.weight"]
            - start["generator.conditioning.linear.weight"]
        ).abs().max() > 0.002
