"""Quality for time: the distance of each family by minutes of training, and who leads when."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel
from naqsh.report.maker import Maker, present
from naqsh.report.read import verdicts
from naqsh.report.read.comparison import Budget, Comparison, alike, trained_for
from naqsh.report.read.evaluation import by_kind
from naqsh.report.read.facts import Curve, Facts
from naqsh.report.sections.comparison import called
from naqsh.report.words import Words

DISTANCES = ("frechet", "energy")
"""The measures that tell how good samples are: of images, and of points in the plane."""

Plotted = Sequence[tuple[float, Mapping[str, Facts]]]
"""Under each budget in minutes the runs that can be compared, by their families."""


def blocks(maker: Maker, found: Comparison) -> list[Block]:
    """The section; empty where there are not several budgets, or none was measured."""
    name, known = _plotted(found)
    if not known:
        return []
    return present([_figure(maker, found, name, known), _table(maker, name, known)])


def plain(found: Comparison) -> list[dict[str, Any]]:
    """The same as plain data, the best family of each budget first."""
    name, known = _plotted(found)
    made = []
    for minutes, runs in known:
        families = {family: _point(run, name) for family, run in _ordered(name, runs)}
        apart = _apart(name, runs)
        between = apart and dict(zip(("difference", "half"), apart, strict=True))
        made.append({"minutes": minutes, "metric": name, "families": families, "apart": between})
    return made


def _point(run: Facts, name: str) -> dict[str, Any]:
    value, interval = _far(run, name)
    return {"run": run.label, "seconds": trained_for(run), "value": value, "interval": interval}


def _plotted(found: Comparison) -> tuple[str, Plotted]:
    """The distance that all are told by, and what was measured alike."""
    same = alike(found.runs)
    names = {name for run in same if run.measured for name in run.measured.values}
    for name in DISTANCES:
        if name in names:
            known = [(budget.minutes, _known(budget, name, same)) for budget in found.budgets]
            return name, [(minutes, runs) for minutes, runs in known if runs]
    return "", []


def _known(budget: Budget, name: str, same: Sequence[Facts]) -> dict[str, Facts]:
    chosen = {id(run) for run in same}
    return {
        family: run
        for family, run in budget.families.items()
        if id(run) in chosen and run.measured and name in run.measured.values and trained_for(run)
    }


def _ordered(name: str, runs: Mapping[str, Facts]) -> list[tuple[str, Facts]]:
    """The families of a budget, the least distance first."""
    return sorted(runs.items(), key=lambda known: verdicts.value(known[1], name))


def _far(run: Facts, name: str) -> tuple[float, tuple[float, float] | None]:
    assert run.measured is not None
    return run.measured.values[name]


def _apart(name: str, runs: Mapping[str, Facts]) -> tuple[float, float] | None:
    """How much farther the runner-up is than the winner, and half of that interval, if known."""
    first, *others = [run for _, run in _ordered(name, runs)]
    return verdicts.difference(others[0], first, name) if others else None


def _figure(maker: Maker, found: Comparison, name: str, known: Plotted) -> Figure | None:
    """Distance by minutes of training, a line a family, and real images as a level."""
    words, series = maker.words, list[figures.Line]()
    for place, family in enumerate(dict.fromkeys(f for _, runs in known for f in runs)):
        runs = [runs[family] for _, runs in known if family in runs]
        far = [_far(run, name) for run in runs]
        curve = Curve([(trained_for(run) or 0) / 60 for run in runs], [value for value, _ in far])
        intervals = [interval for _, interval in far]
        look = palette.colour(place), palette.dash(place)
        series.append(figures.Line(curve, *look, family, intervals=intervals))
    legend, level, notes = [line.key for line in series], None, []
    if found.floor and (real := by_kind(found.floor.measures).get(name)):
        label = words.text("tables.everything.floor")
        level = figures.Line(Curve([], [real[0]]), palette.INK, "--", label)
        legend.append(level.key)
        notes.append(words.text("figures.budgets.floor"))
    axes = "minutes", called(name, found.runs)
    how: dict[str, Any] = {"legend": legend, "level": level, "log_x": True}
    title = words.text("sections.budgets")
    drawn = panel(maker, "budgets", title, figures.joined, series, *axes, titled=False, **how)
    distance = _distance(words, name, found.runs)
    return maker.figure("budgets", [drawn], notes=notes, distance=distance)


def _table(maker: Maker, name: str, known: Plotted) -> Table:
    """A row a budget: who is best, who comes next, and whether that may be chance."""
    words, rows = maker.words, list[tuple[str, dict[str, Any]]]()
    for minutes, runs in known:
        ordered = _ordered(name, runs)
        times = [trained_for(run) or 0 for run in runs.values()]
        row = {
            "budget": words.data(minutes, words.time(60 * minutes)),
            "took": _between(words, min(times), max(times)),
            "winner": _named(words, name, ordered[0]),
            "second": _named(words, name, ordered[1]) if len(ordered) > 1 else None,
            **_verdict(words, _apart(name, runs)),
        }
        rows.append((f"{minutes:g}", row))
    all_of_them = [run for _, runs in known for run in runs.values()]
    how: dict[str, Any] = {"distance": _distance(words, name, all_of_them)}
    return maker.listed("budgets", rows, numeric="difference", **how)


def _distance(words: Words, name: str, runs: Sequence[Facts]) -> Markup:
    """What the distance is called by the features of these runs."""
    return words.known(f"axes.{called(name, runs)}", name)


def _between(words: Words, low: float, high: float) -> Markup:
    """Two times, or one where they read alike."""
    ends = {"low": words.time(low), "high": words.time(high)}
    if ends["low"] == ends["high"]:
        return ends["low"]
    return words.text("tables.everything.interval", **ends)


def _named(words: Words, name: str, known: tuple[str, Facts]) -> Markup:
    """A family with its distance below it."""
    family, run = known
    far = cells.rounded(words, *_far(run, name))
    return Markup('{} <span class="aside">{}</span>').format(words.own(family), far)


def _verdict(words: Words, apart: tuple[float, float] | None) -> dict[str, Markup | None]:
    if apart is None:
        return {"difference": None, "told": words.text("tables.budgets.unknown")}
    difference, half = apart
    told = "beyond" if abs(difference) > half else "chance"
    mean, error = cells.rounded(words, difference), words.rounded(half)
    return {
        "difference": words.formula("tables.bound.cell", mean=mean, error=error),
        "told": words.text(f"tables.budgets.{told}"),
    }
