"""The section on translation between domains: both ways measured, and what noise does to them."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.facts import Curve, Facts, studies
from naqsh.report.read.translation import Translated
from naqsh.report.words import Words
from naqsh.runs import records

Found = Sequence[tuple[Facts, Translated]]

MEANS = ("cycle", "l1", "psnr")
"""Means over images, which not every translation has."""


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run's translations were measured.

    Of one run both directions stand side by side; of several the runs do, a direction at a time.
    """
    found = [study for run in runs for study in studies(run, run.translated)]
    if not found:
        return absent(maker, runs, "translation")
    said = [(run.label, _said(maker.words, study)) for run, study in found]
    names = dict.fromkeys(study.about.to for _, study in found)
    ways: list[tuple[str, Found]] = [(to, _along(runs, to)) for to in names]
    if len(runs) == 1:
        ways = [(str(maker.words.listed(names, "list_and")), found)]
    tables = [_table(maker, way, to, number) for number, (to, way) in enumerate(ways, 1)]
    return [*tables, *present([_disturbed(maker, ways)]), *listings(said, several=True)]


def _along(runs: Sequence[Facts], to: str) -> Found:
    """The studies of one direction."""
    own = [(run, [study for study in run.translated if study.about.to == to]) for run in runs]
    return [study for run, found in own for study in studies(run, found)]


def _table(maker: Maker, found: Found, to: str, number: int) -> Table:
    """A column a study: measures beside what copies and real images come to."""
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
        for name in MEANS:
            if mean := getattr(what, name):
                column[name] = cells.mean(words, mean.value, mean.error)
        columns.append(column)
    titles |= words.under("tables.translation.rows")
    return maker.beside(
        "translation",
        maker.head([run.label for run, _ in found]),
        columns,
        titles=titles,
        optional=MEANS,
        number=number,
        notes=[words.text("tables.translation.direction", to=to)],
    )


def _with_error(words: Words, measure: records.Measure) -> Markup:
    if measure.standard_error is None:
        return cells.rounded(words, measure.value)
    return cells.mean(words, measure.value, measure.standard_error)


def _disturbed(maker: Maker, ways: Sequence[tuple[str, Found]]) -> Figure | None:
    """The error of the way back by the sigma of the noise: a panel a way, a line a study."""
    panels = []
    for to, found in ways:
        lines = [_line(run, study, place) for place, (run, study) in enumerate(found)]
        sigmas = sorted({sigma for line in lines for sigma in line.curve.epochs} - {0.0})
        if not sigmas:
            continue
        itself = Curve(sigmas, [records.OF_NOISE * sigma for sigma in sigmas])
        label = maker.words.plain("figures.disturbed.itself")
        lines.append(figures.Line(itself, palette.FAINT, palette.TARGET, label))
        title = maker.words.text("figures.disturbed.title", to=to)
        axes = ("sigma", "cycle")
        panels.append(
            panel(maker, "disturbed", title, figures.joined, lines, *axes, titled=len(ways) > 1)
        )
    return maker.figure("disturbed", panels)


def _line(run: Facts, study: Translated, place: int) -> figures.Line:
    """The way back of one study, with 95 % intervals over images."""
    levels = study.found.disturbed
    curve = Curve([level.sigma for level in levels], [level.cycle.value for level in levels])
    spread = [1.96 * level.cycle.error for level in levels]
    intervals = [(v - s, v + s) for v, s in zip(curve.values, spread, strict=True)]
    colour, dash = palette.colour(place), palette.dash(place)
    return figures.Line(curve, colour, dash, run.label, intervals=intervals)


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
