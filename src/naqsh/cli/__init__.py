"""The command line: verbs and nothing else. What a verb does lives in the library.

PyTorch is imported by the verbs that need it, when they run: ``naqsh --help`` and ``naqsh list``
answer at once.
"""

from naqsh.cli.entry import main

__all__ = ["main"]
