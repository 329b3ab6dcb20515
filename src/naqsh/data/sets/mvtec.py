"""Sets in MVTec AD's layout: they are put there by the user, and nothing is downloaded."""

from pathlib import Path

from naqsh.core.errors import NaqshError
from naqsh.data import decoding, defects, folders
from naqsh.data.catalog import CATALOG
from naqsh.data.dataset import DataSet
from naqsh.data.finding import Wanted, homes


def read(wanted: Wanted) -> DataSet:
    """Good images, or those of the test split, which are good or faulty."""
    entry, split = wanted.entry, wanted.split
    folder = inspection_folder(entry.name, wanted.home)
    inspection = defects.listing(folder, split)
    options = folders.Options(wanted.size, wanted.channels)
    stored = folders.stored(folder, inspection, f"inspection {split}", options)
    counts = len(inspection.files) == wanted.count
    side = decoding.header(inspection.files[0]).width
    apart = [] if counts else ["another split"]
    apart += [] if side == entry.shape[2] else [f"of {side} px"]
    name = f"{entry.name} ({', '.join(apart)})" if apart else entry.name
    return DataSet(
        name, stored.images, inspection.labels, inspection.classes, stored.fingerprint, stored.notes
    )


def inspection_folder(name: str, home: Path | None = None) -> Path:
    """The folder of a named set in MVTec's layout; raises NaqshError saying what to put where."""
    for base in homes(home):
        if defects.laid_out(base / name):
            return base / name
    raise NaqshError(
        f"data set {name!r} is not here and cannot be downloaded without its authors' form: take "
        f"MVTec AD ({CATALOG[name].licence}; Bergmann et al., 2019) from "
        "https://www.mvtec.com/company/research/datasets/mvtec-ad and put its folder "
        f"{name} (train, test, ground_truth) into {next(homes(home))}, or elsewhere and set "
        "NAQSH_DATA_HOME to where it lies"
    )
