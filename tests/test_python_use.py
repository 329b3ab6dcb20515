"""Naqsh in Python: what completion, help and notebooks show."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import naqsh
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.io import inline
from naqsh.io.foreign import read_lines
from naqsh.io.png import Grid
from naqsh.studies import detection, evaluation

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def run(finished, alone):
    shutil.copytree(finished, alone / "run <b>")
    return naqsh.open("run <b>")


def test_completion_knows_every_public_name():
    assert set(naqsh.__all__) <= set(dir(naqsh))
    assert not {"importlib", "Any", "TYPE_CHECKING", "_LAZY"} & set(dir(naqsh))
    import rlcompleter

    completer = rlcompleter.Completer({"naqsh": naqsh})
    offered = [completer.complete("naqsh.", state) for state in range(30)]
    assert {"naqsh.open(", "naqsh.train(", "naqsh.data"} <= set(offered)


def test_completion_and_import_are_quick():
    code = (
        "import sys, naqsh; assert 'train' in dir(naqsh); "
        "assert not {'torch', 'numpy', 'yaml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_help_names_what_there_is():
    import pydoc

    text = pydoc.render_doc(naqsh, renderer=pydoc.plaintext)
    for name in ("class Run", "open(path", "train(", "class Grid", "class NaqshError"):
        assert name in text


def test_one_metric_by_its_name(run):
    options = {"n": 20, "features": "pixels", "data_home": None}
    one = run.evaluate("fid", **options)
    assert [m.name for m in one.measures] == [
        m.name for m in run.evaluate(["fid"], **options).measures
    ]
    with pytest.raises(NaqshError, match="no metric named 'fids'"):
        run.evaluate("fids", **options)


@pytest.mark.parametrize("work", ["evaluate", "detect"])
def test_a_run_measures_where_and_how_it_is_told(run, work, monkeypatch):
    given = {}
    monkeypatch.setattr(evaluation, "evaluate", lambda *told, **_: given.update(told=told))
    monkeypatch.setattr(detection, "detect", lambda *told, **_: given.update(told=told))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    how = {"device": "auto", "batch": 7, "seed": 3, "data_home": "sets", "progress": print}
    getattr(run, work)("kernel", **how)
    assert given["told"] == (run, "kernel", Machine("cpu", 7, 3, "sets", print))
    with pytest.raises(NaqshError, match="no device named 'gpu'; known: auto"):
        getattr(run, work)("kernel", device="gpu")


def test_curves_are_columns_of_one_length(run):
    records = read_lines(run.folder.metrics)
    curves = run.curves
    assert {len(column) for column in curves.values()} == {len(records)}
    assert curves["step"] == [record["step"] for record in records]
    assert curves["critic.total"] == [record["losses"]["critic.total"] for record in records]
    assert all(isinstance(v, int | float) for column in curves.values() for v in column)
    with run.folder.metrics.open("a") as file:
        file.write('{"step": 9, "losses": {"critic.new": 1.5}}\n')
    assert run.curves["critic.new"] == [None] * len(records) + [1.5]
    assert run.curves["epoch"][-1] is None


def images_of(piece: str) -> list[str]:
    return re.findall(r'<img [^>]*src="data:image/png;base64,([^"]+)"', piece)


def test_what_a_run_shows(run):
    piece = run._repr_html_()
    assert "run &lt;b&gt;" in piece
    assert "<b>run" not in piece.replace("<b>run &lt;", "")
    assert "4 steps" in piece
    assert len(images_of(piece)) == 1
    assert not re.search(r"https?:|<script", piece)
    shutil.rmtree(run.folder.checkpoints)
    assert "no checkpoint yet" in naqsh.open("run <b>")._repr_html_()


def test_what_measures_and_detections_show(run, short_flows):
    found = run.evaluate(["fid", "kid"], n=20, features="pixels")
    piece = found._repr_html_()
    assert piece.count("<tr>") == 1 + len(found.measures) + len(found.floor.measures) + 1
    for measure in found.measures:
        assert f"{measure.value:.4g}" in piece
    marked = run.detect("digits", n=20, features="digits")
    piece = marked._repr_html_()
    for line in detection.table(marked).splitlines():
        assert inline._safe(line) in piece
    assert len(images_of(piece)) == 1


def test_samples_stay_a_tensor_and_show_as_a_grid(run):
    samples = run.sample(6)
    assert type(samples) is torch.Tensor
    shown = run.show(6, columns=3)
    assert np.array_equal(shown.pixels, Grid(samples).pixels)
    assert repr(shown) == "<6 images: gan-digits after 4 steps>"
    assert len(images_of(shown._repr_html_())) == 1
    assert shown.save("grid.png").read_bytes() == shown._repr_png_()


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 3, 4, 4), np.zeros((2, 4, 4)), np.zeros((2, 1, 4, 4), np.uint8)],
)
def test_a_grid_of_whatever_holds_images(images):
    assert Grid(images).pixels.shape[2:] == (4, 4)


@pytest.mark.parametrize("shape", [(4, 4), (0, 1, 4, 4), (2, 2, 4, 4), (2, 4, 4, 3)])
def test_a_grid_of_something_else(shape):
    with pytest.raises(NaqshError, match="a grid needs images of shape"):
        Grid(np.zeros(shape))


def test_everything_inline_is_escaped():
    evil = '<script>alert(1)</script>"'
    pieces = (
        inline.table([evil], [[evil]]),
        inline.facts(evil, {evil: evil}),
        inline.image(b"x", evil),
        inline.text(evil),
    )
    for piece in pieces:
        assert "<script" not in piece
        assert 'alert(1)</script>"' not in piece


SHORT = """from naqsh.studies.detection.density import FlowOnFeatures
FlowOnFeatures.__init__.__defaults__ = (None, 20)
"""
"""What `short_flows` does, for the notebook's own process."""

CELLS = [
    SHORT + "import naqsh\nrun = naqsh.open('run <b>')\nrun",
    "run.show(4)",
    "run.evaluate('fid', n=20, features='pixels')",
    "naqsh.Grid(run.sample(4))",
    "run.detect('digits', n=20, features='digits')",
    "sorted(run.curves)[:2]",
    "dir(naqsh)",
]


def test_in_a_notebook_that_is_really_executed(run, alone):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    book = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(alone)}}
    nbclient.NotebookClient(book, timeout=120, resources=resources).execute()
    data = [cell.outputs[-1].data for cell in book.cells]
    for number in (0, 1, 3, 4):
        assert len(images_of(data[number]["text/html"])) == 1, CELLS[number]
    assert "<table" in data[2]["text/html"]
    assert "image/png" in data[1]
    assert "critic" in data[5]["text/plain"]
    assert "'train'" in data[6]["text/plain"]


def test_the_reference_names_what_is_there():
    page = Path(__file__).parent.parent / "docs" / "api.md"
    named = re.findall(r"auto(module|function|class):: (\S+)", page.read_text(encoding="utf-8"))
    assert len(named) > 20
    for kind, name in named:
        if kind == "module":
            importlib.import_module(name)
        else:
            module, _, attribute = name.rpartition(".")
            assert getattr(importlib.import_module(module), attribute)
