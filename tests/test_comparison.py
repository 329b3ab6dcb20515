"""One command, several families: trained under one budget, measured alike, on one page."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import naqsh
from naqsh import comparison, recipes
from naqsh import kept as stored
from naqsh.cli import main
from naqsh.comparison import Plan, compare
from naqsh.errors import Interrupted, NaqshError
from naqsh.runfolder import RunFolder, append_line

SMALL = Plan(recipes=("vae-digits", "gan-digits"), pictures=1500, n=40, features="pixels")


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
        assert {m.of["metric"] for m in measured} >= comparison.MEASURES
    page = (finished / "report.html").read_text()
    assert "vae-digits" in page
    assert "gan-digits" in page


def test_a_second_call_does_nothing_twice(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("was done already")

    monkeypatch.setattr(comparison, "train", never)
    monkeypatch.setattr(comparison.evaluation, "evaluate", never)
    page = (finished / "report.html").read_bytes()
    assert compare(SMALL, finished, quiet=True).read_bytes() == page


def test_another_plan_is_refused(finished: Path) -> None:
    with pytest.raises(NaqshError, match=r"holds a comparison with n 40, not 41"):
        compare(Plan(SMALL.data, SMALL.recipes, pictures=1500, n=41, features="pixels"), finished)


@pytest.mark.parametrize("text", ["{", "[]", '{"plan": {}}', '{"plan": {}, "entries": [{}]}'])
def test_a_damaged_comparison_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(NaqshError, match=r"comparison\.json is damaged"):
        compare(SMALL, tmp_path, quiet=True)


def test_what_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = comparison.train

    def stopped(recipe: naqsh.recipe.Recipe, **given: object) -> naqsh.Run:
        if recipe.name == "gan-digits":
            raise Interrupted(15, 3)
        return real(recipe, **given)

    monkeypatch.setattr(comparison, "train", stopped)
    with pytest.raises(Interrupted):
        compare(SMALL, tmp_path, device="cpu", quiet=True)
    assert [entry["state"] for entry in kept(tmp_path).values()] == ["done", "planned"]
    trained: list[str] = []

    def noted(recipe: naqsh.recipe.Recipe, **given: object) -> naqsh.Run:
        trained.append(recipe.name)
        return real(recipe, **given)

    monkeypatch.setattr(comparison, "train", noted)
    compare(SMALL, tmp_path, device="cpu", quiet=True)
    assert set(trained) == {"gan-digits"}


def test_a_run_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(recipes=("classifier-digits", "vae-digits"), pictures=300, n=20, features="pixels")
    page = compare(plan, tmp_path, device="cpu")
    entries = kept(tmp_path)
    assert entries["vae-digits"]["state"] == "done"
    assert entries["classifier-digits"]["state"] == "failed"
    assert "makes no pictures" in str(entries["classifier-digits"]["error"])
    assert "classifier-digits failed" in capsys.readouterr().err
    assert "makes no pictures" in page.read_text()
    assert (tmp_path / "classifier-digits.error.txt").exists()


def test_trained_runs_are_taken(finished: Path, tmp_path: Path) -> None:
    runs = (str(finished / "vae-digits"), str(finished / "gan-digits"))
    page = compare(Plan(runs=runs, n=40, features="pixels"), tmp_path / "two", quiet=True)
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
        ({"recipes": ("classifier-digits",), "pictures": 100}, "every run failed"),
    ],
)
def test_what_cannot_be_is_said(plan: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(NaqshError, match=words):
        compare(Plan(**plan), tmp_path, device="cpu", quiet=True)  # type: ignore[arg-type]


def test_a_budget_must_be_above_nothing() -> None:
    for budget in ({"minutes": 0.0}, {"pictures": 0}):
        with pytest.raises(NaqshError, match="budget above 0"):
            Plan(**budget)  # type: ignore[arg-type]


def test_minutes_become_steps_by_the_highest_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    for step, speed in ((50, 10.0), (100, 640.0), (150, 300.0)):  # cold, steady, with a stage
        append_line(folder.metrics, {"step": step, "seen": step * 64, "speed": speed})
    append_line(folder.metrics, {"step": 150, "seen": 9600, "losses": {"validation.total": 1.0}})
    monkeypatch.setattr(comparison, "train", lambda *_, **__: SimpleNamespace(folder=folder))
    recipe = recipes.by_name("gan-digits")
    assert comparison._steps(recipe, Plan(), 30.0, "cpu", None) == 300


def test_much_time_is_divided_by_the_speed_that_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def trained(*_: object, overrides: dict[str, int], **__: object) -> SimpleNamespace:
        """Of 640 pictures a second for 150 steps, then of half as many."""
        asked.append(overrides["training.steps"])
        folder = RunFolder(tmp_path / str(len(asked)))
        folder.path.mkdir()
        for step in range(50, asked[-1] + 1, 50):
            speed = 640.0 if step <= 150 else 320.0
            append_line(folder.metrics, {"step": step, "seen": step * 64, "speed": speed})
        return SimpleNamespace(folder=folder)

    monkeypatch.setattr(comparison, "train", trained)
    recipe = recipes.by_name("gan-digits")
    assert comparison._steps(recipe, Plan(), 1000.0, "cpu", None) == 5000
    assert asked == [150, 500]


def test_every_family_trains_under_a_budget_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of the README, cut to seconds: some recipes hold pictures out, some do not."""
    monkeypatch.setattr(comparison, "TRIAL_STEPS", 2)
    compare(Plan(minutes=1e-6, n=20, features="pixels"), tmp_path, device="cpu", quiet=True)
    entries = kept(tmp_path)
    assert list(entries) == comparison._families("digits")
    assert {entry["error"] for entry in entries.values()} == {None}
    assert {entry["steps"] for entry in entries.values()} == {1}


def test_every_family_has_a_recipe_for_any_data() -> None:
    assert comparison._families("digits") == [f"{f}-digits" for f in comparison.FAMILIES]
    assert set(comparison._families("photos/")) == {f"{f}-mnist" for f in comparison.FAMILIES}
    known = recipes.all_recipes()
    for name in ("digits", "mnist", "photos/"):
        assert set(comparison._families(name)) <= set(known)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--recipes", "vae-digits", "--pictures", "300", "--n", "20"]
    words += ["--features", "pixels", "--out", str(tmp_path), "--device", "cpu", "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert main(["compare", "--minutes", "2", "--pictures", "5"]) == 2
