"""One command, several families: trained under one budget, measured alike, on one page."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import naqsh
from naqsh import recipes
from naqsh.cli import main
from naqsh.core.errors import Interrupted, NaqshError
from naqsh.core.machine import Machine
from naqsh.core.spec import Layout
from naqsh.io.files import append_line
from naqsh.runs import kept as stored
from naqsh.runs.folder import RunFolder
from naqsh.runs.trained import Trained
from naqsh.studies import comparison
from naqsh.studies.comparison import Plan, budget, compare, work
from naqsh.training import launch

pytestmark = pytest.mark.usefixtures("small_grids")

SMALL = Plan(recipes=("vae-digits", "gan-digits"), pictures=1500, n=40, features="pixels")


def test_from_python(alone: Path) -> None:
    made = naqsh.compare(
        recipes=("gan-digits",), pictures=64, n=10, device="cpu", quiet=True, out=alone / "c"
    )
    assert made.page == alone / "c" / "report.html"
    assert made.page.stat().st_size > 10_000
    with pytest.raises(NaqshError, match="at least 1 seed"):
        naqsh.compare(seeds=0)


def kept(folder: Path) -> dict[str, dict[str, object]]:
    there = json.loads((folder / "comparison.json").read_text())
    return {entry["name"]: entry for entry in there["entries"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    compare(SMALL, folder, device="cpu", quiet=True)
    return folder


def test_all_are_trained_and_measured_alike(finished: Path) -> None:
    entries = kept(finished)
    assert list(entries) == ["vae-digits", "gan-digits"]
    for name, entry in entries.items():
        run = naqsh.open(finished / name)
        seen = run.recipe.training.batch * run.folder.steps()[-1]
        assert entry["state"] == "done"
        assert abs(seen - 1500) <= run.recipe.training.batch / 2
        measured = stored.evaluations(run.folder).find(features="pixels", n=40)
        names = {"frechet", "kernel", "precision", "recall", "density", "coverage"}
        assert {m.of["metric"] for m in measured} >= names
    page = (finished / "report.html").read_text()
    assert "vae-digits" in page
    assert "gan-digits" in page


def test_a_second_call_does_nothing_twice(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("was done already")

    monkeypatch.setattr(work, "train", never)
    monkeypatch.setattr(work.evaluation, "evaluate", never)
    page = (finished / "report.html").read_bytes()
    assert compare(SMALL, finished, quiet=True).page.read_bytes() == page


def test_another_plan_is_refused(finished: Path) -> None:
    with pytest.raises(NaqshError, match=r"holds a comparison with n 40, not 41"):
        compare(Plan(SMALL.data, SMALL.recipes, pictures=1500, n=41, features="pixels"), finished)


@pytest.mark.parametrize("text", ["{", "[]", '{"plan": {}}', '{"plan": {}, "entries": [{}]}'])
def test_a_damaged_comparison_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(NaqshError, match=r"comparison\.json is damaged"):
        compare(SMALL, tmp_path, quiet=True)


def test_what_a_later_version_has_written_beside_is_passed_over(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "later"
    shutil.copytree(finished, place)
    file = place / "comparison.json"
    there = json.loads(file.read_text())
    there["weather"] = "fair"
    there["plan"]["patience"] = 3
    for entry in there["entries"]:
        entry["colour"] = {"of": "it"}
    file.write_text(json.dumps(there))
    monkeypatch.setattr(work.evaluation, "evaluate", _never)
    assert compare(SMALL, place, device="cpu", quiet=True).failed == []
    assert kept(place) == kept(finished)


def test_what_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = work.train

    def stopped(recipe: naqsh.recipes.recipe.Recipe, **given: object) -> naqsh.Run:
        if recipe.name == "gan-digits":
            raise Interrupted(15, 3)
        return real(recipe, **given)

    monkeypatch.setattr(work, "train", stopped)
    with pytest.raises(Interrupted):
        compare(SMALL, tmp_path, device="cpu", quiet=True)
    assert [entry["state"] for entry in kept(tmp_path).values()] == ["done", "planned"]
    trained: list[str] = []

    def noted(recipe: naqsh.recipes.recipe.Recipe, **given: object) -> naqsh.Run:
        trained.append(recipe.name)
        return real(recipe, **given)

    monkeypatch.setattr(work, "train", noted)
    compare(SMALL, tmp_path, device="cpu", quiet=True)
    assert set(trained) == {"gan-digits"}


def test_a_run_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = work.train

    def failing(recipe: naqsh.recipes.recipe.Recipe, **given: object) -> naqsh.Run:
        if recipe.name == "gan-digits":
            raise RuntimeError("a fault\nof ours")
        return real(recipe, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "train", failing)
    words = ["compare", "--recipes", "vae-digits", "gan-digits", "--images", "300", "--n", "20"]
    words += ["--features", "pixels", "--out", str(tmp_path), "--device", "cpu"]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "report.html")
    assert "naqsh: not compared, and tried again by the same command: gan-digits: Runt" in said.err
    entries = kept(tmp_path)
    assert entries["vae-digits"]["state"] == "done"
    assert entries["gan-digits"]["state"] == "failed"
    assert entries["gan-digits"]["error"] == "RuntimeError: a fault of ours"
    assert "a fault of ours" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "gan-digits.error.txt").exists()
    monkeypatch.setattr(work, "train", real)
    assert main(words) == 0  # the same command tries again


def test_a_reader_that_leaves_is_no_fault_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(work, "train", broken)
    with pytest.raises(BrokenPipeError):
        compare(SMALL, tmp_path, device="cpu", quiet=True)
    assert {entry["state"] for entry in kept(tmp_path).values()} == {"planned"}


def test_trained_runs_are_taken(finished: Path, tmp_path: Path) -> None:
    runs = (str(finished / "vae-digits"), str(finished / "gan-digits"))
    page = compare(Plan(runs=runs, n=40, features="pixels"), tmp_path / "two", quiet=True).page
    assert "gan-digits" in page.read_text()
    assert not (tmp_path / "two" / "gan-digits").exists()
    assert all(entry["taken"] for entry in kept(tmp_path / "two").values())


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"recipes": ("vae-digit",)}, "vae-digits"),
        ({"recipes": ("vae-digits", "vae-digits")}, "named twice"),
        ({"recipes": ("vae-digits",), "data": "no-such-set"}, "no-such-set"),
        ({"runs": ("nowhere",)}, "no run at nowhere"),
    ],
)
def test_what_cannot_be_is_said(plan: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(NaqshError, match=words):
        compare(Plan(**plan), tmp_path, device="cpu", quiet=True)  # type: ignore[arg-type]


def test_a_budget_must_be_above_nothing() -> None:
    for given in ({"minutes": 0.0}, {"pictures": 0}):
        with pytest.raises(NaqshError, match="budget above 0"):
            Plan(**given)  # type: ignore[arg-type]


def test_minutes_become_steps_by_the_highest_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    for step, speed in ((50, 10.0), (100, 640.0), (150, 300.0)):  # cold, steady, with a stage
        append_line(folder.metrics, {"step": step, "seen": step * 64, "speed": speed})
    append_line(folder.metrics, {"step": 150, "seen": 9600, "losses": {"validation.total": 1.0}})
    monkeypatch.setattr(budget, "train", lambda *_, **__: SimpleNamespace(folder=folder))
    recipe = recipes.by_name("gan-digits")
    assert budget.steps(recipe, None, 30.0, "cpu", None, tmp_path / "gan") == 300


def test_much_time_is_divided_by_the_speed_that_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def trained(*_: object, overrides: dict[str, int], **__: object) -> SimpleNamespace:
        """Of 640 images a second for 150 steps, then of half as many."""
        asked.append(overrides["training.steps"])
        folder = RunFolder(tmp_path / str(len(asked)))
        folder.path.mkdir()
        for step in range(50, asked[-1] + 1, 50):
            speed = 640.0 if step <= 150 else 320.0
            append_line(folder.metrics, {"step": step, "seen": step * 64, "speed": speed})
        return SimpleNamespace(folder=folder)

    monkeypatch.setattr(budget, "train", trained)
    recipe = recipes.by_name("gan-digits")
    assert budget.steps(recipe, None, 1000.0, "cpu", None, tmp_path / "gan") == 5000
    assert asked == [150, 500]


def test_a_trial_of_speed_draws_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Trained] = []

    def train(*of: Any, **how: Any) -> Trained:
        made.append(launch.train(*of, **how))
        assert made[-1].folder.steps()[-1] == 2
        assert not list(made[-1].folder.path.rglob("*.png"))
        return made[-1]

    monkeypatch.setattr(budget, "TRIAL_STEPS", 2)
    monkeypatch.setattr(budget, "train", train)
    recipe = recipes.by_name("vae-digits").override({"training.batch": 4})
    assert budget.steps(recipe, None, 1e-6, "cpu", None, tmp_path / "run") == 1
    assert len(made) == 1


def test_every_family_trains_under_a_budget_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of the README, cut to seconds: some recipes hold images out, some do not."""
    monkeypatch.setattr(budget, "TRIAL_STEPS", 2)
    compare(Plan(minutes=1e-6, n=20, features="pixels"), tmp_path, device="cpu", quiet=True)
    entries = kept(tmp_path)
    assert list(entries) == comparison.families("digits")
    assert {entry["error"] for entry in entries.values()} == {None}
    assert {entry["steps"] for entry in entries.values()} == {1}


def test_every_family_has_a_recipe_for_any_data() -> None:
    firsts = [words[0] for words in comparison.FAMILIES]
    own = ["vae", "gan-r1", "wgan-gp", "tarflow", "ddpm"]
    assert comparison.families("digits") == [f"{word}-digits" for word in own]
    assert set(comparison.families("photos/")) == {f"{first}-mnist" for first in firsts}
    points = ["gan-ring", "wgan-gp-ring", "maf-moons", "ddpm-ring"]  # no VAE, no patches
    assert comparison.families("ring") == points
    known = recipes.all_recipes()
    for name in ("digits", "mnist", "photos/"):
        assert set(comparison.families(name)) <= set(known)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--recipes", "vae-digits", "--images", "300", "--n", "20"]
    words += ["--features", "pixels", "--out", str(tmp_path), "--device", "cpu", "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert main(["compare", "--minutes", "2", "--images", "5"]) == 2


def test_trials_of_speed_lie_beside_the_run_and_killed_ones_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / ".gan.1-0.part"
    (killed / "checkpoints").mkdir(parents=True)
    trained_in: list[Path] = []

    def train(*_: object, out: Path, **__: object) -> SimpleNamespace:
        assert not killed.exists()
        trained_in.append(out)
        append_line(RunFolder(out).metrics, {"step": 50, "seen": 3200, "speed": 64.0})
        return SimpleNamespace(folder=RunFolder(out))

    monkeypatch.setattr(budget, "train", train)
    assert budget.steps(recipes.by_name("gan-digits"), None, 2.0, "cpu", None, tmp_path / "gan")
    assert [path.parent for path in trained_in] == [tmp_path]
    assert list(tmp_path.iterdir()) == []


def test_pictures_become_steps_without_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "train", _never)
    gan, wgan = (recipes.by_name(name) for name in ("gan-digits", "wgan-gp-digits"))
    assert budget.steps(gan, 6400, 1.0, "cpu", None, tmp_path / "gan") == 6400 // gan.training.batch
    several = max(phase.repeats for phase in _built(wgan).phases())
    assert several > 1
    steps = budget.steps(wgan, 64000, 1.0, "cpu", None, tmp_path / "wgan")
    assert steps == round(64000 / (wgan.training.batch * several))


def _built(recipe: naqsh.recipes.recipe.Recipe) -> naqsh.core.method.Method:
    return recipe.method.build(Layout((1, 8, 8), tuple("0123456789")))


def _never(*_: object, **__: object) -> None:
    raise AssertionError("nothing may be trained")


def _flat(place: Path, n: int = 40, channels: int = 1) -> str:
    shape = (n, channels, 8, 8)
    np.save(place / "flat.npy", np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    return str(place / "flat.npy")


def _named(place: Path, name: str, **changes: object) -> str:
    """The file of a recipe of another name."""
    recipe = replace(recipes.by_name("gan-digits").override(changes), name=name)
    file = place / "mine.yaml"
    file.write_text(recipe.to_yaml())
    return str(file)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"recipes": ("gan-digits", "classifier-digits")}, "classifier-digits makes no images"),
        ({"features": "Incepion"}, "did you mean 'inception'"),
        ({"features": "classifier:nowhere"}, "no run at nowhere"),
        ({"data": lambda place: _flat(place, 80, channels=3), "features": "digits"}, "digits"),
        ({"data": lambda place: _flat(place, n=12)}, "a tenth of its images is only 1"),
        ({"recipes": lambda place: (_named(place, "../../evil"),)}, "cannot name a folder"),
        ({"recipes": lambda place: (_named(place, "/tmp/evil"),)}, "cannot name a folder"),
        (
            {"recipes": lambda place: ("vae-digits", _named(place, "big", **{"data.size": 12}))},
            "measured against different images",
        ),
        (
            {"recipes": lambda place: (_named(place, "huge", **{"method.width": 10**6}),)},
            "memory",
        ),
    ],
)
def test_what_cannot_be_reached_is_told_before_a_step(
    given: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (work, budget):
        monkeypatch.setattr(module, "train", _never)
    plan = {"recipes": ("vae-digits", "gan-digits"), "n": 40, "features": "pixels"} | given
    plan = {key: value(tmp_path) if callable(value) else value for key, value in plan.items()}
    with pytest.raises(NaqshError, match=words):
        compare(Plan(**plan), tmp_path / "c", device="cpu", quiet=True)
    assert not list((tmp_path / "c").rglob("recipe.yaml"))


@pytest.mark.parametrize(
    "given", [{"n": 5}, {"seeds": 0}, {"reference": "tset"}, {"minutes": -1.0}, {"pictures": 0}]
)
def test_a_plan_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(NaqshError):
        Plan(**given)


@pytest.mark.parametrize("reference", ["test", "train"])
def test_images_without_a_test_split_are_compared(reference: str, tmp_path: Path) -> None:
    plan = Plan(
        data=_flat(tmp_path, n=80),
        recipes=("gan-digits", "vae-digits"),
        pictures=100,
        n=20,
        reference=reference,  # type: ignore[arg-type]
    )
    compare(plan, tmp_path / "c", device="cpu", quiet=True)
    for name in plan.recipes:
        run = naqsh.open(tmp_path / "c" / name)
        assert (run.recipe.data.holdout > 0) == (reference == "test")
        (result,) = stored.evaluations(run.folder).find(metric="kernel")
        assert result.of["reference"] == f"flat {reference}"
        assert result.of["features"] == ("pixels" if _without_inception() else "inception")


def _without_inception() -> bool:
    from naqsh.studies.measure import extractor

    try:
        extractor("inception")
    except NaqshError:
        return True
    return False


def test_the_floor_is_the_distance_of_real_images(finished: Path) -> None:
    from naqsh import data, metrics

    floor = json.loads((finished / "comparison.json").read_text())["floor"]
    assert (floor["split"], floor["n"]) == ("train", 40)
    train = data.load("digits").some(40, 0)
    pixels = [
        metrics.extract(metrics.by_name("pixels"), images)
        for images in (data.load("digits", split="test").images, train.images)
    ]
    value = next(m["value"] for m in floor["measures"] if m["name"] == "kernel")
    assert value == pytest.approx(metrics.kernel_distance(*pixels).value, rel=1e-9)


def test_runs_are_taken_as_they_are(finished: Path, tmp_path: Path) -> None:
    """Not measured again, whichever n and seed they were measured with; nothing is replaced."""
    place = tmp_path / "mine"
    shutil.copytree(finished, place)
    runs = (str(place / "vae-digits"), str(place / "gan-digits"))
    before = {run: (Path(run) / "evaluation.json").read_bytes() for run in runs}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work.evaluation, "evaluate", _never)
        compare(Plan(runs=runs, features="pixels"), tmp_path / "a", quiet=True)
        compare(Plan(runs=runs, features="pixels", seed=5), tmp_path / "b", quiet=True)
    assert {run: (Path(run) / "evaluation.json").read_bytes() for run in runs} == before
    compare(Plan(runs=runs, features="pixels", n=30), tmp_path / "c", device="cpu", quiet=True)
    for run in runs:
        there = stored.evaluations(RunFolder(run)).find(metric="kernel")
        assert [result.of["n"] for result in there] == [40, 30]


def test_a_file_of_a_stranger_leads_nowhere(finished: Path, tmp_path: Path) -> None:
    place = tmp_path / "theirs"
    shutil.copytree(finished, place)
    outside = str(finished / "gan-digits")
    there = json.loads((place / "comparison.json").read_text())
    for folder, taken in ((outside, True), (outside, False), ("../x", False)):
        entry = there["entries"][1] | {"folder": folder, "taken": taken}
        changed = there | {"entries": [there["entries"][0], entry]}
        (place / "comparison.json").write_text(json.dumps(changed))
        if taken:
            page = naqsh.report.write(place, tmp_path / "page.html").read_text()
            assert "lies outside of this folder" in page
        else:
            with pytest.raises(NaqshError, match="cannot name a folder"):
                naqsh.report.write(place, tmp_path / "page.html")
    compare(SMALL, place, device="cpu", quiet=True)  # what it does follows from the plan alone
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("which", ["best", "last"])
def test_best_weights_are_measured_where_there_are_any(which: str, finished: Path) -> None:
    run = naqsh.open(finished / ("vae-digits" if which == "best" else "gan-digits"))
    assert run.folder.best.exists() == (which == "best")
    (result,) = stored.evaluations(run.folder).find(metric="kernel")
    assert result.of["weights"] == which
    assert result.of["step"] == naqsh.open(run.folder.path, which).step


def test_each_recipe_gets_its_equal_share_of_the_time(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []

    def noted(recipe: object, images: object, share: float, *_: object) -> int:
        shares.append(share)
        return 1

    monkeypatch.setattr(budget, "steps", noted)
    monkeypatch.setattr(budget, "more_steps", lambda *_: None)
    plan = Plan(recipes=SMALL.recipes, minutes=3.0, n=20, features="pixels")
    compare(plan, tmp_path / "one", device="cpu", quiet=True)
    assert shares == [90.0, 90.0]
    shares.clear()
    taken = replace(plan, recipes=SMALL.recipes[:1], runs=(str(finished / "gan-digits"),))
    compare(replace(taken, n=40), tmp_path / "taken", device="cpu", quiet=True)
    assert shares == [180.0]  # a run that is trained already takes none of it
    shares.clear()
    compare(replace(plan, seeds=3), tmp_path / "three", device="cpu", quiet=True)
    assert shares == [30.0, 30.0]  # of each recipe once, for all of its seeds
    entries = json.loads((tmp_path / "three" / "comparison.json").read_text())["entries"]
    assert [entry["folder"] for entry in entries] == [
        f"{name}-seed-{seed}" for name in SMALL.recipes for seed in range(3)
    ]
    for entry in entries:
        run = naqsh.open(tmp_path / "three" / entry["folder"])
        assert run.recipe.training.seed == entry["seed"]
        assert entry["evaluation"]["seed"] == entry["seed"]


def test_the_page_tells_apart_by_the_difference_of_what_was_measured(finished: Path) -> None:
    """From the images to the page: what each real image does is kept beside the results."""
    from naqsh import data, metrics
    from naqsh.report import comparison as page
    from naqsh.report.read import verdicts
    from naqsh.studies.evaluation import draw

    found = page.read(finished)
    pixels = metrics.by_name("pixels")
    real = metrics.extract(pixels, data.load("digits", split="test").images)
    parts = []
    for name in SMALL.recipes:
        run = naqsh.open(finished / name, "best" if name == "vae-digits" else "last")
        images = draw(run, 40, Machine(), {})
        parts.append(metrics.kernel_influence(real, metrics.extract(pixels, images)))
    (a, influence_a), (b, influence_b) = parts
    expected = metrics.difference(a, influence_a, b, influence_b)
    apart, half = verdicts.difference(*found.runs, "kernel") or (0.0, 0.0)
    assert apart == pytest.approx(expected.value, rel=1e-6)
    assert half == pytest.approx(1.96 * expected.standard_error, rel=1e-4)
    for name in ("frechet", "precision", "recall", "density", "coverage"):
        assert verdicts.difference(*found.runs, name) is not None


def test_what_must_be_known_is_said_on_the_terminal_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--recipes", "vae-digits", "gan-digits", "--images", "200", "--n", "20"]
    words += ["--features", "pixels", "--out", str(tmp_path), "--device", "cpu", "--seeds", "2"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "note: Where a recipe was trained with several seeds" in said
    assert "note: Real images: 20 images of the training split" in said
    text = (tmp_path / "report.html").read_text()
    assert "vae-digits ×2" in text
    assert "Student" in text


def test_the_commands_own_defaults_work(tmp_path: Path) -> None:
    """The set's own features, on whichever device there is."""
    plan = Plan(recipes=("gan-digits",), pictures=100, n=20)
    compare(plan, tmp_path, quiet=True)
    (result,) = stored.evaluations(naqsh.open(tmp_path / "gan-digits").folder).find(metric="kernel")
    assert result.of["features"] == "digits"
