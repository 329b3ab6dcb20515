"""Standard output and error that never stop the work.

What a command does must not depend on whether somebody still reads what it says: a reader that has
left, a full disk behind ``2>log``, a closed descriptor and a terminal that knows no Persian each
cost words, never a training.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from naqsh.core.printable import shown_lines


class Steady:
    """A text stream that swallows what it cannot write, once and for all, and remembers why.

    Args:
        stream: the stream to write to.
        plain: whether only plain text goes here, so that control characters of names are shown as
            escapes. Not for standard error: live progress moves the cursor by them, and whoever
            prints a name there makes it printable first.

    Attributes:
        lost: the first error of writing, if there was one; all later text went nowhere.
    """

    def __init__(self, stream: TextIO, plain: bool) -> None:
        self._stream, self._plain = stream, plain
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what the stream's encoding has, the rest as escapes."""
        coding = self._stream.encoding or "utf-8"
        words = shown_lines(text) if self._plain else text
        try:
            self._stream.write(words.encode(coding, "backslashreplace").decode(coding))
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written so far."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """From now on everything goes nowhere, also what Python flushes as it leaves."""
        self.lost = self.lost or error
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def steady() -> Iterator[Steady]:
    """Both standard streams made steady while the block runs; gives standard output."""
    _occupy()
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:

        def there(stream: TextIO | None) -> TextIO:
            if stream is not None and not stream.closed:
                return stream
            return opened.enter_context(Path(os.devnull).open("w", encoding="utf-8"))

        out, err = Steady(there(before[0]), plain=True), Steady(there(before[1]), plain=False)
        sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
        try:
            yield out
        finally:
            out.flush()
            err.flush()
            sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Where a standard descriptor is closed (``>&-``), the next file opened would take its number.

    And what a library prints there would land in that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)
