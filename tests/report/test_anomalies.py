"""The section on anomaly detection: its numbers are the file's, its words follow from them."""

import json
import re

import numpy as np
import pytest
from folders import make_run
from pages import Page
from PIL import Image

from naqsh import report
from naqsh.report.words import Words


def _scorer(name, shift, *, baseline=False, less=(0.1, [0.02, 0.2])):
    auroc = 0.5 + shift
    found = {
        "name": name,
        "detail": name,
        "baseline": baseline,
        "threshold": 1.5,
        "largest": 9.0,
        "flagged": 7,
        "flagged_by_kind": {"good": 1, "poke": 4, "crack": 2},
        "auroc": auroc,
        "auroc_interval": [auroc - 0.1, auroc + 0.1],
        "average_precision": 0.75,
        "average_precision_interval": [0.7, 0.8],
        "f1": {"f1": 0.66, "threshold": 1.0, "precision": 0.6, "recall": 0.7},
        "pixel_auroc": None if baseline else 0.91,
        "kinds": {
            "crack": {"count": 5, "auroc": 0.6, "interval": [0.5, 0.7]},
            "poke": {"count": 6, "auroc": 0.9, "interval": [0.8, 1.0]},
        },
        "roc": {"false": [0.0, 0.25, 1.0], "true": [0.0, 0.5 + shift, 1.0]},
        "histogram": {
            "edges": [0.0, 1.0, 2.0, 3.0],
            "counts": {"": [3, 1, 0], "good": [8, 2, 0], "poke": [0, 2, 4], "crack": [3, 2, 0]},
        },
    }
    return found if baseline else found | {"less_pca": {"difference": less[0], "interval": less[1]}}


def _detection(**changes):
    return {
        "format": 1,
        "step": 400,
        "seed": 0,
        "suspects": {
            "name": "<capsules>",
            "count": 21,
            "kinds": {"crack": 5, "good": 10, "poke": 6},
            "labelled": True,
            "masks": 21,
        },
        "normal": {"name": "capsule", "fitted": 30, "held_out": 4, "origin": "validation"},
        "false_alarms": 0.05,
        "draws": 8,
        "deciding": "likelihood",
        "scorers": [
            _scorer("likelihood", 0.3),
            _scorer("reconstruction", 0.0),
            _scorer("pca", 0.2, baseline=True),
            _scorer("complexity", 0.05, baseline=True),
        ],
        "likelihood": {
            "complexity_correlation": 0.42,
            "brightness_correlation": -0.3,
            "constants": {"grey": {"nats": -5.0, "likelier_than": 0.75}},
            "normal": 4,
        },
        "notes": [],
        "extremes": {"most": [], "least": []},
        "pictures": {
            "most": "detection/most.png",
            "least": "detection/least.png",
            "maps_of": "reconstruction",
        },
    } | changes


def _run(path, detection, **options):
    run = make_run(path, records=5, plain=True, **options)
    (run / "detection.json").write_text(json.dumps(detection), encoding="utf-8")
    (run / "detection").mkdir()
    for name in ("most", "least"):
        pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(run / "detection" / f"{name}.png")
    return run


def _page(runs, out, language="en"):
    return Page(report.write(runs, out, language).read_text(encoding="utf-8"))


@pytest.fixture
def page(tmp_path):
    return _page(_run(tmp_path / "run", _detection()), tmp_path / "page.html")


def _numbers(cell):
    return [json.loads(e.get("value")) for e in cell.all("data")]


def test_every_number_is_the_files(page):
    plain = _detection()
    rows = page.rows("table-detection")
    assert list(rows) == [scorer["name"] for scorer in plain["scorers"]]
    for scorer in plain["scorers"]:
        auroc, precision, f1, pixels, alarms, flagged = rows[scorer["name"]]
        assert _numbers(auroc) == [scorer["auroc"]]
        low, high = scorer["auroc_interval"]
        assert auroc.text() == f"{scorer['auroc']:.3g} ({low:.3g} to {high:.3g})"
        assert _numbers(precision) == [scorer["average_precision"]]
        assert _numbers(f1) == [scorer["f1"]["f1"]]
        assert _numbers(pixels) == ([] if scorer["baseline"] else [0.91])
        assert (alarms.text(), flagged.text()) == ("1/10", "6/11")
    kinds = page.rows("table-detection_kinds")
    assert {name: [_numbers(c) for c in cells] for name, cells in kinds.items()} == {
        "crack": [[0.6], [0.6]],
        "poke": [[0.9], [0.9]],
    }
    terms = page.rows("table-detection_terms")
    assert terms["suspects"][0].text() == "<capsules>"
    assert _numbers(terms["held_out"][0]) == [4]
    assert terms["maps"][0].text() == "reconstruction error"
    (result,) = page.results()["runs"]
    assert result["problems"] == []
    assert result["detected"][0]["scorers"][0]["auroc"] == 0.8


def test_figures_are_there_and_named(page):
    roc = page.by_id("figure-roc")
    assert [li.text() for li in roc.all("li")] == [
        "negative log-likelihood",
        "reconstruction error",
        "principal components (baseline)",
        "size as a PNG (baseline)",
    ]
    styles = [span.get("style") for span in roc.all("span") if span.get("class") == "line"]
    assert ["dashed" in style for style in styles] == [False, False, True, True]
    scores = page.by_id("figure-scores")
    (drawn,) = scores.all("svg")
    words = [text.text() for text in drawn.all("text")]
    assert [w for w in words if w in ("normal, held out", "good", "poke", "crack")] == [
        "normal, held out",
        "good",
        "crack",
        "poke",
    ]
    assert len(list(page.by_id("figure-extremes").all("img"))) == 2
    assert "Anomaly detection" in [h.text() for h in page.all("h2")]


@pytest.mark.parametrize(
    ("less", "words"),
    [
        ([0.02, 0.2], "is better than the residual"),
        ([-0.2, -0.02], "Take the baseline"),
        ([-0.1, 0.1], "cannot be told from the residual"),
    ],
)
def test_the_words_follow_from_the_interval(less, words, tmp_path):
    scorers = [_scorer("likelihood", 0.3, less=(0.0, less)), _scorer("pca", 0.2, baseline=True)]
    found = _detection(scorers=scorers)
    text = _page(_run(tmp_path / "run", found), tmp_path / "page.html").text()
    assert words in text
    assert "1, so this likelihood is not fooled" not in text
    assert "likelier than 75" in text
    assert "This likelihood would pass it as normal" in text
    assert "size as a PNG is 0.42, with its brightness \N{MINUS SIGN}0.3" in text


def test_a_likelihood_that_is_not_fooled(tmp_path):
    likelihood = _detection()["likelihood"]
    likelihood["constants"]["grey"]["likelier_than"] = 0.25
    found = _detection(likelihood=likelihood, notes=["round_trip", "a note of tomorrow"])
    text = _page(_run(tmp_path / "run", found), tmp_path / "page.html").text()
    assert "is not fooled by it" in text
    assert "reconstruction error is at most 9, which is rounding" in text
    assert "a note of tomorrow" in text


def test_what_is_said_of_the_images_is_told(tmp_path):
    found = _detection()
    found["suspects"]["notes"] = ["masks of 3 of 6 <faulty> images"]
    for language in ("en", "fa"):
        page = _page(_run(tmp_path / language, found), tmp_path / f"{language}.html", language)
        assert "masks of 3 of 6 <faulty> images" in page.by_id("detection").text()


def test_without_labels_there_are_scores_and_no_curves(tmp_path):
    scorer = {k: v for k, v in _scorer("pca", 0, baseline=True).items() if "auroc" not in k}
    scorer["flagged_by_kind"] = {}
    scorer["histogram"] = {"edges": [0.0, 1.0], "counts": {"": [4], "all": [21]}}
    found = _detection(scorers=[scorer], likelihood=None, notes=["unlabelled"])
    page = _page(_run(tmp_path / "run", found), tmp_path / "page.html")
    assert "figure-roc" not in page.ids()
    assert {"figure-scores", "figure-extremes", "table-detection_terms"} <= set(page.ids())
    assert "scores and flags but no AUROC" in page.text()


def test_several_runs_share_one_plot(tmp_path):
    runs = [
        _run(tmp_path / "a", _detection(), name="maf-a"),
        _run(tmp_path / "b", _detection(), name="vae-b"),
        make_run(tmp_path / "c", name="gan-c", records=5, plain=True),
    ]
    page = _page(runs, tmp_path / "page.html")
    legend = [li.text() for li in page.by_id("figure-roc").all("li")]
    assert legend == [
        "maf-a: negative log-likelihood",
        "vae-b: negative log-likelihood",
        "principal components (baseline)",
    ]
    rows = page.rows("table-detection_of")
    assert [_numbers(cell) for cell in rows["likelihood"]] == [[0.8], [0.8]]
    assert len(list(page.by_id("figure-extremes").all("img"))) == 4


def test_a_run_without_detection_has_no_such_section(tmp_path):
    page = _page(make_run(tmp_path / "run", records=5, plain=True), tmp_path / "page.html")
    assert "Anomaly detection" not in page.text()
    assert "detection" not in page.ids()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("scorers"),
        lambda d: d.update(format=9),
        lambda d: d.update(scorers=[]),
        lambda d: d["scorers"][0]["histogram"]["counts"].update(good=[1]),
        lambda d: d["scorers"][0]["roc"]["false"].pop(),
    ],
)
def test_a_damaged_file_is_told(spoil, tmp_path):
    found = _detection()
    spoil(found)
    page = _page(_run(tmp_path / "run", found), tmp_path / "page.html")
    assert "detection.json could not be used" in page.text()
    assert "What was found about anomalies could not be read." in page.text()


def test_pictures_from_elsewhere_are_not_read(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    found = _detection(pictures={"most": "../../secret.png"})
    page = _page(_run(tmp_path / "run", found), tmp_path / "page.html")
    figure = page.by_id("figure-extremes")
    assert not list(figure.all("img"))
    assert "missing or damaged" in figure.text()


def test_persian_says_it_all(tmp_path):
    found = _detection(notes=["seen", "few", "repeated", "round_trip"])
    page = _page(_run(tmp_path / "run", found), tmp_path / "fa.html", "fa")
    (section,) = [e for e in page.all("section") if e.get("id") == "detection"]
    for item in section.all("p", "li", "figcaption", "h2"):
        text = re.sub(r"\u2068[^\u2069]*\u2069", "", item.text())
        for word in ("AUROC", "ROC", "PNG", "F1", "AP", "accuracy"):
            text = text.replace(word, "")
        assert not re.search("[A-Za-z]{3}", text), text


@pytest.mark.parametrize(
    "note",
    ["seen", "other_pictures", "repeated", "few", "unlabelled", "round_trip", "no_maps"],
)
def test_every_note_is_known_to_both_languages(note):
    assert all(f"detection.notes.{note}" in Words(language) for language in ("en", "fa"))
