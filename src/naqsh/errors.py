"""How a command may end early: by a user's mistake or by a signal."""

import difflib
import signal
from collections.abc import Iterable


class NaqshError(Exception):
    """What was asked cannot be done; the message is one line: what, why, and what would work.

    The command line prints the message and leaves with exit code 2. Anything else that escapes is a
    fault of ours, exit code 1.
    """


class Interrupted(Exception):
    """A signal asked the run to stop; its state is saved.

    Attributes:
        number: of the signal; the command line leaves with 128 plus it, as shells expect.
    """

    def __init__(self, number: int, step: int) -> None:
        name = signal.Signals(number).name
        super().__init__(
            f"stopped after step {step} by {name}; the same command goes on from there"
        )
        self.number = number


def one_of(what: str, given: str, known: Iterable[str]) -> NaqshError:
    """The error for an unknown name: says the nearest known one, or lists them all.

    Args:
        what: what kind of thing was named, for example ``"recipe"``.
        given: the name that is not known.
        known: every name that would have worked.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return NaqshError(f"no {what} named {given!r}; {hint}")
