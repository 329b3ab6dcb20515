"""The section on samplers: distance by evaluations, and whether samples are copies."""

from collections.abc import Sequence

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel, panel_title, picture, union
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.facts import Curve, Facts, studies
from naqsh.report.read.samplers import Point, Sampled
from naqsh.report.sections import remarks
from naqsh.report.words import Words

PICTURE_BYTES = 400_000
"""Bytes of one grid of images."""

Found = Sequence[tuple[Facts, Sampled]]


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run's samplers were compared."""
    found = [study for run in runs for study in studies(run, run.sampled)]
    if not found:
        return absent(maker, runs, "samplers")
    runs = runs if len(runs) > 1 else [run for run, _ in found]
    said = [(run.label, _said(maker.words, sampled)) for run, sampled in found]
    made = [
        _by_evaluations(maker, runs, found),
        _table(maker, found),
        _pictures(maker, runs, found),
    ]
    return [*present(made), *listings(said, several=len(runs) > 1)]


def _by_evaluations(maker: Maker, runs: Sequence[Facts], found: Found) -> Figure | None:
    """A panel a run, a line a sampler; a sampler has one colour on all panels."""
    names = union(_by_sampler(sampled) for _, sampled in found)
    panels = []
    for run, sampled in found:
        series = []
        for name, points in _by_sampler(sampled).items():
            # Some samplers are the same in exact arithmetic, or nearly: lines lie on each other.
            place = names.index(name)
            colour, dash = palette.colour(place), palette.DASHES[place % len(palette.DASHES)]
            points = sorted(points, key=lambda known: known[0].evaluations)
            curve = Curve([p.evaluations for p, _ in points], [far.value for _, far in points])
            intervals = [far.interval for _, far in points]
            series.append(figures.Line(curve, colour, dash, name, intervals=intervals))
        title = panel_title(maker, runs, run.label, maker.words.text("figures.samplers.title"))
        axes, titled = ("evaluations", sampled.distance), len(runs) > 1
        panels.append(
            panel(
                maker, "samplers", title, figures.joined, series, *axes, titled=titled, log_x=True
            )
        )
    return maker.figure("samplers", panels)


def _by_sampler(sampled: Sampled) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point, distance in sampled.points:
        found.setdefault(point.sampler, []).append((point, distance))
    return found


def _table(maker: Maker, found: Found) -> Table:
    """A row a point; where there are several runs, the first column names them."""
    called = {sampled.distance for _, sampled in found}
    distance = called.pop() if len(called) == 1 else "frechet"
    rows = []
    for run, sampled in found:
        for point, measured in sampled.points:
            speed = cells.rounded(maker.words, point.pictures_per_second)
            far = cells.rounded(maker.words, measured.value, measured.interval)
            shown = {"run": run.label, "pictures_per_second": speed, distance: far}
            rows.append((f"{run.label} {point.sampler} {point.steps}", vars(point) | shown))
    without = {"fid", "frechet"} - {distance} | (set() if len(found) > 1 else {"run"})
    return maker.listed("samplers", rows, numeric="steps", without=without)


def _pictures(maker: Maker, runs: Sequence[Facts], found: Found) -> Figure | None:
    """Samples with the nearest training images below them."""
    panels = []
    for run, sampled in found:
        if sampled.nearest and sampled.nearest["picture"]:
            title = panel_title(maker, runs, run.label, maker.words.text("figures.nearest.title"))
            file, titled = run.path / sampled.nearest["picture"], len(runs) > 1
            panels.append(picture(maker, title, file, PICTURE_BYTES, titled=titled))
    return maker.figure("nearest", panels, columns=1)


def _said(words: Words, sampled: Sampled) -> list[Markup]:
    """How it was measured, and what the look for copies found."""
    terms = sampled.terms
    said = [words.text("samplers.how", **terms)]
    if any(distance.interval for _, distance in sampled.points):
        said.append(words.text("samplers.covers", n=terms["n"]))
    if terms["sampling"]:
        said.append(words.text("samplers.options", options=terms["sampling"]))
    said += [words.caution(note.kind, note.pictures, note.dimensions) for note in sampled.notes]
    return [*said, *remarks.nearest(words, sampled.nearest)]
