"""Several budgets of time in one comparison: a training for each, shared as one budget is."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import naqsh
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.runs import records
from naqsh.studies.comparison import Plan, budget, compare, work
from naqsh.studies.comparison import plan as planning

pytestmark = pytest.mark.usefixtures("small_grids")

RECIPES = ("vae-digits", "gan-digits")
PLAN = Plan(recipes=RECIPES, minutes=(3.0, 0.5), n=20, features="pixels")
FOLDERS = [f"{name}-{minutes}-minutes" for minutes in ("0.5", "3") for name in RECIPES]


def entries(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "comparison.json").read_text())["entries"]
    return found


@pytest.fixture(scope="module")
def asked() -> list[float]:
    """The seconds that each recipe was given steps for, in their order."""
    return []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, asked: list[float]) -> Path:
    folder = tmp_path_factory.mktemp("budgets")

    def steps(recipe: object, images: object, share: float, *_: object) -> int:
        asked.append(share)
        return round(share / 15)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "steps", steps)
        patch.setattr(budget, "more_steps", lambda *_: None)
        compare(PLAN, folder, device="cpu", quiet=True)
    return folder


def test_every_recipe_is_trained_once_under_each_budget(finished: Path, asked: list[float]) -> None:
    assert asked == [15.0, 15.0, 90.0, 90.0]  # half of 0.5 minutes, half of 3
    there = entries(finished)
    assert [entry["folder"] for entry in there] == FOLDERS
    assert [entry["minutes"] for entry in there] == [0.5, 0.5, 3.0, 3.0]
    for entry in there:
        run = naqsh.open(finished / entry["folder"])
        assert entry["state"] == "done"
        assert entry["name"] == entry["folder"] == run.recipe.name
        # A training of its own, whose schedules end with its budget.
        assert run.recipe.training.steps == entry["steps"] == run.folder.steps()[-1]
    assert [entry["steps"] for entry in there] == [1, 1, 6, 6]


def test_a_second_call_does_nothing_twice(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("was done already")

    monkeypatch.setattr(work, "train", never)
    monkeypatch.setattr(work.evaluation, "evaluate", never)
    before = (finished / "comparison.json").read_bytes()
    same = Plan(recipes=RECIPES, minutes=[0.5, 3], n=20, features="pixels")  # type: ignore[arg-type]
    compare(same, finished, device="cpu", quiet=True)
    assert (finished / "comparison.json").read_bytes() == before
    with pytest.raises(NaqshError, match=r"a comparison with minutes \[0\.5, 3\.0\], not 3\.0;"):
        compare(Plan(recipes=RECIPES, minutes=3.0, n=20, features="pixels"), finished, quiet=True)


def test_seeds_and_variants_of_a_recipe_share_the_steps_of_their_budget_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(
        recipes=("gan-digits",),
        minutes=(1.0, 4.0),
        n=20,
        seeds=2,
        features="pixels",
        variants=({"method.latent": "8"},),
    )
    members = planning.members(plan, tmp_path)
    names = [f"gan-digits{changed}" for changed in ("", "-latent-8")]
    assert [member.entry.folder for member in members] == [
        f"{name}-{minutes}-minutes-seed-{seed}"
        for minutes in (1, 4)
        for name in names
        for seed in (0, 1)
    ]
    assert [member.entry.family for member in members] == 2 * [n for n in names for _ in (0, 1)]
    asked: list[float] = []
    trained: list[int] = []

    def steps(recipe: object, images: object, share: float, *_: object) -> int:
        asked.append(share)
        return round(share)

    monkeypatch.setattr(budget, "steps", steps)
    monkeypatch.setattr(budget, "more_steps", lambda *_: None)
    monkeypatch.setattr(
        work, "train", lambda *_, overrides, **__: trained.append(overrides["training.steps"])
    )
    monkeypatch.setattr(work._Work, "_measure", lambda *_: {})
    monkeypatch.setattr(work.report, "write_comparison", lambda *_, **__: None)
    monkeypatch.setattr(work.report, "cautions", lambda *_: [])
    compare(plan, tmp_path / "c", device="cpu", quiet=True)
    assert asked == [15.0, 60.0]  # a quarter of 1 minute, a quarter of 4
    assert trained == 4 * [15] + 4 * [60]


def test_runs_that_are_taken_have_no_budget(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "mine"
    shutil.copytree(finished / FOLDERS[0], run)
    plan = Plan(recipes=("gan-digits",), runs=(str(run),), minutes=(1, 2))
    members = planning.members(plan, tmp_path)
    assert [member.entry.minutes for member in members] == [1.0, 2.0, None]


def test_one_budget_is_written_as_ever(tmp_path: Path) -> None:
    for minutes in (60, 60.0, (60,), [60.0]):
        plan = Plan(recipes=("gan-digits",), minutes=minutes)  # type: ignore[arg-type]
        plain = records.plain(plan)
        assert plain["minutes"] == 60.0
        assert isinstance(plain["minutes"], float)
        assert records.read(Plan, json.loads(json.dumps(plain))) == plan
        (member,) = planning.members(plan, tmp_path)
        assert member.entry.folder == member.recipe.name == "gan-digits"
        assert "minutes" not in records.plain(member.entry)


def test_a_plan_of_several_is_read_as_it_was_written() -> None:
    plain = json.loads(json.dumps(records.plain(PLAN)))
    assert plain["minutes"] == [0.5, 3.0]
    assert records.read(Plan, plain) == PLAN


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        ("0", "budget above 0"),
        ("5,-1", "budget above 0"),
        ("nan", "budget above 0"),
        ("5,inf", "budget above 0"),
        ("5,15,five", "needs numbers, got '5,15,five'"),
        ("5,15,5.0", "named twice"),
        ("5,", "needs numbers"),
        (",", "needs numbers"),
        ("", "is empty"),
    ],
)
def test_budgets_that_cannot_be_are_one_line(
    minutes: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "--minutes", minutes, "--out", str(tmp_path / "c")]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("minutes", [(), "five", None, (5, 5), (1, "2")])
def test_budgets_that_cannot_be_are_refused_from_python(minutes: object) -> None:
    with pytest.raises(NaqshError):
        naqsh.compare("digits", minutes=minutes, quiet=True)


def test_a_number_of_images_is_one_budget(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NaqshError, match="not both"):
        Plan(minutes=(5, 15), pictures=100)
    assert main(["compare", "--minutes", "5,15", "--images", "100"]) == 2


def test_a_budget_in_a_strangers_name_of_a_run_changes_nothing_else() -> None:
    entry = records.Entry("gan-digits-15-minutes", "x", minutes=15.0)
    assert entry.family == "gan-digits"
    assert records.Entry("gan-digits", "x", minutes=15.0).family == "gan-digits"
    assert records.Entry("gan-15-minutes", "x").family == "gan-15-minutes"
