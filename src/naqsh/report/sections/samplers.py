"""The section on samplers: distance by evaluations, and whether samples are copies."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Panel, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel, panel_title, picture, union
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.distances import column
from naqsh.report.read.facts import Curve, Facts, studies
from naqsh.report.read.samplers import Point, Sampled, counted, shares
from naqsh.report.sections import remarks
from naqsh.report.words import Words
from naqsh.runs import records

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
        _exact_table(maker, found),
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
        axes = "evaluations", sampled.distance
        titled = len(runs) > 1 or sampled.exact is not None
        panels.append(
            panel(
                maker, "samplers", title, figures.joined, series, *axes, titled=titled, log_x=True
            )
        )
    if exact := _exact(maker, found):
        return maker.figure(
            "samplers", [*panels, exact], notes=[maker.words.text("figures.samplers.exact.caption")]
        )
    return maker.figure("samplers", panels)


def _exact(maker: Maker, found: Found) -> Panel | None:
    """All samplers of all runs that were put under an exact score, on one panel."""
    series, ends, words = list[figures.Line](), list[float](), maker.words
    known = [(run, sampled.exact) for run, sampled in found if sampled.exact]
    for run, exact in known:
        for name in dict.fromkeys(point.sampler for point in exact.points):
            points = sorted(
                (p for p in exact.points if p.sampler == name), key=lambda p: p.evaluations
            )
            curve = Curve([p.evaluations for p in points], [p.distance for p in points])
            place, label = len(series), f"{run.label}: {name}" if len(known) > 1 else name
            dash = palette.DASHES[place % len(palette.DASHES)]
            series.append(figures.Line(curve, palette.colour(place), dash, label))
            ends += curve.epochs
    if not known:
        return None
    floor = Curve([min(ends), max(ends)], [known[0][1].floor] * 2)
    label = words.text("figures.samplers.exact.floor")
    series.append(figures.Line(floor, palette.INK, ":", label))
    title = words.text("figures.samplers.exact.title")
    axes = "evaluations", "exact"
    return panel(maker, "samplers", title, figures.joined, series, *axes, log_x=True)


def _by_sampler(sampled: Sampled) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point, distance in sampled.points:
        found.setdefault(point.sampler, []).append((point, distance))
    return found


def _table(maker: Maker, found: Found) -> Table:
    """A row a point; where there are several runs, the first column names them."""
    distance, others = column([sampled.distance for _, sampled in found])
    rows = []
    for run, sampled in found:
        for point, measured in sampled.points:
            speed = cells.rounded(maker.words, point.pictures_per_second)
            far = cells.rounded(maker.words, measured.value, measured.interval)
            shown: dict[str, Any] = {"run": run.label, "pictures_per_second": speed, distance: far}
            shown |= {"steps": _steps(maker.words, point), "precision": None, "recall": None}
            for name, share in shares(point).items():
                shown[name] = cells.rounded(maker.words, share.value)
            key = f"{run.label} {point.sampler} {counted(point)}"
            rows.append((key, vars(point) | shown))
    without = others | (set() if len(found) > 1 else {"run"})
    if not any(shares(point) for _, sampled in found for point, _ in sampled.points):
        without |= {"precision", "recall"}
    return maker.listed("samplers", rows, numeric="steps", without=without)


def _exact_table(maker: Maker, found: Found) -> Table | None:
    """A row a sampler and number of steps under an exact score."""
    rows, last = [], None
    for run, sampled in found:
        for point in sampled.exact.points if sampled.exact else ():
            last = sampled.exact
            shown = {
                "run": run.label,
                "steps": _steps(maker.words, point),
                "distance": cells.rounded(maker.words, point.distance),
                "share": cells.rounded(maker.words, point.share),
            }
            key = f"{run.label} {point.sampler} {counted(point)}"
            rows.append((key, vars(point) | shown))
    if last is None:
        return None
    terms: dict[str, Any] = {"n": last.n, "floor": last.floor, "share": last.share}
    without = set() if len(found) > 1 else {"run"}
    return maker.listed("exact", rows, numeric="steps", without=without, **terms)


def _steps(words: Words, point: records.Point | records.ExactPoint) -> Markup | str:
    """How many, for a cell: of Langevin dynamics levels times steps at each."""
    if not point.inner:
        return words.data(point.steps)
    return Markup("{} × {}").format(words.data(point.steps), words.data(point.inner))


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
