"""Samples that are points in the plane, as a scatter plot or as a table of their coordinates."""

import io
from pathlib import Path

import numpy as np
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.thinning import evenly
from naqsh.data import DataSet
from naqsh.data.points import Coordinates, coordinates
from naqsh.io import outputs
from naqsh.io.files import make_folder, write_bytes
from naqsh.io.scatter import save_scatter

SHOWN = 2000
"""Real points, at most, that are drawn below samples."""


def below(real: DataSet) -> Coordinates:
    """Coordinates of real points, an even choice of them, for a scatter plot."""
    rows = evenly(len(real), min(SHOWN, len(real)))
    return coordinates(real.images[rows], real.extent)


def require_target(path: Path, overwrite: bool, **for_images: object) -> None:
    """Refuse, before anything is drawn, a file that points must not be written to.

    Args:
        path: the file: a scatter plot (.png), or a table (.csv, .npy).
        overwrite: replace a file that Naqsh did not write.
        for_images: options that mean nothing for points, None where they are not given.

    Raises:
        NaqshError: another ending, an option of those, or a file that stands there.
    """
    for option, value in for_images.items():
        if value is not None:
            raise NaqshError(f"{option} is for images, and this run makes points; leave it out")
    outputs.require_name(path, "points")
    outputs.require_file(path, overwrite)


def write(path: Path, drawn: Tensor, extent: float, real: DataSet | None, caption: str) -> None:
    """Write samples by the ending of the name, whole or not at all.

    Args:
        path: ``.png`` takes a scatter plot, ``.npy`` a float64 array of shape (N, 2), ``.csv`` a
            line with the names x and y and one a point.
        drawn: samples in [0, 1] with shape (N, 2, 1, 1).
        extent: of the coordinates.
        real: points that are drawn below the samples of a plot.
        caption: of a plot.
    """
    where = coordinates(drawn.numpy(), extent)
    kind = path.suffix.lower()
    if kind == ".png":
        save_scatter(path, where, extent, None if real is None else below(real), caption)
        return
    make_folder(path.absolute().parent)
    buffer = io.BytesIO()
    if kind == ".npy":
        np.save(buffer, where, allow_pickle=False)
    else:
        np.savetxt(buffer, where, "%.9g", ",", header="x,y", comments="")
    write_bytes(path, buffer.getvalue())
