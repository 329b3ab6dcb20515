"""What each image does to a measure, kept beside a run's results for differences between runs.

The difference of two runs that were measured against the same real images is known better than
either value, as much of what these images do to both falls out. To take it, more must be kept than
a value and its error: the influence of every real image, and the variance that the drawing of the
samples brings (:mod:`naqsh.metrics.influence` has the formulas). They lie in
``influences/<what they are of>.json`` of the run's folder, as single-precision numbers in base64:
about 0.2 MiB for 10,000 real images and all measures.

Nothing here needs PyTorch, so that a report opens at once.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from naqsh.core.errors import NaqshError
from naqsh.io.files import make_part, write_json
from naqsh.io.foreign import read_json
from naqsh.io.values import MISFIT
from naqsh.runs.results import Result

FOLDER = "influences"


class Influenced(NamedTuple):
    """What moves one measure of one run.

    Attributes:
        generated: variance of the value over draws of the samples.
        real: influence of each real image, with mean 0, shape (m,).
    """

    generated: float
    real: NDArray[np.float32]


def part(real: NDArray[np.float64], generated: NDArray[np.float64]) -> Influenced:
    """What is kept of the influences of each image on either side."""
    variance = float(generated.var(ddof=1)) / len(generated)
    return Influenced(variance, real.astype(np.float32))


def write(run: Path, of: Mapping[str, Any], parts: Mapping[str, Influenced]) -> None:
    """Keep the influences on the measures of one evaluation, beside those that are there.

    Args:
        run: the run's folder.
        of: what the measures are of, without the metric.
        parts: by the metric's kind, such as ``frechet``.
    """
    make_part(run / FOLDER)
    plain = {
        name: {
            "generated": kept.generated,
            "real": base64.b64encode(kept.real.astype("<f4").tobytes()).decode("ascii"),
        }
        for name, kept in (read(run, of) | dict(parts)).items()
    }
    write_json(_file(run, of), {"of": dict(of), "influences": plain})


def read(run: Path, of: Mapping[str, Any]) -> dict[str, Influenced]:
    """The influences on the measures of one evaluation; none where none or damaged ones are kept.

    They only serve to say what is not told apart; without them nothing is said of it.
    """
    file = _file(run, of)
    if not file.exists():
        return {}
    try:
        return {str(name): _part(plain) for name, plain in read_json(file)["influences"].items()}
    except (NaqshError, *MISFIT):
        return {}


def _part(plain: Any) -> Influenced:
    real = np.frombuffer(base64.b64decode(plain["real"], validate=True), "<f4")
    kept = Influenced(float(plain["generated"]), real)
    if not (np.isfinite(real).all() and kept.generated >= 0 and len(real) > 1):
        raise ValueError("these are no influences")
    return kept


def _file(run: Path, of: Mapping[str, Any]) -> Path:
    return run / FOLDER / f"{Result(of, {}).digest}.json"
