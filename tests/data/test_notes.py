"""Notes of data: once a process, on stderr where nobody set up logging, by the first rank alone."""

import subprocess
import sys

import pytest

SAY = "from naqsh.data import notes; print(notes.say(['a', 'b', 'a'])); notes.say(['b'])"


@pytest.mark.parametrize(
    ("rank", "lines"), [(None, ["note: a", "note: b"]), ("0", None), ("1", [])]
)
def test_said_once(
    rank: str | None, lines: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True)
    assert done.stdout == "('a', 'b')\n"
    assert done.stderr.splitlines() == (["note: a", "note: b"] if lines is None else lines)
