"""Digits: the real handwritten ones that come with scikit-learn."""

from naqsh.data import digits
from naqsh.data.conversion import brought_to
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted


def read(wanted: Wanted) -> DataSet:
    """The digits, enlarged to 16x16 unless another size is asked for."""
    entry = wanted.entry
    published = DataSet.of(entry.name, *digits.read(wanted.split), entry.classes)
    side = digits.SIDE if wanted.size is None else wanted.size
    return brought_to(published, side, wanted.channels, smooth="bilinear")
