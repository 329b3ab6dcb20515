"""A method outside of Naqsh is trained, drawn from, measured and reported like any other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from naqsh import methods, recipes
from naqsh.core.errors import NaqshError

HERE = Path(__file__).parent / "plugins"


def naqsh(*words: str, where: Path) -> subprocess.CompletedProcess[str]:
    """The command line with our method on the path."""
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    known = os.environ | {"NAQSH_PLUGINS": "gaussian_pixels", "PYTHONPATH": paths}
    command = [sys.executable, "-m", "naqsh", *words]
    return subprocess.run(
        command, cwd=where, env=known, capture_output=True, text=True, timeout=200, check=True
    )


def test_a_method_from_outside(tmp_path):
    assert "gaussian-pixels-digits" in naqsh("list", "recipes", where=tmp_path).stdout
    run = "runs/gaussian-pixels-digits"
    words = ["--epochs", "20", "--device", "cpu", "--quiet"]
    naqsh("train", "gaussian-pixels-digits", *words, where=tmp_path)
    naqsh("sample", run, "--n", "9", "--device", "cpu", where=tmp_path)
    assert (tmp_path / run / "samples.png").stat().st_size > 1000
    measured = naqsh(
        *("evaluate", run, "--n", "100", "--metrics", "likelihood", "frechet"), where=tmp_path
    )
    assert "bits" in measured.stdout
    naqsh("report", run, where=tmp_path)
    page = (tmp_path / run / "report.html").read_text(encoding="utf-8")
    assert "gaussian-pixels-digits" in page
    assert "gaussian_pixels" in page  # the method, among the hyperparameters


def test_a_module_that_is_not_there(monkeypatch):
    monkeypatch.setenv("NAQSH_PLUGINS", "no_such_module_of_ours")
    with pytest.raises(NaqshError, match="no module 'no_such_module_of_ours'"):
        recipes.all_recipes()
    with pytest.raises(NaqshError, match="no module"):
        methods.spec_class("no_such_module_of_ours")


def test_a_method_of_naqsh_is_not_replaced(monkeypatch):
    monkeypatch.setenv("NAQSH_PLUGINS", "elsewhere.gan")
    assert methods.spec_class("gan").__module__ == "naqsh.methods.gan"
