"""A share of time as a number of steps, on a machine that has moments of other work."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from naqsh.core.errors import Interrupted
from naqsh.io.files import append_line
from naqsh.runs.folder import RunFolder
from naqsh.studies.comparison import Plan, budget, compare, work
from naqsh.training.loop import LOG_EVERY

FITS = 600
"""Steps that fit in the time below where the machine has nothing else to do."""

STEP = 0.1
"""Seconds that each of them takes, and ten times as many in a busy moment."""


BATCH = 64


class Machine:
    """Trains by a clock of its own: it writes of each step when that was taken, and takes none.

    Attributes:
        busy: steps until its busy moment has passed.
        trained: how many steps each training was begun with, the trials' too.
    """

    def __init__(self, busy: int = 0) -> None:
        self.busy = busy
        self.trained: list[int] = []

    def train(self, _recipe: object, *, out: Path, overrides: dict[str, int], **_: Any) -> Any:
        folder, steps = RunFolder(out), overrides["training.steps"]
        self.trained.append(steps)
        if folder.steps():  # it resumes, and is at its end
            assert folder.steps() == [steps]
            return SimpleNamespace(folder=folder)
        folder.checkpoint(steps).mkdir(parents=True)
        before = seconds = 0.0
        for step in range(1, steps + 1):
            seconds += STEP * (10 if self.busy > 0 else 1)
            self.busy -= 1
            if step % LOG_EVERY == 0 or step == steps:
                since = (step - 1) % LOG_EVERY + 1
                speed, seen = since * BATCH / (seconds - before), step * BATCH
                append_line(folder.metrics, {"step": step, "seen": seen, "speed": speed})
                before = seconds
        return SimpleNamespace(folder=folder)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Where trainings of a comparison take place; nothing is measured or reported."""
    made = Machine()
    for module in (work, budget):
        monkeypatch.setattr(module, "train", made.train)
    monkeypatch.setattr(work._Work, "_measure", lambda *_: {})
    monkeypatch.setattr(work.report, "write_comparison", lambda *_, **__: None)
    monkeypatch.setattr(work.report, "cautions", lambda *_: [])
    return made


def compared(place: Path, seeds: int = 1) -> list[int]:
    """The steps of each run of a comparison in which FITS of each fit."""
    minutes = seeds * FITS * STEP / 60
    plan = Plan(recipes=("gan-digits",), minutes=minutes, seeds=seeds, n=6, features="pixels")
    compare(plan, place, device="cpu", quiet=True)
    return [entry["steps"] for entry in entries(place)]


def entries(place: Path) -> list[dict[str, Any]]:
    """How far the runs of a comparison are."""
    found: list[dict[str, Any]] = json.loads((place / "comparison.json").read_text())["entries"]
    return found


@pytest.mark.parametrize("busy", [0, 100, 140, 150, 170])
def test_a_trial_on_a_busy_moment_does_not_shorten_a_training(
    machine: Machine, busy: int, tmp_path: Path
) -> None:
    """Ten times too slow for a part of the trial, for all of it, and into the training."""
    machine.busy = busy
    (steps,) = compared(tmp_path)
    assert 0.7 * FITS < steps <= FITS
    assert machine.trained[0] == budget.TRIAL_STEPS
    assert machine.trained[-1] == steps
    assert RunFolder(tmp_path / "gan-digits").steps() == [steps]
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_fewer_steps_fit_where_all_is_slow(machine: Machine, tmp_path: Path) -> None:
    machine.busy = 10**6
    assert compared(tmp_path) == [FITS // 10]
    assert machine.trained == [budget.TRIAL_STEPS, FITS // 10]


def test_a_busy_moment_in_the_training_takes_no_steps_from_it(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*given: Any, **named: Any) -> Any:
        machine.busy = 10**6
        return machine.train(*given, **named)

    monkeypatch.setattr(work, "train", train)
    assert compared(tmp_path) == [FITS]
    assert machine.trained == [budget.TRIAL_STEPS, FITS]


def test_all_seeds_have_the_steps_that_the_first_was_found_to_need(
    machine: Machine, tmp_path: Path
) -> None:
    machine.busy = budget.TRIAL_STEPS
    assert compared(tmp_path, seeds=2) == [FITS, FITS]
    assert machine.trained == [budget.TRIAL_STEPS, FITS // 10, FITS, FITS]


def test_a_long_training_is_judged_by_the_speed_that_lasts(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by its fastest records: here one in five says twice the speed."""
    real = machine.train

    def train(*given: Any, out: Path, **named: Any) -> Any:
        made = real(*given, out=out, **named)
        lines = [json.loads(line) for line in made.folder.metrics.read_text().splitlines()]
        made.folder.metrics.unlink()
        for number, line in enumerate(lines):
            speed = line["speed"] * (2 if number % 5 == 4 else 1)
            append_line(made.folder.metrics, line | {"speed": speed})
        return made

    monkeypatch.setattr(work, "train", train)
    assert compared(tmp_path) == [FITS]


def test_a_comparison_that_is_stopped_while_a_training_is_thrown_away_resumes(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Interrupted(15, 0)

    machine.busy = budget.TRIAL_STEPS
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stopped)
        with pytest.raises(Interrupted):
            compared(tmp_path)
    (entry,) = entries(tmp_path)
    assert (entry["state"], entry["steps"]) == ("planned", FITS // 10)
    assert compared(tmp_path) == [FITS]
    assert machine.trained == [budget.TRIAL_STEPS, FITS // 10, FITS // 10, FITS]
