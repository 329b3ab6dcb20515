"""What ``evaluation.json`` holds: measures, all that they depend on, and the speed of sampling."""

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Likelihood:
    """How likely real pictures are to a run's method.

    Attributes:
        bits: a dimension.
        bits_error: its standard error.
        nats: of a whole picture, the log-likelihood.
        nats_error: its standard error.
        kind: ``exact``, ``lower bound`` or ``estimate``.
        of: what the likelihood is of: ``density``, ``levels`` or ``black and white``.
        n: pictures behind it.
        reference: which pictures.
    """

    bits: float
    bits_error: float
    nats: float
    nats_error: float
    kind: str
    of: str
    n: int
    reference: str


@dataclass(frozen=True)
class Caution:
    """What few pictures do to a metric.

    Attributes:
        kind: names a text.
        pictures: that are few.
        dimensions: of the features, where there are more than pictures.
    """

    kind: str
    pictures: int
    dimensions: int | None


@dataclass(frozen=True)
class Measured:
    """One run's evaluation.

    Attributes:
        step: the checkpoint that was measured.
        seed: of the samples.
        generated: pictures drawn.
        real: pictures they were compared with.
        reference: what these are.
        features: by which both were measured, with the start of their fingerprint.
        values: each metric with the 95 % interval, where it has one.
        notes: what a reader must know to trust the numbers, with the metrics it is about.
        pictures_per_second: of sampling.
        evaluations: of the network, per picture.
        memory: the largest while sampling, in bytes, where it is known.
        likelihood: of real pictures, where the method has one.
        sampling: options that the pictures were drawn with, if any.
    """

    step: int
    seed: int
    generated: int
    real: int
    reference: str
    features: str
    values: dict[str, tuple[float, tuple[float, float] | None]]
    notes: dict[Caution, tuple[str, ...]]
    pictures_per_second: float
    evaluations: float
    memory: int | None
    likelihood: Likelihood | None = None
    sampling: str | None = None

    def as_plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        notes = [vars(note) | {"metrics": names} for note, names in self.notes.items()]
        return asdict(replace(self, notes={})) | {"notes": notes}


def parse(plain: Any) -> Measured:
    """The file's content; raises KeyError, TypeError or ValueError where it does not fit."""
    measures, speed = plain["measures"], plain["speed"]
    if not measures:
        raise ValueError("it holds no measures")
    first = measures[0]
    named = [(caution(note), str(m["name"])) for m in measures for note in m["notes"]]
    notes = {note: tuple(n for same, n in named if same == note) for note, _ in named}
    return Measured(
        int(plain["step"]),
        int(plain["seed"]),
        int(first["n_generated"]),
        int(first["n_real"]),
        str(first["reference"]),
        f"{first['features']} ({first['fingerprint'][:8]})",
        {str(m["name"]): (float(m["value"]), _interval(m["interval"])) for m in measures},
        notes,
        float(speed["pictures_per_second"]),
        float(speed["evaluations_per_picture"]),
        None if speed["peak_memory"] is None else int(speed["peak_memory"]),
        _likelihood(plain.get("likelihood")),
        options(plain),
    )


def options(plain: Any) -> str | None:
    """How pictures were drawn, where it is not the recipe's way; raises as :func:`parse`."""
    return ", ".join(f"{name} {value}" for name, value in plain.get("sampling", {}).items()) or None


def caution(plain: Any) -> Caution:
    """A note of a measure; raises as :func:`parse`."""
    dimensions = plain["dimensions"]
    few = int(plain["pictures"]), None if dimensions is None else int(dimensions)
    return Caution(str(plain["kind"]), *few)


def _likelihood(plain: Any) -> Likelihood | None:
    if plain is None:
        return None
    return Likelihood(
        float(plain["bits"]),
        float(plain["bits_error"]),
        float(plain["nats"]),
        float(plain["nats_error"]),
        str(plain["kind"]),
        str(plain["of"]),
        int(plain["n"]),
        str(plain["reference"]),
    )


def _interval(plain: Any) -> tuple[float, float] | None:
    return None if plain is None else (float(plain[0]), float(plain[1]))
