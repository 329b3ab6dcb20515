"""What is written aside is gone when its writer is, however that ended, and never sooner."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from naqsh.io import aside
from naqsh.io.files import whole_folder, write_text
from naqsh.metrics import _cache as features

CONTEXT = multiprocessing.get_context("fork" if sys.platform != "win32" else "spawn")
locks = pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked")


def dies(place: Path) -> None:
    """A process is killed while it writes to a target."""

    def work() -> None:
        with aside.folder(place) as own:
            (own / "file").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    process = CONTEXT.Process(target=work)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def whole(path: Path) -> None:
    with whole_folder(path) as place:
        (place / "a").write_text("new")


WRITERS = {
    "file": lambda path: write_text(path, "new"),
    "folder": whole,
    "features": lambda path: features.save(path, __import__("numpy").ones((2, 2), "float32")),
}


@locks
@pytest.mark.parametrize("write", WRITERS)
def test_the_next_writer_removes_what_the_dead_one_left(write: str, tmp_path: Path) -> None:
    dies(tmp_path / "a.json")
    (left,) = names(tmp_path)
    assert left.startswith(".a.json.")
    (tmp_path / ".b.json.1.part").mkdir()  # of another target
    WRITERS[write](tmp_path / "a.json")
    assert names(tmp_path) == [".b.json.1.part", "a.json"]


@locks
def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    with aside.folder(tmp_path / "a") as own:
        aside.sweep(tmp_path, alone=True)
        assert aside.leftovers(tmp_path) == []
        write_text(own / "file", "whole")
        (own / "file").replace(tmp_path / "a")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("there", [True, False])
def test_what_was_put_out_of_the_way_comes_back(there: bool, tmp_path: Path) -> None:
    """A kill between the two renames of a folder: the old one is not lost, the new one stays."""
    left = tmp_path / ".a.77.part"
    (left / aside.BEFORE).mkdir(parents=True)
    (left / aside.BEFORE / "old").touch()
    if there:
        (tmp_path / "a").mkdir()
    aside.sweep(tmp_path, alone=True)
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ([] if there else ["old"])


def test_a_failed_second_rename_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    rename = Path.rename

    def fails(path: Path, target: Path) -> Path:
        if path.name == "folder":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="Input/output"):
        whole(tmp_path / "a")
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["old"]


@locks
def test_a_strangers_links_and_pipes_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mine" / aside.BEFORE).mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".a.1.part").symlink_to(tmp_path / "mine")
    os.mkfifo(tmp_path / "run" / ".a.2.part")
    write_text(tmp_path / "run" / "a", "new")
    assert (tmp_path / "mine" / aside.BEFORE).is_dir()
    assert "a" in names(tmp_path / "run")


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    for write in (WRITERS["file"], WRITERS["folder"]):
        with pytest.raises(OSError, match="No such file"):
            write(tmp_path / "gone" / "a")
    assert names(tmp_path) == []
