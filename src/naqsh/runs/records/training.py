"""What training leaves: ``run.json``, ``networks.json``, the logs of lines, and ``state.json``."""

from dataclasses import dataclass, field
from typing import Any

from naqsh.io import codec


@dataclass(frozen=True)
class Data:
    """The images that a run is trained on.

    Attributes:
        name: of the set.
        fingerprint: of the images by content.
        count: how many.
        shape: of one, channels first.
        classes: names of the labels.
        notes: what must be known of the set, sentences in English.
        place: where a folder or file lies as seen from the run; empty for a set of the catalogue.
        domains: the names of two domains, of which `count` is of the first; empty where it has one.
        second: images of the second domain.
        encoder: SHA-256 of what makes embeddings of captions; empty where nothing does.
    """

    name: str
    fingerprint: str
    count: int
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    place: str = ""
    domains: tuple[str, ...] = field(default=(), metadata=codec.SPARSE)
    second: int = field(default=0, metadata=codec.SPARSE)
    encoder: str = field(default="", metadata=codec.SPARSE)


@dataclass(frozen=True)
class About:
    """``run.json``.

    Attributes:
        format: of the run's files.
        naqsh: the version that wrote it.
        data: what it is trained on.
        parameters: numbers that it trains.
        memory: bytes that it was estimated to need.
        environment: what it was run on last.
        recipe: the fingerprint of its recipe.
        history: from which steps on it was trained by which recipe and on what.
    """

    format: int
    naqsh: str
    data: Data
    parameters: int
    memory: int
    environment: dict[str, int | str]
    recipe: str = ""
    history: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Layer:
    """A row of a network's table: one module with numbers of its own, or without any inside it.

    Attributes:
        name: of the module in its network.
        kind: of module.
        output: shape of what it gives, without the batch; None where its weights are used without
            a call, as in the inversion of a flow.
        parameters: its own numbers.
    """

    name: str
    kind: str
    output: tuple[int, ...] | None
    parameters: int


@dataclass(frozen=True)
class Record:
    """One line of ``metrics.jsonl``.

    Attributes:
        step: when it was written.
        epoch: the same in epochs.
        seen: images seen until then.
        seconds: of training until then, over all sessions.
        speed: images a second since the last line; None in one of held-out images.
        losses: by ``phase.term``.
        gradients: norms by ``phase.layer.weight``.
    """

    step: int
    epoch: float
    seen: int
    seconds: float
    speed: float | None = field(default=None, metadata=codec.SPARSE)
    losses: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Histogram:
    """How a phase's weights are spread: counts between neighbouring edges."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError("it needs one edge more than counts")


@dataclass(frozen=True)
class Captioned:
    """A caption at a stage, and the file of images of it."""

    text: str
    file: str


@dataclass(frozen=True)
class Stage:
    """One line of ``stages.jsonl``.

    Attributes:
        step: when it was written.
        epoch: the same in epochs.
        weights: of each phase.
        grid: the file of its samples, of a method that makes images.
        shown: files of what else the method shows, by name.
        captions: rows of images of captions, by kind (`naqsh.training.captioned`).
        nearness: how far its samples lie from training images (`naqsh.training.astray`).
        message: what noise in translations does to the way back (`naqsh.training.message`).
        seen: images seen until then.
        seconds: of training until then.
    """

    step: int
    epoch: float
    weights: dict[str, Histogram] = field(default_factory=dict)
    grid: str | None = field(default=None, metadata=codec.SPARSE)
    shown: dict[str, str] | None = field(default=None, metadata=codec.SPARSE)
    captions: dict[str, tuple[Captioned, ...]] | None = field(default=None, metadata=codec.SPARSE)
    nearness: dict[str, Any] | None = field(default=None, metadata=codec.SPARSE)
    message: dict[str, dict[str, float]] | None = field(default=None, metadata=codec.SPARSE)
    seen: int | None = field(default=None, metadata=codec.SPARSE)
    seconds: float | None = field(default=None, metadata=codec.SPARSE)


@dataclass(frozen=True)
class Note:
    """One line of ``diagnosis.jsonl``.

    Attributes:
        step: when it was said.
        epoch: the same in epochs.
        words: what was said, in English.
        rule: which rule said it; empty where none did, and in runs of before rules had names.
        metric: the number that the rule watches.
        value: what that number was.
        before: where something has changed, what it was.
        after: and what it is.
        seen: images seen until then.
        seconds: of training until then.
    """

    step: int
    epoch: float
    words: str
    rule: str = field(default="", metadata=codec.SPARSE)
    metric: str = field(default="", metadata=codec.SPARSE)
    value: float | None = field(default=None, metadata=codec.SPARSE)
    before: str = ""
    after: str = ""
    seen: int | None = field(default=None, metadata=codec.SPARSE)
    seconds: float | None = field(default=None, metadata=codec.SPARSE)


@dataclass(frozen=True)
class Saved:
    """``state.json``: what a checkpoint says beside tensors.

    Attributes:
        step: optimiser steps done.
        seconds: training time until then, over all sessions.
        best: the least until then of what the best weights are told by, and its step.
        pending: sums of the losses since the last record, and of how many.
        sha256: of the checkpoint's other files; none in those of before digests were kept.
    """

    step: int
    seconds: float
    best: tuple[float, int] | None
    pending: dict[str, tuple[float, int]] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seconds < 0 or (self.best and self.best[1] < 0):
            raise ValueError("a time or step is below 0")
        if any(count < 1 for _, count in self.pending.values()):
            raise ValueError("pending needs sums of something")
