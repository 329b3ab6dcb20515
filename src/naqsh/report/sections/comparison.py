"""The figures and the table of a comparison, and the ranks that its words are made of."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Figure, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel
from naqsh.report.maker import Maker
from naqsh.report.read import verdicts
from naqsh.report.read.comparison import alike
from naqsh.report.read.evaluation import Measured, by_kind
from naqsh.report.read.facts import Facts, section
from naqsh.report.words import Words
from naqsh.runs.records import Floor, Followed

PLANES = (("recall", "precision"), ("coverage", "density"), ("modes", "good"))
"""Pairs of measures: how much of the data is covered, and how good the images are."""

SAID = ("shape", "colour", "size", "where", "background", "all")
"""What of a caption is followed or not."""

CAPTIONS = (*(f"{name}_right" for name in SAID), "held_out_right", "own", "own_hard")
"""How well captions are followed: factor by factor, all of them also with pairs that were held out,
and R-precision."""

COSTS = ("bits", "parameters", "images", "seconds", "speed", "sampling", "evaluations", "memory")
ROWS = (*CAPTIONS, *COSTS)
"""What stands in the table below the measures."""

AREAS = (60.0, 480.0)
"""Areas of the slowest and the fastest run's circles, in square points."""


def trilemma(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """Quality against diversity; the area of a circle grows with the logarithm of the speed."""
    found = _alike(runs)
    speeds = [math.log(max(m.speed.pictures_per_second, 1e-9)) for _, m in found]
    low, high = min(speeds, default=0.0), max(speeds, default=0.0)
    areas = np.interp(speeds, (low, high), AREAS) if high > low else [AREAS[0]] * len(speeds)
    made = []
    for x, y in PLANES:
        series = [
            _point(maker, runs, n, m.values[x][0], m.values[y][0], area=float(area))
            for (n, m), area in zip(found, areas, strict=True)
            if x in m.values and y in m.values
        ]
        if series:
            title = maker.words.text(f"figures.trilemma.{x}")
            made.append(panel(maker, "trilemma", title, figures.points, series, x, y))
    return maker.figure("trilemma", made)


def cost(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """The Frechet distance against the time that an image takes."""
    series = []
    for n, found in _alike(runs):
        speed = found.speed.pictures_per_second
        if speed > 0 and "frechet" in found.values:
            value, interval = found.values["frechet"]
            series.append(_point(maker, runs, n, 1 / speed, value, interval=interval))
    if not series:
        return None
    axes = "seconds", called("frechet", runs)
    title = maker.words.plain(f"axes.{axes[1]}")
    made = panel(maker, "cost", title, figures.points, series, *axes, titled=False, log_x=True)
    return maker.figure("cost", [made])


def _point(
    maker: Maker, runs: Sequence[Facts], n: int, x: float, y: float, **how: Any
) -> figures.Point:
    """A run where it stands in a plane, by its number."""
    sign = maker.words.number(n + 1)
    return figures.Point(x, y, palette.colour(n), runs[n].label, sign, **how)


def table(maker: Maker, runs: Sequence[Facts], floor: Floor | None, **under: Any) -> Table:
    """Everything that was measured, a row each; the runs stand side by side, real images last.

    Where a page has such a table for each budget, `under` has its ``number`` and ``time``.
    """
    words = maker.words
    known = [_everything(run) for run in runs]
    told = [run.measured.followed for run in runs if run.measured and run.measured.followed]
    if len(told) == len(runs):
        known = [
            values | _followed(found, "whole") for values, found in zip(known, told, strict=True)
        ]
    all_rows = (*verdicts.ranked(runs), *ROWS)
    names = [name for name in all_rows if any(name in values for values in known)]
    columns = [_column(words, names, values) for values in known]
    for name in names:
        for n in _best(name, runs, known):
            columns[n][name] = Markup('<span class="best">{}</span>').format(columns[n][name])
    head = [words.text("tables.everything.measure")]
    for number, run in enumerate(runs, 1):
        head.append(words.text("tables.everything.run", number=number, run=run.label))
    if floor:
        head.append(words.text("tables.everything.floor"))
        values: dict[str, Any] = {**by_kind(floor.measures)}
        values |= _followed(told[0], "ceiling") if told else {}
        columns.append(_column(words, names, values))
    rows = words.under("tables.everything.rows")
    titles = {
        name: rows.get(named, words.own(named)) for name in names for named in [called(name, runs)]
    }
    otherwise = [run for run in runs if run not in alike(runs)]
    notes = [words.text("tables.everything.otherwise", run=run.label) for run in otherwise]
    how: dict[str, Any] = {"titles": titles, "numeric": 1, "wide": True, "notes": notes, **under}
    return maker.beside("everything_under" if under else "everything", head, columns, **how)


def _column(
    words: Words, names: Sequence[str], values: Mapping[str, Any]
) -> dict[str, Markup | str]:
    return {name: _cell(words, name, values[name]) for name in names if name in values}


def _followed(found: Followed, part: Literal["whole", "ceiling"]) -> dict[str, float]:
    """How well captions are followed, by the names of the rows; of real images as a ceiling."""
    shares, end = getattr(found, part), "_ceiling" if part == "ceiling" else ""
    values = {f"{name}_right": getattr(shares, name) for name in SAID}
    if part == "whole" and found.held_out:
        values["held_out_right"] = found.held_out.all
    values |= {"own": getattr(found, f"precision{end}")}
    values |= {"own_hard": getattr(found, f"precision_hard{end}")}
    return {name: value for name, value in values.items() if value is not None}


def _everything(run: Facts) -> dict[str, Any]:
    """What is known of a run; a measure comes with its interval."""
    summary, found = run.summary(), run.measured
    values = {name: summary[name] for name in ("parameters", "seconds", "speed")}
    values["images"] = _trained_on(run)
    values = {name: value for name, value in values.items() if value}
    if found:
        cost = found.terms
        rest = {"memory": cost["memory"], "bits": found.likelihood}
        values |= found.values | {n: value for n, value in rest.items() if value is not None}
        values |= {"sampling": cost["pictures_per_second"], "evaluations": cost["evaluations"]}
    return values


def _cell(words: Words, name: str, value: Any) -> Markup | str:
    """A value; what belongs to it stands below it in lesser weight."""
    if isinstance(value, tuple):
        value, interval = value
        if interval is None:
            return words.data(value)
        low, high = map(words.data, interval)
        aside = words.text("tables.everything.interval", low=low, high=high)
    elif name == "bits":
        aside = words.text("tables.everything.bits", **cells.kinds(words, value))
        value = value.bits
    else:
        return cells.cell(words, name, value)
    return Markup('{} <span class="aside">{}</span>').format(words.data(value), aside)


def _trained_on(run: Facts) -> int | None:
    """How many images a run was trained on: those that it holds out to judge by are not."""
    count, share = run.data.get("count"), section(run.recipe, "training").get("validation")
    if not isinstance(count, int) or not isinstance(share, int | float):
        return None
    return count - min(max(round(share * count), 1), count - 1) if share else count


def _best(name: str, runs: Sequence[Facts], known: Sequence[dict[str, Any]]) -> set[int]:
    """The columns that stand out in a row."""
    places = [n for n, _ in _alike(runs)]
    if name in verdicts.ranked(runs):
        return {places[n] for n in verdicts.best(name, alike(runs))}
    if name not in verdicts.FASTER:
        return set()
    there = [n for n in places if name in known[n]]
    return {max(there, key=lambda n: known[n][name])} if len(there) > 1 else set()


def called(name: str, runs: Sequence[Facts]) -> str:
    """What a metric is called by the features that the compared runs were measured by."""
    return next((m.called(name) for _, m in _alike(runs) if name in m.values), name)


def _alike(runs: Sequence[Facts]) -> list[tuple[int, Measured]]:
    """What was measured of those that can be compared, with their places among all runs."""
    return [(runs.index(run), run.measured) for run in alike(runs) if run.measured]
