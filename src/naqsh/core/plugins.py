"""Methods and recipes of other packages.

A package names its modules as entry points of the groups ``naqsh.methods`` and ``naqsh.recipes``. A
module that is only on Python's path is named in the environment variable ``NAQSH_PLUGINS``, with
others after commas; it may hold a method, recipes, or both. They are the user's own code: a run
folder from elsewhere cannot name a module, only a kind that is known here.
"""

import functools
import importlib
import importlib.metadata
import os
from types import ModuleType

from naqsh.core.errors import NaqshError
from naqsh.core.printable import short


def modules(group: str) -> list[str]:
    """The modules that are named for a group, each once.

    Args:
        group: ``naqsh.methods`` or ``naqsh.recipes``.
    """
    named = os.environ.get("NAQSH_PLUGINS", "").replace(",", " ").split()
    return list(dict.fromkeys([*_installed(group), *named]))


@functools.cache
def _installed(group: str) -> tuple[str, ...]:
    return tuple(point.module for point in importlib.metadata.entry_points(group=group))


def load(name: str) -> ModuleType:
    """Import a module.

    Raises:
        NaqshError: there is no such module.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise NaqshError(
            f"no module {short(name)} is on Python's path; NAQSH_PLUGINS or a package names it"
        ) from error
