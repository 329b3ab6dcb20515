"""Standard error as progress is written to it: what it cannot take is dropped, and work goes on."""

import contextlib
import sys
from typing import TextIO, cast


class _Dropping:
    """A text stream that drops what the stream behind it refuses."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.encoding = stream, stream.encoding

    def write(self, text: str) -> int:
        # Its reader has left, its disk is full, or it is closed.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def stderr() -> TextIO | None:
    """Standard error that never raises; None where there is none, as in a program of windows."""
    return cast(TextIO, _Dropping(sys.stderr)) if sys.stderr is not None else None
