"""What a reader of images says about them: lines that change no number but must be known.

A note is a plain sentence: images that were left out, a split that was made, a range of values that
is hardly used. It stands in :attr:`naqsh.data.DataSet.notes`, from where `run.json` and a detection
take it, and it is logged once a process as a warning of the logger ``naqsh.data``. Python prints
such warnings to stderr where nobody has set up logging, so the command line does nothing for it.
"""

import logging
import os
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from naqsh.core.printable import shown, whole

STEP = 256
"""Images that are compared at a time."""

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


def first_alone(name: str, domains: Sequence[str]) -> str:
    """The note of a set of two domains, where nothing is done with the second."""
    first, second = domains
    return (
        f"{name}: two domains, of which {first} alone is used here; for {second} alone, name the "
        "folder of its images"
    )


def all_equal(images: NDArray[np.uint8]) -> bool:
    """Whether two images or more (N, C, H, W) are all the same; ends at the first that is not."""
    starts = range(0, len(images), STEP)
    return len(images) > 1 and all((images[i : i + STEP] == images[0]).all() for i in starts)


def of_equal(name: str, images: NDArray[np.uint8]) -> tuple[str, ...]:
    """The note of images that are all the same, which a set is by mistake; none of others."""
    if not all_equal(images):
        return ()
    low, high = int(images[0].min()), int(images[0].max())
    flat = f" and have the one value {low}" if low == high else ""
    return (
        f"{name}: all {len(images)} images are equal{flat}: there is one image to learn, and "
        "figures of them say nothing; look at the files and at --data.range",
    )
