"""The section on samplers: distance by evaluations, and whether samples are copies."""

from collections.abc import Sequence

from markupsafe import Markup

from naqsh.report.document import Block, Figure, Key, Listing, Maker, Panel, Paragraph, Row, Table
from naqsh.report.draw import images, palette, scatter
from naqsh.report.draw.panels import labelled, panel_title, picture, union
from naqsh.report.read.facts import Facts, studies
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
        lost = any(run.lost("samplers.json") for run in runs)
        return [Paragraph(maker.words.text("samplers.lost"))] if lost else []
    runs = runs if len(runs) > 1 else [run for run, _ in found]
    made: list[Block | None] = [
        _by_evaluations(maker, runs, found),
        _table(maker, found),
        _pictures(maker, runs, found),
    ]
    said = [
        Listing(run.label if len(runs) > 1 else "", _said(maker.words, sampled))
        for run, sampled in found
    ]
    return [*[block for block in made if block is not None], *said]


def _by_evaluations(maker: Maker, runs: Sequence[Facts], found: Found) -> Figure:
    """A panel a run, a line a sampler; a sampler has one colour on all panels."""
    names = union(_by_sampler(sampled) for _, sampled in found)
    panels = []
    for number, (run, sampled) in enumerate(found):
        series, legend = [], []
        for name, points in _by_sampler(sampled).items():
            # Some samplers are the same in exact arithmetic, or nearly: lines lie on each other.
            place = names.index(name)
            colour, dash = palette.colour(place), palette.DASHES[place % len(palette.DASHES)]
            points = sorted(points, key=lambda point: point.evaluations)
            series.append(
                scatter.Line(
                    [point.evaluations for point in points],
                    [point.frechet for point in points],
                    colour,
                    dash[0],
                    [point.interval for point in points],
                )
            )
            legend.append(Key(name, palette.css(colour), dash[1]))
        drawn = scatter.lines(
            series,
            "evaluations",
            sampled.distance,
            words=maker.words,
            name=f"samplers-{number}",
            log_x=True,
        )
        title = panel_title(maker, runs, run, maker.words.text("figures.samplers.title"))
        panels.append(Panel(title if len(runs) > 1 else "", labelled(drawn, title), legend))
    return maker.figure("samplers", panels)


def _by_sampler(sampled: Sampled) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in sampled.points:
        found.setdefault(point.sampler, []).append(point)
    return found


def _table(maker: Maker, found: Found) -> Table:
    """A row a point; where there are several runs, the first column names them."""
    words, several = maker.words, len(found) > 1
    columns = ["run"] if several else []
    called = {sampled.distance for _, sampled in found}
    distance = called.pop() if len(called) == 1 else "frechet"
    columns += ["sampler", "steps", "evaluations", distance, "pictures_per_second"]
    rows = [
        Row(
            f"{run.label} {point.sampler} {point.steps}",
            [*([words.own(run.label)] if several else []), *_cells(words, point)],
        )
        for run, sampled in found
        for point in sampled.points
    ]
    head = [words.text(f"tables.samplers.columns.{column}") for column in columns]
    return maker.table("samplers", head, rows, numeric=len(columns) - 4)


def _cells(words: Words, point: Point) -> list[Markup | str]:
    far = words.data(point.frechet, words.rounded(point.frechet))
    if point.interval:
        low, high = (words.rounded(bound) for bound in point.interval)
        far = words.text("tables.measured.cell", value=far, low=low, high=high)
    speed = words.data(point.pictures_per_second, words.rounded(point.pictures_per_second))
    evaluations = words.data(point.evaluations)
    return [words.own(point.sampler), words.data(point.steps), evaluations, far, speed]


def _pictures(maker: Maker, runs: Sequence[Facts], found: Found) -> Figure | None:
    """Samples with the nearest training images below them."""
    panels = []
    for run, sampled in found:
        if sampled.nearest and sampled.nearest.picture:
            title = panel_title(maker, runs, run, maker.words.text("figures.nearest.title"))
            image = images.inline(run.path / sampled.nearest.picture, PICTURE_BYTES)
            shown = picture(maker, title, image)
            panels.append(Panel(title if len(runs) > 1 else "", shown))
    return maker.figure("nearest", panels, columns=1) if panels else None


def _said(words: Words, sampled: Sampled) -> list[Markup]:
    """How it was measured, and what the look for copies found."""
    measured = words.text(
        "samplers.how",
        n=words.number(sampled.n),
        seed=words.number(sampled.seed),
        step=words.number(sampled.step),
        reference=sampled.reference,
        features=sampled.features,
    )
    known = any(point.interval for point in sampled.points)
    covers = [words.text("samplers.covers", n=words.number(sampled.n))] if known else []
    shared = [words.text("samplers.options", options=sampled.sampling)] if sampled.sampling else []
    return [
        measured,
        *covers,
        *shared,
        *[words.caution(note.kind, note.pictures, note.dimensions) for note in sampled.notes],
        *remarks.nearest(words, sampled.nearest),
    ]
