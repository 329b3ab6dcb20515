"""What is trained on, shown and measured where a data set has two domains."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naqsh import report
from naqsh.cli.entry import main
from naqsh.recipes import by_name
from naqsh.training.launch import train


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 8 and 20 images of 16 px, and a folder to write into."""
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("naqsh.data.notes._said", set())  # each note is said once a process
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for part, count in {"trainA": 8, "trainB": 20, "testA": 8, "testB": 9}.items():
        (tmp_path / "two" / part).mkdir(parents=True)
        for number in range(count):
            pixels = draw.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "two" / part / f"{number}.png")
    return tmp_path / "two"


def test_a_method_of_one_domain_says_which(two: Path) -> None:
    recipe = by_name("gan-digits").override({"data.name": str(two), "training.epochs": 1})
    recipe = recipe.override({"training.batch": 4})
    run = train(recipe, out="run", quiet=True)
    told = json.loads((run.folder.path / "run.json").read_text())["data"]
    assert (told["count"], told["second"], told["domains"]) == (8, 20, ["A", "B"])
    page = Path(report.write([Path("run")], Path("page.html"), "en")).read_text()
    words = " ".join(re.sub("<[^>]*>", "", page).split())
    assert "8 images of one domain and 20 of the other" in words
    assert told["notes"] == [
        "two: two domains, of which A alone is used here; for B alone, name the folder of its "
        "images"
    ]
    log = (run.folder.path / "metrics.jsonl").read_text()
    records = [json.loads(line) for line in log.splitlines()]
    # An epoch is one of the larger domain: 20 images, four a step.
    assert (records[-1]["step"], records[-1]["epoch"]) == (5, 1.0)


def test_measuring_says_which_domain(
    two: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING, "naqsh.data"):
        assert main(["measure", "kernel", "two:test", "two/testA", "--features", "pixels"]) == 0
    assert "two: two domains, of which A alone is used here" in caplog.text
    assert "8" in capsys.readouterr().out


def test_the_list_of_sets_counts_both_domains(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "data"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "1,067 + 120 and 1,334 + 140 of 256x256x3, two domains (horse and zebra)" in text


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--data", "two/trainA", "--data.paired", "names"], "has no two domains to pair"),
        (["--data", "two", "--data.second", "edges"], "has two domains already"),
        (["--data", "two", "--data.paired", "names"], "no partner of the same name"),
        (["--data", "two", "--data.paired", "twins"], "known: names, none, side-by-side"),
    ],
)
def test_what_cannot_be_trained_on(
    two: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert main(["train", "gan-digits", "--out", "run", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert complaint in said
    assert "\n" not in said
    assert not Path("run").exists()
