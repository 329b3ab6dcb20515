"""Whatever the locale and the encoding of the output: names are read, written and shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naqsh.cli import main
from naqsh.core import printable
from naqsh.report.read import gather

LOCALES = {
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii output": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    "utf-8": {"LC_ALL": "C.UTF-8"},
}
TRAIN = "train vae-digits --data گربه --data.good سالم --steps 3 --out ران/ا"
DETECT = "detect ران/ا گربه --json"
REPORT = "report ران/ا --language fa"
COMMANDS = [
    TRAIN,
    "train ران/ا/recipe.yaml --steps 5",
    "evaluate ران/ا --n 10 --features pixels --reference train --json",
    DETECT,
    "sample ران/ا --n 2 --out ن/ق.png",
    "measure kernel گربه گربه --features pixels",
    REPORT,
]


def images(folder: Path) -> None:
    for name, count in (("سالم", 6), ("بد", 3)):
        (folder / "گربه" / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "گربه" / name / f"{number}.png")


MANY = """
import runpy, sys
asked, codes = sys.argv[1:], []
while asked:
    end = asked.index(";")
    sys.argv, asked = ["naqsh", *asked[:end]], asked[end + 1:]
    try:
        runpy.run_module("naqsh", run_name="__main__")
    except SystemExit as error:
        codes.append(error.code)
sys.exit(sum(codes))
"""
"""Commands one after the other in one process, where each alone would import PyTorch anew."""


def run(folder: Path, locale: str, *commands: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    environment = kept | LOCALES[locale] | {"NAQSH_CACHE": str(folder / "کش")}
    words = [word for command in commands for word in (*command.split(), ";")]
    return subprocess.run(
        [os.fsencode(word) for word in (sys.executable, "-c", MANY, *words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
        timeout=200,
    )


def test_a_run_of_one_locale_goes_on_in_another(tmp_path: Path) -> None:
    images(tmp_path)
    for locale, commands in (("utf-8", COMMANDS[:1]), ("ascii", COMMANDS[1:])):
        done = run(tmp_path, locale, *commands)
        assert done.returncode == 0, done.stderr[-1500:]
        assert b"udc" not in done.stdout + done.stderr, locale
    done = run(tmp_path, "ascii", "detect ران/ا نیست")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr
    about = json.loads((tmp_path / "ران/ا/run.json").read_text(encoding="utf-8"))
    assert about["data"]["classes"] == ["سالم"]
    assert "گربه" in (tmp_path / "ران/ا/report.html").read_text(encoding="utf-8")


def test_output_that_has_ascii_alone(tmp_path: Path) -> None:
    images(tmp_path)
    done = run(tmp_path, "ascii output", TRAIN, DETECT)
    assert done.returncode == 0, done.stderr[-1500:]
    assert (done.stdout + done.stderr).isascii()
    kinds = json.loads(done.stdout[done.stdout.index(b"{") :])["suspects"]["kinds"]
    assert kinds == {"good": 6, "بد": 3}


def test_names_that_are_no_text_reach_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are not UTF-8, in the names of kinds that figures show."""
    images(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    Path("گربه/بد").rename(os.fsdecode("گربه".encode() + b"/\xe3\xd1"))
    for words in (TRAIN, DETECT, REPORT):
        assert main(words.split()) == 0
    (facts,) = gather.read([Path("ران/ا")])
    assert list(facts.detected[0].of.suspects.kinds) == ["good", "\ufffd\ufffd"]


def test_halves_of_characters() -> None:
    persian = "گربه"
    halves = persian.encode().decode("ascii", "surrogateescape")
    assert printable.whole(halves) == printable.shown(halves) == persian
    lone = "\udce3\udcd1"
    assert printable.whole(f"{halves} {lone}") == f"{persian} {lone}"
    assert printable.shown(lone) == "\\udce3\\udcd1"
    assert printable.legible({lone: [halves, 1]}) == {"\ufffd\ufffd": [persian, 1]}
