"""The figures and the table of a comparison, and the ranks that its words are made of."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report import palette, scatter
from naqsh.report.document import Figure, Key, Maker, Panel, Row, Table
from naqsh.report.facts import Facts
from naqsh.report.panels import labelled
from naqsh.report.words import Words

PLANES = (("recall", "precision"), ("coverage", "density"))
"""Pairs of measures: how much of the data is covered, and how good the pictures are."""

LOWER = {"frechet", "kernel", "seconds"}
"""Measures of which less is better."""

HIGHER = {"precision", "recall", "density", "coverage", "speed", "sampling"}
"""Measures of which more is better; of others nothing is best."""

AREAS = (60.0, 480.0)
"""Areas of the slowest and the fastest run's circles, in square points."""


def trilemma(maker: Maker, runs: Sequence[Facts], same: Sequence[bool]) -> Figure | None:
    """Quality against diversity; the area of a circle grows with the logarithm of the speed."""
    speeds = {
        n: math.log(max(run.measured.pictures_per_second, 1e-9))
        for n, run in enumerate(runs)
        if same[n] and run.measured
    }
    if not speeds:
        return None
    low, span = min(speeds.values()), (max(speeds.values()) - min(speeds.values())) or 1.0
    areas = {n: AREAS[0] + (AREAS[1] - AREAS[0]) * (s - low) / span for n, s in speeds.items()}
    made = []
    for number, (x, y) in enumerate(PLANES):
        series, legend = [], []
        for n, area in areas.items():
            values = runs[n].measured.values  # type: ignore[union-attr]
            if x in values and y in values:
                sign, colour = maker.words.number(n + 1), palette.colour(n)
                series.append(scatter.Point(values[x][0], values[y][0], sign, colour, area))
                legend.append(_key(runs[n], sign, colour))
        if series:
            drawn = scatter.points(series, x, y, words=maker.words, name=f"trilemma-{number}")
            title = maker.words.text(f"figures.trilemma.{x}")
            made.append(Panel(title, labelled(drawn, title), legend))
    return maker.figure("trilemma", made) if made else None


def cost(maker: Maker, runs: Sequence[Facts], same: Sequence[bool]) -> Figure | None:
    """The Frechet distance against the time that a picture takes."""
    series, legend = [], []
    for n, run in enumerate(runs):
        found = run.measured
        if not (same[n] and found and "frechet" in found.values and found.pictures_per_second > 0):
            continue
        sign, colour = maker.words.number(n + 1), palette.colour(n)
        value, interval = found.values["frechet"]
        seconds = 1 / found.pictures_per_second
        series.append(scatter.Point(seconds, value, sign, colour, interval=interval))
        legend.append(_key(run, sign, colour))
    if not series:
        return None
    axis = called("frechet", runs, same)
    drawn = scatter.points(series, "seconds", axis, words=maker.words, name="cost", log_x=True)
    panel = Panel("", labelled(drawn, maker.words.plain(f"axes.{axis}")), legend)
    return maker.figure("cost", [panel])


def _key(run: Facts, sign: str, colour: str) -> Key:
    return Key(run.label, palette.css(colour), sign=sign)


def table(maker: Maker, runs: Sequence[Facts], same: Sequence[bool]) -> Table:
    """Everything that was measured, a row each; the runs stand side by side."""
    words = maker.words
    known = [_everything(run) for run in runs]
    shown: dict[str, Callable[[Any], Markup | str]] = {
        **dict.fromkeys(("frechet", "kernel"), lambda measure: _interval(words, measure)),
        **dict.fromkeys(
            ("precision", "recall", "density", "coverage"), lambda measure: words.data(measure[0])
        ),
        "bits": lambda likely: _bits(words, likely),
        "parameters": words.data,
        "seconds": lambda seconds: words.data(seconds, words.time(seconds)),
        "speed": words.data,
        "sampling": words.data,
        "evaluations": words.data,
        "memory": lambda size: words.data(size, words.bytes(size)),
    }
    rows = []
    for name in shown:
        best = _best(name, known, same)
        cells: list[Markup | str] = [
            words.text(f"tables.everything.rows.{called(name, runs, same)}")
        ]
        for n, values in enumerate(known):
            cell = shown[name](values[name]) if name in values else words.text("absent")
            wrapped = Markup('<span class="best">{}</span>').format(cell)
            cells.append(wrapped if n in best else cell)
        if any(name in values for values in known):
            rows.append(Row(name, cells))
    head = [words.text("tables.everything.measure")] + [
        words.text("tables.everything.run", number=words.number(n), run=run.label)
        for n, run in enumerate(runs, 1)
    ]
    otherwise = [run.label for run, alike in zip(runs, same, strict=True) if not alike]
    notes = [words.text("tables.everything.otherwise", run=label) for label in otherwise]
    return maker.table("everything", head, rows, numeric=1, wide=True, notes=notes)


def _everything(run: Facts) -> dict[str, Any]:
    """What is known of a run; a measure comes with its interval."""
    summary, found = run.summary(), run.measured
    values: dict[str, Any] = {
        name: summary[name] for name in ("parameters", "seconds", "speed") if summary[name]
    }
    if found:
        values |= found.values
        values |= {"sampling": found.pictures_per_second, "evaluations": found.evaluations}
        values |= {} if found.memory is None else {"memory": found.memory}
        values |= {} if found.likelihood is None else {"bits": found.likelihood}
    return values


def _interval(words: Words, measure: tuple[float, tuple[float, float] | None]) -> Markup:
    value, interval = measure
    if interval is None:
        return words.data(value)
    low, high = (words.data(bound) for bound in interval)
    bounds = words.text("tables.everything.interval", low=low, high=high)
    return _over(words.data(value), bounds)


def _bits(words: Words, likely: Any) -> Markup:
    kind = words.known(f"kinds.{likely.kind}", likely.kind)
    of = words.known(f"likelihood_of.{likely.of}", likely.of)
    return _over(words.data(likely.bits), words.text("tables.everything.bits", kind=kind, of=of))


def _over(first: Markup, second: Markup) -> Markup:
    """Two lines of a cell, the second of lesser weight."""
    return Markup('{} <span class="aside">{}</span>').format(first, second)


def _best(name: str, known: Sequence[dict[str, Any]], same: Sequence[bool]) -> set[int]:
    """The best by a measure, and those whose intervals do not tell them apart from it."""
    if name not in LOWER | HIGHER:
        return set()
    ranges: dict[int, tuple[float, float]] = {}
    for n, values in enumerate(known):
        if same[n] and name in values:
            value = values[name]
            plain = value[0] if isinstance(value, tuple) else value
            interval = value[1] if isinstance(value, tuple) and value[1] else (plain, plain)
            ranges[n] = interval if name in LOWER else (-interval[1], -interval[0])
    if len(ranges) < 2:
        return set()
    first = min(ranges.values(), key=lambda bounds: bounds[0] + bounds[1])
    return {n for n, (low, _) in ranges.items() if low <= first[1]}


def rank(run: Facts, ranked: Sequence[Facts], name: str) -> int | None:
    """The place of a run by a measure, 1 being the best; None where it has none."""
    sign = 1 if name in LOWER else -1
    values = [sign * r.measured.values[name][0] for r in ranked if _has(r, name) and r.measured]
    if not _has(run, name) or not run.measured:
        return None
    return 1 + sum(value < sign * run.measured.values[name][0] for value in values)


def not_told_apart(run: Facts, ranked: Sequence[Facts], name: str = "frechet") -> list[Facts]:
    """The runs whose interval of a measure overlaps this one's."""
    own = run.measured and run.measured.values.get(name, (0.0, None))[1]
    found = []
    for other in ranked:
        bounds = other.measured and other.measured.values.get(name, (0.0, None))[1]
        if other is not run and own and bounds and own[0] <= bounds[1] and bounds[0] <= own[1]:
            found.append(other)
    return found


def called(name: str, runs: Sequence[Facts], same: Sequence[bool]) -> str:
    """What a metric is called by the features that the compared runs were measured by."""
    found = [run.measured for run, alike in zip(runs, same, strict=True) if alike and run.measured]
    return found[0].called(name) if found else name


def _has(run: Facts, name: str) -> bool:
    return run.measured is not None and name in run.measured.values
