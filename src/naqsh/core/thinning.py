"""Some of many, without chance."""

import numpy as np
from numpy.typing import NDArray


def evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` numbers from 0 to `count` - 1, evenly: folders come class by class."""
    return np.linspace(0, count - 1, wanted).astype(np.int64)
