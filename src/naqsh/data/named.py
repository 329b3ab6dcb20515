"""The named data sets: a new one is its entry in the catalogue, and its reader in `sets/`."""

import importlib

from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted


def read(wanted: Wanted) -> DataSet:
    """A data set of the catalogue, by the module of `sets/` that its entry names.

    Raises:
        NaqshError: its files are missing, damaged or not what they should be.
    """
    reader = importlib.import_module(f"naqsh.data.sets.{wanted.entry.reader}")
    found: DataSet = reader.read(wanted)
    return found
