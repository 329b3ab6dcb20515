"""Data sets: named ones, folders of images, arrays in files; and the loader that feeds training.

This package knows arrays and tensors only. Nothing here is imported before it is asked for, so that
the catalogue can be listed without waiting for NumPy or PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naqsh.data.catalog import CATALOG as CATALOG
    from naqsh.data.dataset import DataSet as DataSet
    from naqsh.data.entry import Entry as Entry
    from naqsh.data.loader import Loader as Loader
    from naqsh.data.loader import to_float as to_float
    from naqsh.data.sources import load as load

_HOME_OF = {
    "CATALOG": "catalog",
    "Entry": "entry",
    "DataSet": "dataset",
    "Loader": "loader",
    "to_float": "loader",
    "load": "sources",
}

__all__ = ["CATALOG", "DataSet", "Entry", "Loader", "load", "to_float"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
