"""The section on guidance: distance, precision and recall by its scale."""

from collections.abc import Sequence

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.distances import column
from naqsh.report.read.facts import Curve, Facts, studies
from naqsh.report.read.guidance import MEASURED, Guided
from naqsh.report.words import Words

Found = Sequence[tuple[Facts, Guided]]


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run's guidance was measured."""
    found = [study for run in runs for study in studies(run, run.guided)]
    if not found:
        return absent(maker, runs, "guidance")
    alike: dict[object, list[tuple[Facts, Guided]]] = {}
    for run, guided in found:
        alike.setdefault(guided.comparable, []).append((run, guided))
    drawn = [
        _by_scale(maker, group, number if len(alike) > 1 else None)
        for number, group in enumerate(alike.values(), 1)
    ]
    said = [(run.label, _said(maker.words, guided)) for run, guided in found]
    return [*present([*drawn, _table(maker, found)]), *listings(said, several=len(found) > 1)]


def _by_scale(maker: Maker, group: Found, number: int | None) -> Figure | None:
    """A panel a measure, a line a study; a study has one colour on all panels."""
    panels = []
    for kind in MEASURED:
        series = []
        for place, (run, guided) in enumerate(group):
            curve = Curve(
                [scale.guidance for scale, _ in guided.scales],
                [measures[kind].value for _, measures in guided.scales],
            )
            intervals = [measures[kind].interval for _, measures in guided.scales]
            colour, dash = palette.colour(place), palette.DASHES[place % len(palette.DASHES)]
            series.append(figures.Line(curve, colour, dash, run.label, intervals=intervals))
        axes = ("guidance", group[0][1].distance if kind == "frechet" else kind)
        title = maker.words.text(f"axes.{axes[1]}")
        legend = None if len(group) > 1 else ()
        made = panel(
            maker, "guidance", title, figures.joined, series, *axes, legend=legend, log_y=False
        )
        panels.append(made)
    return maker.figure("guidance", panels, number=number)


def _table(maker: Maker, found: Found) -> Table:
    """A row a scale; where there are several studies, the first column names them."""
    distance, others = column([guided.distance for _, guided in found])
    rows = []
    for run, guided in found:
        for scale, measures in guided.scales:
            shown = {
                name: cells.rounded(maker.words, measures[kind].value, measures[kind].interval)
                for name, kind in zip((distance, *MEASURED[1:]), MEASURED, strict=True)
            }
            speed = cells.rounded(maker.words, scale.pictures_per_second)
            known = vars(scale) | shown | {"run": run.label, "pictures_per_second": speed}
            rows.append((f"{run.label} {scale.guidance:g}", known))
    without = others | (set() if len(found) > 1 else {"run"})
    return maker.listed("guidance", rows, numeric="guidance", without=without)


def _said(words: Words, guided: Guided) -> list[Markup]:
    """How it was measured."""
    terms = guided.terms
    said = [words.text("guidance.how", **terms)]
    if terms["sampling"]:
        said.append(words.text("samplers.options", options=terms["sampling"]))
    return said + [words.caution(n.kind, n.pictures, n.dimensions) for n in guided.notes]
