"""The tables of the page: what is named in the first column, then one column a run."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup, escape

from naqsh.report.document import Maker, Row, Table
from naqsh.report.facts import Facts
from naqsh.report.losses import NAMED, family, groups
from naqsh.report.measured import Likelihood, Measured
from naqsh.report.words import Words
from naqsh.runfolder import flat

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
        Row(key, [words.text(f"tables.glance.rows.{key}"), *_cells(words, show, summaries, key)])
        for key, show in shown.items()
        if key not in ("planned", "planned_steps") or any(s[key] is not None for s in summaries)
    ]
    return maker.table("glance", _head(words, runs), rows)


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
    return maker.table("results", _head(words, runs), rows, numeric=1)


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


def measured(
    maker: Maker, runs: Sequence[Facts], evaluations: Sequence[tuple[Facts, Measured]]
) -> Table | None:
    """Each metric with its interval and all that it depends on, a column an evaluation."""
    words = maker.words
    columns: list[tuple[Facts, Measured | None]] = [*evaluations]
    columns += [(run, None) for run in runs if not run.evaluations]
    found = [m for _, m in columns]
    names = list(dict.fromkeys(name for m in found if m for name in m.values))
    if not names:
        return None
    rows = [
        Row(
            called,
            [words.known(f"metrics.{called}", called), *[_value(words, m, name) for m in found]],
        )
        for name in names
        for called in [_called(found, name)]
    ]
    shown: dict[str, Callable[[Any], Markup | str]] = {
        "generated": words.data,
        "real": words.data,
        "reference": str,
        "features": str,
        "sampling": str,
        "weights": str,
        "step": words.data,
        "seed": words.data,
        "pictures_per_second": words.data,
        "evaluations": words.data,
        "memory": lambda size: words.data(size, words.bytes(size)),
    }
    known = [vars(m) if m else {} for m in found]
    rows += [
        Row(key, [words.text(f"tables.measured.rows.{key}"), *_cells(words, show, known, key)])
        for key, show in shown.items()
        if any(values.get(key) is not None for values in known)
    ]
    return maker.table("measured", _head(words, [run for run, _ in columns]), rows)


def _called(found: Sequence[Measured | None], name: str) -> str:
    """What a metric is called where all its values are by features that call it so."""
    names = {m.called(name) for m in found if m and name in m.values}
    return names.pop() if len(names) == 1 else name


def _value(words: Words, found: Measured | None, name: str) -> Markup:
    if found is None or name not in found.values:
        return words.text("absent")
    value, interval = found.values[name]
    if interval is None:
        return words.data(value)
    low, high = (words.data(bound) for bound in interval)
    return words.text("tables.measured.cell", value=words.data(value), low=low, high=high)


def likelihood(maker: Maker, runs: Sequence[Facts]) -> Table | None:
    """How likely real pictures are, with the kind of number that says so."""
    words = maker.words
    columns: list[tuple[Facts, Likelihood | None]] = [
        (run, found) for run in runs for found in run.likelihoods
    ]
    if not columns:
        return None
    columns += [(run, None) for run in runs if not run.likelihoods]
    shown: dict[str, Callable[[Any], Markup | str]] = {
        "bits": words.data,
        "bits_error": words.data,
        "nats": words.data,
        "nats_error": words.data,
        "kind": lambda kind: words.known(f"kinds.{kind}", kind),
        "of": lambda of: words.known(f"likelihood_of.{of}", of),
        "n": words.data,
        "reference": str,
        "step": words.data,
    }
    known = [vars(found) if found else {} for _, found in columns]
    rows = [
        Row(key, [words.text(f"tables.likelihood.rows.{key}"), *_cells(words, show, known, key)])
        for key, show in shown.items()
    ]
    return maker.table("likelihood", _head(words, [run for run, _ in columns]), rows)


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
        Row(key, [words.text(f"tables.data.rows.{key}"), *_cells(words, show, known, key)])
        for key, show in shown.items()
    ]
    return maker.table("data", _head(words, runs), rows)


def _classes(words: Words, names: list[str]) -> Markup:
    listed = words.text("list_comma").join(escape(words.own(str(n))) for n in names[:CLASSES])
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
        named = words.text("list_comma").join(escape(words.own(label)) for label in labels)
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
    return maker.table(name, _head(words, runs), rows)


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
        cells = _cells(words, words.value, known, name)
        rows.append(Row(name, [title, *cells], marked=len(set(cells)) > 1))
    name = "environment_of" if len(runs) > 1 else "environment"
    return maker.table(name, _head(words, runs), rows)


def command(run: Facts) -> str:
    """What trains the run again, from its recipe saved as ``recipe.yaml``."""
    ranks = run.environment.get("ranks", 1)
    many = isinstance(ranks, int) and ranks > 1
    start = f"torchrun --nproc-per-node {ranks} -m naqsh" if many else "naqsh"
    device = run.environment.get("device")
    where = "" if device is None else f" --device {'cpu' if device == 'cpu' else 'cuda'}"
    return f"{start} train recipe.yaml --out DIR{where}"


def _head(words: Words, runs: Sequence[Facts]) -> list[str]:
    return ["", *[run.label for run in runs]] if len(runs) > 1 else ["", words.text("value")]


def _cells(
    words: Words,
    show: Callable[[Any], Markup | str],
    known: Sequence[dict[str, Any]],
    key: str,
) -> list[Markup | str]:
    values = [plain.get(key) for plain in known]
    return [words.text("absent") if value is None else show(value) for value in values]
