"""What a study of segmentation found, as it is shown."""

from dataclasses import dataclass
from typing import Any

from naqsh.io import inline
from naqsh.runs import records
from naqsh.runs.records.measured import Interval

TITLES = {
    "features": "diffusion features",
    "scratch": "U-Net from scratch",
    "untrained": "features, untrained U-Net",
    "places": "pixels and coordinates",
    "pixels": "pixels",
}

COLUMNS = ("mean IoU", "features above it", "accuracy")


@dataclass(frozen=True)
class Segmented:
    """A study: what it is of, and what was found."""

    of: records.SegmentationOf
    found: records.Segmentation

    def __str__(self) -> str:
        of = self.of
        lines = [
            f"{of.data}: {of.labelled} labelled images of {self.found.pool:,}, {of.draws} draws, "
            f"tested on {of.n:,}; {len(self.found.classes)} classes, {of.weights} weights of step "
            f"{of.step:,}",
            f"  {'':<26} {COLUMNS[0]:<24} {COLUMNS[1]:<24} {COLUMNS[2]}",
            *(f"  {a:<26} {b:<24} {c:<24} {d}".rstrip() for a, b, c, d in self._rows()),
        ]
        if of.draws > 1:
            lines.append("in brackets: 95 % intervals of the mean over draws of labelled images")
        if self.found.uncertain is not None:
            lines.append(
                f"of the wrong pixels {self.found.uncertain:.0%} lie among the tenth of which the "
                "ensemble is least sure"
            )
        return "\n".join([*lines, *(f"note: {remark}" for remark in self.found.remarks)])

    def _repr_html_(self) -> str:
        return inline.table(("approach", *COLUMNS), self._rows())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return records.plain(self.of) | records.plain(self.found)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for number, one in enumerate(self.found.approaches):
            above = _shown(*self.found.above(one.name)) if number else ""
            own, right = (_shown(*one.over_draws(name)) for name in ("mean_iou", "accuracy"))
            rows.append((TITLES.get(one.name, one.name), own, above, right))
        return rows


def _shown(value: float, interval: Interval | None) -> str:
    return f"{value:.3f}" + ("" if interval is None else " [{:.3f}, {:.3f}]".format(*interval))
