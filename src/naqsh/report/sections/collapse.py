"""Mode collapse: where samples lie over time, and how many modes they find."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.core.student import of_mean
from naqsh.report import cells
from naqsh.report.document import Block, Paragraph, Table
from naqsh.report.draw import plane
from naqsh.report.draw.panels import panel
from naqsh.report.maker import Maker, present
from naqsh.report.words import Words
from naqsh.runs.records import Course, Density, Failures, Tried

PUBLISHED: dict[str, list[tuple[str, str, str, str]]] = {
    "ring": [
        ("veegan", "1", "99.3", ""),
        ("veegan-unrolled", "7.6", "35.6", ""),
        ("veegan-veegan", "8", "52.9", ""),
        ("pacgan", "6.3", "98.2", "0.45"),
        ("pacgan-2", "7.9", "95.6", "0.07"),
    ],
    "grid": [
        ("veegan", "3.3", "0.5", ""),
        ("veegan-unrolled", "23.6", "16", ""),
        ("veegan-veegan", "24.6", "40", ""),
        ("pacgan", "17.3", "94.8", ""),
        ("pacgan-4", "24.8", "93.6", ""),
    ],
}


def blocks(maker: Maker, found: Failures) -> list[Block]:
    """Where samples lie over time, and how many modes they find."""
    blocks: list[Block | None] = []
    for number, data in enumerate(found.trial.data, 1):
        done = [t for t in found.tried if t.data == data and not t.error]
        if not done:
            continue
        steps = [round(fraction * found.trial.steps) for fraction in found.trial.shown]
        panels = []
        for tried in done:
            series = [
                (step, Density.unpacked(text))
                for step, text in zip(steps, tried.densities, strict=True)
            ]
            title = called(maker.words, tried)

            def draw(series: Any, *, words: Words, name: str, of: Tried = tried) -> str:
                return plane.strip(series, of.means, of.extent, words=words, name=name)

            panels.append(panel(maker, "densities", title, draw, series, legend=()))
        seed = found.trial.seeds[0]
        blocks.append(maker.figure("densities", panels, number=number, data=data, seed=seed))
        blocks.append(_table(maker, data, done, number))
        blocks.append(_published(maker, data, number))
        blocks.append(_whole(maker, data, done))
    return present(blocks)


COLUMNS: dict[str, Callable[[Course], float | None]] = {
    "modes": lambda course: course.modes[-1],
    "held": lambda course: course.held[-1],
    "good": lambda course: 100 * course.good[-1],
    "reverse_kl": lambda course: course.reverse_kl[-1],
    "moved": lambda course: 100 * course.moved,
}


def _table(maker: Maker, data: str, done: Sequence[Tried], number: int) -> Table:
    words, count = maker.words, len(done[0].means)
    most = {"modes": count, "held": count, "reverse_kl": math.log(count)}
    rows = []
    for tried in done:
        known: dict[str, Any] = {"remedy": called(words, tried), "seconds": tried.seconds}
        for name, of in COLUMNS.items():
            values = [of(course) for course in tried.courses]
            known[name] = _over_seeds(words, values, most.get(name, 100))
        rows.append((f"{data} {tried.remedy}", known))
    return maker.listed("failures", rows, numeric="modes", number=number, data=data)


def called(words: Words, tried: Tried) -> Markup:
    return words.known(f"remedies.{tried.remedy}", tried.remedy)


def _over_seeds(words: Words, values: Sequence[float | None], most: float) -> Markup | None:
    """The mean and its interval within 0 and `most`; None where a seed has no value."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    if len(known) == 1:
        return cells.rounded(words, known[0])
    mean, (low, high) = of_mean(known)
    return cells.rounded(words, mean, (max(low, 0.0), min(high, most)))


def _published(maker: Maker, data: str, number: int) -> Table | None:
    words = maker.words
    rows = [
        (
            f"{data} {name}",
            {
                "of": words.text(f"published.{name}"),
                **{
                    key: words.data(float(value)) if value else None
                    for key, value in zip(("modes", "good", "reverse_kl"), values, strict=True)
                },
            },
        )
        for name, *values in PUBLISHED.get(data, [])
    ]
    return maker.listed("published", rows, numeric="modes", number=number, data=data)


def _whole(maker: Maker, data: str, done: Sequence[Tried]) -> Paragraph:
    """Which remedies found every mode in every training."""
    words, count = maker.words, len(done[0].means)
    whole = [t for t in done if all(course.modes[-1] == count for course in t.courses)]
    named = words.listed((called(words, tried) for tried in whole), "list_and")
    key = "failures.whole" if whole else "failures.none_whole"
    return maker.paragraph(key, data=data, count=count, remedies=named)
