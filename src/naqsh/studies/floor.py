"""What real images come to when they are measured like generated ones: the floor of a distance.

Images of the split that is not the reference, as many as were generated, are measured against it.
With few images a distance is too large even between equal distributions, so a generator's is to be
read against this one and not against 0: none that knows the training images alone can be expected
below it. Which images are taken is the same for every run, so what was found is kept in the cache
folder and found there the next time.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naqsh import data, metrics
from naqsh.core.errors import NaqshError
from naqsh.io import places
from naqsh.io.files import make_folder, write_json
from naqsh.io.foreign import read_json
from naqsh.io.values import MISFIT
from naqsh.metrics import FeatureExtractor, Measure, registry
from naqsh.runs.trained import Trained

SEED = 0
"""Of the choice of images, whatever the seed of a run or of its samples is."""


@dataclass(frozen=True)
class Floor:
    """Real images, measured like generated ones.

    Attributes:
        split: that they are of, ``train`` or ``test``; the reference is the other one.
        n: how many; fewer than were generated where the split has no more.
        measures: of them against the reference.
    """

    split: str
    n: int
    measures: list[Measure]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = [measure.to_dict() for measure in self.measures]
        return {"split": self.split, "n": self.n, "measures": plain}


def floor(
    names: Sequence[str],
    features: FeatureExtractor,
    real: "data.DataSet",
    other: "data.DataSet",
    *,
    split: str,
    n: int,
    reference: str,
) -> Floor:
    """The floor under what `n` generated images come to.

    Args:
        names: metrics, out of ``frechet kernel pr dc all``; what else is known comes along.
        features: by which all is measured.
        real: the reference.
        other: images of the other split.
        split: which that is.
        n: generated images.
        reference: `real` in words.

    Raises:
        NaqshError: there are too few images to measure.
    """
    about = metrics.described(features)
    names = metrics.applying(names, **about)
    taken = other.some(n, SEED)
    of = {
        "features": features.fingerprint,
        "reference": real.fingerprint,
        "images": other.fingerprint,
        "n": len(taken),
    }
    place = _place(of)
    known = _kept(place, of)
    there = {declared.metric for m in known if (declared := registry.get(m.name))}
    missing = [name for name in names if name not in there]
    if missing:
        found = metrics.measure(
            missing,
            metrics.extract(features, real.images, cache=True),
            metrics.extract(features, taken.images, cache=True),
            **about,
            reference=reference,
            reference_fingerprint=real.fingerprint,
            seed=SEED,
        )
        known = [*known, *found]
        _keep(place, of, known)
    return Floor(split, len(taken), known)


def under(
    run: Trained,
    names: Sequence[str],
    features: FeatureExtractor,
    real: "data.DataSet",
    reference: str,
    n: int,
    moved: str | None = None,
    home: Path | str | None = None,
) -> tuple[Floor | None, str | None]:
    """The floor under a run's measures, or why there is none.

    Args:
        run: that was measured.
        names: as for :func:`floor`.
        features: by which.
        real: the reference.
        reference: which split of the run's data that is, if it is one.
        n: generated images.
        moved: where the run's data set is now, if it has moved.
        home: where data sets are looked for first.
    """
    split = {"test": "train", "train": "test"}.get(reference.lower())
    if split is None:
        return None, f"{reference} is no split of the images that the run was trained on"
    try:
        other = run.images("train" if split == "train" else "test", moved, home).images
        words = f"{real.name} {reference.lower()}"
        return floor(names, features, real, other, split=split, n=n, reference=words), None
    except NaqshError as error:
        return None, str(error)


def _place(of: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]
    return places.cache() / "floors" / f"{digest}.json"


def _kept(place: Path, of: dict[str, Any]) -> list[Measure]:
    """What was found before; nothing where that cannot be used, and it is measured anew."""
    try:
        plain = read_json(place)
        if plain["of"] != of:
            return []
        return [Measure.from_dict(dict(measure)) for measure in plain["measures"]]
    except (OSError, NaqshError, *MISFIT):
        return []


def _keep(place: Path, of: dict[str, Any], measures: Sequence[Measure]) -> None:
    plain = [measure.to_dict() for measure in measures]
    with contextlib.suppress(OSError, NaqshError):  # a cache that cannot be written is no fault
        make_folder(place.parent)
        write_json(place, {"of": of, "measures": plain})
