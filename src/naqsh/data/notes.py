"""What a reader of images says about them: lines that change no number but must be known.

A note is a plain sentence: images that were left out, a split that was made, a range of values that
is hardly used. It stands in :attr:`naqsh.data.DataSet.notes`, from where `run.json` and a detection
take it, and it is logged once a process as a warning of the logger ``naqsh.data``. Python prints
such warnings to stderr where nobody has set up logging, so the command line does nothing for it.
"""

import logging
import os
from collections.abc import Iterable

from naqsh.printable import shown, whole

_LOGGER = logging.getLogger("naqsh.data")
_said: set[str] = set()


def say(notes: Iterable[str]) -> tuple[str, ...]:
    """Log the notes that this process has not logged yet, on the first rank only.

    Returns:
        all of them, without those that stand twice.
    """
    found = tuple(dict.fromkeys(map(whole, notes)))
    for note in found:
        if note not in _said and os.environ.get("RANK", "0") == "0":
            _said.add(note)
            _LOGGER.warning("note: %s", shown(note))
    return found
