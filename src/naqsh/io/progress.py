"""Telling how far a long task is: a bar on a terminal, else a line now and then."""

import contextlib
import time
from collections.abc import Callable, Iterator

from naqsh.core.printable import shown
from naqsh.io.terminal import stderr

_EVERY = 10.0


@contextlib.contextmanager
def progress(
    what: str, total: float | None, unit: str, done: float = 0
) -> Iterator[Callable[[float], None]]:
    """Show on stderr how far a task is, and the time left.

    Tasks shorter than ten seconds print nothing where stderr is no terminal.

    Args:
        what: the task, in a few words.
        total: how much there is to do, or None if nobody knows.
        unit: of what, for example ``"MB"``.
        done: how much was done before.

    Yields:
        a function that is called with each amount done.
    """
    what = shown(what)
    stream = stderr()
    if stream and stream.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress

        with Progress(console=Console(file=stream), transient=True) as bar:
            task = bar.add_task(escape(what), total=total)
            bar.advance(task, done)
            yield lambda amount: bar.advance(task, amount)
        return
    begun = last = time.monotonic()
    got = 0.0

    def note(amount: float) -> None:
        nonlocal got, last
        got += amount
        now = time.monotonic()
        if now - last >= _EVERY:
            last = now
            line = f"{what}: {done + got:,.0f} {unit}"
            if total is not None:
                left = (total - done - got) * (now - begun) / got
                line = f"{what}: {done + got:,.0f} of {total:,.0f} {unit}, {left:.0f} s left"
            if stream:
                print(line, file=stream)

    yield note
