"""A measured number together with all that it depends on, so that it cannot be compared wrongly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from naqsh.core.errors import NaqshError
from naqsh.core.measured import Caution as Few
from naqsh.core.printable import short
from naqsh.io.texts import texts
from naqsh.metrics import registry
from naqsh.metrics.influence import Influence, wilson
from naqsh.metrics.registry import kind, title

KINDS = "cautions.kinds."
CAUTIONS = {key.removeprefix(KINDS): said for key, said in texts().items() if key.startswith(KINDS)}
"""What few images do to a metric, in the words of a report."""

COVERS = (
    "intervals: another n images of the same model against this reference; of recall and "
    "coverage other real images against these samples; none covers training again"
)
"""What an interval says: the expected value at this n, not what infinitely many images would give
(`influence.py`)."""


TOLD = ("interval", "kind", "better")
"""What files say of a measure that follows from its name: the interval, its name whatever the
features, and which way is better, where comparisons rank by it."""


@dataclass(frozen=True)
class Caution(Few):
    """What a reader must know to trust a number that has few images behind it, in a sentence."""

    def __str__(self) -> str:
        few = "few" if self.dimensions is None else "few_for"
        counts = {"pictures": f"{self.pictures:,}", "dimensions": f"{self.dimensions or 0:,}"}
        said = texts()[f"cautions.{few}"].format(**counts)
        return f"{said}: {CAUTIONS[self.kind]}"


@dataclass(frozen=True)
class Measure:
    """One result.

    Attributes:
        name: of the metric, for example ``"frechet"``; ``"fid"`` by Inception's features alone
            (`naqsh.metrics.registry`).
        value: the number.
        n_real: real images behind it.
        n_generated: generated images behind it.
        features: name of the feature extractor.
        fingerprint: of the feature extractor.
        reference: the real images in words, for example ``"mnist test"``.
        standard_error: of the value over draws of images (:data:`COVERS`), where it has one.
        notes: what a reader must know to trust the number.
        reference_fingerprint: of the real images by content, where it is known.
        influence: what each image does to the value, where it was just measured.
    """

    name: str
    value: float
    n_real: int
    n_generated: int
    features: str
    fingerprint: str
    reference: str
    standard_error: float | None = None
    notes: tuple[Caution, ...] = ()
    reference_fingerprint: str | None = None
    influence: Influence | None = field(default=None, compare=False, repr=False)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % confidence interval; what it covers is said in :data:`COVERS`.

        Of a share it is Wilson's; else the value -+ 1.96 standard errors, from 0 on where less is
        impossible.
        """
        if self.standard_error is None:
            return None
        declared = registry.get(self.name)
        if declared and declared.share_of:
            spread = self.value * (1 - self.value)
            known = spread > 0 and self.standard_error > 0
            # Of 0 and 1 the error says nothing.
            n = spread / self.standard_error**2 if known else getattr(self, declared.share_of)
            return wilson(self.value, n)
        low, high = (self.value + z * self.standard_error for z in (-1.96, 1.96))
        return (max(0.0, low) if declared and declared.nonnegative else low), high

    def __str__(self) -> str:
        parts = [f"{title(self.name, self.features)} {self.value:.4g}"]
        if self.interval is not None:
            parts.append("95 %% interval %.4g to %.4g" % self.interval)  # noqa: UP031
        parts.append(f"{self.n_generated:,} generated against {self.n_real:,} of {self.reference}")
        parts.append(f"features {self.features} ({self.fingerprint[:8]})")
        return "; ".join([*parts, *map(str, self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; among them, for readers of the file, :data:`TOLD`."""
        plain = asdict(replace(self, influence=None))
        del plain["influence"]
        declared = registry.get(self.name)
        told = {"better": declared.better} if declared and declared.ranked else {}
        return plain | {"interval": self.interval, "kind": kind(self.name)} | told

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Measure":
        """What :meth:`to_dict` gave, after a way through JSON.

        Raises:
            NaqshError: keys are missing or unknown.
        """
        given = {key: value for key, value in values.items() if key not in TOLD}
        try:
            notes = tuple(Caution(**note) for note in given.get("notes", ()))
            return cls(**(given | {"notes": notes}))
        except TypeError as error:
            reason = str(error).partition("__init__() ")[2] or str(error)
            raise NaqshError(f"not a stored measure: {reason}; measure again") from None

    def better_than(self, other: "Measure") -> bool:
        """Whether this value is the better one; raises as :func:`compare`."""
        difference = compare(self, other)
        return difference < 0 if _declared(self).better == "lower" else difference > 0

    def __lt__(self, other: "Measure") -> bool:
        return compare(self, other) < 0

    def __gt__(self, other: "Measure") -> bool:
        return compare(self, other) > 0


def compare(a: Measure, b: Measure) -> float:
    """The difference of two values, a - b, where it means something.

    Raises:
        NaqshError: different metrics, features or references; or different numbers of images
            under a metric whose bias depends on them.
    """
    if kind(a.name) != kind(b.name):
        raise NaqshError(f"{a.name} and {b.name} are different metrics; compare one of both")
    if a.fingerprint != b.fingerprint:
        raise NaqshError(
            f"{a.name} on features {a.features!r} ({a.fingerprint[:8]}) and {b.features!r} "
            f"({b.fingerprint[:8]}) are different quantities; measure both with the same features"
        )
    if _references_differ(a, b):
        raise NaqshError(
            f"{a.name} against {_reference(a)} and {_reference(b)} are different quantities; "
            "measure both against the same reference"
        )
    counts = (a.n_real, a.n_generated), (b.n_real, b.n_generated)
    if counts[0] != counts[1] and not _declared(a).unbiased:
        raise NaqshError(
            f"{a.name} depends on the numbers of images, and {counts[0]} and {counts[1]} (real, "
            "generated) differ; measure both with the same n, or compare kernel distances"
        )
    return a.value - b.value


def _declared(measure: Measure) -> registry.Declared:
    """Its declaration; NaqshError where it is of a package that is not there."""
    if found := registry.get(measure.name):
        return found
    raise NaqshError(
        f"{short(measure.name)} is no measure known here; import the package that declares it"
    )


def _references_differ(a: Measure, b: Measure) -> bool:
    """By content where both tell it: equal images may have come from several places."""
    if a.reference_fingerprint and b.reference_fingerprint:
        return a.reference_fingerprint != b.reference_fingerprint
    return a.reference != b.reference


def _reference(measure: Measure) -> str:
    content = measure.reference_fingerprint
    return f"{measure.reference!r}" + (f" ({content[:8]})" if content else "")
