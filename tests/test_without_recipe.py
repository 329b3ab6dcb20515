"""A run whose recipe.yaml was deleted: its weights hold the recipe."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import naqsh
from naqsh import api, cli, report
from naqsh.core.errors import NaqshError
from naqsh.runs.folder import RunFolder
from running import differences, everything

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def bare(finished, alone):
    shutil.copytree(finished, alone / "run")
    (alone / "run/recipe.yaml").unlink()
    return Path("run")


def test_it_opens_samples_and_reports(bare, finished):
    opened, whole = naqsh.open(bare), naqsh.open(finished)
    assert opened.recipe == whole.recipe
    assert torch.equal(opened.sample(3), whole.sample(3))
    pages = [report.write(folder, Path(f"{n}.html")) for n, folder in enumerate((bare, finished))]
    assert pages[0].read_text() == pages[1].read_text()


@pytest.mark.parametrize("words", [["gan-digits", "--training.batch", "16"], ["run/recipe.yaml"]])
def test_it_resumes_as_if_nothing_had_happened(words, bare, finished, capsys):
    more = ["--steps", "6", "--device", "cpu", "--quiet"]
    assert cli.main(["train", *words, "--out", "run", *more]) == 0
    assert (bare / "recipe.yaml").is_file()
    shutil.copytree(finished, "whole")
    assert cli.main(["train", "whole/recipe.yaml", "--out", "whole", *more]) == 0
    assert not differences(everything(bare), everything(Path("whole")))


def test_it_says_so(bare, capsys):
    api.train("run/recipe.yaml", out="run", overrides={"training.steps": 5}, device="cpu")
    assert "run/recipe.yaml was gone: the recipe is that of the weights" in capsys.readouterr().err


def test_another_recipe_is_refused_all_the_same(bare):
    with pytest.raises(NaqshError, match=r"run holds a run with training\.batch 16, not 64"):
        api.train("gan-digits", out=bare, device="cpu", quiet=True)


def test_older_weights_serve_where_the_newest_are_damaged(bare):
    folder = RunFolder(bare)
    folder.weights(folder.steps()[-1]).write_bytes(b"damaged")
    assert folder.read_recipe()["name"] == "gan-digits"


def strip(file: Path) -> None:
    save_file(load_file(file), file)


@pytest.mark.parametrize("harm", [strip, lambda file: file.write_bytes(b"x")])
@pytest.mark.parametrize("verb", ["sample run", "report run", "train run/recipe.yaml --out run"])
def test_weights_that_do_not_hold_it_are_one_line(harm, verb, bare, capsys):
    for step in RunFolder(bare).steps():
        harm(RunFolder(bare).weights(step))
    assert cli.main(verb.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("naqsh: run has no recipe.yaml, and no weights that hold it: run/check")
    assert said.count("\n") == 1


def test_neither_recipe_nor_weights_is_one_line(bare, capsys):
    shutil.rmtree(bare / "checkpoints")
    assert cli.main(["sample", "run"]) == 2
    assert "run is no run: it has no recipe.yaml and no weights" in capsys.readouterr().err
    assert cli.main(["train", "gan-digits", "--out", "run"]) == 2
    assert "run holds other files" in capsys.readouterr().err
