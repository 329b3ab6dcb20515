"""Families side by side: ranks, bests and words agree with what was measured."""

import json

import pytest
from folders import make_run
from pages import Page

from naqsh import report
from naqsh.errors import NaqshError
from naqsh.report import comparing, comparison, gather
from naqsh.report.words import Words

#             kind         fid  half    precision recall density coverage  speed    evaluations
FAMILIES = {
    "vae-x": ("vae", 9.0, 0.5, 0.60, 0.55, 0.5, 0.40, 20_000.0, 1.0),
    "gan-x": ("gan", 4.0, 0.5, 0.90, 0.30, 0.9, 0.60, 10_000.0, 1.0),
    "ddpm-x": ("diffusion", 4.2, 0.5, 0.85, 0.80, 0.8, 0.80, 2.0, 1000.0),
    "odd-x": ("unheard", 1.0, 0.5, 0.99, 0.99, 0.9, 0.99, 5.0, 7.0),
}


def _evaluation(values, n=500):
    fid, half, precision, recall, density, coverage, speed, evaluations = values
    numbers = {
        "frechet": (fid, [fid - half, fid + half]),
        "kernel": (fid / 100, None),
        "precision": (precision, None),
        "recall": (recall, None),
        "density": (density, None),
        "coverage": (coverage, None),
    }
    base = {"n_real": 297, "n_generated": n, "features": "digits", "fingerprint": "0" * 16}
    base |= {"reference": "digits test", "standard_error": None, "notes": []}
    return {
        "step": 250,
        "seed": 0,
        "measures": [
            base | {"name": name, "value": value, "interval": interval}
            for name, (value, interval) in numbers.items()
        ],
        "speed": {
            "pictures_per_second": speed,
            "evaluations_per_picture": evaluations,
            "peak_memory": 2**20,
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A comparison's folder: three measured alike, one with fewer pictures, one that failed."""
    place = tmp_path_factory.mktemp("compare")
    for number, (name, (kind, *values)) in enumerate(FAMILIES.items()):
        run = make_run(
            place / name, name=name, seed=number, records=5, plain=True, stages=1, kind=kind
        )
        content = _evaluation(values, n=100 if name == "odd-x" else 500)
        if name == "vae-x":
            content["likelihood"] = {"bits": 1.5, "bits_error": 0.1, "nats": -66.5, "nats_error": 1}
            content["likelihood"] |= {"kind": "lower bound", "of": "levels", "n": 297}
            content["likelihood"] |= {"reference": "digits test"}
        (run / "evaluation.json").write_text(json.dumps(content))
    entries = [{"name": n, "folder": n, "state": "done", "error": None} for n in FAMILIES]
    entries.append({"name": "maf-x", "folder": "maf-x", "state": "failed", "error": "no <memory>"})
    plan = {"data": "tiny", "minutes": 4.0, "pictures": None, "n": 500, "recipes": ["vae-x"]}
    (place / "comparison.json").write_text(json.dumps({"plan": plan, "entries": entries}))
    return place


@pytest.fixture(scope="module", params=["en", "fa"])
def page(request, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "page.html"
    return Page(report.write_comparison(folder, out, request.param).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runs(folder):
    return gather.read([folder / name for name in FAMILIES])


def test_the_table_holds_what_was_measured(page):
    numbers = {
        name: [[json.loads(e.get("value")) for e in cell.all("data")] for cell in cells]
        for name, cells in page.rows("table-everything").items()
    }
    for n, (_, fid, half, precision, *_, speed, evaluations) in enumerate(FAMILIES.values()):
        assert numbers["frechet"][n] == [fid, fid - half, fid + half]
        assert numbers["precision"][n] == [precision]
        assert numbers["sampling"][n] == [speed]
        assert numbers["evaluations"][n] == [evaluations]
    assert numbers["bits"] == [[1.5] if name == "vae-x" else [] for name in FAMILIES]


def test_the_best_stand_out_with_what_intervals_do_not_tell_apart(page):
    names = list(FAMILIES)
    bold = {
        measure: {
            name
            for name, cell in zip(names, cells, strict=True)
            if any(e.get("class") == "best" for e in cell.all("span"))
        }
        for measure, cells in page.rows("table-everything").items()
    }
    assert bold["frechet"] == {"gan-x", "ddpm-x"}  # 4.2 ± 0.5 reaches 4.0 ± 0.5
    assert bold["kernel"] == bold["precision"] == bold["density"] == {"gan-x"}
    assert bold["recall"] == bold["coverage"] == {"ddpm-x"}
    assert not any("odd-x" in best for best in bold.values())  # measured with fewer pictures


def test_only_what_was_measured_alike_is_in_the_figures(page):
    for name in ("trilemma", "cost"):
        for panel in page.by_id(f"figure-{name}").all("ul"):
            text = panel.text()
            assert "ddpm-x" in text
            assert "odd-x" not in text
    assert "odd-x" in page.by_id("table-everything").text()


def test_ranks_are_those_of_the_values(runs):
    same = comparison.alike(runs)
    assert same == [True, True, True, False]
    ranked = runs[:3]
    assert [comparing.rank(run, ranked, "frechet") for run in ranked] == [3, 1, 2]
    assert [comparing.rank(run, ranked, "recall") for run in ranked] == [2, 3, 1]
    assert comparing.rank(runs[0], ranked, "nothing") is None
    assert comparing.not_told_apart(runs[1], ranked) == [runs[2]]
    assert comparing.not_told_apart(runs[0], ranked) == []


def test_the_words_say_what_the_numbers_say(runs):
    vae, gan, ddpm, odd = (str(p) for p in comparison.paragraphs(Words("en"), runs))
    assert "variational autoencoder (VAE)" in vae
    assert "Fréchet distance of 9 has rank 3 of 3" in vae
    assert "best in speed and worst in quality" in vae
    assert "1.5 bits a dimension (lower bound, levels" in vae
    assert "not tell it apart from ddpm-x" in gan
    assert "best in quality and worst in diversity" in gan
    assert "1,000 network evaluations" in ddpm
    assert "best in diversity and worst in speed" in ddpm
    assert "unheard" in odd
    assert "rank 1" not in odd


def test_what_failed_and_the_budget_are_told(page):
    text = page.by_id("compared").text()
    assert "maf-x" in text
    assert "no <memory>" in text
    assert "no <memory>" not in page.source
    assert page.results()["failures"] == [{"name": "maf-x", "reason": "no <memory>"}]
    header = next(iter(page.all("header"))).text()
    assert ("4 min" in header) or ("۴ دقیقه" in header)


def test_every_run_shows_its_pictures_and_its_losses(page):
    assert len(list(page.by_id("figure-last_grids").all("img"))) == 4
    assert len(list(page.by_id("figure-each_loss").all("svg"))) == 4
    assert len(page.all("pre")) == 8
    assert any(i.startswith("table-networks") for i in page.ids())


def test_nothing_is_fetched_and_every_reference_resolves(page):
    ids = page.ids()
    assert len(set(ids)) == len(ids)
    links = [e.get("href") for e in page.all("a", "use")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_the_same_folders_give_the_same_bytes(folder, tmp_path):
    first = report.write_comparison(folder, tmp_path / "a.html").read_bytes()
    assert report.write(folder, tmp_path / "b.html").read_bytes() == first


def test_runs_without_any_evaluation_are_shown_and_not_ranked(tmp_path):
    runs = [make_run(tmp_path / n, name=n, records=5, plain=True, stages=1) for n in ("a", "b")]
    page = Page(report.write_comparison(runs, tmp_path / "p.html").read_text(encoding="utf-8"))
    assert "nothing to compare" in page.by_id("trilemma").text()
    assert "It was not measured" in page.by_id("families").text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "damaged"),
        ('{"plan": {}}', "names no plan and entries"),
        ('{"plan": {}, "entries": []}', "no finished run"),
    ],
)
def test_a_damaged_comparison_is_told(tmp_path, content, words):
    (tmp_path / "comparison.json").write_text(content)
    with pytest.raises(NaqshError, match=words):
        report.write_comparison(tmp_path, tmp_path / "p.html")
