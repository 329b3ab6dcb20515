"""The sections on samplers and on the bound: their numbers are the files', words follow."""

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

TOLD = ("sampler", "steps")
SAMPLERS = ("ancestral", "ddim", "dpm-solver++")
NAMES = (
    "Inception",
    "FID",
    "KID",
    "features",
    "L_simple",
    "probability flow",
    "ddim",
    "dpm-solver++",
)


def _point(sampler, steps, fid):
    note = {"kind": "biased", "pictures": 12, "dimensions": 64}
    measures = [
        {"name": "frechet", "value": fid, "interval": [fid - 1, fid + 1], "notes": [note]},
        {
            "name": "frechet_infinity",
            "value": fid / 2,
            "interval": None,
            "notes": [note | {"kind": "extrapolation"}],
        },
    ]
    return {
        "sampler": sampler,
        "steps": steps,
        "evaluations": float(steps),
        "measures": measures,
        "pictures_per_second": 100 / steps,
    }


def _sampled(**changes):
    points = [_point(n, s, 40.25 / s + i) for i, n in enumerate(SAMPLERS) for s in (5, 10, 20)]
    return {
        "step": 400,
        "n": 12,
        "seed": 3,
        "features": "pixels",
        "fingerprint": "0123456789abcdef",
        "reference": "<digits> test",
        "sampling": {"clip": False},
        "points": points,
        "nearest": {
            "space": "pixels",
            "n": 100,
            "samples": np.linspace(0.1, 0.2, 100).tolist(),
            "held_out": np.linspace(0.05, 0.25, 100).tolist(),
            "training_pictures": list(range(100)),
            "closer_than_any_held_out": 0.04,
        },
    } | changes


def _bound(**changes):
    terms = [2.0, *np.geomspace(0.5, 1e-5, 39).tolist()]
    bits = {"prior": 1e-5, "steps": sum(terms[1:]), "last": 2.0, "total": sum(terms) + 1e-5}
    return {
        "format": 1,
        "step": 400,
        "n": 16,
        "seed": 0,
        "reference": "digits test",
        "kind": "lower bound",
        **{name: {"value": value, "error": 0.03125} for name, value in bits.items()},
        "times": list(range(1, 41)),
        "terms": terms,
        "errors": np.linspace(0.3, 0.01, 40).tolist(),
        "flow": {"value": 3.25, "error": 0.0625, "kind": "estimate"},
    } | changes


def _run(path, *, samplers=None, bound=None, **options):
    run = make_run(path, records=5, plain=True, **options)
    for name, plain in (("samplers", samplers), ("bound", bound)):
        if plain:
            (run / f"{name}.json").write_text(json.dumps(plain), encoding="utf-8")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(run / "nearest.png")
    return run


def _page(runs, out, language="en"):
    return Page(report.write(runs, out, language).read_text(encoding="utf-8"))


def _numbers(cell):
    return [json.loads(e.get("value")) for e in cell.all("data")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    return _page(_run(place / "run", samplers=_sampled(), bound=_bound()), place / "page.html")


def test_every_number_of_the_samplers_is_the_files(page):
    points = _sampled()["points"]
    rows = page.rows("table-samplers")
    assert list(rows) == [f"gan-tiny {p['sampler']} {p['steps']}" for p in points]
    for point, cells in zip(points, rows.values(), strict=True):
        steps, evaluations, fid, speed = cells
        value = point["measures"][0]["value"]
        assert [_numbers(cell) for cell in (steps, evaluations, speed)] == [
            [point["steps"]],
            [point["evaluations"]],
            [point["pictures_per_second"]],
        ]
        assert _numbers(fid) == [value]
        assert fid.text() == f"{value:.3g} ({value - 1:.3g} to {value + 1:.3g})"
    (result,) = page.results()["runs"]
    assert result["problems"] == []
    assert result["sampled"][0]["points"][0]["frechet"] == points[0]["measures"][0]["value"]
    text = page.by_id("samplers").text()
    assert "<digits> test" in text
    assert "12 images are few" in text
    assert "drawn with clip False" in text
    assert "rough" not in text


def test_a_line_a_sampler_and_a_bar_a_point(page):
    figure = page.by_id("figure-samplers")
    assert [li.text() for li in figure.all("li")] == list(SAMPLERS)
    (drawn,) = figure.all("svg")
    words = [text.text() for text in drawn.all("text")]
    assert {"network evaluations an image", "Fréchet distance"} <= set(words)
    # Lines of data are cut to the axes; bars and lines: nine points and three samplers.
    data = [p for p in drawn.all("path") if p.get("clip-path") and "fill: none" in p.get("style")]
    assert len([p for p in data if "opacity: 0.6" in p.get("style")]) == 9
    (image,) = page.by_id("figure-nearest").all("img")
    assert (image.get("width"), image.get("height")) == ("40", "20")


EXACT = [
    {"sampler": "ddim", "steps": 3, "evaluations": 3, "distance": 0.25, "share": 0.0625},
    {"sampler": "langevin", "steps": 10, "evaluations": 31, "distance": 0.5, "share": 0.375}
    | {"inner": 3},
]


def _spent(path, **options):
    """A run whose samplers had evaluations to spend, and were put under an exact score."""
    run = _run(path, samplers=_sampled(nearest=None), **options)
    store = kept.samplers(RunFolder(run))
    of = {name: value for name, value in store.read()[0].of.items() if name not in TOLD}
    spent = {"sampler": "langevin", "steps": 10, "inner": 3}
    equal = {"kind": "equal_n", "pictures": 12, "dimensions": 64}
    shares = [
        {"name": "precision", "value": 0.75, "interval": None, "notes": [equal]},
        {"name": "recall", "value": 0.125, "interval": None, "notes": []},
    ]
    point = _point("langevin", 10, 4.0) | {"inner": 3, "evaluations": 31.0}
    point["measures"] += shares
    exact = {"n": 16384, "floor": 0.0078125, "share": 0.2, "points": EXACT}
    store.keep([Result(spent | of, point), Result({"metric": "exact", **of}, exact)])
    return run


def test_samplers_under_an_exact_score_have_a_panel_and_a_table(tmp_path):
    page = _page(_spent(tmp_path / "run"), tmp_path / "page.html")
    _, exact = page.by_id("figure-samplers").all("svg")
    assert "W₁ to the mixture" in [text.text() for text in exact.all("text")]
    assert "as many exact draws" in page.by_id("figure-samplers").text()
    rows = page.rows("table-exact")
    assert list(rows) == ["gan-tiny ddim 3", "gan-tiny langevin 10 × 3"]
    for point, cells in zip(EXACT, rows.values(), strict=True):
        numbers = [_numbers(cell) for cell in cells]
        steps = [point["steps"], *([point["inner"]] if "inner" in point else [])]
        assert numbers == [steps, *([point[n]] for n in ("evaluations", "distance", "share"))]
    assert "16,384 numbers" in page.by_id("table-exact").text()
    cells = page.rows("table-samplers")["gan-tiny langevin 10 × 3"]
    assert [_numbers(cell) for cell in cells[3:5]] == [[0.75], [0.125]]
    assert cells[0].text() == "10 × 3"
    # Points of before have neither.
    assert [c.text() for c in page.rows("table-samplers")["gan-tiny ddim 5"][3:5]] == ["–", "–"]
    (result,) = page.results()["runs"]
    assert result["problems"] == []
    (sampled,) = result["sampled"]
    assert sampled["exact"]["points"] == EXACT
    assert sampled["points"][-1]["precision"] == 0.75


def test_exact_scores_of_several_runs_lie_on_one_panel(tmp_path):
    runs = [_spent(tmp_path / name, name=f"ncsn-{name}") for name in "ab"]
    page = _page(runs, tmp_path / "page.html")
    figure = page.by_id("figure-samplers")
    assert len(list(figure.all("svg"))) == 3
    assert "ncsn-a: langevin" in [li.text() for li in figure.all("li")]
    assert len(page.rows("table-exact")) == 4


@pytest.mark.parametrize(
    ("sign", "count", "words"),
    [
        ([], "4", "no more than chance allows"),
        (["copies"], "6", "may have memorised images"),
        (["noise"], "7", "some may be noise"),
    ],
)
def test_the_sentence_on_copies_and_noise_has_the_counts(sign, count, words, tmp_path):
    samples, held_out = np.linspace(0.1, 0.2, 100), np.linspace(0.09, 0.21, 100)
    near, far = {"": (4, 0), "copies": (6, 0), "noise": (0, 7)}["".join(sign)]
    samples[:near], samples[100 - far :] = 0.01, 0.9
    nearest = {"n": 100, "samples": samples.tolist(), "held_out": held_out.tolist()}
    nearest |= {"signs": sign, "training_images": list(range(100)), "training": 1500}
    run = _run(tmp_path / "run", samplers=_sampled(nearest=None))
    store = kept.samplers(RunFolder(run))
    of = {name: value for name, value in store.read()[0].of.items() if name not in TOLD}
    store.keep([Result({"metric": "nearest", **of}, nearest)])
    text = _page(run, tmp_path / "page.html").by_id("samplers").text()
    assert words in text
    assert f"{count} of 100 samples lie" in text
    assert "it is 0.15, from a held-out image 0.15 (medians of 100 samples and 100 images" in text


def test_the_bounds_parts_are_the_files(page):
    plain = _bound()
    rows = page.rows("table-bound")
    for name in ("prior", "steps", "last", "total", "flow"):
        (cell,) = rows[name]
        assert _numbers(cell) == [plain[name]["value"]]
        assert cell.text().endswith(f"\u00a0±\u00a0{plain[name]['error']:.3g}")
    assert rows["kind"][0].text() == "lower bound"
    assert rows["flow_kind"][0].text() == "estimate"
    first = sum(plain["terms"][:4]) / plain["total"]["value"]
    errors = sum(plain["errors"][:4]) / sum(plain["errors"])
    text = page.by_id("bound").text()
    assert f"holds {100 * first:.1f}% of the bits of the bound, and {100 * errors:.1f}%" in text
    assert "spends less on the finest detail" in text
    assert len(list(page.by_id("figure-bound").all("svg"))) == 2


def test_without_an_estimate_there_is_no_row_for_it_and_shares_turn_the_words(tmp_path):
    terms = [0.1] * 40
    plain = _bound(flow=None, terms=terms, total={"value": 4.0, "error": 0.1})
    page = _page(_run(tmp_path / "run", bound=plain), tmp_path / "page.html")
    assert not {"flow", "flow_kind"} & set(page.rows("table-bound"))
    assert "does not take effort away" in page.by_id("bound").text()
    assert "samplers" not in page.ids()


def test_several_runs_stand_side_by_side(tmp_path):
    runs = [
        _run(tmp_path / "a", name="ddpm-a", samplers=_sampled(), bound=_bound()),
        _run(
            tmp_path / "b", name="edm-b", samplers=_sampled(nearest=None), bound=_bound(flow=None)
        ),
        make_run(tmp_path / "c", name="gan-c", records=5, plain=True),
    ]
    page = _page(runs, tmp_path / "page.html")
    rows = page.rows("table-samplers")
    assert len(rows) == 18
    assert rows["edm-b ddim 10"][0].text() == "ddim"
    assert [cell.text() for cell in page.rows("table-bound")["flow"]][1] == "–"
    assert len(list(page.by_id("figure-samplers").all("svg"))) == 2
    assert len(list(page.by_id("figure-nearest").all("img"))) == 1
    assert len(list(page.by_id("figure-bound").all("svg"))) == 4


def test_a_run_without_them_has_no_such_sections(tmp_path):
    page = _page(make_run(tmp_path / "run", records=5, plain=True), tmp_path / "page.html")
    assert not {"samplers", "bound"} & set(page.ids())


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("samplers", lambda d: d.pop("points")),
        ("samplers", lambda d: d.update(points=[])),
        ("samplers", lambda d: d["points"][0]["measures"].pop(0)),
        ("samplers", lambda d: d["points"][0].update(evaluations=0)),
        ("samplers", lambda d: d["nearest"]["samples"].pop()),
        ("samplers", lambda d: d["nearest"].update(samples=[0.1])),
        ("bound", lambda d: d.update(format=9)),
        ("bound", lambda d: d["terms"].pop()),
        ("bound", lambda d: d["terms"].__setitem__(3, float("nan"))),
        ("bound", lambda d: d.pop("prior")),
        ("bound", lambda d: d["total"].update(value=0)),
    ],
)
def test_a_damaged_file_is_told(name, spoil, tmp_path):
    plain = {"samplers": _sampled(), "bound": _bound()}[name]
    spoil(plain)
    page = _page(_run(tmp_path / "run", **{name: plain}), tmp_path / "page.html")
    assert f"{name}.json could not be used" in page.text()
    assert "could not be read." in page.by_id(name).text()


def test_a_lost_picture_is_told(tmp_path):
    run = _run(tmp_path / "run", samplers=_sampled())
    (run / "nearest.png").write_bytes(b"no image")
    page = _page(run, tmp_path / "page.html")
    assert "missing or damaged" in page.by_id("figure-nearest").text()


def test_persian_says_it_all(tmp_path):
    runs = [_run(tmp_path / "run", samplers=_sampled(), bound=_bound()), _spent(tmp_path / "spent")]
    for run in runs:
        _says_it_all(_page(run, tmp_path / f"{run.name}.html", "fa"))


def _says_it_all(page):
    for section in ("samplers", "bound"):
        if section not in page.ids():
            continue
        for item in page.by_id(section).all("p", "li", "figcaption", "caption", "h2", "th"):
            text = re.sub(r"\u2068[^\u2069]*\u2069", "", item.text())
            for word in NAMES:
                text = text.replace(word, "")
            assert not re.search("[A-Za-z]{3}|[0-9]", text), text
