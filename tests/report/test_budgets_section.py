"""Several budgets of time on one page: distance against minutes, and who wins when."""

import json
import re
import shutil

import numpy as np
import pytest
from folders import evaluation, make_run
from pages import Page

from naqsh import report
from naqsh.report import comparison
from naqsh.report.draw import figures
from naqsh.report.read import gather, verdicts
from naqsh.report.read.facts import Curve
from naqsh.report.words import Words
from naqsh.runs import influences
from naqsh.runs.influences import Influenced

BUDGETS = {5.0: 6, 15.0: 18, 45.0: 54}
"""Records that a training of the budget leaves; fifty steps of a seventh of a second each."""

DISTANCES = {
    "vae-tiny": (7.1, 6.0, 5.8),
    "gan-tiny": (14.0, 4.1, 2.2),
    "wgan-gp-tiny": (22.0, 9.0, 3.9),
    "maf-tiny": (31.0, 24.0, 20.0),
    "ddpm-tiny": (9.3, 1.6, 0.35),
}
KINDS = {"wgan-gp-tiny": "gan", "ddpm-tiny": "diffusion"}
FLOOR = 0.11


def make(place, distances=DISTANCES, floor=FLOOR, error=0.15):
    """The folder of a comparison under all budgets."""
    shared, entries = np.random.default_rng(0).normal(size=50).astype("f4"), []
    for n, (minutes, records) in enumerate(BUDGETS.items()):
        for number, (family, values) in enumerate(distances.items()):
            name, kind = f"{family}-{minutes:g}-minutes", KINDS.get(family, family.split("-")[0])
            more = records + number
            run = make_run(
                place / name, name=name, seed=number, records=more, plain=True, stages=1, kind=kind
            )
            parts = [values[n], 0.06 * values[n], 0.6 + 0.1 * n, 0.5, 0.8, 0.7, 10.0**number, 1.0]
            (run / "evaluation.json").write_text(json.dumps(evaluation(parts)))
            measured = gather.read([run])[0].measured
            influences.write(run, measured.of, {"frechet": Influenced(error**2, shared)})
            entries.append({"name": name, "folder": name, "state": "done", "minutes": minutes})
    plan = {"data": "tiny", "minutes": list(BUDGETS), "n": 500}
    known = {"plan": plan, "entries": entries}
    if floor:
        measures = [{"name": "frechet", "value": floor, "interval": None}]
        known["floor"] = {"split": "train", "n": 500, "measures": measures}
    (place / "comparison.json").write_text(json.dumps(known))
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("budgets"))


@pytest.fixture(scope="module", params=["en", "fa"])
def page(request, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "page.html"
    return Page(report.write(folder, out, request.param).read_text(encoding="utf-8"))


def _numbers(cell):
    return [json.loads(element.get("value")) for element in cell.all("data")]


def test_each_budget_has_its_winner_and_whether_it_may_be_chance(page):
    rows = page.rows("table-budgets")
    assert list(rows) == ["5", "15", "45"]
    expected = {
        "5": ("vae-tiny", 7.1, "ddpm-tiny", 9.3),
        "15": ("ddpm-tiny", 1.6, "gan-tiny", 4.1),
        "45": ("ddpm-tiny", 0.35, "gan-tiny", 2.2),
    }
    for key, (winner, least, second, more) in expected.items():
        _, first, then, told, difference = rows[key]
        assert (winner in first.text(), _numbers(first)) == (True, [least])
        assert (second in then.text(), _numbers(then)) == (True, [more])
        assert _numbers(difference) == [pytest.approx(more - least)]
        assert "beyond" in told.text() or "بیرون" in told.text()


def test_a_lead_that_may_be_chance_is_none(folder, tmp_path):
    """Of a difference of 2.2 with an error of 1.5 * 2 ** 0.5 nothing is known."""
    place = tmp_path / "c"
    shutil.copytree(folder, place)
    for run in place.glob("*-5-minutes"):
        measured = gather.read([run])[0].measured
        shutil.rmtree(run / influences.FOLDER)
        if "vae" in run.name or "ddpm" in run.name:
            part = Influenced(1.5**2, np.zeros(50, "f4"))
            influences.write(run, measured.of, {"frechet": part})
    for run in place.glob("ddpm-tiny-15-minutes"):
        shutil.rmtree(run / influences.FOLDER)
    page = Page(report.write(place, tmp_path / "p.html").read_text(encoding="utf-8"))
    rows = page.rows("table-budgets")
    told = {key: cells[3].text() for key, cells in rows.items()}
    assert told == {
        "5": "no, may be chance",
        "15": "not known",
        "45": "yes, beyond the interval",
    }
    assert rows["15"][4].text() == "–"
    halves = [apart and apart["half"] for apart in (b["apart"] for b in page.results()["budgets"])]
    assert halves[0] == pytest.approx(1.96 * 1.5 * 2**0.5, rel=1e-3)
    assert halves[1] is None


def test_what_is_plotted_is_the_time_of_training_and_the_distance(page, folder):
    budgets = page.results()["budgets"]
    assert [budget["minutes"] for budget in budgets] == list(BUDGETS)
    for n, (budget, records) in enumerate(zip(budgets, BUDGETS.values(), strict=True)):
        assert budget["metric"] == "frechet"
        families = budget["families"]
        assert sorted(families) == sorted(DISTANCES)
        assert list(families) == sorted(DISTANCES, key=lambda name: DISTANCES[name][n])
        for number, (family, values) in enumerate(DISTANCES.items()):
            known = families[family]
            assert known["seconds"] == pytest.approx(50 * (records + number) / 7)
            assert known["value"] == values[n]
            assert known["interval"] == pytest.approx([0.94 * values[n], 1.06 * values[n]])
    (legend,) = page.by_id("figure-budgets").all("ul")
    said = [entry.text() for entry in legend.all("li")]
    assert [word.strip("\u2068\u2069") for word in said[:-1]] == list(DISTANCES)
    assert said[-1] in ("Real images", "تصویرهای واقعی")


def test_the_figure_is_of_minutes_with_intervals_and_the_floor(folder, monkeypatch):
    drawn = []

    def joined(series, *axes, level, log_x, **how):
        drawn.append((series, axes, level, log_x))
        return "<svg></svg>"

    monkeypatch.setattr(figures, "joined", joined)
    comparison.build(comparison.read(folder), Words("en"))
    ((series, axes, level, log_x),) = drawn
    assert axes == ("minutes", "frechet")
    assert log_x  # the distance's axis is logarithmic where nothing else is said
    assert level.curve.values == [FLOOR]
    assert level.dash == "--"
    assert len({line.colour for line in series}) == len(DISTANCES)
    for number, (line, values) in enumerate(zip(series, DISTANCES.values(), strict=True)):
        seconds = [50 * (records + number) / 7 for records in BUDGETS.values()]
        assert line.curve.epochs == pytest.approx([time / 60 for time in seconds])
        assert line.curve.values == list(values)
        expected = [(0.94 * value, 1.06 * value) for value in values]
        assert [end for ends in line.intervals for end in ends] == pytest.approx(
            [end for ends in expected for end in ends]
        )


def test_tables_and_ranks_are_of_one_budget(page):
    for number, distances in enumerate(zip(*DISTANCES.values(), strict=True), 1):
        rows = page.rows(f"table-everything_under-{number}")
        frechet = [_numbers(cell) for cell in rows["frechet"]]
        assert [values[0] for values in frechet] == [*distances, FLOOR]
        bold = [n for n, cell in enumerate(rows["frechet"]) if "best" in _classes(cell)]
        assert bold == [int(np.argmin(distances))]
    text = page.by_id("families").text().replace("\u2068", "").replace("\u2069", "")
    assert "ddpm-tiny-45-minutes" in text
    assert "ddpm-tiny-15-minutes" not in text
    ids = page.ids()
    assert "table-everything" not in ids
    assert len(set(ids)) == len(ids)


def _classes(cell):
    return {element.get("class") for element in cell.all("span")}


def test_runs_taken_from_elsewhere_stand_with_the_largest_budget_and_in_no_line(folder, tmp_path):
    place, mine = tmp_path / "c", tmp_path / "mine"
    shutil.copytree(folder, place)
    shutil.copytree(folder / "gan-tiny-5-minutes", mine)
    there = json.loads((place / "comparison.json").read_text())
    there["entries"].append({"name": "gan", "folder": "../mine", "state": "done", "taken": True})
    (place / "comparison.json").write_text(json.dumps(there))
    found = comparison.read(place, taken=[str(mine)])
    assert [len(group) for group in found.groups] == [5, 5, 6]
    assert [len(budget.families) for budget in found.budgets] == [5, 5, 5]


def test_what_failed_or_was_measured_otherwise_has_no_point(folder, tmp_path):
    place = tmp_path / "c"
    shutil.copytree(folder, place)
    there = json.loads((place / "comparison.json").read_text())
    there["entries"][0] |= {"state": "failed", "error": "no memory"}
    (place / "comparison.json").write_text(json.dumps(there))
    run = place / "gan-tiny-45-minutes"
    (run / "evaluation.json").write_text(json.dumps(evaluation([1.0, 0.1] + 6 * [1.0], n=100)))
    page = Page(report.write(place, tmp_path / "p.html").read_text(encoding="utf-8"))
    families = [set(budget["families"]) for budget in page.results()["budgets"]]
    everyone = set(DISTANCES)
    assert families == [everyone - {"vae-tiny"}, everyone, everyone - {"gan-tiny"}]
    assert "gan-tiny-45-minutes was measured otherwise" in page.by_id("compared").text()


def test_seeds_are_one_point_at_their_mean(tmp_path):
    entries = []
    for seed, (value, records) in enumerate([(2.0, 7), (4.0, 14)]):
        for family, more in (("a", 0.0), ("b", 10.0)):
            name = f"{family}-5-minutes"
            run = make_run(
                tmp_path / f"{name}-{seed}", name=name, records=records, plain=True, stages=1
            )
            content = evaluation([value + more, 0.1] + 6 * [0.5])
            (run / "evaluation.json").write_text(json.dumps(content))
            entries.append({"name": name, "folder": run.name, "state": "done", "minutes": 5.0})
    plan = {"data": "tiny", "minutes": [5.0, 9.0], "n": 500, "seeds": 2}
    (tmp_path / "comparison.json").write_text(json.dumps({"plan": plan, "entries": entries}))
    (budget,) = comparison.read(tmp_path).budgets
    page = Page(report.write(tmp_path, tmp_path / "p.html").read_text(encoding="utf-8"))
    (plain,) = page.results()["budgets"]
    assert plain["families"]["a"]["value"] == 3.0
    assert plain["families"]["a"]["seconds"] == pytest.approx(75.0)  # of 50 and 100
    welch = verdicts.difference(budget.families["b"], budget.families["a"], "frechet")
    assert [plain["apart"][key] for key in ("difference", "half")] == pytest.approx(welch)
    assert "real images, measured alike" not in page.by_id("budgets").text()  # no floor is known


def test_a_bar_that_reaches_nothing_ends_at_the_edge_of_a_logarithmic_axis():
    def bars(low):
        curve = Curve([1.0, 10.0], [2.0, 0.5])
        lines = [figures.Line(curve, "#0072b2", intervals=[(1.0, 3.0), (low, 1.0)])]
        drawn = figures.joined(lines, "minutes", "frechet", words=Words(), name="x", log_x=True)
        return len(re.findall(r'<path d="M [^"]*\nL [^"]*"[^>]*stroke-opacity: 0.6', drawn))

    assert bars(-0.2) == bars(0.2) == 2


def test_one_budget_has_no_such_section(folder, tmp_path):
    place = tmp_path / "c"
    shutil.copytree(folder, place)
    there = json.loads((place / "comparison.json").read_text())
    there["entries"] = [e | {"minutes": None} for e in there["entries"][:5]]
    there["plan"]["minutes"] = 5.0
    (place / "comparison.json").write_text(json.dumps(there))
    page = Page(report.write(place, tmp_path / "p.html").read_text(encoding="utf-8"))
    assert "budgets" not in page.ids()
    assert "table-everything" in page.ids()
    assert "budgets" not in page.results()
    assert "largest budget" not in page.text()
