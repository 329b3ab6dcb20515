"""Families side by side: ranks, bests and words agree with what was measured."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from folders import evaluation, make_run
from pages import Page
from scipy import stats

from naqsh import report
from naqsh.core.errors import NaqshError
from naqsh.core.student import of_mean, student
from naqsh.report import comparison
from naqsh.report.read import gather, verdicts
from naqsh.report.words import Words
from naqsh.runs import influences
from naqsh.runs.influences import Influenced

#             kind         fid  half    precision recall density coverage  speed    evaluations
FAMILIES = {
    "vae-x": ("vae", 9.0, 0.5, 0.60, 0.55, 0.5, 0.40, 20_000.0, 1.0),
    "gan-x": ("gan", 4.0, 0.5, 0.90, 0.30, 0.9, 0.60, 10_000.0, 1.0),
    "ddpm-x": ("diffusion", 4.2, 0.5, 0.85, 0.80, 0.8, 0.80, 2.0, 1000.0),
    "odd-x": ("unheard", 1.0, 0.5, 0.99, 0.99, 0.9, 0.99, 5.0, 7.0),
}


M = 297
SHARED = np.random.default_rng(0).normal(size=M)
ERRORS = {"frechet": 0.25, "kernel": 1e-4, "precision": 1e-3, "recall": 0.2, "density": 0.01}
"""Over samples; of coverage nothing is kept."""


def _keep_influences(run, number):
    """What most real images do is the same to all runs, so that it cancels in a difference."""
    measured = gather.read([run])[0].measured
    own = np.random.default_rng(number + 1).normal(size=M)
    parts = {
        name: Influenced(error**2, (1000 * SHARED + 0.1 * error * own).astype("f4"))
        for name, error in ERRORS.items()
    }
    influences.write(run, measured.of, parts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A comparison's folder: three measured alike, one with fewer images, one that failed."""
    place = tmp_path_factory.mktemp("compare")
    for number, (name, (kind, *values)) in enumerate(FAMILIES.items()):
        run = make_run(
            place / name, name=name, seed=number, records=5, plain=True, stages=1, kind=kind
        )
        content = evaluation(values, n=100 if name == "odd-x" else 500)
        if name == "vae-x":
            content["likelihood"] = {"bits": 1.5, "bits_error": 0.1, "nats": -66.5, "nats_error": 1}
            content["likelihood"] |= {"kind": "lower bound", "of": "levels", "n": 297}
            content["likelihood"] |= {"reference": "digits test"}
        (run / "evaluation.json").write_text(json.dumps(content))
        _keep_influences(run, number)
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
    return comparison.read(folder).runs


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


def _bold(page, names):
    return {
        measure: {
            name
            for name, cell in zip(names, cells, strict=False)
            if any(e.get("class") == "best" for e in cell.all("span"))
        }
        for measure, cells in page.rows("table-everything").items()
    }


def test_the_best_stand_out_with_what_their_difference_does_not_tell_apart(page):
    bold = _bold(page, list(FAMILIES))
    # 4.2 - 4.0 has an error of 0.35: the reference, whose part is far larger, falls out.
    assert bold["frechet"] == {"gan-x", "ddpm-x"}
    assert bold["kernel"] == bold["precision"] == bold["density"] == {"gan-x"}
    assert bold["recall"] == {"ddpm-x", "gan-x", "vae-x"}  # 0.30 to 0.80 with an error of 0.28
    assert bold["coverage"] == set()  # nothing was kept of it
    assert bold["sampling"] == {"vae-x"}
    assert bold["seconds"] == bold["speed"] == set()  # the time was the same for all
    assert not any("odd-x" in best for best in bold.values())  # measured with fewer images


def test_differences_of_runs_that_share_their_reference(runs):
    vae, gan, *_ = runs
    apart, half = verdicts.difference(vae, gan, "frechet")
    assert apart == pytest.approx(5.0)
    assert half == pytest.approx(1.96 * 0.25 * (2 + 2 * 0.01 / M) ** 0.5, rel=1e-3)
    assert verdicts.difference(gan, vae, "frechet") == pytest.approx((-apart, half))
    assert verdicts.difference(vae, gan, "coverage") is None
    other = replace(gan, measured=replace(gan.measured, of={"reference_fingerprint": "other"}))
    assert verdicts.difference(vae, other, "frechet") is None


def test_values_decide_and_not_the_middles_of_clipped_intervals(runs):
    """An interval that is cut at 0 has its middle above the value."""
    _, gan, ddpm, _ = runs
    values = {"frechet": (0.05, (0.0, 2.0))}
    near = replace(gan, measured=replace(gan.measured, values=values))
    values = {"frechet": (0.6, (0.5, 0.7))}
    far = replace(ddpm, measured=replace(ddpm.measured, values=values))
    assert 0 in verdicts.best("frechet", [near, far])
    assert verdicts.rank(near, [near, far], "frechet") == 1


@pytest.mark.parametrize("freedom", [1, 1.5, 2, 3, 4.7, 10, 30, 1000])
def test_students_quantiles(freedom):
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-6)


def _trained(run, values):
    """A run that stands for trainings of these distances."""
    each = [
        replace(run, measured=replace(run.measured, values={"frechet": (value, None)}))
        for value in values
    ]
    mean = replace(run.measured, values={"frechet": of_mean(values)})
    return replace(run, measured=mean, trainings=each)


def test_trainings_are_told_apart_by_welchs_t(runs):
    first, second = [4.08, 5.19, 4.13, 4.52], [5.0, 5.4, 5.1]
    a, b = (_trained(run, values) for run, values in zip(runs, (first, second), strict=False))
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    apart, half = verdicts.difference(a, b, "frechet")
    assert (apart - half, apart + half) == pytest.approx((welch.low, welch.high), rel=1e-6)
    mean, (low, high) = a.measured.values["frechet"]
    alone = stats.t.interval(0.95, 3, loc=np.mean(first), scale=stats.sem(first))
    assert (low, high) == pytest.approx(alone, rel=1e-6)
    assert mean == pytest.approx(np.mean(first))
    assert verdicts.difference(a, runs[1], "frechet") is None  # one training tells of no others


@pytest.mark.parametrize(("k", "spread"), [(3, 1.0), (5, 3.0)])
def test_intervals_over_trainings_hold_the_truth_as_often_as_they_say(k, spread, runs):
    """2,000 pairs of recipes with unequal spreads: within 0.94 to 0.97."""
    random, inside = np.random.default_rng(0), 0
    for _ in range(2000):
        a, b = random.normal(0, 1, k), random.normal(0, spread, k)
        apart, half = verdicts._welch(list(a), list(b))
        inside += abs(apart) <= half
    assert 0.93 <= inside / 2000 <= 0.97


@pytest.mark.parametrize("values", [[4.1, 4.4], [4.0, 4.6, 4.1], [3.9, 5.2, 4.1, 4.4, 4.8]])
def test_the_interval_of_a_mean_over_trainings_is_students(values):
    mean, interval = of_mean(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean == pytest.approx(np.mean(values))
    assert interval == pytest.approx(tuple(expected), rel=1e-6)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_a_measure_of_elsewhere_is_ranked_as_its_file_says(tmp_path, better):
    places = []
    for n, value in enumerate((0.2, 0.4)):
        place = make_run(tmp_path / f"run-{n}", records=5, plain=True, stages=1, seed=n)
        content = evaluation([9.0, 0.1, 0.5, 0.5, 1.0, 0.5, 10.0, 1])
        toy = content["measures"][0] | {"name": "above", "value": value, "interval": None}
        content["measures"].append(toy | {"kind": "above", "better": better})
        (place / "evaluation.json").write_text(json.dumps(content))
        places.append(place)
    found = comparison.read(places).runs
    assert verdicts.ranked(found)[-1] == "above"
    ranks = [verdicts.rank(run, found, "above") for run in found]
    assert ranks == ([1, 2] if better == "lower" else [2, 1])
    page = Page(report.write_comparison(places, tmp_path / "p.html").read_text(encoding="utf-8"))
    rows = page.rows("table-everything")
    values = [json.loads(e.get("value")) for cell in rows["above"] for e in cell.all("data")]
    assert values == [0.2, 0.4]


def test_several_trainings_of_a_recipe_stand_as_one(folder, tmp_path):
    names = list(FAMILIES)[:3]
    for number, name in enumerate(names):
        shutil.copytree(folder / name, tmp_path / f"gan-seed-{number}")
    shutil.copytree(folder / "vae-x", tmp_path / "vae-x")
    entries = [{"name": "gan", "folder": f"gan-seed-{n}"} for n in range(3)]
    entries.append({"name": "vae-x", "folder": "vae-x"})
    entries = [entry | {"state": "done", "error": None, "taken": False} for entry in entries]
    plan = {"data": "tiny", "minutes": 1.0, "seeds": 3, "n": 500}
    (tmp_path / "comparison.json").write_text(json.dumps({"plan": plan, "entries": entries}))
    found = comparison.read(tmp_path)
    assert [run.label for run in found.runs] == ["vae-x ×3", "vae-x (vae-x)"]
    assert verdicts.trainings(found.runs[0], "frechet") == [9.0, 4.0, 4.2]
    assert found.runs[0].measured.values["frechet"][0] == pytest.approx(17.2 / 3)
    page = Page(report.write(tmp_path, tmp_path / "p.html").read_text(encoding="utf-8"))
    assert page.results()["trainings"]["vae-x ×3"]["frechet"] == [9.0, 4.0, 4.2]
    text = page.by_id("compared").text()
    assert "over trainings, by Student" in text


@pytest.mark.parametrize("language", ["en", "fa"])
def test_real_images_stand_beside_the_samples_and_what_to_know_is_said(folder, tmp_path, language):
    place = tmp_path / "c"
    shutil.copytree(folder, place)
    there = json.loads((place / "comparison.json").read_text())
    measures = [
        {"name": "frechet", "value": 0.15, "interval": [0.1, 0.2]},
        {"name": "precision", "value": 0.97, "interval": None},
    ]
    there["floor"] = {"split": "train", "n": 300, "measures": measures}
    (place / "comparison.json").write_text(json.dumps(there))
    page = Page(report.write_comparison(place, tmp_path / "p.html", language).read_text("utf-8"))
    rows = page.rows("table-everything")
    last = {name: [json.loads(e.get("value")) for e in rows[name][-1].all("data")] for name in rows}
    assert last["frechet"] == [0.15, 0.1, 0.2]
    assert last["precision"] == [0.97]
    assert last["recall"] == []
    text = page.by_id("compared").text()
    said = {
        "en": ["300 images of the training split", "fewer than the 500", "do not cover training"],
        "fa": ["۳۰۰ تصویر از بخش آموزش", "کم‌تر از ۵۰۰", "آموزش دوباره"],
    }
    for words in said[language]:
        assert words in text.replace("\u2068", "").replace("\u2069", "")
    header = next(iter(page.all("header"))).text()
    assert "equally" not in header


@pytest.mark.parametrize("language", ["en", "fa"])
def test_runs_measured_before_differences_were_kept_are_named(folder, tmp_path, language):
    place = tmp_path / "c"
    shutil.copytree(folder, place)
    shutil.rmtree(place / "gan-x" / influences.FOLDER)
    page = Page(report.write_comparison(place, tmp_path / "p.html", language).read_text("utf-8"))
    text = page.by_id("compared").text().replace("\u2068", "").replace("\u2069", "")
    assert {"en": "was not kept of", "fa": "نگه داشته نشده است"}[language] in text
    assert "gan-x" in text[text.index("naqsh evaluate") - 250 :]


def test_only_what_was_measured_alike_is_in_the_figures(page):
    for name in ("trilemma", "cost"):
        for panel in page.by_id(f"figure-{name}").all("ul"):
            text = panel.text()
            assert "ddpm-x" in text
            assert "odd-x" not in text
    assert "odd-x" in page.by_id("table-everything").text()


def test_ranks_are_those_of_the_values(runs):
    ranked = comparison.alike(runs)
    assert ranked == runs[:3]
    assert [verdicts.rank(run, ranked, "frechet") for run in ranked] == [3, 1, 2]
    assert [verdicts.rank(run, ranked, "recall") for run in ranked] == [2, 3, 1]
    assert verdicts.rank(runs[0], ranked, "nothing") is None
    assert verdicts.not_told_apart(runs[1], ranked) == [runs[2]]
    assert verdicts.not_told_apart(runs[0], ranked) == []


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
        ('{"plan": {}}', "damaged: entries: missing"),
        ('{"plan": {}, "entries": []}', "no finished run"),
    ],
)
def test_a_damaged_comparison_is_told(tmp_path, content, words):
    (tmp_path / "comparison.json").write_text(content)
    with pytest.raises(NaqshError, match=words):
        report.write_comparison(tmp_path, tmp_path / "p.html")
