"""What a run stands on goes away while it goes on: its folder, room on a disk, other ranks."""

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from naqsh import api, cli
from naqsh import api as run
from naqsh.core import world as distributed
from naqsh.core.errors import CannotWrite, NaqshError
from naqsh.runs.folder import RunFolder
from naqsh.studies import evaluation
from naqsh.training import journal, loop
from running import differences, everything, ranks

pytestmark = [
    pytest.mark.usefixtures("alone"),
    pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork; open files stay"),
]

TRAIN = ["train", "vae-digits", "--training.batch", "16", "--steps", "6", "--device", "cpu"]
TRAIN += ["--training.validation", "0.99", "--quiet", "--out", "run"]


@pytest.mark.parametrize("moment", ["log", "stage", "validation", "save"])
def test_a_training_whose_folder_is_deleted(moment, monkeypatch, capsys):
    """One line, and nothing of the folder is made anew."""
    owner, method = {
        "log": (journal.Journal, "log"),
        "stage": (loop.Trainer, "_show"),
        "validation": (loop.Trainer, "_validate"),
        "save": (loop.Trainer, "save"),
    }[moment]
    before, monkey = getattr(owner, method), []

    def deletes(self: object, *arguments: object) -> None:
        if not monkey:
            monkey.append(moment)
            shutil.rmtree("run")
        before(self, *arguments)

    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(owner, method, deletes)
    assert cli.main(TRAIN) == 2
    said = capsys.readouterr().err
    assert said.endswith(
        "naqsh: run is gone: it was moved or deleted while it was written to; nothing more is\n"
    )
    assert said.count("\n") == 1
    assert not Path("run").exists()


@pytest.mark.parametrize("verb", ["evaluate", "detect", "bound"])
def test_a_measurement_whose_run_is_deleted(verb, finished, monkeypatch, capsys):
    if verb == "evaluate":
        shutil.copytree(finished, "run")
        words = ["evaluate", "run", "--n", "20", "--metrics", "fid", "--device", "cpu"]
    elif verb == "detect":
        assert cli.main([*TRAIN, "--steps", "1"]) == 0
        words = ["detect", "run", "digits", "--n", "20", "--draws", "1", "--device", "cpu"]
    else:
        numbers = {"training.batch": 16, "training.steps": 1, "method.schedule.steps": 20}
        api.train("ddpm-digits", out="run", overrides=numbers, device="cpu", quiet=True)
        words = ["bound", "run", "--n", "2", "--device", "cpu"]
    method, seen = run.Run.method, []

    def gone(self: run.Run) -> object:
        found = method.fget(self)
        if not seen:
            seen.append(found)
            shutil.rmtree("run")
        return found

    monkeypatch.setattr(run.Run, "method", property(gone))
    capsys.readouterr()
    assert cli.main(words) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("naqsh: ")
    assert "run" in told[-1]
    assert not Path("run").exists()


# --- several ranks --------------------------------------------------------------------------------

LONG = ["train", "gan-digits", "--training.batch", "16", "--device", "cpu", "--out", "run"]


def in_its_own_folder(rank: int, where: str, changes: str, steps: int, *words: str) -> None:
    """A rank on a machine of its own; `changes` is what is otherwise there."""
    place = Path(where, str(rank))
    place.mkdir(exist_ok=True)
    os.chdir(place)
    sys.stderr = Path(where, f"log-{rank}").open("a")  # noqa: SIM115
    append, step = journal.append_line, loop.Trainer.step

    def full(path: Path, record: dict) -> None:
        if changes == "full disk" and record["step"] == 4:
            raise CannotWrite(28, "No space left on device", str(path))
        append(path, record)

    def late(trainer: loop.Trainer) -> None:
        if changes == "late" and rank == 1 and trainer.state.step == 2:
            time.sleep(4)
        if changes == "deleted" and rank == 0 and trainer.state.step == 4:
            shutil.rmtree("run")
        step(trainer)

    loop.LOG_EVERY = 2
    journal.append_line, loop.Trainer.step = full, late  # type: ignore[method-assign]
    if changes == "late":
        distributed.MEET_SECONDS = 3
    code = cli.main([*LONG, "--steps", str(steps), *words])
    sys.stderr.close()
    sys.exit(code)


def last_lines(where: Path) -> list[str]:
    return [(where / f"log-{rank}").read_text().splitlines()[-1] for rank in (0, 1)]


def test_ranks_without_a_shared_folder(tmp_path):
    """Each has its own working folder; the first one's holds the run, and a resume works."""
    assert ranks(2, in_its_own_folder, str(tmp_path), "", 4) == [0, 0]
    assert ranks(2, in_its_own_folder, str(tmp_path), "", 8) == [0, 0]
    assert RunFolder(tmp_path / "0" / "run").steps()[-1] == 8
    assert list((tmp_path / "1").iterdir()) == []
    assert ranks(2, in_its_own_folder, str(tmp_path / "0"), "", 8, "--out", "b") == [0, 0]
    a, b = everything(tmp_path / "0" / "run"), everything(tmp_path / "0" / "0" / "b")
    assert differences(a, b) == set()


def test_images_that_one_rank_alone_has(tmp_path):
    from PIL import Image

    (tmp_path / "0" / "photos").mkdir(parents=True)
    for number in range(32):
        Image.new("L", (16, 16), number).save(tmp_path / "0" / "photos" / f"{number}.png")
    data = ["--data", "photos"]
    assert ranks(2, in_its_own_folder, str(tmp_path), "", 2, *data) == [2, 2]
    for line in last_lines(tmp_path):
        assert line.startswith("naqsh: no data set named 'photos'")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ("full disk", "naqsh: cannot write run/metrics.jsonl: No space left on device"),
        ("deleted", "naqsh: run is gone: it was moved or deleted while it was written to; nothing"),
    ],
)
def test_what_stops_one_rank_stops_all_with_its_line(changes, line, tmp_path):
    assert ranks(2, in_its_own_folder, str(tmp_path), changes, 8) == [2, 2]
    assert [told.startswith(line) for told in last_lines(tmp_path)] == [True, True]
    assert (tmp_path / "0" / "run").exists() == (changes == "full disk")


def test_a_rank_that_is_late_is_waited_for(tmp_path):
    """The time in which ranks must meet does not bound a step."""
    assert ranks(2, in_its_own_folder, str(tmp_path), "late", 4) == [0, 0]
    assert RunFolder(tmp_path / "0" / "run").steps()[-1] == 4


def test_an_evaluation_says_where_it_could_not_be_kept(finished):
    shutil.copytree(finished, "run")
    opened = run.open("run")
    assert opened.method is not None
    shutil.rmtree("run")
    with pytest.raises(NaqshError, match="run is gone"):
        evaluation.evaluate(opened, "frechet", n=20, features="pixels")
    assert not Path("run").exists()
