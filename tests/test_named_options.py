"""An option that a message names is one that the verb at hand takes, and it helps."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import naqsh
from inspection import write_discs
from naqsh.cli import main
from naqsh.core.errors import NaqshError

pytestmark = pytest.mark.usefixtures("small_grids")

SMALL = ["--device", "cpu", "--n", "20"]
PIXELS = ["--features", "pixels", *SMALL]
VAE = {"training.steps": 2, "training.batch": 8, "training.validation": 0.25}

SHORT = ("measure", "detect", "evaluate")
"""Verbs with options of their own for what a recipe calls ``data.…``."""

OF_RECIPES = ("train", "tune", "compare")
"""Verbs that take every ``--data.…`` of a recipe."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of discs and of the digits, and files that need an option to be read."""
    folder = tmp_path_factory.mktemp("place")
    discs = write_discs(folder / "discs")
    changes = VAE | {"data.name": str(discs)}
    naqsh.train("vae-digits", out=folder / "vae", overrides=changes, device="cpu", quiet=True)
    normal = np.random.default_rng(0).random((20, 16, 16, 3)).astype(np.float32)
    np.save(folder / "floats.npy", normal)
    np.savez(folder / "pair.npz", a=np.zeros((20, 16, 16, 3), np.uint8), b=np.uint8(normal * 255))
    np.save(folder / "bytes.npy", np.uint8(normal * 255))
    (folder / "broken").mkdir()
    for number in range(24):
        Image.fromarray(np.uint8(normal[number % 20] * 255)).save(folder / f"broken/{number}.png")
    shutil.copytree(folder / "broken", folder / "plain")
    (folder / "broken/bad.png").write_bytes(b"no image")
    alone = {"data.name": str(folder / "bytes.npy"), "training.steps": 2, "training.batch": 8}
    naqsh.train("gan-digits", out=folder / "gan", overrides=alone, device="cpu", quiet=True)
    tiny = {"method.width": 4, "method.multipliers": (1, 2), "method.steps": 2}
    naqsh.train("ddpm-digits", out=folder / "ddpm", overrides=alone | tiny, quiet=True)
    return folder


READ = {
    "train": ["train", "gan-digits", "--data", "FILE", "--out", "out", "--steps", "1"],
    "compare": ["compare", "--data", "FILE", "--recipes", "gan-digits", "--images", "8"],
    "tune": ["tune", "gan-digits", "--data", "FILE", "--trials", "1", "--training.steps", "1"],
    "measure": ["measure", "kernel", "plain", "FILE", *PIXELS],
    "detect": ["detect", "vae", "FILE", *SMALL],
    "normal": ["detect", "vae", "plain", "--normal", "FILE", *SMALL],
    "evaluate": ["evaluate", "gan", "--reference", "FILE", "--metrics", "kernel", *PIXELS],
}
"""Commands that read FILE."""


def takes(verb: str, option: str, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether a verb's help lists an option, or it takes those of recipes and this is one."""
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    listed = re.findall(r"--[a-z][\w-]*", capsys.readouterr().out)
    if option.startswith("--data."):
        short = option.replace("data.", "").replace("_", "-")
        return verb in OF_RECIPES or (verb in SHORT and short in listed)
    return option in listed


def complained(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command is answered with, its options being those of its verb."""
    assert main(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    for option in re.findall(r"--[a-z][\w.-]*", said.partition("train with")[0]):
        assert takes(words[0], option, capsys), said
    return said


CURES = {
    "floats.npy": ("range", "0,1"),
    "pair.npz": ("key", "b"),
    "broken": ("skip-broken", None),
}


@pytest.mark.parametrize("file", CURES)
@pytest.mark.parametrize("command", READ)
def test_what_a_message_about_files_names_helps(
    file: str,
    command: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    words = [file if word == "FILE" else word for word in READ[command]]
    said = complained(words, capsys)
    name, value = CURES[file]
    (option,) = set(re.findall(r"--[a-z][\w.-]*", said))
    assert option.removeprefix("--").removeprefix("data.") == name
    if words[0] not in OF_RECIPES:  # those train; that they take it is seen below
        assert main([*words, option, *([value] if value else [])]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["samplers", "ddpm", "--steps", "1", "--samplers", "ddim", *PIXELS],
        ["evaluate", "gan", "--metrics", "kernel", *PIXELS],
        ["bound", "ddpm", "--n", "2", "--device", "cpu"],
    ],
    ids=lambda words: words[0],
)
def test_training_images_are_measured_against_where_there_are_no_others(
    words: list[str],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    assert "has no test split" in (said := complained(words, capsys))
    assert "--reference train" in said
    assert main([*words, "--reference", "train"]) == 0


def test_a_comparison_reads_data_as_it_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    asked = ["compare", "--data", "floats.npy", "--recipes", "gan-digits", "--images", "16"]
    asked += ["--data.holdout", "0.4", "--n", "8", "--features", "pixels", "--quiet"]
    assert main([*asked, "--data.range", "0,1", "--device", "cpu"]) == 0
    (run,) = [naqsh.open(path) for path in Path("runs/compare").iterdir() if path.is_dir()]
    assert run.recipe.data.range == (0, 1)
    capsys.readouterr()
    assert main([*asked, "--data.range", "-1,1"]) == 2
    assert "holds a comparison with reading" in capsys.readouterr().err
    assert main([*asked, "--data.rnage", "0,1"]) == 2
    assert "did you mean '--data.range'" in capsys.readouterr().err
    assert main([*asked, "--method.latent", "3"]) == 2


def test_named_sets_have_their_own_range(place: Path) -> None:
    run = naqsh.open(place / "vae")
    with pytest.raises(NaqshError, match="range and key are of files, which digits is not"):
        run.detect("digits", ranges=[(0.0, 1.0)])
    with pytest.raises(NaqshError, match="train is read as the run says"):
        naqsh.open(place / "gan").evaluate(reference="train", keys=["x"])
