"""Points in the plane, made by us."""

from naqsh.data import points
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted


def read(wanted: Wanted) -> DataSet:
    """The set's points, drawn from a fixed seed."""
    entry = wanted.entry
    where, labels = points.drawn(entry.name, wanted.split, wanted.count)
    return DataSet.of(
        entry.name,
        points.stored(where, entry.extent),
        labels,
        entry.classes,
        extent=entry.extent,
        mixture=points.MIXTURES.get(entry.name),
    )
