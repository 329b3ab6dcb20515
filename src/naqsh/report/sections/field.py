"""The section on the score of points: exact and learnt, and how far they are apart."""

from collections.abc import Sequence

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Table
from naqsh.report.draw.panels import panel_title, picture, reduced
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.facts import Facts, studies
from naqsh.report.read.field import Fielded
from naqsh.report.words import Words

PICTURE_BYTES = 450_000
"""Bytes of the drawing of one level of noise."""

Found = Sequence[tuple[Facts, Fielded]]


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run's score was drawn."""
    found = [study for run in runs for study in studies(run, run.fielded)]
    if not found:
        return absent(maker, runs, "field")
    said = [(run.label, [_said(maker.words, fielded)]) for run, fielded in found]
    made = present([_fields(maker, found), _table(maker, found)])
    return [*made, *listings(said, several=len(found) > 1)]


def _fields(maker: Maker, found: Found) -> Figure | None:
    """A drawing a level of noise, the most noise first."""
    panels = []
    for run, fielded in found:
        for level in fielded.found.levels:
            what = maker.words.text(
                "figures.field.level",
                sigma=maker.words.rounded(level.sigma),
                error=maker.words.rounded(level.error),
            )
            title = panel_title(maker, found, run.label, what)
            file = run.path / level.picture
            panels.append(picture(maker, title, file, PICTURE_BYTES, alt="field", wide=True))
    return maker.figure("field", panels, columns=1, notes=reduced(maker, panels))


def _table(maker: Maker, found: Found) -> Table:
    """A row a level; where there are several drawings, the first column names them."""
    rows = []
    for run, fielded in found:
        for level in fielded.found.levels:
            numbers = {
                name: cells.rounded(maker.words, getattr(level, name))
                for name in ("sigma", "alpha", "error")
            }
            rows.append((f"{run.label} {level.time:g}", {"run": run.label, **numbers}))
    without = set() if len(found) > 1 else {"run"}
    return maker.listed("field", rows, numeric="sigma", without=without)


def _said(words: Words, fielded: Fielded) -> Markup:
    """What the errors are of, and what is exact."""
    about, kernels = fielded.about, fielded.found.kernels
    exact = words.text("field.mixture" if kernels is None else "field.points", count=kernels)
    return words.text("field.how", n=about.n, step=about.step, seed=about.seed, exact=exact)
