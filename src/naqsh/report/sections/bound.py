"""The section on the variational bound: its terms by time, its parts, and what weights do."""

from collections.abc import Sequence

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel, panel_title
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.bound import Bounded
from naqsh.report.read.facts import Curve, Facts, studies
from naqsh.report.words import Words
from naqsh.runs.records import Mean

Found = Sequence[tuple[Facts, Bounded]]


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run's bound was taken apart."""
    found = [study for run in runs for study in studies(run, run.bound)]
    if not found:
        return absent(maker, runs, "bound")
    runs = runs if len(runs) > 1 else [run for run, _ in found]
    said = [(run.label, [_shares(maker.words, bound)]) for run, bound in found]
    listed = listings(said, several=len(runs) > 1)
    return [*present([_by_time(maker, runs, found), _table(maker, found)]), *listed]


def _by_time(maker: Maker, runs: Sequence[Facts], found: Found) -> Figure | None:
    """Two panels a run: times of different schedules share no axis."""
    panels = []
    for number, (run, bound) in enumerate(found):
        for name in ("terms", "errors"):
            curve = Curve([*bound.found.times], [*getattr(bound.found, name)])
            line = figures.Line(curve, palette.colour(number))
            title = panel_title(maker, runs, run.label, maker.words.text(f"figures.bound.{name}"))
            panels.append(
                panel(maker, "bound", title, figures.joined, [line], "time", name, legend=())
            )
    return maker.figure("bound", panels, columns=2)


def _table(maker: Maker, found: Found) -> Table:
    """A column a run: the parts, their sum, the estimate beside it, what they were taken of."""
    columns = []
    for _, bound in found:
        known = vars(bound.about) | vars(bound.found)
        shown = {
            name: cells.mean(maker.words, mean.value, mean.error)
            for name, mean in known.items()
            if isinstance(mean, Mean)
        }
        kind = bound.found.flow and bound.found.flow.kind
        columns.append(known | shown | {"flow_kind": kind})
    head = maker.head([run.label for run, _ in found])
    return maker.beside("bound", head, columns, optional=("flow", "flow_kind"), numeric=1)


def _shares(words: Words, bound: Bounded) -> Markup:
    """What the bound's weights do, from where its bits lie and where the errors do."""
    bits, errors = bound.shares()
    which = "finest" if bits > errors else "even"
    return words.text(f"bound.{which}", bits=words.percent(bits), errors=words.percent(errors))
