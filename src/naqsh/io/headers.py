"""Headers of safetensors files, which can be read without PyTorch.

The header of a weights file holds the recipe as text, so that the file alone says what it is.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from naqsh.core.errors import NaqshError
from naqsh.core.printable import shown
from naqsh.io.foreign import require_file, require_there, unreadable

LONGEST = 300
"""Characters of what is said of a damaged file."""


@contextlib.contextmanager
def opened(path: Path, framework: str = "np") -> Iterator[Any]:
    """A safetensors file, open; no tensor is read before one is asked for.

    Args:
        path: the file.
        framework: of the tensors: ``np`` or ``pt``.

    Raises:
        NaqshError: it is missing, damaged, or no regular file in its folder.
    """
    require_there(path, "the checkpoint")
    require_file(path)
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, RuntimeError, ValueError) as error:
        why = str(error)[:LONGEST]  # it quotes the file, which may hold anything
        raise NaqshError(f"{path} is damaged: {shown(why)}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def texts(path: Path) -> dict[str, str]:
    """The texts in a file's header; raises as :func:`opened`."""
    with opened(path) as file:
        return file.metadata() or {}


def ours(path: Path) -> dict[str, str]:
    """The texts in the header of a weights file of ours: ``recipe``, ``shape``, ``classes``, ….

    Raises:
        NaqshError: as :func:`opened`, or Naqsh did not write the file.
    """
    found = texts(path)
    if not {"recipe", "shape", "classes"} <= found.keys():
        raise NaqshError(f"{path} was not written by Naqsh: its header names no recipe")
    return found
