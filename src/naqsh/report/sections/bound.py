"""The section on the variational bound: its terms by time, its parts, and what weights do."""

from collections.abc import Sequence

from markupsafe import Markup

from naqsh.report.document import Block, Figure, Listing, Maker, Panel, Paragraph, Row, Table
from naqsh.report.draw import palette, scatter
from naqsh.report.draw.panels import labelled, panel_title
from naqsh.report.read.bound import PARTS, Bounded
from naqsh.report.read.facts import Facts, studies
from naqsh.report.words import Words

Found = Sequence[tuple[Facts, Bounded]]


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run's bound was taken apart."""
    found = [study for run in runs for study in studies(run, run.bound)]
    if not found:
        lost = any(run.lost("bound.json") for run in runs)
        return [Paragraph(maker.words.text("bound.lost"))] if lost else []
    runs = runs if len(runs) > 1 else [run for run, _ in found]
    said = [
        Listing(run.label if len(runs) > 1 else "", [_shares(maker.words, bound)])
        for run, bound in found
    ]
    return [_by_time(maker, runs, found), _table(maker, found), *said]


def _by_time(maker: Maker, runs: Sequence[Facts], found: Found) -> Figure:
    """Two panels a run: times of different schedules share no axis."""
    words, panels = maker.words, []
    for number, (run, bound) in enumerate(found):
        for name, values in (("terms", bound.terms), ("errors", bound.errors)):
            line = scatter.Line(bound.times, values, palette.colour(number))
            drawn = scatter.lines([line], "time", name, words=words, name=f"bound-{number}-{name}")
            title = panel_title(maker, runs, run, words.text(f"figures.bound.{name}"))
            panels.append(Panel(title, labelled(drawn, title)))
    return maker.figure("bound", panels, columns=2)


def _table(maker: Maker, found: Found) -> Table:
    """A column a run: the parts, their sum, the estimate beside it, what they were taken of."""
    words = maker.words
    rows = {part: [_mean(words, bound.parts[part]) for _, bound in found] for part in PARTS}
    rows["kind"] = [_kind(words, bound.kind) for _, bound in found]
    if any(bound.flow for _, bound in found):
        absent = words.text("absent")
        rows["flow"] = [_mean(words, b.flow) if b.flow else absent for _, b in found]
        rows["flow_kind"] = [_kind(words, b.flow_kind) if b.flow else absent for _, b in found]
    rows["n"] = [words.data(bound.n) for _, bound in found]
    rows["reference"] = [Markup.escape(words.own(bound.reference)) for _, bound in found]
    rows["step"] = [words.data(bound.step) for _, bound in found]
    head = ["", words.text("value")]
    if len(found) > 1:
        head = ["", *[words.own(run.label) for run, _ in found]]
    made = [
        Row(name, [words.text(f"tables.bound.rows.{name}"), *cells]) for name, cells in rows.items()
    ]
    return maker.table("bound", head, made, numeric=1)


def _mean(words: Words, mean: tuple[float, float]) -> Markup:
    value, error = mean
    shown = words.data(value, words.rounded(value))
    return words.formula("tables.bound.cell", mean=shown, error=words.rounded(error))


def _kind(words: Words, kind: str) -> Markup:
    return words.known(f"kinds.{kind}", kind)


def _shares(words: Words, bound: Bounded) -> Markup:
    """What the bound's weights do, from where its bits lie and where the errors do."""
    bits, errors = bound.shares()
    which = "finest" if bits > errors else "even"
    return words.text(f"bound.{which}", bits=words.percent(bits), errors=words.percent(errors))
