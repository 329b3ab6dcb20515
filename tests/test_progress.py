import sys

import pytest

from naqsh.io import progress as module
from naqsh.io.progress import progress


@pytest.mark.parametrize(
    ("total", "line"),
    [(8, r"task: 4 of 8 MB, \d+ s left"), (None, r"task: 4 MB")],
)
def test_lines_without_a_terminal(capsys, monkeypatch, total, line):
    import re

    monkeypatch.setattr(module, "_EVERY", 0.0)
    with progress("task", total, "MB", done=3) as advance:
        advance(1)
    assert re.fullmatch(line, capsys.readouterr().err.strip())


def test_short_tasks_print_nothing(capsys):
    with progress("task", 8, "MB") as advance:
        advance(8)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress("the task", 8, "MB") as advance:
        advance(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "the task" in err
