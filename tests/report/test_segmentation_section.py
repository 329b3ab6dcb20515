"""The section on segmentation: its numbers are the file's, words and legends follow."""

import json

import numpy as np
import pytest
from folders import make_run
from pages import Page
from PIL import Image

from naqsh import report
from naqsh.io import masks
from naqsh.runs import kept, records
from naqsh.runs.folder import RunFolder
from naqsh.runs.results import Result

OF = ("scenes <of mine>", "0f", 20, 2, 200, (0.25, 0.5), 10, 400, "last", 3)


def _run(place, **changes):
    run = make_run(place, records=5, plain=True)
    rows = {"features": (0.5, 0.75), "scratch": (0.25, 0.25), "pixels": (0.125, 0.25)}
    found = tuple(records.Classified(name, r, r, (r[0], None)) for name, r in rows.items())
    found = records.Segmentation(
        ("ground", "a <b>"), found, 1500, changes.get("uncertain", 0.5), "segmentation-1.png"
    )
    of = records.SegmentationOf(*OF)
    kept.segmentations(RunFolder(run)).keep([Result(records.plain(of), records.plain(found))])
    Image.fromarray(np.full((8, 12), 50, np.uint8)).save(run / "segmentation-1.png")
    return run


def _page(run, out, language="en"):
    return Page(report.write(run, out, language).read_text(encoding="utf-8"))


def _numbers(cell):
    return [json.loads(e.get("value")) for e in cell.all("data")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    return _page(_run(place / "run"), place / "page.html")


def test_every_number_is_the_files(page):
    rows = page.rows("table-segmentation")
    cells = rows["gan-tiny features"]
    assert _numbers(cells[0])[0] == 0.625
    assert cells[1].text() == "–"
    cells = rows["gan-tiny pixels"]
    assert [_numbers(cell)[0] for cell in cells] == [0.1875, 0.4375, 0.1875]
    classes = page.rows("table-segmented_classes")
    assert [_numbers(cell) for cell in classes["gan-tiny ground"]] == [[0.5], [0.25], [0.125]]
    assert [cell.text() for cell in classes["gan-tiny a <b>"]] == ["–"] * 3
    (result,) = page.results()["runs"]
    assert result["problems"] == []
    assert result["segmented"][0]["found"]["pool"] == 1500


def test_what_was_done_is_said(page):
    text = " ".join(page.by_id("segmentation").text().split())
    assert "In each of 2 draws 20 labelled images of 1,500 of scenes <of mine>" in text
    assert "noise over signal 0.25, 0.5" in text
    assert "first draw 50.0% lie among the tenth" in text


def test_the_legend_has_the_colours_of_the_overlays(page):
    figure = page.by_id("figure-segmentation")
    assert [item.text() for item in figure.all("li")] == ["ground", "a <b>"]
    assert f"#{bytes(masks.colours(2)[1]).hex()}" in page.source
    (image,) = figure.all("img")
    assert (image.get("width"), image.get("height")) == ("12", "8")


def test_persian_has_the_same_parts_and_results(page, tmp_path):
    other = _page(_run(tmp_path / "run", uncertain=None), tmp_path / "page.html", "fa")
    assert other.ids() == page.ids()
    assert "U-Net آموزش‌دیده از صفر" in other.by_id("table-segmentation").text()


def test_a_damaged_file_is_said(tmp_path):
    run = _run(tmp_path / "run")
    (run / "segmentation.json").write_text(
        (run / "segmentation.json").read_text().replace("segmentation-1.png", "../secret.png")
    )
    page = _page(run, tmp_path / "page.html")
    assert "could not be read" in page.by_id("segmentation").text()
