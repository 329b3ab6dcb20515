"""The search: what it reads, that it adds up over calls, and that the best is the best."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import naqsh
from naqsh import data
from naqsh.cli import main
from naqsh.core.errors import Interrupted, NaqshError
from naqsh.recipes import by_name, recipe
from naqsh.studies import tune
from naqsh.studies.tune import trials as searching
from naqsh.studies.tune.plot import plot
from naqsh.studies.tune.study import Study

pytestmark = pytest.mark.usefixtures("small_grids")

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

FEW = {"training.steps": 4, "training.batch": 8}
SPACE = ["method.latent=4:16"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images to judge by."""
    monkeypatch.setattr(searching, "SAMPLES", 20)


def seek(out: Path, trials: int = 1, **given: object) -> tune.Best:
    options = {"space": SPACE, "overrides": FEW, "device": "cpu"} | given
    return tune.search("gan-digits", trials=trials, out=out, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("method.latent=8:64", tune.Range("method.latent", 8, 64)),
        ("method.critic.lr=1e-4:1e-2:log", tune.Range("method.critic.lr", 1e-4, 1e-2, log=True)),
        ("training.batch=8,16", tune.Range("training.batch", choices=("8", "16"))),
    ],
)
def test_ranges_are_read(text: str, expected: tune.Range) -> None:
    assert tune.parse(text) == expected


@pytest.mark.parametrize("text", ["x=8,8", "x=a,b,a"])
def test_a_value_is_named_once(text: str) -> None:
    with pytest.raises(NaqshError, match="twice"):
        tune.parse(text)


TEXTS = ["x", "x=", "=1:2", "x=2:1", "x=0:1:log", "x=1:2:lin", "x=a:b", "x=nan:1", "x=0:inf"]


@pytest.mark.parametrize("text", TEXTS)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(NaqshError, match="write NAME=LOW:HIGH"):
        tune.parse(text)


def test_default_space_is_every_learning_rate_and_the_batch() -> None:
    names = [bound.name for bound in tune.default_space(by_name("gan-digits"))]
    assert names == ["method.generator.lr", "method.critic.lr", "training.batch"]


def test_search_adds_up_and_reports_the_least(tmp_path: Path) -> None:
    space = ["method.critic.lr=1e-4:1e-2:log", "method.latent=4:16"]
    for total in (2, 3):
        best = tune.search(
            "gan-digits", trials=total - (total == 3) * 2, space=space, out=tmp_path, overrides=FEW
        )
        assert best.trials == total
    table = json.loads((tmp_path / "trials.json").read_text())
    assert best.value == min(row["value"] for row in table)
    winner = min(table, key=lambda row: row["value"])
    written = recipe.read(tmp_path / "best.yaml")
    trained = recipe.read(tmp_path / f"trial-{winner['trial']:04d}" / "recipe.yaml")
    assert written == trained
    assert written.to_dict()["method"]["latent"] == winner["method.latent"]
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
    assert best.metric == "Fréchet distance (features digits) to held-out training images"


def test_a_method_with_validation_is_judged_by_it(tmp_path: Path) -> None:
    best = tune.search(
        "classifier-digits",
        trials=1,
        space=["method.optimizer.lr=1e-3:1e-2:log"],
        out=tmp_path,
        overrides={"training.epochs": 1.0, "training.validation": 0.1},
    )
    assert best.metric == "validation loss"


def test_bad_searches_are_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "s")]
    assert main(["tune", "gan-digits", "--trials", "0", *out]) == 2
    assert "at least 1 trial" in capsys.readouterr().err
    assert main(["tune", "gan-digits", "--search", "method.latnet=4:8", *out]) == 2
    assert "did you mean 'latent'" in capsys.readouterr().err
    assert not list(tmp_path.rglob("trial-*"))


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (["nothing.lr=1:2"], "did you mean 'method.critic.lr'"),
        (["method.latent=4:8.5"], "need a whole number"),
        (["training.batch=8,0"], "batch must be above 0"),
        (["training.schedule=linear,cosin"], "did you mean 'cosine'"),
        (["method.latent=4:8", "method.latent=8,9"], "twice"),
    ],
)
def test_every_value_of_a_range_fits(search: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(NaqshError, match=words):
        seek(tmp_path / "s", space=search)
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("short")
def test_trials_are_judged_by_held_out_training_images_and_the_best_by_the_test_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    real_distance = searching.distance

    def noted(run: naqsh.Run, real: data.DataSet, features: str, n: int) -> float:
        judged.append(real.fingerprint)
        return real_distance(run, real, features, n)

    monkeypatch.setattr(searching, "distance", noted)
    best = seek(tmp_path, 2)
    whole = data.load("digits")
    seed = by_name("gan-digits").training.seed
    _, held_out = whole.hold_out(searching.VALIDATION, seed)
    test = data.load("digits", split="test")
    assert judged == [held_out.fingerprint, held_out.fingerprint, test.fingerprint]
    assert best.test is not None
    written = json.loads((tmp_path / "best.json").read_text())
    assert (written["value"], written["test"]) == (best.value, best.test)
    run = naqsh.open(tmp_path / f"trial-{best.trial:04d}")
    assert run.recipe.training.validation == searching.VALIDATION
    assert f"test images, unseen until now: {best.test_metric}" in str(best)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": ["method.latent=4:32"]}, "ranges method.latent=4.0:16.0, not"),
        ({"space": ["method.latent=4:16:log"]}, "ranges method.latent=4.0:16.0, not"),
        ({"space": ["method.latent=4,16"]}, "ranges method.latent=4.0:16.0, not"),
        ({"space": ["training.batch=16,32"]}, "ranges method.latent=4.0:16.0, not training.batch"),
        ({"space": [*SPACE, "training.batch=16,32"]}, "ranges"),
        ({"overrides": FEW | {"training.steps": 5}}, "training.steps 4, not 5"),
        ({"overrides": FEW | {"data.name": "mnist"}}, "data.name digits, not mnist"),
        ({"seed": 3}, "with seed 0, not 3"),
    ],
)
def test_another_search_is_refused_before_images_are_fetched(
    changes: dict[str, object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "train", _never)
    monkeypatch.setattr("naqsh.studies.ready.load_data", _never)
    Study(tmp_path, _base(), [tune.parse(SPACE[0])], _fingerprint(), 0)
    with pytest.raises(NaqshError, match=words):
        seek(tmp_path, **changes)


def test_a_search_keeps_its_seed(tmp_path: Path) -> None:
    """Unless it is of before they were kept: then any seed goes on with it."""
    about = _base(), [tune.parse(SPACE[0])], _fingerprint()
    assert Study(tmp_path, *about, 7).seed == Study(tmp_path, *about, None).seed == 7
    file = tmp_path / "search.json"
    plain = json.loads(file.read_text())
    assert plain.pop("seed") == 7
    file.write_text(json.dumps(plain))
    assert [Study(tmp_path, *about, seed).seed for seed in (3, None)] == [3, 0]
    file.write_text(json.dumps(plain | {"seed": "x"}))
    with pytest.raises(NaqshError, match="is damaged: its seed is"):
        Study(tmp_path, *about, 3)


def _never(*_: object, **__: object) -> None:
    raise AssertionError("nothing may be trained")


def _base() -> recipe.Recipe:
    return by_name("gan-digits").override(FEW | {"training.validation": searching.VALIDATION})


def _fingerprint() -> str:
    return data.load("digits").fingerprint


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NaqshError, match="holds other files"):
        seek(tmp_path)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", ["100%20x", "a?b=c#d", "{x}", "گربه ۲", "with space", "a;b&c"])
def test_any_folder_holds_a_search(name: str, tmp_path: Path) -> None:
    best = seek(tmp_path / name)
    assert (tmp_path / name / "search.db").exists()
    assert best.trials == 1


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("error", [Interrupted(15, 3), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["train", "score"])
def test_what_was_stopped_goes_on_with_the_same_trial(
    error: BaseException, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(searching, at)

    def stop(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(searching, at, stop)
    with pytest.raises(type(error)):
        seek(tmp_path, 2)
    monkeypatch.setattr(searching, at, real)
    before = Study(tmp_path, _base(), [tune.parse(SPACE[0])], _fingerprint(), 0)
    (left,) = before.study.get_trials()
    assert not left.state.is_finished()
    seek(tmp_path)
    (ended,) = before.study.get_trials()
    assert ended.state.is_finished()
    assert ended.params == left.params
    assert [path.name for path in tmp_path.glob("trial-*")] == ["trial-0000"]


def test_a_trial_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    first, second = (
        Study(tmp_path, _base(), [tune.parse(SPACE[0])], _fingerprint(), 0) for _ in range(2)
    )
    held, other = first.take(), second.take()
    assert (held.number, other.number) == (0, 1)
    held.lock.release()  # as the system does when a process is killed
    again = second.take()
    assert (again.number, again.numbers) == (held.number, held.numbers)
    second.tell(again, 1.5)
    second.tell(other, float("nan"))  # a failure, not a value
    assert [row["trial"] for row in second.done()] == [0]
    assert second.take().number == 2


def test_every_trial_has_numbers_of_its_own(tmp_path: Path) -> None:
    """Also where each is proposed by a process of its own."""
    seen = []
    for _ in range(4):
        study = Study(tmp_path, _base(), [tune.parse("method.latent=1:10000")], "", -7)
        taken = study.take()
        study.tell(taken, 1.0)
        seen.append(taken.numbers["method.latent"])
    assert len(set(seen)) == 4


def test_processes_may_begin_one_search_together(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "naqsh", "tune", "gan-digits", "--trials", "1"]
    words += [
        "--training.steps",
        "2",
        "--device",
        "cpu",
        "--search",
        SPACE[0],
        "--out",
        str(tmp_path / "s"),
    ]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=280)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert {path.name for path in (tmp_path / "s").glob("trial-*")} == {"trial-0000", "trial-0001"}


@pytest.mark.parametrize("values", [["none", "0.99"], ["8", "16"], ["a", "b"], [1e-3, 1.0], [0, 1]])
def test_any_values_are_drawn(values: list[object]) -> None:
    table = [{"trial": 3 * n, "value": 1.0 + n, "x": value} for n, value in enumerate(values)]
    assert plot(table, 3, "loss").startswith(b"\x89PNG")


@pytest.mark.usefixtures("short")
def test_images_without_a_test_split_are_searched_too(tmp_path: Path) -> None:
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "flat.npy", pixels)
    changes = FEW | {"data.name": str(tmp_path / "flat.npy")}
    best = seek(tmp_path / "s", overrides=changes)
    assert best.test_metric == "Fréchet distance (features pixels)"
    assert recipe.read(tmp_path / "s" / "best.yaml").data.holdout > 0
