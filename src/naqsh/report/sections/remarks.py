"""What stands in words beside measures: what they cover, what few images do, and copies."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.core.measured import Caution
from naqsh.report.read.evaluation import Measured
from naqsh.report.words import Words
from naqsh.runs.records import Floor, Followed


def beside(words: Words, measured: Measured) -> list[Markup]:
    """Each note with the metrics that it is about, and how near training images lie."""
    near = nearest(words, measured.nearest)
    known = any(interval for _, interval in measured.values.values())
    said = [covers(words, measured)] if known else []
    said += floor(words, measured.floor, measured)
    remarks = map(words.foreign, measured.remarks)
    return [*said, *remarks, *cautions(words, measured.notes), *near]


def covers(words: Words, measured: Measured) -> Markup:
    """What intervals over images cover."""
    return words.text("comparison.covers.samples", **_counts(measured))


def floor(words: Words, found: Floor | None, measured: Measured) -> list[Markup]:
    """What the floor is for, beside measures of so many samples against so many real images."""
    if found is None:
        return []
    key = "comparison.floor_fewer" if found.n < measured.about.n else "comparison.floor"
    split = words.known(f"comparison.splits.{found.split}", found.split)
    return [words.text(key, split=split, count=found.n, **_counts(measured))]


def precision(words: Words, found: Followed) -> list[Markup]:
    """How often an image's own caption is the likeliest to the reader."""
    known = {key: getattr(found, key) for key in _PRECISION}  # the first two not of few scenes
    values = {key: words.rounded(value) for key, value in known.items() if value is not None}
    said = [] if found.precision is None else [words.text("followed.precision", **values)]
    return [words.text("followed.read"), *said, words.text("followed.hard", **values)]


_PRECISION = ("precision", "precision_ceiling", "precision_hard", "precision_hard_ceiling")


def _counts(measured: Measured) -> dict[str, int]:
    return {"generated": measured.about.n, "real": measured.about.n_real}


def cautions(words: Words, notes: Mapping[Caution, Sequence[str]]) -> list[Markup]:
    """What few images do to some metrics, a sentence each."""
    return [
        words.text(
            "cautions.of",
            metrics=words.listed(words.known(f"metrics.{name}", name) for name in names),
            caution=words.caution(note.kind, note.pictures, note.dimensions),
        )
        for note, names in notes.items()
    ]


def nearest(words: Words, near: Mapping[str, Any] | None) -> list[Markup]:
    """The distances to training images, and what they are a sign of."""
    if near is None:
        return []
    rounded = {name: words.rounded(near[name]) for name in ("samples", "held_out")}
    values = {**near, **rounded, "m": near["n_held_out"]}
    said = ("medians", *(near["signs"] or ("usual",)))
    return [words.text(f"nearness.{what}", **values) for what in said]
