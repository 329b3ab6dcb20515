"""A recipe: one method on one data set with all its hyperparameters, and its spelling as YAML.

A recipe is what a user types and what a run folder keeps. Two recipes that are equal train, on one
machine and with one number of ranks and threads, to the same weights to the bit.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from naqsh import methods
from naqsh.core.errors import NaqshError
from naqsh.core.printable import short
from naqsh.core.spec import MethodSpec, Precision
from naqsh.io import codec, foreign, values
from naqsh.io.files import flat

SIDES = 1 << 14
"""Pixels of an image's longest side."""

_LATER: dict[str, dict[str, str | float | bool | None]] = {
    "training": {"init_from": None, "init_sha256": None, "halve_every": 50.0, "measure_every": 0.0},
    "data": {
        "crop": False,
        "paired": "none",
        "second": "none",
        "text": "none",
        "text_size": 64,
        "text_model": "",
    },
}
"""What recipes got later, unset: fingerprints of before there were these stand."""

LARGEST = 10_000_000
"""The largest whole number of a method: no network is so wide or deep."""


@dataclass(frozen=True)
class Data:
    """Which images, and how they are brought to one shape.

    Attributes:
        name: a set's name, a folder of images, or a .npz or .npy file.
        size: resize to `size` x `size` pixels; None keeps the set's own size.
        channels: 1 (grey) or 3 (colour); None keeps the set's own.
        flip: mirror half of the training images left to right.
        crop: cut training images at a random place out of ones that are larger by 286/256, birds
            by 76/64.
        holdout: share of the images held out as test split, where the set has none of its own.
        holdout_seed: which images are held out; the training's seed has no part in it.
        key: of an .npz file, the array of images, where names and shapes do not tell.
        labels: the array of labels, likewise; of an .npy, a file beside it.
        range: the values that are black and white, as 0,1; None takes those of the type.
        good: sub-folder of the good images, which alone are trained on where others are faulty.
        skip_broken: leave out images of a folder that cannot be read, instead of refusing them.
        paired: which images of two domains belong together: those of equal names, or the left and
            the right half of each.
        second: make a second domain: half of the images inverted or coloured, or paired with edges.
        text: what makes embeddings of captions; none leaves captions alone, published takes those
            that come with a set, sentence-transformers encodes them by the model in text_model.
        text_size: numbers in the embedding of a caption.
        text_model: folder of a model of sentence-transformers; nothing is downloaded.
    """

    name: str
    size: int | None = None
    channels: int | None = None
    flip: bool = False
    holdout: float = 0.0
    holdout_seed: int = 0
    key: str | None = None
    labels: str | None = None
    range: tuple[float, float] | None = None
    good: str | None = None
    skip_broken: bool = False
    crop: bool = False
    paired: Literal["none", "names", "side-by-side"] = "none"
    second: Literal["none", "inverted", "coloured", "edges"] = "none"
    text: Literal[
        "none", "tfidf", "tfidf-words", "char-cnn-rnn", "published", "sentence-transformers"
    ] = "none"
    text_size: int = 64
    text_model: str = ""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 4:
            raise ValueError(f"size must be at least 4, got {self.size}")
        if self.size is not None and self.size > SIDES:
            raise ValueError(f"size must be at most {SIDES}, got {self.size}")
        if self.channels not in (None, 1, 3):
            raise ValueError(f"channels must be 1 or 3, got {self.channels}")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout must be at least 0 and below 1, got {self.holdout}")
        if not 1 <= self.text_size <= 4096:
            raise ValueError(f"text_size must be 1 to 4096, got {self.text_size}")
        if bool(self.text_model) != (self.text == "sentence-transformers"):
            raise ValueError(
                "text sentence-transformers and text_model, the folder of its model, go together"
            )
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range must be black, then white, got {self.range}")


@dataclass(frozen=True)
class Training:
    """How long and in what steps.

    Attributes:
        epochs: how many times each image is seen, on average.
        steps: optimiser steps instead of epochs.
        batch: images a phase sees in one step, over all ranks.
        accumulate: parts a batch is cut into, to save memory; gradients are summed over them.
        seed: every random number of the run derives from it.
        schedule: how the learning rates go over the run: constant, or to 0 by a line or a cosine;
            constant-linear is constant over the first half, then a line to 0; halved goes by steps.
        halve_every: epochs after which the schedule ``halved`` halves the learning rates, again
            and again.
        warmup: steps over which the learning rates rise evenly from 0.
        clip_norm: largest norm of a phase's gradient; None leaves it alone.
        ema: decay a step of the averaged weights that sampling uses; None samples the last weights.
        precision: what autocast computes in; auto takes bfloat16 where the hardware has it.
        validation: part of the training images that is not trained on but judged by.
        measure_every: epochs between two measurements of samples while training goes on, by their
            Frechet distance; 0 leaves it to the stages of methods without a likelihood. Where
            images are held out, the best weights have the least distance to them.
        init_from: a run whose weights, where names and shapes fit, training begins with.
        init_sha256: of the file of its weights; filled in when training begins.
    """

    epochs: float = 10.0
    steps: int | None = None
    batch: int = 64
    accumulate: int = 1
    seed: int = 0
    schedule: Literal["constant", "linear", "cosine", "constant-linear", "halved"] = "constant"
    halve_every: float = 50.0
    warmup: int = 0
    clip_norm: float | None = None
    ema: float | None = None
    precision: Precision = "auto"
    validation: float = 0.0
    measure_every: float = 0.0
    init_from: str | None = None
    init_sha256: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch", "accumulate", "clip_norm", "halve_every"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        if self.epochs > 1e9:
            raise ValueError(f"epochs must be at most 1e9, got {self.epochs}")
        if self.steps is not None and self.steps > 1e12:
            raise ValueError(f"steps must be at most 1e12, got {self.steps}")
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate {self.accumulate} does not divide batch {self.batch}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must lie between 0 and 1, got {self.ema}")
        if self.warmup < 0 or not 0 <= self.validation < 1:
            raise ValueError("need warmup >= 0 and 0 <= validation < 1")
        if not 0 <= self.measure_every < math.inf:
            raise ValueError(f"measure_every must be at least 0 epochs, got {self.measure_every}")


@dataclass(frozen=True)
class Recipe:
    """One method on one data set with all its hyperparameters.

    Attributes:
        name: what it is called, and its run folder unless --out says otherwise.
        data: which images, and how they are brought to one shape.
        method: the method; another kind brings its own options.
        training: how long and in what steps.
    """

    name: str
    data: Data
    method: MethodSpec
    training: Training = Training()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as the YAML file holds it."""
        plain: dict[str, Any] = codec.encode(self)
        return plain

    def to_yaml(self) -> str:
        """The recipe as YAML; :func:`from_yaml` gives back an equal one."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def fingerprint(self) -> str:
        """Twelve hex digits that recipes share exactly when all their hyperparameters are equal."""
        plain = self.to_dict()
        for part, names in _LATER.items():
            for name, unset in names.items():
                if plain[part][name] == unset:
                    del plain[part][name]
        for field in dataclasses.fields(self.method):  # as do those of before a field was renamed
            if old := field.metadata.get("formerly"):
                plain["method"][old] = plain["method"].pop(field.name)
            if field.metadata.get("later") and getattr(self.method, field.name) == field.default:
                del plain["method"][field.name]
        text = json.dumps(plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def override(self, changes: Mapping[str, Any]) -> "Recipe":
        """The recipe with some hyperparameters changed.

        Args:
            changes: dotted names and values, for example ``{"method.latent": 32}``. A value of type
                :class:`naqsh.io.codec.Text` is read as what its field needs.

        Raises:
            NaqshError: no such number, or a value that does not fit.
        """
        plain = self.to_dict()
        kinds = [path for path in changes if path.endswith(".kind")]
        for path in sorted(kinds, key=len):
            # A new kind resets what stands beside it: its own values come before others are set.
            codec.assign(plain, path, changes[path])
            plain = from_dict(plain).to_dict()
        for path in changes:
            if path not in kinds:
                codec.assign(plain, path, changes[path], flat(plain))
        return from_dict(plain)


def from_dict(plain: Any) -> Recipe:
    """The recipe that plain data describe; raises NaqshError naming what does not fit."""
    decoded = codec.decode(Recipe, plain, kinds={MethodSpec: methods.spec_class})
    for name, value in flat(codec.encode(decoded.method), "method").items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and abs(number) > LARGEST:
                raise NaqshError(f"{name} must be at most {LARGEST:,}, got {short(number)}")
    return decoded


def from_yaml(text: str) -> Recipe:
    """The recipe that a YAML text describes.

    Raises:
        NaqshError: no YAML, an unknown key or a value of another type.
    """
    try:
        plain = values.from_yaml(text)
    except ValueError as error:
        raise NaqshError(f"this is not YAML as recipes have it: {error}") from error
    return from_dict(plain)


def read(path: Path, within: Path | None = None) -> Recipe:
    """The recipe in a YAML file; raises NaqshError naming the file and what is wrong in it.

    Args:
        path: the file.
        within: the folder that it must lie in, wherever links lead; its own by default.
    """
    return of_text(foreign.read_text(path, within=within), path)


def of_text(text: str, path: Path) -> Recipe:
    """The recipe in the text of a file; raises NaqshError naming the file and what is wrong."""
    try:
        return from_yaml(text)
    except NaqshError as error:
        raise NaqshError(f"{path}: {error}") from error


REGISTRY: dict[str, Callable[[], Recipe]] = {}


def recipe(function: Callable[[], Recipe]) -> Callable[[], Recipe]:
    """Register a function that returns a recipe under its own name, with hyphens."""
    name = function.__name__.replace("_", "-")

    def named() -> Recipe:
        return dataclasses.replace(function(), name=name)

    named.__doc__, named.__module__ = function.__doc__, function.__module__
    REGISTRY[name] = named
    return named
