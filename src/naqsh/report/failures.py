"""The page of `naqsh failures`: each failure by a number, and what is tried against it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from naqsh.core.errors import NaqshError
from naqsh.core.printable import legible
from naqsh.io.foreign import read_json
from naqsh.report.document import Block, Document, Listing, Section
from naqsh.report.maker import Maker, present
from naqsh.report.sections import collapse, restless
from naqsh.report.words import Words
from naqsh.runs.records import Failures
from naqsh.runs.records.failures import FILE

__all__ = ["FILE", "build", "read"]


def read(folder: Path) -> Failures:
    """The study in a folder; NaqshError where its file is damaged."""
    file = folder / FILE
    found = Failures.of(legible(read_json(file)), file)
    trial = found.trial
    due = len(trial.seeds), len(trial.shown), {len(trial.fractions)}
    for tried in found.tried:
        moments = {len(course.modes) for course in tried.courses}
        if not tried.error and (len(tried.courses), len(tried.densities), moments) != due:
            raise NaqshError(f"{file} is damaged: {tried.remedy} lacks trainings or moments")
    return found


def build(folder: Path, words: Words) -> Document:
    """The page's content; raises as :func:`read`."""
    found, maker = read(folder), Maker(words)
    makers: dict[str, Callable[[Maker, Failures], list[Block]]] = {
        "collapse": collapse.blocks,
        "circling": restless.circling,
        "vanishing": restless.vanishing,
        "remedies": _remedies,
    }
    sections = [
        Section(name, words.text(f"sections.{name}"), made)
        for name, make in makers.items()
        if (made := make(maker, found))
    ]
    trial = found.trial
    data = words.listed(trial.data, "list_and")
    lead = words.text(
        "failures.lead", data=data, seeds=len(trial.seeds), steps=trial.steps, n=trial.n
    )
    return Document(words, words.text("failures.title"), [lead], sections, _plain(found))


def _remedies(maker: Maker, found: Failures) -> list[Block]:
    """What each remedy changes, and what failed."""
    words = maker.words
    rows: list[tuple[str, dict[str, Any]]] = []
    for name in found.trial.remedies:
        called = words.known(f"remedies.{name}", name)
        ways = {t.data: t.changes for t in found.tried if t.remedy == name}
        same = len({tuple(sorted(way.items())) for way in ways.values()}) == 1
        for data, way in list(ways.items())[:1] if same else ways.items():
            label = called if same else words.text("failures.on", remedy=called, data=data)
            rows.append((f"{name} {data}", {"remedy": label, "changes": _options(way)}))
    failed = [
        words.text(
            "failures.failed", data=t.data, remedy=t.remedy, reason=words.foreign(t.error or "")
        )
        for t in found.tried
        if t.error
    ]
    steps = found.trial.steps
    table = maker.listed("changes", rows, numeric="changes", steps=steps) if rows else None
    return present([table, Listing("", failed) if failed else None])


def _options(changes: dict[str, str]) -> Markup | None:
    if not changes:
        return None
    said = " ".join(f"--{name} {value}" for name, value in changes.items())
    return Markup('<code dir="ltr">{}</code>').format(said)


def _plain(found: Failures) -> dict[str, Any]:
    """All numbers of the page."""
    return {
        "trial": vars(found.trial),
        "tried": [
            {
                "data": tried.data,
                "remedy": tried.remedy,
                "seconds": tried.seconds,
                "courses": [vars(course) for course in tried.courses],
                "error": tried.error,
            }
            for tried in found.tried
        ],
        "circles": [vars(circle) for circle in found.circles],
        "vanishing": [vars(kept) for kept in found.vanishing],
    }
