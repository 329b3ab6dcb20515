"""Ctrl-C, SIGTERM and SIGHUP, heard while a run goes on and answered where it can be saved."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

HANGUP = getattr(signal, "SIGHUP", None)
"""What a terminal sends as it closes; Windows has none."""


class Signals:
    """Notes the first signal in `number`; the second one leaves at once.

    A terminal that closes may say so twice, once itself and once by its shell, so a second SIGHUP
    changes nothing. One that is ignored, as ``nohup`` asks for, stays so.

    Args:
        say: called with a line for the user when the first signal comes.
        grace: seconds in which a second signal is taken for the same one: Ctrl-C reaches ranks from
            the terminal and once more from ``torchrun``.
    """

    def __init__(self, say: Callable[[str], None], grace: float = 0.0) -> None:
        self.number: int | None = None
        self._say, self._grace, self._heard = say, grace, 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread listen to signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, HANGUP):
                if number is None:
                    continue
                if number != HANGUP or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def came(self) -> bool:
        """Whether a signal came."""
        return self.number is not None

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is not None:
            if number == HANGUP or now - self._heard < self._grace:
                return
            raise KeyboardInterrupt
        self.number, self._heard = number, now
        with contextlib.suppress(RuntimeError):  # it came in the middle of another line
            self._say("stopping soon, with everything saved; once more leaves at once")
