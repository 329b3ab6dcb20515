"""The command line: verbs and nothing else. What a verb does lives in the library.

PyTorch is imported by the verbs that need it, when they run: ``naqsh --help`` and ``naqsh list``
answer at once.
"""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; see :func:`naqsh.cli.entry.main`."""
    try:  # Ctrl-C may come while the rest is still being read
        from naqsh.cli import entry
    except KeyboardInterrupt:
        return 130
    return entry.main(arguments)


__all__ = ["main"]
