"""500 mutants of everything that is read from a run folder; see `fuzzing`.

``NAQSH_FUZZ=5000 pytest tests/test_fuzz.py`` tries so many, the same 500 first.
"""

import os
from pathlib import Path

import pytest

import fuzzing
from naqsh.core import memory

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

COUNT = int(os.environ.get("NAQSH_FUZZ", "500"))
GROUP = 25


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch, fuzzing.quick():
        for name in ("NAQSH_DATA_HOME", "WORLD_SIZE", "RANK", "LOCAL_RANK"):
            patch.delenv(name, raising=False)
        folder = tmp_path_factory.mktemp("fuzz")
        patch.setenv("NAQSH_CACHE", str(folder / "cache"))
        yield fuzzing.build(folder / "world")


def test_the_whole_folders_are_read_without_a_word(world):
    """So that what a mutant is told is told of its damage."""
    for kind, place in fuzzing.PLACES.items():
        assert fuzzing.faults(world, fuzzing.Mutant(0, kind, "", "nothing"), strict=True) == [], (
            place
        )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("first", range(0, COUNT, GROUP))
def test_a_mutant_succeeds_or_is_told_in_one_line(first, world):
    found = []
    for mutant in fuzzing.mutants(world, first, min(GROUP, COUNT - first)):
        found += fuzzing.faults(world, mutant)
    assert not found, "\n".join(found)


def test_every_kind_of_damage_and_every_file_is_among_them(world):
    made = fuzzing.mutants(world, 0, 500)
    assert {mutant.name for mutant in made} == set(fuzzing.MUTATORS) - {"nothing"}
    assert {(mutant.kind, mutant.file) for mutant in made} == set(fuzzing.files(world))


def test_a_fault_would_be_found(world, monkeypatch):
    """What each check looks for is seen by it."""

    def fails():
        raise KeyError("step")

    def commands():
        print("\x1b[31m")

    def fills():
        return b"x" * (2 * fuzzing.ROOM)

    assert "KeyError" in fuzzing._answered(fails)
    assert "control characters" in fuzzing._answered(commands)
    memory.keep_freed()
    held = [b"x" * 2**20 for _ in range(3 * fuzzing.ROOM >> 20)]  # as trainings leave it
    held.clear()
    if Path("/proc/self/clear_refs").exists():
        assert "MiB were taken" in fuzzing._answered(fills)
    monkeypatch.setattr(fuzzing.naqsh, "open", lambda *_: (world.root / "new").touch())
    said = fuzzing.faults(world, fuzzing.Mutant(0, "flow", "", "nothing"))
    (world.root / "new").unlink()
    assert any("outside" in line for line in said)
