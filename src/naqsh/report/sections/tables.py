"""The tables of a run's page; where it shows several runs, they have a column or a row each."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.io.files import flat
from naqsh.report import cells
from naqsh.report.document import Block, Row, Table
from naqsh.report.maker import Maker, listings
from naqsh.report.read.evaluation import Following, Measured, by_kind
from naqsh.report.read.facts import Facts
from naqsh.report.sections.losses import NAMED, family, groups
from naqsh.report.words import Words

CLASSES = 20
"""Most names of classes that are listed."""

Terms = Mapping[str, Mapping[str, float]]
"""Of each term ``mean`` and ``deviation`` at the end, and of how many ``records``."""


def head(maker: Maker, runs: Sequence[Facts]) -> list[str]:
    return maker.head([run.label for run in runs])


def glance(maker: Maker, runs: Sequence[Facts]) -> Table:
    summaries = [run.summary() for run in runs]
    planned = ("planned", "planned_steps")
    return maker.beside("glance", head(maker, runs), summaries, optional=planned)


def measured(
    maker: Maker, runs: Sequence[Facts], evaluations: Sequence[tuple[Facts, Measured]]
) -> Table | None:
    """Each metric with its interval and all that it depends on, a column an evaluation."""
    words = maker.words
    names = list(dict.fromkeys(name for _, m in evaluations for name in m.values))
    if not names:
        return None
    called = {name: _called([m for _, m in evaluations], name) for name in names}
    metrics = {name: words.known(f"metrics.{called[name]}", called[name]) for name in names}
    titles = {called[name]: metric for name, metric in metrics.items()}
    for name, metric in metrics.items():
        titles[f"floor {name}"] = words.text("tables.measured.floor", metric=metric)
    titles |= words.under("tables.measured.rows")
    columns = []
    for _, m in evaluations:
        column = {called[name]: cells.measure(words, *found) for name, found in m.values.items()}
        for name, found in by_kind(m.floor.measures if m.floor else ()).items():
            column[f"floor {name}"] = cells.measure(words, *found)
        columns.append(column | m.terms)
    without = [run for run in runs if not run.evaluations]
    heads = head(maker, [*[run for run, _ in evaluations], *without])
    columns += [{} for _ in without]
    return maker.beside("measured", heads, columns, titles=titles, optional=titles)


def _called(found: Sequence[Measured], name: str) -> str:
    """What a metric is called where all its values are by features that call it so."""
    names = {m.called(name) for m in found if name in m.values}
    return names.pop() if len(names) == 1 else name


def followed(maker: Maker, found: Sequence[tuple[Facts, Following]]) -> Table | None:
    """How well samples follow captions, factor by factor, with ceiling and floors."""
    rows = []
    for run, following in found:
        for part in ("whole", "seen", "held_out", "ceiling", "shuffled", "chance"):
            shares = getattr(following.found, part)
            if shares:
                title = maker.words.text(f"tables.followed.parts.{part}")
                values = {f"{name}_right": value for name, value in vars(shares).items()}
                rows.append((title, {"run": run.label, "part": title, "n": shares.n, **values}))
    without = () if len(found) > 1 else ("run",)
    if not rows:
        return None
    return maker.listed("followed", rows, numeric="n", without=without)


def likelihood(maker: Maker, runs: Sequence[Facts]) -> Table | None:
    columns = [(run.label, vars(found)) for run in runs for found in run.likelihoods]
    if not columns:
        return None
    columns += [(run.label, {}) for run in runs if not run.likelihoods]
    heads = maker.head([label for label, _ in columns])
    return maker.beside("likelihood", heads, [known for _, known in columns])


def results(maker: Maker, runs: Sequence[Facts]) -> Table | None:
    """Each term over the last tenth of the run."""
    words = maker.words
    found = [run.results() for run in runs]
    names = list(dict.fromkeys(name for terms in found for name in terms))
    if not names:
        return None
    phases = [name.partition(".")[0] for name in names]
    names.sort(key=lambda name: phases.index(name.partition(".")[0]))
    rows = []
    for group in groups(names):
        named, others = _large(group, found)
        rows += [Row(n, [n, *[_end(words, terms.get(n)) for terms in found]]) for n in named]
        if others:
            title = words.text("tables.results.others", family=family(group[0]), count=len(others))
            rows.append(Row("", [title, *[_range(words, terms, others) for terms in found]]))
    return maker.table("results", head(maker, runs), rows, numeric=1)


def _large(group: Sequence[str], found: Sequence[Terms]) -> tuple[Sequence[str], Sequence[str]]:
    """The members of a family that have a row each, the largest in any run, and the others."""
    if not family(group[0]) or len(group) <= NAMED + 1:
        return group, []
    ends = {n: max(terms[n]["mean"] for terms in found if n in terms) for n in group}
    ranked = sorted(group, key=lambda name: -ends[name])
    return ranked[:NAMED], ranked[NAMED:]


def _range(words: Words, terms: Terms, names: Sequence[str]) -> Markup:
    """From the least to the largest mean of several terms."""
    means = [terms[name]["mean"] for name in names if name in terms]
    if not means:
        return words.text("absent")
    low, high = words.data(min(means)), words.data(max(means))
    return words.text("tables.results.range", low=low, high=high)


def _end(words: Words, term: Mapping[str, float] | None) -> Markup:
    if term is None:
        return words.text("absent")
    mean, deviation = words.data(term["mean"]), words.data(term["deviation"])
    if term["records"] == 1:
        return mean
    return words.formula("tables.results.cell", mean=mean, deviation=deviation)


def spreads(maker: Maker, runs: Sequence[Facts]) -> Table | None:
    """The range of each phase's weights at the stages, and how many lie at its ends."""
    rows = []
    for run in runs:
        for stage in run.stages:
            for phase, spread in stage.weights.items():
                if total := sum(spread.counts):
                    ends = {"least": spread.edges[0], "largest": spread.edges[-1]}
                    outer = (spread.counts[0] + spread.counts[-1]) / total
                    where = {"run": run.label, "phase": phase, "epoch": stage.epoch}
                    rows.append(("", where | ends | {"outer": 100 * outer}))
    without = () if len(runs) > 1 else ("run",)
    return maker.listed("spreads", rows, numeric="epoch", without=without) if rows else None


def data(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """What was trained on, and how it was brought to shape."""
    if not any(run.data for run in runs):
        return [maker.paragraph("absences.data")]
    words = maker.words
    known = [
        run.data | {"classes": _classes(words, run.data["classes"])} if run.data else {}
        for run in runs
    ]
    notes = [(run.label, [*map(words.foreign, run.data.get("notes", []))]) for run in runs]
    table = maker.beside("data", head(maker, runs), known)
    return [table, *listings(notes, several=len(runs) > 1)]


def _classes(words: Words, names: list[str]) -> Markup:
    count = words.data(len(names))
    which = "many_classes" if len(names) > CLASSES else "classes"
    listed = words.listed(map(str, names[:CLASSES]))
    return words.text(f"tables.data.{which}", count=count, names=listed) if names else count


def networks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Each phase's layers; a network that several runs share is shown once."""
    shared: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        for phase, layers in run.networks.items():
            shared.setdefault((phase, json.dumps(layers)), []).append(run.label)
    words, tables = maker.words, list[Block]()
    for number, ((phase, text), names) in enumerate(shared.items(), start=1):
        layers = json.loads(text)
        total = words.data(sum(layer["parameters"] for layer in layers))
        foot = Row("total", [words.text("tables.networks.total"), "", "", total])
        tables.append(
            maker.listed(
                "networks" if len(runs) == 1 else "networks_of",
                [(layer["name"], layer | {"layer": layer["name"]}) for layer in layers],
                titles=words.under("tables.networks.columns"),
                numeric="output",
                number=number,
                foot=foot,
                phase=phase,
                runs=words.listed(names),
            )
        )
    return tables or [maker.paragraph("absences.networks")]


def hyperparameters(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Every number of the recipes; rows in which runs differ stand out."""
    return [_settings(maker, runs, "hyperparameters", [flat(run.recipe) for run in runs])]


def environment(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    if not any(run.environment for run in runs):
        return [maker.paragraph("absences.environment")]
    known = [
        {key: run.about[key] for key in ("naqsh", "format") if key in run.about} | run.environment
        for run in runs
    ]
    return [_settings(maker, runs, "environment", known)]


def _settings(
    maker: Maker, runs: Sequence[Facts], name: str, known: Sequence[Mapping[str, Any]]
) -> Table:
    """Values by names that may have no text, as a user would write them."""
    words = maker.words
    shown = [{key: words.value(value) for key, value in column.items()} for column in known]
    keys = dict.fromkeys(key for column in known for key in column)
    titles = {key: words.known(f"tables.{name}.rows.{key}", key) for key in keys}
    several = f"{name}_of" if len(runs) > 1 else name
    return maker.beside(several, head(maker, runs), shown, titles=titles, marked=True)
