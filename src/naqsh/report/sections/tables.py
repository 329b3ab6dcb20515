"""The tables of the page: what is named in the first column, then one column a run."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.io.files import flat
from naqsh.report.document import Maker, Row, Table
from naqsh.report.read.facts import Facts
from naqsh.report.sections.losses import NAMED, family, groups
from naqsh.report.words import Words

CLASSES = 20
"""Most names of classes that are listed."""


def glance(maker: Maker, runs: Sequence[Facts]) -> Table:
    """Each run in a few numbers."""
    words = maker.words
    summaries = [run.summary() for run in runs]
    shown: dict[str, Callable[[Any], Markup | str]] = {
        "method": str,
        "data": str,
        "count": words.data,
        "shape": words.shape,
        "planned": words.data,
        "planned_steps": words.data,
        "epochs": words.data,
        "seen": words.data,
        "steps": words.data,
        "checkpoint": words.data,
        "seconds": lambda seconds: words.data(seconds, words.time(seconds)),
        "speed": words.data,
        "parameters": words.data,
        "memory": lambda size: words.data(size, words.bytes(size)),
    }
    rows = [
        Row(key, [words.text(f"tables.glance.rows.{key}"), *cells_of(words, show, summaries, key)])
        for key, show in shown.items()
        if key not in ("planned", "planned_steps") or any(s[key] is not None for s in summaries)
    ]
    return maker.table("glance", head_of(words, runs), rows)


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
        rows += [Row(n, [n, *[_measured(words, terms.get(n)) for terms in found]]) for n in named]
        if others:
            title = words.text("tables.results.others", family=family(group[0]), count=len(others))
            rows.append(Row("", [title, *[_range(words, terms, others) for terms in found]]))
    return maker.table("results", head_of(words, runs), rows, numeric=1)


def _large(
    group: Sequence[str], found: Sequence[dict[str, dict[str, float]]]
) -> tuple[Sequence[str], Sequence[str]]:
    """The members of a family that have a row each, the largest in any run, and the others."""
    if not family(group[0]) or len(group) <= NAMED + 1:
        return group, []
    ends = {n: max(terms[n]["mean"] for terms in found if n in terms) for n in group}
    ranked = sorted(group, key=lambda name: -ends[name])
    return ranked[:NAMED], ranked[NAMED:]


def _range(words: Words, terms: dict[str, dict[str, float]], names: Sequence[str]) -> Markup:
    """From the least to the largest mean of several terms."""
    means = [terms[name]["mean"] for name in names if name in terms]
    if not means:
        return words.text("absent")
    low, high = words.data(min(means)), words.data(max(means))
    return words.text("tables.results.range", low=low, high=high)


def _measured(words: Words, term: dict[str, float] | None) -> Markup:
    if term is None:
        return words.text("absent")
    mean, deviation = words.data(term["mean"]), words.data(term["deviation"])
    if term["records"] == 1:
        return mean
    return words.formula("tables.results.cell", mean=mean, deviation=deviation)


def spreads(maker: Maker, runs: Sequence[Facts]) -> Table | None:
    """The range of each phase's weights at the stages, and how many lie at its ends."""
    words = maker.words
    rows = []
    for run in runs:
        for stage in run.stages:
            for phase, spread in stage.weights.items():
                total = sum(spread.counts)
                if not total:
                    continue
                outer = (spread.counts[0] + spread.counts[-1]) / total
                numbers = [stage.epoch, spread.edges[0], spread.edges[-1], 100 * outer]
                cells = [phase, *[words.data(number) for number in numbers]]
                rows.append(Row("", [run.label, *cells] if len(runs) > 1 else cells))
    if not rows:
        return None
    columns = ["phase", "epoch", "least", "largest", "outer"]
    columns = ["run", *columns] if len(runs) > 1 else columns
    head = [words.text(f"tables.spreads.columns.{column}") for column in columns]
    return maker.table("spreads", head, rows, numeric=len(columns) - 4)


def data(maker: Maker, runs: Sequence[Facts]) -> Table:
    """What was trained on, and how it was brought to shape."""
    words = maker.words
    known = [run.data for run in runs]
    shown: dict[str, Callable[[Any], Markup | str]] = {
        "name": str,
        "fingerprint": str,
        "count": words.data,
        "shape": words.shape,
        "classes": lambda names: _classes(words, names),
    }
    rows = [
        Row(key, [words.text(f"tables.data.rows.{key}"), *cells_of(words, show, known, key)])
        for key, show in shown.items()
    ]
    return maker.table("data", head_of(words, runs), rows)


def _classes(words: Words, names: list[str]) -> Markup:
    listed = words.listed(map(str, names[:CLASSES]))
    count = words.data(len(names))
    if len(names) > CLASSES:
        return words.text("tables.data.many_classes", count=count, names=listed)
    return words.text("tables.data.classes", count=count, names=listed) if names else count


def networks(maker: Maker, runs: Sequence[Facts]) -> list[Table]:
    """Each phase's layers; a network that several runs share is shown once."""
    words = maker.words
    shared: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        for phase, layers in run.networks.items():
            shared.setdefault((phase, json.dumps(layers)), []).append(run.label)
    tables = []
    for number, ((phase, text), labels) in enumerate(shared.items(), start=1):
        layers = json.loads(text)
        rows = [
            Row(
                layer["name"],
                [
                    layer["name"],
                    layer["kind"],
                    words.plain("absent")
                    if layer["output"] is None
                    else words.shape(layer["output"]),
                    words.data(layer["parameters"]),
                ],
            )
            for layer in layers
        ]
        total = words.data(sum(layer["parameters"] for layer in layers))
        foot = Row("total", [words.text("tables.networks.total"), "", "", total])
        columns = ["layer", "kind", "output", "parameters"]
        head = [words.text(f"tables.networks.columns.{column}") for column in columns]
        name = "networks" if len(runs) == 1 else "networks_of"
        named = words.listed(labels)
        tables.append(
            maker.table(
                name,
                head,
                rows,
                number=number,
                numeric=2,
                foot=foot,
                phase=phase,
                runs=named,
            )
        )
    return tables


def hyperparameters(maker: Maker, runs: Sequence[Facts]) -> Table:
    """Every number of the recipes; rows in which runs differ stand out."""
    words = maker.words
    recipes = [flat(run.recipe) for run in runs]
    rows = []
    for name in dict.fromkeys(name for recipe in recipes for name in recipe):
        cells = [
            words.value(recipe[name]) if name in recipe else words.text("absent")
            for recipe in recipes
        ]
        rows.append(Row(name, [name, *cells], marked=len(set(cells)) > 1))
    name = "hyperparameters_of" if len(runs) > 1 else "hyperparameters"
    return maker.table(name, head_of(words, runs), rows)


def environment(maker: Maker, runs: Sequence[Facts]) -> Table:
    """Versions and hardware."""
    words = maker.words
    known = [
        {key: run.about[key] for key in ("naqsh", "format") if key in run.about} | run.environment
        for run in runs
    ]
    rows = []
    for name in dict.fromkeys(name for values in known for name in values):
        key = f"tables.environment.rows.{name}"
        title = words.text(key) if key in words else name
        cells = cells_of(words, words.value, known, name)
        rows.append(Row(name, [title, *cells], marked=len(set(cells)) > 1))
    name = "environment_of" if len(runs) > 1 else "environment"
    return maker.table(name, head_of(words, runs), rows)


def command(run: Facts) -> str:
    """What trains the run again, from its recipe saved as ``recipe.yaml``."""
    ranks = run.environment.get("ranks", 1)
    many = isinstance(ranks, int) and ranks > 1
    start = f"torchrun --nproc-per-node {ranks} -m naqsh" if many else "naqsh"
    device = run.environment.get("device")
    where = "" if device is None else f" --device {'cpu' if device == 'cpu' else 'cuda'}"
    return f"{start} train recipe.yaml --out DIR{where}"


def head_of(words: Words, runs: Sequence[Facts]) -> list[str]:
    """The head of a table with a column a run."""
    return ["", *[run.label for run in runs]] if len(runs) > 1 else ["", words.text("value")]


def cells_of(
    words: Words,
    show: Callable[[Any], Markup | str],
    known: Sequence[dict[str, Any]],
    key: str,
) -> list[Markup | str]:
    """A row's cells: a value of each of several things, as it is shown."""
    values = [plain.get(key) for plain in known]
    return [words.text("absent") if value is None else show(value) for value in values]
