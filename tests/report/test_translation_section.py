"""The section on translation: its numbers are the file's, words and figures follow."""

import json

import numpy as np
import pytest
from folders import make_run
from pages import Page
from PIL import Image

from naqsh import report
from naqsh.runs import kept, records
from naqsh.runs.folder import RunFolder
from naqsh.runs.results import Result

SIGMAS = (0.0, 0.02, 0.1)


def _measures(kernel, frechet):
    values = {"kernel": kernel, "frechet": frechet}
    return tuple(records.Measure(n, v, standard_error=v / 16) for n, v in values.items())


def _direction(to, rise=0.0, **changes):
    """A study whose way back is worse by `rise` at sigma 0.02."""
    of = records.TranslationOf(
        to, 120, 140, "<horses> test A", "zebras test B", "0f", "random", "1f", 400, "last", 3
    )
    levels = tuple(
        records.Disturbed(sigma, records.Mean(0.0625 + rise * sigma / 0.02, 0.001))
        for sigma in SIGMAS
    )
    found = records.Translation(
        _measures(0.25, 2.5),
        _measures(1.0, 8.5),
        records.Floor("train", 120, _measures(0.0, 0.5)),
        records.Mean(0.0625, 0.001),
        levels,
        50,
        **changes,
    )
    return Result(records.plain(of), records.plain(found))


def _run(path, *directions, stages=True, **options):
    run = make_run(path, records=5, plain=True, **options)
    if directions:
        kept.translations(RunFolder(run)).keep(directions)
    if stages:  # as a method leaves them that translates and makes no samples
        lines = [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]
        for number, line in enumerate(lines):
            name = line.pop("grid").replace(".png", "-to_b.png")
            line["shown"] = {"to_b": name}
            Image.fromarray(np.full((8, 8 + number), 50, np.uint8)).save(run / "grids" / name)
        (run / "stages.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def _page(runs, out, language="en"):
    return Page(report.write(runs, out, language).read_text(encoding="utf-8"))


def _numbers(cell):
    return [json.loads(e.get("value")) for e in cell.all("data")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    mean = records.Mean(0.125, 0.001)
    told = {"remarks": ("measured <otherwise>",), "l1": mean, "psnr": records.Mean(20.5, 0.5)}
    run = _run(place / "run", _direction("A"), _direction("B", rise=0.2, **told))
    return _page(run, place / "page.html")


def test_every_number_is_the_files(page):
    rows = page.rows("table-translation-1")
    due = {
        "kernel own": 0.25,
        "kernel copy": 1.0,
        "kernel real": 0.0,
        "frechet own": 2.5,
        "frechet copy": 8.5,
        "frechet real": 0.5,
        "cycle": 0.0625,
        "n": 120,
        "n_real": 140,
        "step": 400,
        "seed": 3,
    }
    assert list(rows)[:7] == list(due)[:7]
    for name, value in due.items():
        assert [_numbers(cell) for cell in rows[name]] == [[value], [value]], name
    assert rows["frechet own"][0].text() == "2.5\xa0±\xa00.156"
    assert [cell.text() for cell in rows["source"]] == ["<horses> test A"] * 2
    assert _numbers(rows["psnr"][1]) == [20.5]
    assert rows["psnr"][0].text() == "–"
    (result,) = page.results()["runs"]
    assert result["problems"] == []
    assert result["translated"][1]["found"]["psnr"]["value"] == 20.5


def test_what_is_read_out_of_them(page):
    text = " ".join(page.by_id("translation").text().split())
    assert text.count("cover 75.0% of the way") == 2
    # 0.2 over 0.02 sqrt(2 / pi)
    assert "goes from 0.0625 to 0.263 (50 images): a rise of 12.5 times" in text
    assert text.count("a hidden message. A low cycle loss") == 1
    assert text.count("nothing speaks for a hidden message") == 1
    assert "measured <otherwise>" in text
    assert "quality" not in page.ids()


def test_a_line_a_direction_and_the_noise_itself(page):
    figure = page.by_id("figure-disturbed")
    labels = [item.text() for item in figure.all("li")]
    assert labels[:2] == ["gan-tiny (to A)", "gan-tiny (to B)"]
    assert labels[2] == "what the noise itself moves a pixel"
    (drawn,) = figure.all("svg")
    words = {text.text() for text in drawn.all("text")}
    assert {"standard deviation of the noise", "error there and back, L₁"} <= words


def test_every_stage_is_shown_where_there_are_no_samples(page, tmp_path):
    images = page.by_id("figure-shown-1").all("img")
    assert [image.get("width") for image in images] == ["8", "9", "10"]
    assert "no images of the stages" not in page.by_id("samples").text()
    sampled = _page(_run(tmp_path / "run", stages=False), tmp_path / "page.html")
    assert len(list(sampled.by_id("figure-grids").all("img"))) == 3


def test_several_runs_stand_beside_each_other(tmp_path):
    runs = [
        _run(tmp_path / name, _direction("A"), _direction("B"), name=name)
        for name in ("full", "plain")
    ]
    page = _page(runs, tmp_path / "page.html", "fa")
    for number in (1, 2):  # a direction each
        assert len(page.rows(f"table-translation-{number}")["kernel own"]) == 2
    assert len(list(page.by_id("figure-disturbed").all("svg"))) == 2
    assert len(list(page.by_id("figure-shown-1").all("img"))) == 6


@pytest.mark.parametrize("written", ["[]", '{"format": 2, "results": [{"of": {}, "found": {}}]}'])
def test_a_damaged_file_is_said(written, tmp_path):
    run = _run(tmp_path / "run")
    (run / "translation.json").write_text(written)
    page = _page(run, tmp_path / "page.html")
    assert "could not be read" in page.by_id("translation").text()
    assert page.results()["runs"][0]["problems"][0]["file"] == "translation.json"
