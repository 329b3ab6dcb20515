"""The section on translation between domains: both ways measured, and what noise does to them."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel, panel_title
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.facts import Curve, Facts, studies
from naqsh.report.read.translation import Translated
from naqsh.report.words import Words
from naqsh.runs import records

Found = Sequence[tuple[Facts, Translated]]


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run's translations were measured."""
    found = [study for run in runs for study in studies(run, run.translated)]
    if not found:
        return absent(maker, runs, "translation")
    said = [(run.label, _said(maker.words, study)) for run, study in found]
    made = [_table(maker, found), _disturbed(maker, runs)]
    return [*present(made), *listings(said, several=True)]


def _table(maker: Maker, found: Found) -> Table:
    """A column a direction: measures beside what copies and real images come to."""
    words, columns = maker.words, []
    titles: dict[str, str] = {}
    for _, study in found:
        what, column = study.found, dict[str, Any](vars(study.about))
        floor = {m.name: m for m in what.floor.measures} if what.floor else {}
        for own, copy in zip(what.measures, what.copies, strict=True):
            metric = words.known(f"metrics.{own.name}", own.name)
            for place, measure in (("own", own), ("copy", copy), ("real", floor.get(own.name))):
                key = f"{own.name} {place}"
                titles[key] = words.text(f"tables.translation.{place}", metric=metric)
                column[key] = measure and _with_error(words, measure)
        for name in ("cycle", "l1", "psnr"):
            if mean := getattr(what, name):
                column[name] = cells.mean(words, mean.value, mean.error)
        columns.append(column)
    rest = words.under("tables.translation.rows")
    head = maker.head([run.label for run, _ in found])
    return maker.beside(
        "translation", head, columns, titles=titles | rest, optional=("cycle", "l1", "psnr")
    )


def _with_error(words: Words, measure: records.Measure) -> Markup:
    if measure.standard_error is None:
        return cells.rounded(words, measure.value)
    return cells.mean(words, measure.value, measure.standard_error)


def _disturbed(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """A panel a run: the error of the way back by the sigma of the noise, a line a direction."""
    panels = []
    for run in runs:
        lines = []
        for place, (named, study) in enumerate(studies(run, run.translated)):
            levels = study.found.disturbed
            curve = Curve(
                [level.sigma for level in levels], [level.cycle.value for level in levels]
            )
            spread = [1.96 * level.cycle.error for level in levels]
            intervals = [(v - s, v + s) for v, s in zip(curve.values, spread, strict=True)]
            colour, dash = palette.colour(place), palette.dash(place)
            lines.append(figures.Line(curve, colour, dash, named.label, intervals=intervals))
        sigmas = [sigma for line in lines for sigma in line.curve.epochs]
        if not sigmas:
            continue
        sigmas = sorted({*sigmas} - {0.0})
        itself = Curve(sigmas, [records.OF_NOISE * sigma for sigma in sigmas])
        label = maker.words.plain("figures.disturbed.itself")
        lines.append(figures.Line(itself, palette.FAINT, palette.TARGET, label))
        title = panel_title(maker, runs, run, maker.words.text("figures.disturbed.title"))
        axes, titled = ("sigma", "cycle"), len(runs) > 1
        panels.append(panel(maker, "disturbed", title, figures.joined, lines, *axes, titled=titled))
    return maker.figure("disturbed", panels)


def _said(words: Words, study: Translated) -> list[Markup]:
    """How far the translations went, and what noise tells of the way back."""
    said = []
    if study.covered is not None:
        metric = study.found.measures[0].name
        metric = words.known(f"metrics.{metric}", metric)
        covered = words.percent(study.covered)
        said.append(words.text("translation.covered", percent=covered, metric=metric))
    if study.disturbed is not None:
        which = "hidden" if study.disturbed[2] > records.HIDDEN else "seen"
        before, after, rise = map(words.rounded, study.disturbed)
        values = {"before": before, "after": after, "rise": rise, "n": study.found.n_disturbed}
        said.append(words.text(f"translation.{which}", **values))
    return [*said, *map(words.foreign, study.found.remarks)]
