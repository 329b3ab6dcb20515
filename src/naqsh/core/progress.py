"""How long computations say how far they are: the types of the functions that are called."""

from collections.abc import Callable

Count = Callable[[int, int], None]
"""Called with how much is done, and of how much."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


def silent(what: str, done: int, total: int) -> None:
    """Progress that is shown to nobody."""
