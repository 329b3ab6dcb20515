"""The tables of what a run was measured to be: metrics with their intervals, and likelihoods."""

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report.document import Maker, Row, Table
from naqsh.report.read.evaluation import Likelihood, Measured
from naqsh.report.read.facts import Facts
from naqsh.report.sections.tables import cells_of, head_of
from naqsh.report.words import Words


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
    rows += _floors(words, found, names)
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
        Row(key, [words.text(f"tables.measured.rows.{key}"), *cells_of(words, show, known, key)])
        for key, show in shown.items()
        if any(values.get(key) is not None for values in known)
    ]
    return maker.table("measured", head_of(words, [run for run, _ in columns]), rows)


def _floors(words: Words, found: Sequence[Measured | None], names: Sequence[str]) -> list[Row]:
    """What real images come to, a row each of the measures of which that is known."""
    floors = [m.floor.values if m and m.floor else {} for m in found]
    rows = []
    for name in names:
        if any(name in floor for floor in floors):
            metric = words.known(f"metrics.{_called(found, name)}", name)
            cells = [_cell(words, floor.get(name)) for floor in floors]
            title = words.text("tables.measured.floor", metric=metric)
            rows.append(Row(f"floor {name}", [title, *cells]))
    return rows


def _called(found: Sequence[Measured | None], name: str) -> str:
    """What a metric is called where all its values are by features that call it so."""
    names = {m.called(name) for m in found if m and name in m.values}
    return names.pop() if len(names) == 1 else name


def _value(words: Words, found: Measured | None, name: str) -> Markup:
    return _cell(words, found.values.get(name) if found else None)


def _cell(words: Words, measure: tuple[float, tuple[float, float] | None] | None) -> Markup:
    if measure is None:
        return words.text("absent")
    value, interval = measure
    if interval is None:
        return words.data(value)
    low, high = (words.data(bound) for bound in interval)
    return words.text("tables.measured.cell", value=words.data(value), low=low, high=high)


def likelihood(maker: Maker, runs: Sequence[Facts]) -> Table | None:
    """How likely real images are, with the kind of number that says so."""
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
        Row(key, [words.text(f"tables.likelihood.rows.{key}"), *cells_of(words, show, known, key)])
        for key, show in shown.items()
    ]
    return maker.table("likelihood", head_of(words, [run for run, _ in columns]), rows)
