"""What is told of a training: it fits a narrow terminal, prints any name, and never stops it."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from naqsh import api
from naqsh.io.progress import progress
from naqsh.runs.folder import RunFolder
from naqsh.training import log
from naqsh.training.log import Counter, Display
from naqsh.training.signals import HANGUP, Signals

ODD = "run [/b] [red] \x1b[31m"


class Terminal(io.StringIO):
    """Standard error as a terminal, kept."""

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """Standard error whose reader has left, or whose disk is full."""

    def __init__(self, error: type[Exception], terminal: bool) -> None:
        super().__init__()
        self.error, self.terminal = error, terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        raise self.error("gone")

    def flush(self) -> None:
        raise self.error("gone")


def terminal_of(monkeypatch: pytest.MonkeyPatch, width: int = 80) -> Terminal:
    """A terminal of that width as standard error; not a fixture, as pytest sets its own then."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def lines(stream: io.StringIO) -> list[str]:
    """What a terminal showed, line by line, without its commands."""
    screen = Console(file=io.StringIO(), force_terminal=False, width=200)
    from rich.text import Text

    screen.print(Text.from_ansi(stream.getvalue()))
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue().replace("\r", "\n").splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_step_and_time_left_survive_a_narrow_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(monkeypatch, width)
    display = Display(123_456, quiet=False)
    display.start("a-recipe-with-a-rather-long-name-mnist", 0)
    losses = {"critic.total": -1.234567, "generator.total": 0.0001234, "critic.penalty": 1.0}
    for step in (6172, 12_345, 12_400):
        display.update(step, 12.34, 123_456.0, losses)
    display.stop()
    shown = [line for line in lines(terminal) if "12400/123456" in line]
    assert shown, "the step is cut"
    assert all(len(line) <= width for line in lines(terminal))
    assert any(":" in line.split("123456")[1][:12] for line in shown), "the time left is cut"
    if width >= 120:
        assert any("epoch 12.34" in line for line in shown)


def test_names_are_no_markup_and_no_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    display = Display(10, quiet=False)
    display.start(ODD, 0)
    display.update(5, 1.0, 10.0, {f"{ODD}.total": 1.0})
    display.say(ODD)
    display.stop()
    with Counter() as counter:
        counter.update(ODD, 1, 2)
    with progress(ODD, 8, "MB") as advance:
        advance(4)
    assert "\x1b[31m" not in terminal.getvalue()
    assert "[/b] [red]" in terminal.getvalue()


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
@pytest.mark.parametrize("on_terminal", [False, True])
def test_a_broken_standard_error_silences_the_display_and_nothing_else(
    error: type[Exception], on_terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Display, "INTERVAL", 0.0)
    monkeypatch.setattr(sys, "stderr", Broken(error, on_terminal))
    numbers = {"training.steps": 3, "training.batch": 8}
    run = api.train("gan-digits", out=tmp_path / "run", overrides=numbers, device="cpu")
    assert run.step == 3
    with Counter() as counter:
        counter.update("x", 1, 2)


def test_no_standard_error_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    numbers = {"training.steps": 2, "training.batch": 8}
    run = api.train("gan-digits", out=tmp_path / "run", overrides=numbers, device="cpu")
    assert run.step == 2


# --- signals --------------------------------------------------------------------------------------


@pytest.fixture
def hears_hangups() -> Iterator[None]:
    """SIGHUP as a terminal leaves it; whoever started the tests, `nohup` say, may ignore it."""
    if HANGUP is None:
        yield
        return
    before = signal.signal(HANGUP, signal.SIG_DFL)
    yield
    signal.signal(HANGUP, before)


@pytest.mark.usefixtures("hears_hangups")
@pytest.mark.skipif(HANGUP is None, reason="Windows has no SIGHUP")
def test_a_closed_terminal_saves_as_a_termination_does() -> None:
    said: list[str] = []
    with Signals(said.append) as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)  # by the shell, once more
        assert signals.number == signal.SIGHUP
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert len(said) == 1


@pytest.mark.skipif(HANGUP is None, reason="Windows has no SIGHUP")
def test_an_ignored_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals(lambda line: None) as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.number is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_same_request_from_two_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    with Signals(lambda line: None, grace=60.0) as signals:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.number == signal.SIGINT
        signals._heard -= 61.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("hears_hangups")
def test_the_display_is_asked_from_a_signal(tmp_path: Path) -> None:
    """A whole run, told to stop by SIGHUP, is saved and goes on."""
    from naqsh.core.errors import Interrupted
    from naqsh.training.loop import Trainer

    step: Callable[[Trainer], None] = Trainer.step
    number = HANGUP or signal.SIGTERM

    def told(trainer: Trainer) -> None:
        if trainer.state.step == 2 and not RunFolder(tmp_path / "run").steps():
            os.kill(os.getpid(), number)
        step(trainer)

    patch = pytest.MonkeyPatch()
    patch.setattr(Trainer, "step", told)
    numbers = {"training.steps": 9, "training.batch": 8}
    try:
        with pytest.raises(Interrupted) as stop:
            api.train("gan-digits", out=tmp_path / "run", overrides=numbers, device="cpu")
        assert stop.value.number == number
        assert RunFolder(tmp_path / "run").steps() == [3]
    finally:
        patch.undo()
    run = api.train("gan-digits", out=tmp_path / "run", overrides=numbers, device="cpu")
    assert run.step == 9
    assert log.readable_time(61) == "1 min 01 s"
