"""What measuring a method that translates found, as it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from naqsh.io import inline
from naqsh.metrics.registry import title
from naqsh.runs import records

COLUMNS = ("translated", "source as it is", "real images")


class Direction(NamedTuple):
    """A measured direction: what it is of, and what was found."""

    of: records.TranslationOf
    found: records.Translation


@dataclass(frozen=True)
class Translated:
    """Every direction of a run, measured."""

    directions: Sequence[Direction]

    def __str__(self) -> str:
        return "\n".join([*(line for d in self.directions for line in _lines(d)), *_ends(self)])

    def _repr_html_(self) -> str:
        rows = [(d.of.to, *row) for d in self.directions for row in _rows(d)]
        return inline.table(("to", "measure", *COLUMNS), rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = [records.plain(of) | records.plain(found) for of, found in self.directions]
        return {"directions": plain}


def _lines(direction: Direction) -> list[str]:
    of = direction.of
    head = f"  {'':<26} {COLUMNS[0]:<22} {COLUMNS[1]:<22} {COLUMNS[2]}"
    rows = [f"  {a:<26} {b:<22} {c:<22} {d}".rstrip() for a, b, c, d in _rows(direction)]
    return [
        f"to {of.to}: {of.n:,} images of {of.source}, against {of.n_real:,} of {of.reference}; "
        f"features {of.features} ({of.fingerprint[:8]}), {of.weights} weights of step {of.step:,}",
        head,
        *rows,
    ]


def _rows(direction: Direction) -> list[tuple[str, str, str, str]]:
    """Of each measure its name, and the figures of :data:`COLUMNS`."""
    found = direction.found
    floor = {m.name: m for m in found.floor.measures} if found.floor else {}
    rows = [
        (title(own.name), _measured(own), _measured(copy), _measured(floor.get(own.name)))
        for own, copy in zip(found.measures, found.copies, strict=True)
    ]
    noisy = next((d.cycle for d in found.disturbed if d.sigma == records.NOTICED), None)
    means = {
        "there and back, L1": found.cycle,
        f"  with noise {records.NOTICED} between": noisy,
        "distance from partner, L1": found.l1,
        "PSNR to partner, dB": found.psnr,
    }
    return rows + [(name, _mean(mean), "", "") for name, mean in means.items() if mean]


def _measured(measure: records.Measure | None) -> str:
    if measure is None:
        return ""
    error = measure.standard_error
    return f"{measure.value:.4g}" + (f" ± {error:.2g}" if error is not None else "")


def _mean(mean: records.Mean) -> str:
    return f"{mean.value:.4g} ± {mean.error:.2g}"


def _ends(found: Translated) -> list[str]:
    """How to read it, once for all directions."""
    lines = [
        "± is one standard error over images. A translation should come below the source as it is; "
        "it can hardly come below real images, which are of the training split."
    ]
    for of, what in found.directions:
        if what.floor and what.floor.n < of.n:
            lines.append(
                f"note: to {of.to} there are only {what.floor.n:,} real images beside {of.n:,} "
                "translations, so a Fréchet distance of them is larger"
            )
    remarks = dict.fromkeys(r for d in found.directions for r in d.found.remarks)
    return lines + [f"note: {remark}" for remark in remarks]
