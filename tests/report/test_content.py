"""What a page says: the run's own numbers, what is missing, and nothing as markup."""

import json

import numpy as np
import pytest
from folders import forget, make_run, write_lines
from pages import Page

from naqsh import report
from naqsh.report.words import Words
from naqsh.runs import kept
from naqsh.runs.folder import RunFolder
from naqsh.runs.results import Result


def _page(folder, out):
    return Page(report.write(folder, out).read_text(encoding="utf-8"))


def _read(text):
    """The number that a reader reads."""
    return float(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def _numbers(cell):
    return [(json.loads(e.get("value")), e.text()) for e in cell.all("data")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return [make_run(place / f"run{n}", name=f"gan-{n}", seed=n) for n in range(3)]


@pytest.fixture(scope="module")
def single(folders, tmp_path_factory):
    return _page(folders[0], tmp_path_factory.mktemp("out") / "single.html")


@pytest.fixture(scope="module")
def several(folders, tmp_path_factory):
    return _page(folders, tmp_path_factory.mktemp("out") / "several.html")


@pytest.fixture(params=["single", "several"])
def page(request):
    return request.getfixturevalue(request.param)


def test_every_number_at_a_glance_is_the_embedded_one(page):
    rows, words = page.rows("table-glance"), Words("en")
    checked = 0
    for number, run in enumerate(page.results()["runs"]):
        for key, cells in rows.items():
            for value, text in _numbers(cells[number]):
                assert value == run["summary"][key]
                special = {"seconds": words.time, "memory": words.bytes}
                if key in special:
                    assert text == special[key](value)
                else:
                    assert _read(text) == pytest.approx(value, rel=5e-4)
                checked += 1
    assert checked == 10 * len(page.results()["runs"])


def test_every_number_of_the_terms_is_the_embedded_one_and_the_logs(page, folders):
    rows = page.rows("table-results")
    assert len(rows) == 6
    for number, (folder, run) in enumerate(zip(folders, page.results()["runs"], strict=False)):
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for name, cells in rows.items():
            tail = [line["losses"][name] for line in lines][-20:]
            (mean, mean_text), (deviation, deviation_text) = _numbers(cells[number])
            assert mean == run["results"][name]["mean"] == pytest.approx(np.mean(tail))
            assert deviation == run["results"][name]["deviation"] == pytest.approx(np.std(tail))
            assert _read(mean_text) == pytest.approx(mean, rel=5e-4)
            assert _read(deviation_text) == pytest.approx(deviation, rel=5e-4)


def test_networks_and_their_totals(single):
    page = single
    (run,) = page.results()["runs"]
    for number, layers in enumerate(run["networks"].values(), start=1):
        rows = page.rows(f"table-networks-{number}")
        total = rows.pop("total")
        assert list(rows) == [layer["name"] for layer in layers]
        counts = [_numbers(cells[-1])[0] for cells in rows.values()]
        assert counts == [(1234, "1,234")] * 4
        assert _numbers(total[-1]) == [(4 * 1234, "4,936")]
        assert {cells[1].text() for cells in rows.values()} == {"8\xa0×\xa04\xa0×\xa04"}


def test_every_hyperparameter_is_listed_and_differences_stand_out(tmp_path):
    runs = [
        make_run(tmp_path / "a", name="gan-a", records=5, plain=True),
        make_run(tmp_path / "b", name="gan-b", records=5, plain=True, clip=0.01),
    ]
    page = _page(runs, tmp_path / "page.html")
    rows = page.rows("table-hyperparameters_of")
    assert rows["method.critic.betas"][0].text() == "0.5, 0.999"
    assert [cell.text() for cell in rows["method.clip"]] == ["none", "0.01"]
    assert [cell.text() for cell in rows["data.flip"]] == ["no", "no"]
    marked = [
        row.get("data-row")
        for row in page.by_id("table-hyperparameters_of").all("tr")
        if row.get("class") == "marked"
    ]
    assert marked == ["name", "method.clip"]


def test_the_embedded_curves_are_the_log(single, folders):
    (run,) = single.results()["runs"]
    lines = [json.loads(line) for line in (folders[0] / "metrics.jsonl").read_text().splitlines()]
    assert run["curves"]["every"] == 1
    for ours, theirs in zip(run["curves"]["records"], lines, strict=True):
        assert ours["step"] == theirs["step"]
        for part in ("losses", "gradients"):
            assert ours[part] == pytest.approx(theirs[part], rel=1e-5)


def test_several_runs_share_plots_and_lie_beside_each_other(several):
    page = several
    for figure in ("figure-losses", "figure-speed"):
        for panel in (e for e in page.by_id(figure).all("div") if e.get("class") == "panel"):
            legend = [item.text() for item in panel.all("li")]
            assert legend == ["gan-0", "gan-1", "gan-2"]
    grids = page.by_id("figure-grids")
    titles = [e.text() for e in grids.all("p")]
    assert [title.partition(":")[0] for title in titles] == ["gan-0", "gan-1", "gan-2"] * 3
    assert len(list(grids.all("img"))) == 9
    # All runs have the same networks: each is shown once and names them.
    assert "gan-0, gan-1, gan-2" in page.by_id("table-networks_of-1").text()
    assert "table-networks_of-3" not in page.ids()


def test_runs_of_one_recipe_are_told_apart(tmp_path):
    runs = [
        make_run(tmp_path / name, records=5, plain=True) for name in ("first", "second", "x/second")
    ]
    page = _page(runs, tmp_path / "page.html")
    labels = [run["label"] for run in page.results()["runs"]]
    assert labels == ["gan-tiny (first)", "gan-tiny (second) #1", "gan-tiny (second) #2"]


def test_the_diagnosis_is_told(tmp_path):
    run = make_run(
        tmp_path / "run", records=5, plain=True, notes=["The samples collapse.", "And again."]
    )
    page = _page(run, tmp_path / "page.html")
    items = [item.text() for item in page.by_id("diagnosis").all("li")]
    assert items == ["Epoch 0.5, step 50: The samples collapse.", "Epoch 0.5, step 50: And again."]
    quiet = _page(make_run(tmp_path / "quiet", records=5, plain=True), tmp_path / "quiet.html")
    assert "Nothing was noticed." in quiet.by_id("diagnosis").text()


def test_notes_of_the_data_are_told(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True)
    about = json.loads((run / "run.json").read_text())
    about["data"]["notes"] = ["tiny: 3 <files> left out"]
    (run / "run.json").write_text(json.dumps(about))
    items = _page(run, tmp_path / "page.html").by_id("data").all("li")
    assert [item.text() for item in items] == ["tiny: 3 <files> left out"]


NASTY = "<script>alert(1)</script>&\"'{x}$\\frac$_"


def test_nothing_from_the_folder_is_markup(tmp_path):
    run = make_run(tmp_path / "run", name=NASTY, records=5, notes=[NASTY], **{NASTY: NASTY})
    about = json.loads((run / "run.json").read_text())
    about["data"] |= {"name": NASTY, "fingerprint": NASTY, "classes": [NASTY], "notes": [NASTY]}
    about["environment"][NASTY] = NASTY
    (run / "run.json").write_text(json.dumps(about))
    layer = {"name": NASTY, "kind": NASTY, "output": [1], "parameters": 1}
    (run / "networks.json").write_text(json.dumps({NASTY: [layer]}))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["losses"][f"{NASTY}.total"] = line["losses"][f"{NASTY}.{NASTY}"] = 1.0
        line["gradients"][f"{NASTY}.{NASTY}.weight"] = 1.0
    write_lines(run / "metrics.jsonl", lines)
    lines = [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]
    for line in lines:
        line["weights"][NASTY] = line["weights"]["critic"]
    write_lines(run / "stages.jsonl", lines)

    for name, folders in (
        ("one", run),
        ("two", [run, make_run(tmp_path / "other", records=5, plain=True)]),
    ):
        page = _page(folders, tmp_path / f"{name}.html")
        assert page.results()["runs"][0]["label"] == NASTY  # the only script, and it is whole
        assert page.results()["runs"][0]["problems"] == []
        assert page.text().count(NASTY) > 10


MISSING = {
    "run.json": "run.json is missing from the run folder",
    "networks.json": "The networks are not known",
    "metrics.jsonl": "Nothing has been logged yet",
    "stages.jsonl": "No epoch has ended yet",
    "diagnosis.jsonl": "Nothing was noticed",
    "grids": "The image is missing",
    "checkpoints": "No checkpoint has been saved yet",
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_said(tmp_path, single, name):
    assert (MISSING[name] in single.text()) == (name == "diagnosis.jsonl")
    run = make_run(tmp_path / "run", records=5, plain=True)
    forget(run, name)
    assert MISSING[name] in _page(run, tmp_path / "page.html").text()


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True)
    for name in ("metrics.jsonl", "stages.jsonl", "diagnosis.jsonl", "grids", "checkpoints"):
        forget(run, name)
    (run / "metrics.jsonl").touch()
    page = _page(
        [run, make_run(tmp_path / "other", name="b", records=5, plain=True)], tmp_path / "two.html"
    )
    assert "figure-losses" in page.ids()
    page = _page(run, tmp_path / "page.html")
    assert not page.all("figure")
    text = page.text()
    assert "Nothing has been logged yet" in text
    assert "No epoch has ended yet, so there are no images" in text
    assert "table-hyperparameters" in page.ids()
    assert page.results()["runs"][0]["finished"] is False


def test_an_unfinished_run_says_so_and_a_finished_one_does_not(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True)
    assert "is not finished" not in _page(run, tmp_path / "a.html").text()
    text = (run / "recipe.yaml").read_text()
    assert "epochs: 2.5\n" in text
    (run / "recipe.yaml").write_text(text.replace("epochs: 2.5\n", "epochs: 9.0\n"))
    page = _page(run, tmp_path / "b.html")
    assert "This run is not finished; its last checkpoint is of step 250." in page.text()
    (run / "recipe.yaml").write_text(text.replace("steps: null\n", "steps: 250\n"))
    assert "is not finished" not in _page(run, tmp_path / "c.html").text()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("run.json", '{"format": 2}'),
        ("networks.json", '{"critic": [{"name": "x"}]}'),
        ("metrics.jsonl", "{}\n"),
        ("metrics.jsonl", "no json\n"),
        (
            "stages.jsonl",
            '{"step": 1, "epoch": 1, "weights": {"a": {"edges": [0], "counts": [1]}}}\n',
        ),
        ("diagnosis.jsonl", "[1]\n"),
    ],
)
def test_what_is_damaged_is_said_and_the_rest_shown(tmp_path, name, content):
    run = make_run(tmp_path / "run", records=5, plain=True)
    (run / name).write_text(content)
    page = _page(run, tmp_path / "page.html")
    assert f"{name} could not be used and is left out" in page.by_id("glance").text()
    assert str(tmp_path) not in page.source
    assert "yet" not in page.text()  # damaged is not too early
    assert "table-hyperparameters" in page.ids()


def test_a_grid_outside_the_run_folder_is_not_read(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True, stages=1)
    (line,) = [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]
    (run / "grids" / line["grid"]).rename(tmp_path / "secret.png")
    for name in ("../../secret.png", str(tmp_path / "secret.png")):
        write_lines(run / "stages.jsonl", [line | {"grid": name}])
        assert not _page(run, tmp_path / "page.html").all("img")


def test_weights_at_the_bounds_are_counted(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True, stages=1)
    (line,) = [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]
    edges = np.linspace(-0.01, 0.01, 62).tolist()
    line["weights"] = {"critic": {"edges": edges, "counts": [30.0, *[1.0] * 59, 11.0]}}
    write_lines(run / "stages.jsonl", [line])
    (row,) = [
        row
        for row in _page(run, tmp_path / "p.html").by_id("table-spreads").all("tr")
        if list(row.all("td"))
    ]
    assert [cell.text() for cell in row.all("td")][-3:] == ["−0.01", "0.01", "41"]


EVALUATION = {
    "step": 250,
    "seed": 3,
    "measures": [
        {
            "name": "frechet",
            "value": 1.25,
            "n_real": 297,
            "n_generated": 500,
            "features": "digits",
            "fingerprint": "0123456789abcdef",
            "reference": "digits <test>",
            "standard_error": 0.1,
            "notes": [{"kind": "biased", "pictures": 297, "dimensions": None}],
            "interval": [1.054, 1.446],
        },
    ],
    "speed": {
        "pictures_per_second": 1152.5,
        "evaluations_per_picture": 1.0,
        "parameters": 10,
        "peak_memory": 2**20,
        "n": 200,
        "device": "cpu",
    },
}


@pytest.mark.parametrize("language", ["en", "fa"])
@pytest.mark.parametrize(("n", "fits"), [(500, True), (300, True), (500, False)])
def test_the_floor_and_what_intervals_cover_are_said(tmp_path, language, n, fits):
    run = make_run(tmp_path / "run", records=5, plain=True)
    (run / "evaluation.json").write_text(json.dumps(EVALUATION))
    store = kept.evaluations(RunFolder(run))
    of = {key: store.read()[0].of[key] for key in kept.MEASURE} | {"metric": "floor"}
    if not fits:
        of["fingerprint"] = "other features"
    measures = [{"name": "frechet", "value": 0.375, "interval": [0.25, 0.5]}]
    store.keep([Result(of, {"split": "train", "n": n, "measures": measures})])
    place = report.write([run], tmp_path / "page.html", language=language)
    page = Page(place.read_text("utf-8"))
    text = page.by_id("quality").text().replace("\u2068", "").replace("\u2069", "")
    assert {"en": "do not cover training again", "fa": "آموزش دوباره را"}[language] in text
    floor = [
        json.loads(e.get("value"))
        for row in page.rows("table-measured").values()
        for cell in row
        for e in cell.all("data")
    ]
    assert (0.375 in floor) == fits
    fewer = {"en": "fewer than the 500 samples", "fa": "کم‌تر از ۵۰۰ نمونه"}[language]
    assert (fewer in text) == (n < 500)
    assert ({"en": "the floor", "fa": "کف آن"}[language] in text) == fits


def test_an_evaluation_is_shown_with_all_it_depends_on(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True)
    other = make_run(tmp_path / "other", name="gan-other", records=5, plain=True)
    drawn = {"sampling": {"sampler": "ddim", "steps": 7}}
    (run / "evaluation.json").write_text(json.dumps(EVALUATION | drawn))
    page = _page([run, other], tmp_path / "page.html")
    text = page.by_id("quality").text()
    where = ("digits <test>", "digits (01234567)", "500", "297", "sampler ddim, steps 7")
    for part in ("1.25", "1.054 to 1.446", *where):
        assert part in text
    assert "297 images are few" in text
    assert "digits <test>" not in page.source  # escaped
    alone = _page(other, tmp_path / "alone.html")
    assert "not measured" in alone.by_id("quality").text()


@pytest.mark.parametrize("content", ["{", "{}", '{"measures": [], "speed": {}}'])
def test_a_damaged_evaluation_is_said(tmp_path, content):
    run = make_run(tmp_path / "run", records=5, plain=True)
    (run / "evaluation.json").write_text(content)
    page = _page(run, tmp_path / "page.html")
    assert "evaluation.json could not be used" in page.by_id("glance").text()
    assert "could not be read" in page.by_id("quality").text()


def test_what_a_method_shows_beside_samples(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True)
    stages = [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]
    (run / "grids" / "x-reconstructions.png").write_bytes(
        (run / "grids" / stages[-1]["grid"]).read_bytes()
    )
    stages[-1]["shown"] = {"reconstructions": "x-reconstructions.png", "strips": "../../gone.png"}
    write_lines(run / "stages.jsonl", stages)
    text = _page(run, tmp_path / "page.html").by_id("samples").text()
    assert "their reconstructions below them" in text
    assert "strips, after the last stage" in text  # a kind that the texts do not know
    assert "missing or damaged" in text


def test_a_set_point_shares_the_axes_of_what_it_is_set_for(tmp_path):
    runs = [make_run(tmp_path / n, name=n, records=5, plain=True) for n in ("one", "two")]
    for run in runs:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            line["losses"] |= {
                "vae.kl": 9.0,
                "vae.set_point": 8.0,
                "vae.kl_00": 1.0,
                "vae.kl_01": 2.0,
            }
        write_lines(run / "metrics.jsonl", lines)
    text = _page(runs, tmp_path / "both.html").by_id("losses").text()
    assert "one: set_point" in text
    assert "two: set_point" in text
    alone = _page(runs[0], tmp_path / "alone.html").by_id("losses").text()
    assert "vae.kl_… kl_01 kl_00" in " ".join(alone.split())  # one panel, the larger first


def _vae_runs(tmp_path, latents=40):
    """Runs of a VAE: parts of a total, a family of terms, and what is held out."""
    runs = [make_run(tmp_path / n, name=n, records=5, plain=True) for n in ("one", "two")]
    for run in runs:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        logged = []
        for line in lines:
            kl = {f"vae.kl_{n:02d}": 10.0 - n / 10 for n in range(latents)}
            terms = {"vae.total": 109.0, "vae.reconstruction": 100.0, "vae.kl": 9.0}
            logged.append(line | {"losses": terms | {"vae.set_point": 8.0} | kl})
            held = {"validation.total": 111.0, "validation.kl": 9.5}
            logged.append({k: line[k] for k in ("step", "epoch", "seen", "seconds")})
            logged[-1]["losses"] = held
        write_lines(run / "metrics.jsonl", logged)
    return runs


def _legends(page, figure):
    panels = [e for e in page.by_id(figure).all("div") if e.get("class") == "panel"]
    return [[item.text() for item in panel.all("li")] for panel in panels]


def test_parts_of_a_loss_share_its_axes(tmp_path):
    page = _page(_vae_runs(tmp_path)[0], tmp_path / "page.html")
    assert _legends(page, "figure-losses") == [["vae.total", "vae.reconstruction", "vae.kl"]]
    # The KL is drawn once more where its set point is, on a scale of its own.
    assert _legends(page, "figure-terms-1")[0] == ["vae.kl", "vae.set_point"]
    assert "vae.reconstruction" not in page.by_id("figure-terms-1").text()


def test_of_a_large_family_the_largest_at_the_end_are_named(tmp_path):
    runs = _vae_runs(tmp_path)
    named = [f"kl_{n:02d}" for n in range(6)]
    page = _page(runs[0], tmp_path / "one.html")
    (legend,) = [names for names in _legends(page, "figure-terms-1") if "kl_00" in names]
    assert legend == [*named, "34 others, each a grey line"]
    rows = page.rows("table-results")
    assert [name for name in rows if name.startswith("vae.kl_")] == [f"vae.{n}" for n in named]
    assert "vae.kl_…, 34 others 6.1 to 9.4" in page.by_id("table-results").text()
    assert len([n for n in page.results()["runs"][0]["results"] if "kl_" in n]) == 40
    both = _legends(_page(runs, tmp_path / "both.html"), "figure-terms-1")
    assert sum(names[:6] == named for names in both) == 2  # one panel a run


def test_a_small_family_is_named_whole(tmp_path):
    page = _page(_vae_runs(tmp_path, latents=7)[0], tmp_path / "page.html")
    (legend,) = [names for names in _legends(page, "figure-terms-1") if "kl_00" in names]
    assert legend == [f"kl_{n:02d}" for n in range(7)]
    assert "grey" not in page.by_id("losses").text()


def test_held_out_terms_stand_beside_those_of_training(tmp_path):
    runs = _vae_runs(tmp_path)
    page = _page(runs[0], tmp_path / "one.html")
    assert _legends(page, "figure-held_out") == [
        ["vae.total", "validation.total"],
        ["vae.kl", "validation.kl"],
    ]
    assert "validation" not in page.by_id("figure-terms-1").text()
    both = _page(runs, tmp_path / "both.html")
    assert _legends(both, "figure-held_out")[0] == [
        "one",
        "one: validation.total",
        "two",
        "two: validation.total",
    ]


def test_a_ceiling_stands_on_the_axes_of_what_is_below_it(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True)
    logged = []
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        logged.append(line | {"losses": {"critic.total": 1.0, "critic.rotation_accuracy": 0.5}})
        logged.append({k: line[k] for k in ("step", "epoch", "seen", "seconds")})
        held = {"rotation_accuracy": 0.6, "rotation_ceiling": 0.7, "rotation": 0.8}
        logged[-1]["losses"] = {f"validation.{name}": value for name, value in held.items()}
    write_lines(run / "metrics.jsonl", logged)
    page = _page(run, tmp_path / "page.html")
    below = ["critic.rotation_accuracy", "validation.rotation_accuracy"]
    legends = _legends(page, "figure-held_out")
    assert [*below, "validation.rotation_ceiling"] in legends
    assert len(legends) == 2


def test_a_likelihood_is_shown_with_its_kind(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True)
    likely = {"bits": 1.25, "bits_error": 0.01, "nats": -55.5, "nats_error": 0.5, "n": 297}
    likely |= {"kind": "lower bound", "of": "levels", "reference": "digits test"}
    (run / "evaluation.json").write_text(json.dumps(EVALUATION | {"likelihood": likely}))
    page = _page(run, tmp_path / "page.html")
    rows = page.rows("table-likelihood")
    assert rows["kind"][0].text() == "lower bound"
    assert _numbers(rows["bits"][0]) == [(1.25, "1.25")]
    assert page.results()["runs"][0]["measured"]["likelihood"] == likely | {"step": 250}
