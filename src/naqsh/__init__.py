"""Naqsh trains, samples, measures, explains and compares deep generative models.

``naqsh.train(recipe)`` trains into a run folder and ``naqsh.open(folder)`` opens one; both give a
:class:`~naqsh.api.run.Run`, which samples, shows, evaluates, detects and reports;
``naqsh.compare()`` trains and measures one recipe of each family. ``naqsh.Grid`` shows images in a
notebook; ``naqsh.data``, ``naqsh.lessons``, ``naqsh.metrics``, ``naqsh.recipes`` and
``naqsh.report`` are the parts beneath.

The public names below are imported when they are first used, so that ``import naqsh`` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naqsh.api import Run as Run
    from naqsh.api import compare as compare
    from naqsh.api import open as open
    from naqsh.api import train as train
    from naqsh.core.errors import NaqshError as NaqshError
    from naqsh.io.png import Grid as Grid

__version__ = "0.1.0"

_LAZY = {
    "Grid": "io.png",
    "NaqshError": "core.errors",
    "Run": "api",
    "compare": "api",
    "open": "api",
    "train": "api",
}
_SUBMODULES = {"data", "lessons", "metrics", "recipes", "report"}

__all__ = [
    "Grid",
    "NaqshError",
    "Run",
    "__version__",
    "compare",
    "data",
    "lessons",
    "metrics",
    "open",
    "recipes",
    "report",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"naqsh.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(f"naqsh.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'naqsh' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What completion offers: the public names, imported or not yet."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
