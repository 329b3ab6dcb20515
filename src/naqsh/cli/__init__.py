"""The command line: verbs and nothing else. What a verb does lives in the library.

PyTorch is imported by the verbs that need it, when they run: ``naqsh --help`` and ``naqsh list``
answer at once.
"""

import os
import signal
from collections.abc import Sequence

STOPPED = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; see :func:`naqsh.cli.entry.main`.

    Args:
        arguments: the words; None takes those of the process, which is to end with the code that
            is returned. Ctrl-C then ends it with 130 and no traceback while modules are still
            being read, and changes nothing any more once the work is done and Python shuts down.
    """
    if arguments is None:
        return _process()
    from naqsh.cli import entry

    return entry.main(arguments)


def _process() -> int:
    try:
        heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else as `nohup` has
        if heard:  # nothing is begun: leave, whatever a library would make of an interrupt
            signal.signal(signal.SIGINT, lambda *_: os._exit(STOPPED))
        try:
            from naqsh.cli import entry

            if heard:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            return entry.main()
        finally:
            _deaf()
    except KeyboardInterrupt:
        _deaf()
        return STOPPED


def _deaf() -> None:
    """Nothing is left that Ctrl-C could stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where it came into an exec of a string, as namedtuples make, `python -m` ends by the signal
    # itself, although the interrupt was caught since; the next exec makes Python forget that.
    exec("")


__all__ = ["main"]
