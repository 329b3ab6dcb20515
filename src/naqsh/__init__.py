"""Naqsh trains, samples, measures, explains and compares deep generative models.

The public names below are imported when they are first used, so that ``import naqsh`` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naqsh.errors import NaqshError as NaqshError
    from naqsh.launch import train as train
    from naqsh.run import Run as Run
    from naqsh.run import open as open

__version__ = "0.1.0"

_LAZY = {"NaqshError": "errors", "Run": "run", "open": "run", "train": "launch"}
_SUBMODULES = {"data", "metrics", "recipes"}

__all__ = ["NaqshError", "Run", "__version__", "data", "metrics", "open", "recipes", "train"]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"naqsh.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(f"naqsh.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'naqsh' has no attribute {name!r}")
