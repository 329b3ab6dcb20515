"""The section on scores of points: numbers and drawings are the file's, titles are the page's."""

import json
import re

import numpy as np
import pytest
from folders import make_run
from pages import Page
from PIL import Image

from naqsh import report
from naqsh.runs import kept
from naqsh.runs.folder import RunFolder
from naqsh.runs.results import Result

OF = {"n": 300, "step": 400, "seed": 3, "reference": "ring train"}
OF |= {"reference_fingerprint": "f" * 8, "weights": "last"}


def _levels(digest):
    return [
        {"sigma": s, "error": e, "alpha": 0.5, "time": t, "picture": f"../field-{digest}-{t:g}.png"}
        for s, e, t in ((0.75, 0.03125, 1.0), (0.25, 0.0625, 2.0), (0.0625, 0.5, 3.0))
    ]


def _drawn(path, seeds=(3,), kernels=None, **options):
    run = make_run(path, records=5, plain=True, **options)
    for seed in seeds:
        of = OF | {"seed": seed}
        found = {"levels": _levels(seed), "kernels": kernels}
        kept.fields(RunFolder(run)).keep([Result(of, found)])
        for level in found["levels"]:
            pixels = np.random.default_rng(0).integers(0, 256, (20, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(run / level["picture"].removeprefix("../"))
    return run


def _page(runs, out, language="en"):
    return Page(report.write(runs, out, language).read_text(encoding="utf-8"))


def test_every_level_has_its_drawing_and_its_error(tmp_path):
    page = _page(_drawn(tmp_path / "run"), tmp_path / "page.html")
    figure = page.by_id("figure-field")
    assert [(i.get("width"), i.get("height")) for i in figure.all("img")] == [("60", "20")] * 3
    assert "σ = 0.75: exact, learnt, and learnt − exact" in figure.text()
    rows = page.rows("table-field")
    for level, cells in zip(_levels(3), rows.values(), strict=True):
        numbers = [json.loads(e.get("value")) for cell in cells for e in cell.all("data")]
        assert numbers == [level["alpha"], level["error"]]
    heads = [json.loads(e.get("value")) for e in page.by_id("table-field").all("data")][::3]
    assert heads == [level["sigma"] for level in _levels(3)]
    text = page.by_id("field").text()
    assert "over 300 noisy training points of seed 3" in text
    assert "the Gaussians from which the set was drawn" in text
    (result,) = page.results()["runs"]
    assert result["problems"] == []
    assert [level["picture"] for level in result["fielded"][0]["levels"]] == [
        f"field-3-{number}.png" for number in (1, 2, 3)
    ]


def test_several_drawings_are_told_apart(tmp_path):
    page = _page(_drawn(tmp_path / "run", (3, 4), 2000), tmp_path / "page.html")
    assert len(list(page.by_id("figure-field").all("img"))) == 6
    assert "seed 4" in page.by_id("figure-field").text()
    assert "2,000 training points under noise" in page.by_id("field").text()
    assert len(page.rows("table-field")) == 6


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found.pop("levels"),
        lambda found: found.update(levels=[]),
        lambda found: found["levels"][0].update(error="much"),
    ],
)
def test_a_damaged_file_is_told(spoil, tmp_path):
    run = _drawn(tmp_path / "run")
    plain = json.loads((run / "field.json").read_text(encoding="utf-8"))
    spoil(plain["results"][0]["found"])
    (run / "field.json").write_text(json.dumps(plain), encoding="utf-8")
    page = _page(run, tmp_path / "page.html")
    assert "field.json could not be used" in page.text()
    assert "could not be read." in page.by_id("field").text()


def test_a_lost_drawing_is_told_and_a_run_without_has_no_section(tmp_path):
    run = _drawn(tmp_path / "run")
    (run / "field-3-2.png").unlink()
    page = _page(run, tmp_path / "page.html")
    assert "missing or damaged" in page.by_id("figure-field").text()
    bare = _page(make_run(tmp_path / "bare", records=5, plain=True), tmp_path / "bare.html")
    assert "field" not in bare.ids()


def test_persian_says_it_all(tmp_path):
    page = _page(_drawn(tmp_path / "run", (3, 4)), tmp_path / "fa.html", "fa")
    for item in page.by_id("field").all("p", "li", "figcaption", "caption", "h2", "th"):
        text = re.sub(r"\u2068[^\u2069]*\u2069", "", item.text()).replace("(score)", "")
        assert not re.search("[A-Za-z]{3}|[0-9]", text), text
