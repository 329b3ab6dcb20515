"""A run as one file: what is in it, what replaces what, and that it does what the run does."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import naqsh
from naqsh import api, cli, report
from naqsh.core.errors import NaqshError
from naqsh.io.files import write_json
from naqsh.runs import export
from naqsh.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("alone")

MORE = {
    "training.steps": 6,
    "training.batch": 16,
    "training.ema": 0.9,
    "training.validation": 0.2,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run that has all that a run can have: averages, best weights, results, a detection."""
    place = tmp_path_factory.mktemp("export") / "mine"
    run = api.train("vae-digits", out=place, overrides=MORE, device="cpu", quiet=True)
    run.evaluate("frechet", n=40, features="pixels")
    run.detect("digits", n=20, draws=1)
    (place / "samplers.json").write_text("{}")  # damaged on purpose: it is taken along as it is
    (place / "nearest-a.png").write_bytes(b"png")
    (place / "notes.txt").write_text("what somebody else laid there")
    return place


@pytest.fixture
def run(trained, alone):
    shutil.copytree(trained, alone / "mine")
    return Path("mine")


def names(file: str) -> set[str]:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def pages(*folders: Path) -> list[str]:
    written = [report.write(folder, Path(f"{n}.html")) for n, folder in enumerate(folders)]
    return [page.read_text() for page in written]


def test_an_export_does_what_the_run_does(run):
    opened = naqsh.open(run)
    assert opened.export("a.zip") == Path("a.zip")
    packed = naqsh.open("a.zip")
    assert packed.recipe == opened.recipe
    assert torch.equal(packed.sample(3), opened.sample(3))
    assert torch.equal(naqsh.open("a.zip", "best").sample(3), naqsh.open(run, "best").sample(3))
    assert packed.curves == opened.curves
    assert packed.best_validation() == opened.best_validation()
    first, second = pages(run, Path("a.zip"))
    assert first == second


def test_what_is_in_it(run):
    naqsh.open(run).export("a.zip")
    inside = names("a.zip")
    step = "mine/checkpoints/00000006"
    there = {"recipe.yaml", "run.json", "metrics.jsonl", "evaluation.json", "best.safetensors"}
    there |= {"samplers.json", "nearest-a.png"}
    assert {f"mine/{name}" for name in there} <= inside
    assert {name for name in inside if name.startswith("mine/checkpoints")} == {
        f"{step}/average.safetensors",
        f"{step}/state.json",
    }
    assert [name for name in inside if "/detections/" in name and name.endswith(".csv")]
    assert not {name for name in inside if "optimizers" in name or ".lock" in name}
    assert "mine/notes.txt" not in inside


def test_the_same_run_gives_the_same_bytes(run):
    opened = naqsh.open(run)
    opened.export("a.zip")
    for file in run.rglob("*"):
        os.utime(file, (1, 1))
    opened.export("b.zip")
    assert Path("a.zip").read_bytes() == Path("b.zip").read_bytes()
    assert Path("a.zip").stat().st_size < sum(
        file.stat().st_size for file in run.rglob("*") if "optimizers" not in file.name
    )


def test_an_export_of_an_export_has_its_results_too(run):
    naqsh.open(run).export("a.zip")
    naqsh.open("a.zip").evaluate("kernel", n=40, features="pixels")
    naqsh.open("a.zip").export("b.zip")
    assert {name.partition("/")[0] for name in names("b.zip")} == {"a"}
    with zipfile.ZipFile("b.zip") as archive:
        assert b'"kernel"' in archive.read("a/evaluation.json")


@pytest.mark.parametrize("weights", ["last", "best"])
def test_weights_alone(weights, run):
    opened = naqsh.open(run, weights)
    file = opened.export("w.safetensors")
    assert file.read_bytes() == opened.weights_file.read_bytes()
    assert torch.equal(naqsh.open(file).sample(3), opened.sample(3))
    assert naqsh.open(file).step == opened.step


def test_the_command_says_what_it_made(run, capsys):
    assert cli.main(["export", "mine", "a.zip"]) == 0
    said = capsys.readouterr()
    assert said.out == "a.zip\n"
    size = Path("a.zip").stat().st_size / 1e6
    left = (run / "checkpoints/00000006/optimizers.safetensors").stat().st_size / 1e6
    assert said.err == f"a.zip: {size:,.1f} MB; {left:,.1f} MB of optimiser state left out\n"
    assert cli.main(["export", "a.zip", "new/b.safetensors"]) == 0
    assert naqsh.open("new/b.safetensors").step == 6


THERE = {
    "an export": True,
    "a page of ours": True,
    "of others": False,
    "a zip of others": False,
    "nothing in it": True,
}


@pytest.mark.parametrize("what", THERE)
def test_only_an_export_is_replaced_unasked(what, run, capsys):
    if what == "an export":
        assert cli.main(["export", "mine", "a.zip"]) == 0
    elif what == "a page of ours":
        report.write(run, Path("a.html")).rename("a.zip")
    elif what == "a zip of others":
        shutil.make_archive("a", "zip", run)
    else:
        Path("a.zip").write_text("mine" * (what == "of others"))
    before = Path("a.zip").read_bytes()
    assert cli.main(["export", "mine", "a.zip"]) == (0 if THERE[what] else 2)
    if not THERE[what]:
        assert "a.zip is there already and was not written by Naqsh" in capsys.readouterr().err
        assert Path("a.zip").read_bytes() == before
        assert cli.main(["export", "mine", "a.zip", "--overwrite"]) == 0
    assert naqsh.open("a.zip").step == 6


REFUSED = {
    "another run's weights": ("mine/best.safetensors", "is there already; give another name, or"),
    "a folder": ("mine", "an export is one file, ending in .zip"),
    "another ending": ("a.tar.gz", "an export is one file, ending in .zip"),
    "below a file": ("mine/run.json/a.zip", "cannot be a folder: a file stands there"),
    "best in a zip": ("a.zip --weights best", "a zip holds the last weights and the best"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(case, run, alone, capsys):
    words, why = REFUSED[case]
    before = {path: path.is_file() and path.read_bytes() for path in alone.rglob("*")}
    assert cli.main(["export", "mine", *words.split()]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert before == {path: path.is_file() and path.read_bytes() for path in alone.rglob("*")}


def test_nothing_half_written(run, alone, monkeypatch):
    naqsh.open(run).export("a.zip")
    before = Path("a.zip").read_bytes()
    write_json(run / "run.json", {"changed": True})

    def full(*arguments):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(export, "_told", full)
    with pytest.raises(OSError, match="No space left") as refused:
        naqsh.open(run).export("a.zip")
    assert refused.value.filename == "a.zip"
    assert Path("a.zip").read_bytes() == before
    assert not list(alone.glob(".a.zip*"))


@pytest.mark.parametrize("where", ["run.json", "grids/00000006.png", "detections/x/secret.csv"])
def test_links_of_a_stranger_take_nothing_along(where, run, alone):
    secret = alone / "secret.txt"
    secret.write_text("secret")
    place = run / where
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(secret)
    with pytest.raises(NaqshError, match=r"is refused: it is a link that leads out"):
        naqsh.open(run).export("a.zip")
    assert not Path("a.zip").exists()


@pytest.mark.parametrize("name", ["a:b.png", "a\x1b[31m.png"])
def test_a_name_that_no_export_may_have_is_one_line(name, run):
    (run / "grids" / name).write_bytes(b"x")
    with pytest.raises(NaqshError, match="its member"):
        naqsh.open(run).export("a.zip")


@pytest.mark.parametrize("odd", [".hidden", "نقش", "a:b", "a b", "..."])
def test_a_run_of_any_name_makes_a_file_that_opens(odd, run):
    run.rename(odd)
    naqsh.open(odd).export("a.zip")
    assert naqsh.open("a.zip").step == 6


def test_a_run_without_weights_is_one_line(run):
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(NaqshError, match="mine has no checkpoint yet"):
        export.write(RunFolder(run), Path("a.zip"))


def test_an_unpacked_export_is_a_run_that_is_not_trained_further(run, capsys):
    naqsh.open(run).export("a.zip")
    shutil.unpack_archive("a.zip", "there")
    assert naqsh.open("there/mine").step == 6
    words = ["train", "there/mine/recipe.yaml", "--device", "cpu", "--quiet", "--steps", "8"]
    assert cli.main([*words, "--out", "there/mine"]) == 2
    assert "has weights and no optimiser state" in capsys.readouterr().err
    assert cli.main([*words, "--out", "again"]) == 0


LIGHT = """
import sys
from naqsh.cli import main
assert main(["export", sys.argv[1], "a.zip"]) == 0
assert main(["report", "a.zip", "--out", "a.html"]) == 0
assert "torch" not in sys.modules
"""


def test_it_needs_no_torch(run):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(run)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_exports_are_compared_and_examine_images(run):
    """What a comparison or a detection finds is kept where the export is opened."""
    assert cli.main(["export", "mine", "a.zip"]) == 0
    assert cli.main(["export", "mine", "b.safetensors"]) == 0
    words = ["--runs", "a.zip", "b.safetensors", "--n", "20", "--features", "pixels", "--quiet"]
    assert cli.main(["compare", *words, "--out", "c", "--device", "cpu"]) == 0
    for name in ("a.zip", "b.safetensors"):
        assert name in Path("c/report.html").read_text()
        assert naqsh.open(name).folder.evaluation.is_file()
    words = ["digits", "--n", "9", "--draws", "1", "--device", "cpu"]
    assert cli.main(["detect", "a.zip", *words]) == 0
    assert len(list(naqsh.open("a.zip").folder.detections.iterdir())) == 2
