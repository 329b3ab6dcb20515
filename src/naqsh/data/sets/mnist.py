"""MNIST, and sets that are published in its four files, such as Fashion-MNIST."""

import numpy as np

from naqsh.core.errors import NaqshError
from naqsh.data import idx
from naqsh.data.conversion import brought_to
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted


def read(wanted: Wanted) -> DataSet:
    """Images and labels of the IDX files, compressed or not."""
    entry = wanted.entry
    prefix = "train" if wanted.split == "train" else "t10k"
    pictures, marks = (
        wanted.file(name, name.removesuffix(".gz"))
        for name in (f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz")
    )
    images = idx.read(pictures, (wanted.count, *entry.shape[1:]))[:, None]
    labels = idx.read(marks, (wanted.count,)).astype(np.int64)
    if labels.max() >= len(entry.classes):
        raise NaqshError(f"{marks} has label {labels.max()}, not 0..9; remove and fetch it again")
    whole = DataSet.of(entry.name, images, labels, entry.classes)
    return brought_to(whole, wanted.size, wanted.channels)
