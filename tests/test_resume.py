"""A run that was killed, at whatever moment, ends as one that was not: to the bit."""

import random
import signal
import sys
from pathlib import Path

import pytest

from naqsh.io.foreign import read_lines
from naqsh.runs.folder import RunFolder
from running import differences, everything, naqsh

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork, no SIGKILL")

STEPS = 24
# All that a step may depend on: averages, accumulation, clipping, schedules, buffers, repeats.
NUMBERS = {
    "training.steps": STEPS,
    "training.batch": 16,
    "training.accumulate": 2,
    "training.ema": 0.95,
    "training.clip_norm": 0.7,
    "training.warmup": 5,
    "training.schedule": "cosine",
    "method.spectral_norm": "true",
    "method.n_critic": 2,
    "method.generator.kind": "rmsprop",
}


def command(folder: Path) -> list[str]:
    options = [word for name, value in NUMBERS.items() for word in (f"--{name}", str(value))]
    return ["train", "gan-digits", "--out", str(folder), "--device", "cpu", *options]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The same run, never interrupted."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    assert naqsh(command(folder), folder.parent / "log") == 0
    return folder


def losses(folder):
    return [(record["step"], record["losses"]) for record in read_lines(folder / "metrics.jsonl")]


def check(folder, straight):
    found, expected = everything(folder), everything(straight)
    assert len(expected) > 60
    assert found["step"] == STEPS
    assert differences(found, expected) == set()
    assert [r["step"] for r in read_lines(folder / "stages.jsonl")] == [8, 16, 24]
    for step in (8, 16, 24):
        grid = RunFolder(folder).grid(step)
        assert grid.read_bytes() == RunFolder(straight).grid(step).read_bytes()
    left = [path.name for path in folder.rglob("*.part")]
    assert left == []


def kill(folder, log, *death):
    assert naqsh(command(folder), log, death) == -signal.SIGKILL


def test_killed_again_and_again_in_the_worst_moments(straight, tmp_path):
    folder, log = tmp_path / "run", tmp_path / "log"
    for number in (1, 2, 3):  # while its first three files are written
        kill(folder, log, "fsync", number)
        assert not RunFolder(folder).steps()
    kill(folder, log, "fsync", 3 + 2)  # in the first checkpoint
    assert RunFolder(folder).steps() == []
    assert list(folder.rglob("*.part"))  # half a checkpoint, which is never taken for a whole one
    kill(folder, log, "step", 5)
    assert RunFolder(folder).steps() == [2, 4]
    kill(folder, log, "fsync", 3 + 6 + 5)  # in the second checkpoint of this attempt
    assert RunFolder(folder).steps()[-1] == 6
    kill(folder, log, "step", 17)
    assert naqsh(command(folder), log) == 0
    check(folder, straight)
    # Every record once, and equal to those of the run that was never killed.
    assert losses(folder) == losses(straight)
    assert "Traceback" not in log.read_text()


def test_killed_at_random_moments(straight, tmp_path):
    folder, log = tmp_path / "run", tmp_path / "log"
    moments = random.Random(4)
    for _ in range(3):
        # How far it got by then differs each time; the end may not.
        assert naqsh(command(folder), log, ("after", moments.uniform(0, 3))) in (0, -signal.SIGKILL)
    assert naqsh(command(folder), log) == 0
    check(folder, straight)
    assert losses(folder) == losses(straight)


def test_asked_to_stop_it_saves_and_goes_on(straight, tmp_path):
    folder, log = tmp_path / "run", tmp_path / "log"
    told = "naqsh: stopped after step {} by {}; the same command resumes from there\n"
    assert naqsh(command(folder), log, ("signal", 4, signal.SIGTERM)) == 143
    assert RunFolder(folder).steps()[-1] == 5
    assert log.read_text().endswith(told.format(5, "SIGTERM"))
    assert naqsh(command(folder), log, ("signal", 10, signal.SIGINT)) == 130
    assert RunFolder(folder).steps()[-1] == 11
    assert log.read_text().endswith(told.format(11, "SIGINT"))
    # Asked twice it leaves at once, without saving, and without a traceback.
    assert naqsh(command(folder), log, ("signal", 13, signal.SIGINT, signal.SIGINT)) == 130
    assert RunFolder(folder).steps()[-1] == 12
    assert log.read_text().endswith("naqsh: stopped\n")
    # In the last step there is nothing left to stop.
    assert naqsh(command(folder), log, ("signal", STEPS - 1, signal.SIGTERM)) == 0
    check(folder, straight)
    steps = [step for step, _ in losses(folder)]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS
    assert "Traceback" not in log.read_text()


def test_a_finished_run_is_left_as_it_is(straight):
    before = {path: path.stat().st_mtime_ns for path in straight.rglob("*") if path.is_file()}
    expected = everything(straight)
    assert naqsh(command(straight), straight.parent / "log") == 0
    assert differences(everything(straight), expected) == set()
    for name in ("metrics.jsonl", "stages.jsonl"):
        assert len(read_lines(straight / name)) == (12 if name == "metrics.jsonl" else 3)
    checkpoints = [path for path in before if "checkpoints" in path.parts]
    assert all(path.stat().st_mtime_ns == before[path] for path in checkpoints)
