"""A fitted detector as a folder: scores and flags new images without normal ones at hand.

==========================  ====================================================================
``detector.json``           scores, their thresholds, what they were fitted to
``fitted.safetensors``      what the scores learnt from normal images
``weights.safetensors``     the method's weights with its recipe, where a score needs the method
==========================  ====================================================================

Only these are read, so a detector is as safe to load as a run folder. Features are the exception:
those of a run are looked for by its path and compared by their fingerprint, and a function of the
user's (``module:function``) is never imported unless the caller names it again.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from naqsh.core.abilities import Encodes, HasLogProb, Reconstructs
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.printable import short
from naqsh.core.spec import Shape
from naqsh.data import folders
from naqsh.io import places
from naqsh.io.files import make_folder, whole_folder, write_json
from naqsh.io.foreign import read_json
from naqsh.io.values import MISFIT
from naqsh.recipes.recipe import SIDES
from naqsh.runs import loading, tensors
from naqsh.studies.detection.baselines import Neighbour, Residual
from naqsh.studies.detection.caution import Complexity, Corrected
from naqsh.studies.detection.density import FlowOnFeatures, GaussianOnFeatures
from naqsh.studies.detection.examined import Examined, of_path
from naqsh.studies.detection.maps import feature_maps
from naqsh.studies.detection.scores import Floats, Likelihood, Pixels, Reconstruction, Scorer
from naqsh.studies.detection.standard import OnFeatures

T = TypeVar("T")

FORMAT = 1
FILE, FITTED, WEIGHTS = "detector.json", "fitted.safetensors", "weights.safetensors"
OF_METHOD = (Likelihood, Corrected, Reconstruction)


@dataclass(frozen=True)
class Detector:
    """Scores with thresholds, ready for new images.

    Attributes:
        shape: (C, H, W) of the images that it takes.
        scorers: fitted, by name; each flags what scores above its threshold.
        thresholds: of each.
        about: where the thresholds come from, in plain values.
        weights: the file of the method's weights.
    """

    shape: Shape
    scorers: Mapping[str, Scorer]
    thresholds: Mapping[str, float]
    about: Mapping[str, Any]
    weights: Path | None

    @property
    def range(self) -> tuple[float, float] | None:
        """The values of files that are black and white to it; raises NaqshError if damaged."""
        given = self.about.get("range")
        if given is None:
            return None
        try:
            low, high = map(float, given)
        except MISFIT as error:
            raise NaqshError(f"the detector's range {given!r:.40} is not two numbers") from error
        if not low < high:
            raise NaqshError(f"the detector's range {given!r:.40} is not black, then white")
        return low, high

    def score(self, images: Pixels) -> dict[str, Floats]:
        """Scores of images by each scorer, larger for more anomalous, each with shape (N,).

        Args:
            images: uint8 with shape (N, C, H, W).

        Raises:
            NaqshError: the images have another shape or type.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.shape:
            takes = ", ".join(map(str, self.shape))
            raise NaqshError(
                f"this detector takes uint8 images of shape (N, {takes}), not {images.dtype} of "
                f"{images.shape}"
            )
        return {name: scorer.score(images, 0).values for name, scorer in self.scorers.items()}

    def flag(self, images: Pixels) -> NDArray[np.bool_]:
        """Which images any scorer puts above its threshold, shape (N,)."""
        return self.verdict(self.score(images))

    def verdict(self, scores: Mapping[str, Floats]) -> NDArray[np.bool_]:
        """Which images scores of :meth:`score` flag, shape (N,)."""
        flagged = np.stack([scores[name] > self.thresholds[name] for name in scores])
        return np.asarray(flagged.any(axis=0))

    def save(self, folder: Path | str) -> Path:
        """Write the detector's folder, whole or not at all; returns it.

        Raises:
            NaqshError: something else lies there.
        """
        place = require_place(folder)
        state = {
            f"{name}.{key}": tensor
            for name, scorer in self.scorers.items()
            for key, tensor in scorer.state().items()
        }
        needs_method = any(isinstance(scorer, OF_METHOD) for scorer in self.scorers.values())
        make_folder(place.absolute().parent)
        with whole_folder(place) as aside:
            tensors.save(aside / FITTED, state, {})
            if needs_method and self.weights is not None:
                shutil.copyfile(self.weights, aside / WEIGHTS)
            write_json(aside / FILE, self._plain())
        return place

    def _plain(self) -> dict[str, Any]:
        scorers = []
        for name, scorer in self.scorers.items():
            plain: dict[str, Any] = {"name": name, "threshold": self.thresholds[name]}
            if isinstance(scorer, Likelihood):
                plain |= {"draws": scorer.draws, "seed": scorer.seed}
            if isinstance(scorer, OnFeatures):
                features = scorer.features
                plain |= {"features": features.name, "fingerprint": features.fingerprint}
                plain |= {"seed": scorer.seed}
            scorers.append(plain)
        about = {"format": FORMAT, "shape": list(self.shape), "about": dict(self.about)}
        return about | {"scorers": scorers}


def is_detector(path: Path | str) -> bool:
    """Whether a folder holds a detector."""
    return (Path(path) / FILE).is_file()


def images_of(
    source: str,
    shape: Shape,
    skip_broken: bool = False,
    range: tuple[float, float] | None = None,
    key: str | None = None,
) -> Examined:
    """The images of a folder, a file or an array, brought to a detector's (C, H, W).

    Args:
        source: which.
        shape: that they are brought to.
        skip_broken: leave out files that cannot be read, with a note of their number.
        range: the values of files that are black and white; see :attr:`Detector.range`.
        key: the array of an `.npz` that holds the images.

    Raises:
        NaqshError: there are none, or they cannot be brought to it.
    """
    options = folders.Options(range=range, skip_broken=skip_broken)
    found = of_path(places.expanded(source), source, shape, options=options, key=key)
    if found.images.shape[1:] != shape:
        given, wanted = ("x".join(map(str, s)) for s in (found.images.shape[1:], shape))
        raise NaqshError(f"{source} has images of {given}, the detector takes {wanted}")
    return found


def load(
    folder: Path | str, device: str | torch.device = "cpu", features: str | None = None
) -> Detector:
    """The detector in a folder.

    Args:
        folder: which :meth:`Detector.save` wrote.
        device: where the method and features compute.
        features: the same features again, needed for a function of the user's alone.

    Raises:
        NaqshError: there is none, it is damaged, or its features cannot be had.
    """
    place = Path(folder)
    plain = read_json(place / FILE, within=place)
    try:
        if plain["format"] != FORMAT:
            raise ValueError(f"format {plain['format']} is not the one this Naqsh reads, {FORMAT}")
        shape = _shape(plain["shape"])
        named = {str(scorer["name"]): scorer for scorer in plain["scorers"]}
        thresholds = {name: float(scorer["threshold"]) for name, scorer in named.items()}
        about = dict(plain["about"])
        if not named or len(named) != len(plain["scorers"]):
            raise ValueError("it names no scores, or one twice")
        weights = place / WEIGHTS if os.path.lexists(place / WEIGHTS) else None
        method = None if weights is None else loading.load(weights)[0].to(device)
        if method is not None and method.shape != shape:
            raise ValueError(f"its weights are of images of shape {method.shape}")
        scorers = {
            name: _scorer(name, scorer, method, torch.device(device), features)
            for name, scorer in named.items()
        }
        _restore(scorers, place / FITTED, shape)
    except MISFIT as error:
        raise NaqshError(f"{place} is no whole detector: {short(str(error))}") from error
    return Detector(shape, scorers, thresholds, about, weights)


def _shape(plain: Any) -> Shape:
    channels, height, width = plain
    if any(type(size) is not int for size in plain) or channels not in (1, 3):
        raise ValueError(f"no images are of shape {short(plain)}")
    if not 0 < min(height, width) <= max(height, width) <= SIDES:
        raise ValueError(f"no images are of shape {short(plain)}")
    return channels, height, width


def _restore(scorers: Mapping[str, Scorer], file: Path, shape: Shape) -> None:
    """Give scorers what they learnt, once names, types and shapes of all of it are due."""
    sizes = {name: _parts(tensors.shapes(file), name) for name in scorers}
    due = {
        f"{name}.{key}": tensor
        for name, scorer in scorers.items()
        for key, tensor in scorer.due(shape, sizes[name]).items()
    }
    state, _ = tensors.read(file, due, "other scores than detector.json names")
    for name, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise NaqshError(f"{file} is damaged: {short(name)} is not finite")
    for name, scorer in scorers.items():
        scorer.restore(_parts(state, name))


def _parts(named: Mapping[str, T], scorer: str) -> dict[str, T]:
    """What is of one scorer, by its names there."""
    start = f"{scorer}."
    return {name.removeprefix(start): v for name, v in named.items() if name.startswith(start)}


def _scorer(
    name: str, plain: Any, method: Method | None, device: torch.device, features: str | None
) -> Scorer:
    """A scorer by name, not yet fitted."""
    for kind in (Residual, Neighbour, Complexity):
        if name == kind.name:
            return kind()
    for density in (FlowOnFeatures, GaussianOnFeatures):
        if name == density.name:
            return density(_features(plain, device, features), int(plain["seed"]))
    if method is None:
        raise ValueError(f"the score {name} needs the method's weights")
    for likelihood in (Likelihood, Corrected):
        if name == likelihood.name and isinstance(method, HasLogProb):
            return likelihood(method, int(plain["draws"]), int(plain["seed"]), device)
    if name == Reconstruction.name and isinstance(method, Reconstructs | Encodes):
        return Reconstruction(method, device)
    raise ValueError(f"no score {name}")


def _features(plain: Any, device: torch.device, given: str | None) -> Any:
    name = str(plain["features"])
    ours = name in ("digits", "mnist", "inception") or name.startswith(("classifier:", "encoder:"))
    if not ours and given != name:
        raise NaqshError(
            f"this detector asks for the features {name!r}, a function that would be run; if you "
            f"trust it, name it: --features {name}"
        )
    maps = feature_maps(name, device)
    if maps.fingerprint != plain["fingerprint"]:
        raise NaqshError(f"the features {name!r} are not those that this detector was fitted to")
    return maps


def require_place(folder: Path | str) -> Path:
    """A folder for a detector: a new one, or that of another detector.

    Raises:
        NaqshError: something else lies there.
    """
    place = Path(folder)
    if place.exists() and not (place / FILE).is_file():
        raise NaqshError(f"{place} is there and no detector; give a folder that is not")
    return place
