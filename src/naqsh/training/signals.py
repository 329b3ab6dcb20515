"""Ctrl-C and SIGTERM, heard while a run goes on and answered where it can be saved."""

import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class Signals:
    """Notes the first signal in `number`; the second one leaves at once.

    Args:
        say: called with a line for the user when the first signal comes.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.number: int | None = None
        self._say = say
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread listen to signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number
        with contextlib.suppress(RuntimeError):  # it came in the middle of another line
            self._say("stopping soon, with everything saved; once more leaves at once")
