"""The one exception of a user's mistake, and the help that goes with a wrong name."""

import difflib
from collections.abc import Iterable


class NaqshError(Exception):
    """What was asked cannot be done; the message is one line: what, why, and what would work.

    The command line prints the message and leaves with exit code 2. Anything else that escapes is a
    fault of ours, exit code 1.
    """


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
