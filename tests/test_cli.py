import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import naqsh
from naqsh import cli
from naqsh.cli.parsing import Parser
from naqsh.cli.verbs import segment
from naqsh.io.foreign import read_lines
from naqsh.recipes import by_name
from naqsh.runs.folder import RunFolder
from running import differences, everything

TINY = ["--device", "cpu", "--training.batch", "16", "--steps", "4"]

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def run(finished, alone):
    shutil.copytree(finished, alone / "run")
    return alone / "run"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "gan-digits", *TINY, "--method.latent", "7", "--out", "runs/x"],
        ["train", *TINY, "--method.latent", "7", "--out", "runs/x", "gan-digits"],
        ["train", "--method.latent=7", "gan-digits", "--out=runs/x", *TINY],
    ],
)
def test_options_may_stand_anywhere(words, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "naqsh.training.launch.train", lambda recipe, **options: asked.update(options)
    )
    assert cli.main(words) == 0
    assert asked["overrides"] == {
        "training.batch": "16",
        "training.steps": "4",
        "method.latent": "7",
    }
    assert asked["out"] == Path("runs/x")


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "runs/x", "photos", "--out", "masks"],
        ["segment", "runs/x", "--out", "masks", "photos"],
        ["segment", "--out", "masks", "runs/x", "photos"],
        ["segment", "--out", "masks", "--batch", "2", "runs/x", "--seed", "1", "photos"],
    ],
)
def test_an_argument_that_may_be_left_out_may_follow_options(words):
    parser = Parser(prog="naqsh")
    segment.add(parser.add_subparsers())
    options, rest = parser.parse_known_args(words)
    assert (options.run, options.images, options.out) == (Path("runs/x"), "photos", Path("masks"))
    assert rest == []


def test_an_argument_that_is_left_out_is_none():
    parser = Parser(prog="naqsh")
    segment.add(parser.add_subparsers())
    for words in (["segment", "runs/x"], ["segment", "--seed", "1", "runs/x", "--batch", "2"]):
        assert parser.parse_known_args(words)[0].images is None


def test_epochs_win_over_the_steps_of_a_recipe(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "naqsh.training.launch.train", lambda recipe, **options: asked.update(options)
    )
    cli.main(["train", "gan-digits", "--epochs", "3", "--seed", "5", "--data", "x y", "--quiet"])
    recipe = by_name("gan-digits").override({"training.steps": 100}).override(asked["overrides"])
    assert (recipe.training.epochs, recipe.training.steps, recipe.training.seed) == (3, None, 5)
    assert recipe.data.name == "x y"
    assert asked["quiet"]


def test_a_whole_day(alone, capsys):
    """Train, train on, sample, report; what is said; and what lies in the folders."""
    assert cli.main(["train", "gan-digits", *TINY]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    first, *_, last = said.err.splitlines()
    assert first.startswith("gan-digits: 1,500 images of digits, 1,125,130 parameters, about ")
    assert first.endswith(" of tensors, 4 steps on cpu")
    assert last.startswith("done: runs/gan-digits, ")
    assert "step 4/4" in said.err
    folder = RunFolder("runs/gan-digits")
    assert folder.steps() == [3, 4]
    assert [record["step"] for record in read_lines(folder.metrics)] == [4]

    assert cli.main(["train", "gan-digits", *TINY[:-1], "8", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert folder.steps()[-1] == 8
    assert naqsh.open("runs/gan-digits").recipe.training.steps == 8

    # A recipe.yaml alone is enough to do it again: to the bit.
    words = ["train", "runs/gan-digits/recipe.yaml", "--out", "again", "--device", "cpu"]
    assert cli.main([*words, "--quiet"]) == 0
    a, b = (naqsh.open(path).method.state_dict() for path in ("runs/gan-digits", "again"))
    assert [name for name in a if not torch.equal(a[name], b[name])] == []

    assert cli.main(["sample", "again", "--n", "5", "--seed", "3", "--columns", "2"]) == 0
    assert capsys.readouterr().out == "again/samples.png\n"
    assert cli.main(["sample", "again", "--n", "5", "--seed", "3", "--folder", "new/fakes"]) == 0
    assert capsys.readouterr().out == "new/fakes\n"
    names = sorted(path.name for path in Path("new/fakes").iterdir())
    assert names == [f"{number:06d}.png" for number in range(5)]
    expected = naqsh.open("runs/gan-digits").sample(5, seed=3)
    for number, name in enumerate(names):
        with Image.open(Path("new/fakes") / name) as picture:
            pixels = np.asarray(picture)
        assert np.array_equal(pixels, (expected[number, 0] * 255).round().numpy().astype(np.uint8))

    assert cli.main(["report", "again", "--out", "page.html"]) == 0
    assert capsys.readouterr().out == "page.html\n"
    assert Path("page.html").read_text(encoding="utf-8").startswith("<!")


def test_two_same_commands_leave_equal_files(alone, finished):
    assert cli.main(["train", "gan-digits", *TINY, "--out", "twin", "--quiet"]) == 0
    for name in ("recipe.yaml", "networks.json", "grids/00000004.png"):
        assert (alone / "twin" / name).read_bytes() == (finished / name).read_bytes(), name
    assert differences(everything(alone / "twin"), everything(finished)) == set()
    a, b = (read_lines(folder / "metrics.jsonl") for folder in (alone / "twin", finished))
    assert [r["losses"] for r in a] == [r["losses"] for r in b]
    assert [r["gradients"] for r in a] == [r["gradients"] for r in b]


def test_another_seed_is_another_run(run):
    assert cli.main(["train", "gan-digits", *TINY, "--seed", "1", "--out", "x", "--quiet"]) == 0
    a, b = (naqsh.open(path).method.state_dict() for path in ("run", "x"))
    assert not torch.equal(a["generator.linear1.weight"], b["generator.linear1.weight"])


def test_a_run_needs_nothing_beside_itself(run, alone):
    expected = naqsh.open(run).sample(4)
    moved = alone / "elsewhere" / "renamed"
    moved.parent.mkdir()
    shutil.move(run, moved)
    code = (
        "import sys, torch, naqsh;"
        "torch.save(naqsh.open(sys.argv[1]).sample(4), sys.argv[2]);"
        "assert 'sklearn' not in sys.modules"  # it did not even look for its data
    )
    out = alone / "samples.pt"
    command = [sys.executable, "-c", code, str(moved), str(out)]
    subprocess.run(command, check=True, timeout=120, cwd=moved.parent)
    assert torch.equal(torch.load(out, weights_only=True), expected)


def test_a_sample_is_the_same_in_any_batch(run):
    opened = naqsh.open(run)
    whole = opened.sample(9, seed=2)
    assert whole.shape == (9, 1, 16, 16)
    assert whole.dtype == torch.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    for batch in (1, 4, 9, 100):
        torch.testing.assert_close(opened.sample(9, seed=2, batch=batch), whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(opened.sample(3, seed=2, first=5), whole[5:8], rtol=0, atol=1e-5)
    assert not torch.allclose(opened.sample(9, seed=3), whole, atol=1e-2)
    assert (whole[1:] - whole[:1]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_training_from_python_in_a_thread(alone):
    """Only the main thread may listen to signals; a notebook's worker must still train."""
    from concurrent.futures import ThreadPoolExecutor

    changes = {"training.batch": 16, "training.steps": 2}
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(
            naqsh.train, "gan-digits", out=alone / "x", overrides=changes, device="cpu", quiet=True
        )
        assert done.result(120).folder.steps() == [1, 2]


def test_training_leaves_signals_and_cores_as_they_were(alone):
    import signal

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    naqsh.train(
        "gan-digits",
        out=alone / "x",
        overrides={"training.batch": 16, "training.steps": 1},
        device="cpu",
        quiet=True,
        seed=3,
    )
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert json.loads((alone / "x" / "run.json").read_text())["format"] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of Unix")
@pytest.mark.parametrize("words", [["list"], ["train", "--help"]])
@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_has_left_is_no_error(words, buffered):
    read, write = os.pipe()
    os.close(read)
    done = python_naqsh(words, write, buffered)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
def test_output_that_has_no_room_is_told(buffered):
    done = python_naqsh(["list"], os.open("/dev/full", os.O_WRONLY), buffered)
    told = b"naqsh: cannot write the output: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, told)


def python_naqsh(words, stdout, buffered):
    """`python -m naqsh` with its output going to a descriptor, which is closed then."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    environment |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "naqsh", *words]
    try:
        return subprocess.run(
            command, stdout=stdout, stderr=subprocess.PIPE, timeout=60, env=environment
        )
    finally:
        os.close(stdout)


def test_ctrl_c_before_training_begins(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("naqsh.training.launch.train", interrupted)
    assert cli.main(["train", "gan-digits"]) == 130
    assert capsys.readouterr().err == "naqsh: stopped\n"


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"naqsh {naqsh.__version__}\n"


def test_a_shorter_training_of_a_longer_run_is_refused(run, capsys):
    before = (run / "recipe.yaml").read_text()
    assert cli.main(["train", "gan-digits", "--out", str(run), *TINY[:-1], "2"]) == 2
    assert "was trained for 4 steps already, more than the 2 asked for" in capsys.readouterr().err
    assert (run / "recipe.yaml").read_text() == before
