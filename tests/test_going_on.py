"""A run that goes on keeps the records of one that never stopped, and says what has changed."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from naqsh import api, report
from naqsh.api import Run
from naqsh.core.errors import NaqshError
from naqsh.core.world import World
from naqsh.io.foreign import read_json, read_lines
from naqsh.recipes import by_name, recipe
from naqsh.runs.folder import RunFolder
from naqsh.training import changes, diagnosis, loop, stages
from naqsh.training.diagnosis import Diagnosis, Watcher
from naqsh.training.log import Pending
from small import tiny, tiny_data, trainer

pytestmark = pytest.mark.usefixtures("small_grids")

TIMES = ("seconds", "speed")
FILES = ("metrics.jsonl", "diagnosis.jsonl", "stages.jsonl")


def records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All that a run told, but for times."""
    return {
        name: [
            {key: value for key, value in record.items() if key not in TIMES}
            for record in read_lines(folder / name)
        ]
        for name in FILES
    }


class Killed(Exception):
    """As if the process had ended here."""


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that count intervals, and speak a few of them after a checkpoint."""

    def rules() -> list[Watcher]:
        always = [
            Watcher(f"late{n}", metric, lambda value: True, patience=n)
            for metric in ("accuracy", "total", "kl")
            for n in (2, 5)
        ]
        alternating = Watcher("gap", "gap", lambda value: value > 0, patience=1)
        return [*always, alternating]

    monkeypatch.setattr(diagnosis, "watchers", rules)
    monkeypatch.setattr(diagnosis, "texts", lambda: defaultdict(lambda: "{value}"))


@pytest.mark.parametrize(
    ("name", "every"),
    [
        ("gan-digits", 1),
        ("gan-digits", 3),
        ("gan-digits", 5),
        ("vae-digits", 3),
        ("wgan-gp-digits", 5),
    ],
)
def test_the_records_are_those_of_a_run_that_never_stopped(
    name: str, every: int, tmp_path: Path, talkative: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints at the stages, 4, 8 and 12, fall between the records of every 3 or 5 steps."""
    monkeypatch.setattr(loop, "LOG_EVERY", every)
    small = tiny(by_name(name), training__steps=12, training__accumulate=2, training__ema=0.5)
    trainer(small, tiny_data(1), tmp_path / "straight").run()
    step = loop.Trainer.step
    for stop in (3, 6, 7, 11):

        def dies(self: loop.Trainer, stop: int = stop) -> None:
            if self.state.step == stop:
                raise Killed
            step(self)

        with monkeypatch.context() as patch:
            patch.setattr(loop.Trainer, "step", dies)
            with pytest.raises(Killed):
                trainer(small, tiny_data(1), tmp_path / "killed").run()
    trainer(small, tiny_data(1), tmp_path / "killed").run()
    killed, straight = records(tmp_path / "killed"), records(tmp_path / "straight")
    assert killed == straight
    assert len(straight["diagnosis.jsonl"]) > 1
    assert len(straight["stages.jsonl"]) == 3


def test_sums_are_the_same_wherever_they_are_cut() -> None:
    world = World(0, 1, torch.device("cpu"))
    values = torch.randn(30, generator=torch.Generator().manual_seed(0)) * 1e3
    found = set()
    for cut in range(31):
        first, second = Pending(), Pending()
        for step, value in enumerate(values):
            (first if step < cut else second).add(step, "a", {"b": value})
        second.sums = {
            n: (s, c) for n, [s, c] in json.loads(json.dumps(first.settle(world))).items()
        }
        found.add(second.take(world)["a.b"])
    assert len(found) == 1
    assert found.pop() == pytest.approx(float(values.double().mean()), rel=1e-12)


def test_replaying_says_nothing_and_counts() -> None:
    heard = Diagnosis()
    heard.replay([{"losses": {"critic.accuracy": 1.0}} for _ in range(diagnosis.PATIENCE - 1)])
    (said,) = heard.read({"critic.accuracy": 1.0})
    assert said.rule == "saturated_discriminator"


# --- what has changed -----------------------------------------------------------------------------

NUMBERS: dict[str, Any] = {"training.batch": 8, "training.schedule": "cosine"}


def train(folder: Path, steps: int, **changed: Any) -> Run:
    numbers = NUMBERS | {"training.steps": steps} | changed
    return api.train("gan-digits", out=folder, overrides=numbers, device="cpu", quiet=True)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    train(tmp_path / "run", 6)
    return tmp_path / "run"


def notes(folder: Path) -> list[dict[str, Any]]:
    """All but that samples of a few steps are noise, which they are."""
    found = read_lines(folder / "diagnosis.jsonl")
    return [note for note in found if note.get("rule") != "astray"]


def test_the_same_command_again_notes_nothing(folder: Path) -> None:
    train(folder, 6)
    assert notes(folder) == []
    assert len(read_json(folder / "run.json")["history"]) == 1


def test_a_longer_run_says_so_and_how_the_rates_jump(folder: Path) -> None:
    train(folder, 12)
    longer, rate = notes(folder)
    assert (longer["rule"], longer["step"]) == ("longer", 6)
    assert longer["words"] == "The run is trained on: training.steps was 6 and is 12."
    # Step 6, the last of the first plan: (1 + cos(5/6 pi)) / 2; by the second (1 + cos(5/12 pi))/2.
    words = "The learning rates had come to 7% of their full value and go on at 63%."
    assert (rate["rule"], rate["words"]) == ("rate", words)
    history = read_json(folder / "run.json")["history"]
    assert [entry["step"] for entry in history] == [0, 6]
    assert history[0]["recipe"] != history[1]["recipe"]
    train(folder, 12)
    assert len(notes(folder)) == 2
    for language, said in (("en", "go on at 63%"), ("fa", "63%")):
        report.write(folder, folder / "page.html", language)
        assert said in (folder / "page.html").read_text()


def test_an_edited_recipe_is_compared_with_that_of_the_weights(folder: Path) -> None:
    path = folder / "recipe.yaml"
    edited = recipe.read(path).override({"method.critic.lr": 0.02, "training.steps": 9})
    path.write_text(edited.to_yaml())
    api.train(str(path), out=folder, device="cpu", quiet=True)
    told = {note["metric"]: note for note in notes(folder)}
    assert told["method.critic.lr"]["words"] == (
        "method.critic.lr was 0.0002 in the weights and is 0.02 from here on: recipe.yaml was "
        "changed by hand."
    )
    assert told["training.steps"]["rule"] == "longer"
    assert {note["step"] for note in told.values()} == {6}
    assert (
        "0.0002" in Path(report.write(folder, folder / "p.html") or folder / "p.html").read_text()
    )


def test_a_run_killed_after_it_was_lengthened_notes_it_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = loop.Trainer.step

    def dies(self: loop.Trainer) -> None:
        if self.state.step == 7:
            raise Killed
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "step", dies)
        with pytest.raises(Killed):
            train(folder, 12)
    train(folder, 12)
    assert [note["rule"] for note in notes(folder)] == ["longer", "rate"]


def test_another_precision_or_number_of_threads_is_noted(folder: Path) -> None:
    about = read_json(folder / "run.json")
    assert about["environment"]["precision"] in ("float32", "bfloat16")
    about["environment"] |= {"precision": "bfloat8", "threads": 77}
    (folder / "run.json").write_text(json.dumps(about))
    train(folder, 7)
    told = {note["metric"]: note["words"] for note in notes(folder) if note["rule"] == "machine"}
    assert told.keys() == {"precision", "threads"}
    assert told["threads"].startswith("threads was 77 and is ")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_that_was_used_is_kept(precision: str, tmp_path: Path) -> None:
    train(tmp_path / "run", 1, **{"training.precision": precision})
    assert read_json(tmp_path / "run/run.json")["environment"]["precision"] == precision


def test_changes_are_between_what_both_know() -> None:
    assert changes.of_machine({}, {"precision": "float32", "threads": 1}) == []
    same = by_name("gan-digits")
    assert changes.of_recipe(same, same, 5, lambda _: stages.Plan(10, frozenset(), 8, 8)) == []


@pytest.mark.parametrize("line", ['{"losses": {}}', '{"step": "x"}', '{"step": null}'])
def test_records_without_a_step_are_damage(line: str, folder: Path) -> None:
    (folder / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(NaqshError, match=r"metrics\.jsonl, line 1 is damaged: it says no step"):
        train(folder, 7)
    assert RunFolder(folder).steps()
