"""The search: what it reads, that it adds up over calls, and that the best is the best."""

import json
from pathlib import Path

import pytest

from naqsh import recipe, tune
from naqsh.cli import main
from naqsh.errors import NaqshError

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

FEW = {"training.steps": 4, "training.batch": 8}


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


@pytest.mark.parametrize("text", ["x", "x=", "=1:2", "x=2:1", "x=0:1:log", "x=1:2:lin", "x=a:b"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(NaqshError, match="write NAME=LOW:HIGH"):
        tune.parse(text)


def test_default_space_is_every_learning_rate_and_the_batch() -> None:
    from naqsh.recipes import by_name

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
    assert best.metric.startswith("fid (digits")


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
