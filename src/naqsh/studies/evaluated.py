"""What an evaluation of a run found, as it is shown and as it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from naqsh.io import inline
from naqsh.metrics import Likelihood, Measure, Nearness, Speed
from naqsh.runs import kept, records
from naqsh.runs.results import Result
from naqsh.studies import following
from naqsh.studies.floor import Floor

LIKELIHOOD = "likelihood"
NEAREST = "nearest"
CAPTIONS = "captions"
OWN = (LIKELIHOOD, NEAREST, CAPTIONS)
"""What is measured of a run beside the metrics of features."""

FLOOR = "floor"
"""The metric of a result that holds the floor."""


@dataclass(frozen=True)
class Evaluation:
    """What a run was measured to be.

    Attributes:
        step: the checkpoint that was measured.
        weights: its last or best.
        seed: of the samples.
        measures: in a fixed order.
        speed: of sampling, on the device that was asked for.
        sampling: options that the images were drawn with, where they are not the recipe's.
        likelihood: of the reference, where the method has one and it was asked for.
        nearness: of samples to the training images, where there are test images to compare with.
        followed: how well samples follow captions, where these can be read back.
        notes: what a reader must know of the images that the run was measured against.
        floor: what real images come to when they are measured alike.
        no_floor: why there is none, where there are measures.
    """

    step: int
    weights: str
    seed: int
    measures: list[Measure]
    speed: Speed
    likelihood: Likelihood | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    nearness: Nearness | None = None
    notes: tuple[str, ...] = ()
    floor: Floor | None = None
    no_floor: str | None = None
    followed: records.Followed | None = None

    def _repr_html_(self) -> str:
        rows: list[tuple[object, ...]] = [
            (
                m.name,
                f"{m.value:.4g}",
                "" if m.interval is None else "{:.4g} to {:.4g}".format(*m.interval),
                f"{m.n_generated:,} against {m.n_real:,} of {m.reference}, features {m.features}",
            )
            for m in self.measures
        ]
        if self.likelihood:
            rows.append(("likelihood", self.likelihood, "", ""))
        if self.nearness:
            rows.append(("nearest", self.nearness, "", ""))
        if self.followed:
            rows.append(("captions", following.told(self.followed), "", ""))
        for m in self.floor.measures if self.floor else ():
            of = f"{m.n_generated:,} real images instead of samples"
            rows.append((f"floor of {m.name}", f"{m.value:.4g}", "", of))
        rows.append(("speed", self.speed, "", ""))
        rows += [("note", note, "", "") for note in self.notes]
        return inline.table(("measure", "value", "95 % interval", "of"), rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "step": self.step,
            "weights": self.weights,
            "seed": self.seed,
            "measures": [measure.to_dict() for measure in self.measures],
            "speed": self.speed.to_dict(),
            "sampling": dict(self.sampling),
            "likelihood": self.likelihood and self.likelihood.to_dict(),
            "nearness": self.nearness and self.nearness.to_dict(),
            "notes": list(self.notes),
            "floor": self.floor and self.floor.to_dict(),
            "no_floor": self.no_floor,
            "captions": self.followed and records.plain(self.followed),
        }


def results(found: Evaluation, real: str, batch: int) -> list[Result]:
    """An evaluation as results of which each is kept by itself.

    Args:
        found: what was measured.
        real: the fingerprint of the real images.
        batch: images drawn at a time, on which speed depends.
    """
    drawn = {"sampling": dict(found.sampling), "weights": found.weights, "step": found.step}
    common = {**drawn, "seed": found.seed}
    said = {"remarks": list(found.notes)} if found.notes else {}
    measured = [kept.measured(measure.to_dict() | said, common) for measure in found.measures]
    results = [Result(m.of, records.checked(records.Found, m.found)) for m in measured]
    if likely := found.likelihood:
        of = {"metric": LIKELIHOOD, "n": likely.n, "reference": likely.reference}
        of |= {"reference_fingerprint": real, **common}
        results.append(Result(of, records.plain(likely) | said))
    if near := found.nearness:
        of = {"metric": NEAREST, "n": len(near.samples), **common}
        results.append(Result(of, records.checked(records.Nearest, near.to_dict()) | said))
    if followed := found.followed:
        of = {"metric": CAPTIONS, "n": followed.n, **common}
        results.append(Result(of, records.plain(followed) | said))
    if floor := found.floor:
        first = results[0].of
        of = {name: first[name] for name in kept.MEASURE if name in first} | {"metric": FLOOR}
        results.append(Result(of, records.checked(records.Floor, floor.to_dict())))
    speed = found.speed
    of = {"metric": "speed", "n": speed.n, "batch": batch, "device": speed.device, **drawn}
    return [*results, Result(of, records.plain(speed))]
