"""The report in pieces, and as a notebook that was executed."""

import json
import re
import shutil
import sys

import pytest
from folders import make_run
from pages import Page

from naqsh import report
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.report import notebook


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "one", records=5, stages=1)


@pytest.fixture(scope="module")
def opened(folder):
    return report.open(folder)


def test_every_figure_and_table_of_the_page_is_a_piece(opened, folder, tmp_path):
    page = Page(report.write(folder, tmp_path / "page.html").read_text(encoding="utf-8"))
    ids = [e.get("id") for e in page.all("figure", "div") if e.get("id")]
    kinds = {"figure": opened.figures, "table": opened.tables}
    names = {f"{kind}-{name}" for kind, known in kinds.items() for name in known}
    assert names == {name for name in ids if name.partition("-")[0] in kinds}
    assert opened.sections == [e.get("id") for e in page.all("section")]


def test_a_piece_stands_alone(opened):
    for piece in [opened.figure(n) for n in opened.figures] + [opened.table("networks-1")]:
        page = Page(piece.html)
        assert next(e.get("class") for e in page.root.all("div")) == "naqsh"
        assert len(page.all("style")) == 1
        assert not re.search(r"https?:|@import", piece.html)
        targets = re.findall(r"url\(#([^)]*)\)", piece.html)
        assert set(targets) <= set(page.ids())
        assert str(piece).startswith(piece.caption)


def test_a_table_is_also_plain_text_and_rows(opened):
    table = opened.table("networks-1")
    assert table.rows()[0] == ["Layer", "Kind", "Output shape", "Parameters"]
    assert table.rows()[1] == ["conv0", "Conv2d", "8 × 4 × 4", "1,234"]
    assert table.rows()[-1] == ["Total", "", "", "4,936"]
    assert str(table).splitlines()[2].split() == [
        "conv0",
        "Conv2d",
        "8",
        "×",
        "4",
        "×",
        "4",
        "1,234",
    ]
    assert "recipe.yaml" in str(opened.text("again"))
    assert "gan-tiny" in repr(opened)


def test_an_unknown_piece_is_told(opened):
    with pytest.raises(NaqshError, match="losses"):
        opened.figure("loses")
    with pytest.raises(NaqshError, match="glance"):
        opened.table("glanc")
    with pytest.raises(NaqshError, match="section"):
        opened.text("nothing")


def test_the_cells_show_every_piece_and_name_the_run_from_where_the_notebook_lies(opened):
    plain = notebook.build(opened, ["../one"])
    sources = [cell["source"] for cell in plain["cells"] if cell["cell_type"] == "code"]
    assert 'report.open("../one", language="en")' in sources[0]
    shown = {f'page.figure("{name}")' for name in opened.figures}
    shown |= {f'page.table("{name}")' for name in opened.tables}
    assert shown <= set(sources)
    assert 'page.text("again")' in sources
    assert len({cell["id"] for cell in plain["cells"]}) == len(plain["cells"])


def test_names_are_not_read_as_formulas_or_markdown(tmp_path):
    run = make_run(tmp_path / "run", name="$x$ *y* <b>", records=5, plain=True, stages=1)
    cells = notebook.build(report.open(run), ["run"])["cells"]
    texts = [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
    assert "$" not in "".join(texts)
    assert "&lt;b&gt;" in texts[0]
    assert all(line.startswith("<") for text in texts for line in text.split("\n") if line)


@pytest.mark.slow
def test_a_notebook_is_executed_with_its_outputs_stored(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    run = make_run(tmp_path / "runs" / "one", records=5, plain=True, stages=1)
    out = tmp_path / "books" / "one.ipynb"
    words = ["report", str(run), "--out", str(tmp_path / "page.html"), "--notebook", str(out)]
    assert main([*words, "--language", "fa"]) == 0
    book = nbformat.read(out, as_version=4)
    nbformat.validate(book)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [len(cell.outputs) for cell in cells] == [0] + [1] * (len(cells) - 1)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    stored = "".join(cell.outputs[0].data["text/html"] for cell in cells[1:])
    assert stored.count("<figure") == len(page.all("figure")) > 2
    assert stored.count("<table") == len(page.all("table")) > 3
    assert 'dir="rtl"' in stored
    assert str(tmp_path) not in out.read_text(encoding="utf-8")
    assert all(not cell.metadata for cell in book.cells)


@pytest.mark.slow
def test_a_cell_that_fails_is_told_in_one_line(opened, tmp_path, monkeypatch):
    for name in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(name)
    cell = {"cell_type": "code", "metadata": {}, "source": "1 / 0", "id": "a"}
    book = {"cells": [cell | {"execution_count": None, "outputs": []}], "metadata": {}}
    book |= {"nbformat": 4, "nbformat_minor": 5}
    monkeypatch.setattr(notebook, "build", lambda *_: book)
    with pytest.raises(NaqshError, match="ZeroDivisionError: division by zero") as error:
        notebook.execute(opened, [], tmp_path)
    assert "\n" not in str(error.value)


def test_what_is_missing_is_told_in_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbclient", None)
    with pytest.raises(NaqshError, match=r"naqsh\[notebook\]") as error:
        report.write_notebook(folder, tmp_path / "a.ipynb")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "a.ipynb").exists()
    with pytest.raises(NaqshError, match="ipynb"):
        report.write_notebook(folder, tmp_path / "a.html")


def test_a_comparison_can_be_opened_too(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "one")
    entry = {"name": "one", "folder": "one", "state": "done", "error": None}
    (tmp_path / "comparison.json").write_text(json.dumps({"plan": {}, "entries": [entry]}))
    assert "everything" in report.open(str(tmp_path)).tables
