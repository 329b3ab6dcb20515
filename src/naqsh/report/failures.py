"""The page of `naqsh failures`: each failure by a number, and what is tried against it."""

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from naqsh.core.errors import NaqshError
from naqsh.core.printable import legible
from naqsh.io.foreign import read_json
from naqsh.report import cells
from naqsh.report.document import Block, Document, Listing, Paragraph, Section, Table
from naqsh.report.draw import figures, palette, plane
from naqsh.report.draw.panels import panel
from naqsh.report.maker import Maker, present
from naqsh.report.read.facts import Curve
from naqsh.report.read.verdicts import over_trainings
from naqsh.report.words import Words
from naqsh.runs.records import Course, Density, Failures, Tried
from naqsh.runs.records.failures import FILE

__all__ = ["FILE", "build", "read"]

PLAIN = "plain"

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


def read(folder: Path) -> Failures:
    """The study in a folder; NaqshError where its file is damaged."""
    file = folder / FILE
    found = Failures.of(legible(read_json(file)), file)
    for tried in found.tried:
        if not tried.error and (len(tried.courses), len(tried.densities)) != (
            len(found.trial.seeds),
            len(found.trial.shown),
        ):
            raise NaqshError(f"{file} is damaged: {tried.remedy} lacks trainings")
    return found


def build(folder: Path, words: Words) -> Document:
    """The page's content; raises as :func:`read`."""
    found, maker = read(folder), Maker(words)
    makers: dict[str, Callable[[Maker, Failures], list[Block]]] = {
        "collapse": _collapse,
        "circling": _circling,
        "vanishing": _vanishing,
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


def _collapse(maker: Maker, found: Failures) -> list[Block]:
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
            title = _called(maker.words, tried)

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
        known: dict[str, Any] = {"remedy": _called(words, tried), "seconds": tried.seconds}
        for name, of in COLUMNS.items():
            values = [of(course) for course in tried.courses]
            known[name] = _over_seeds(words, values, most.get(name, 100))
        rows.append((f"{data} {tried.remedy}", known))
    return maker.listed("failures", rows, numeric="modes", number=number, data=data)


def _called(words: Words, tried: Tried) -> Markup:
    return words.known(f"remedies.{tried.remedy}", tried.remedy)


def _over_seeds(words: Words, values: Sequence[float | None], most: float) -> Markup | None:
    """The mean and its interval within 0 and `most`; None where a seed has no value."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    if len(known) == 1:
        return cells.rounded(words, known[0])
    mean, (low, high) = over_trainings(known)
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
    named = words.listed((_called(words, tried) for tried in whole), "list_and")
    key = "failures.whole" if whole else "failures.none_whole"
    return maker.paragraph(key, data=data, count=count, remedies=named)


def _circling(maker: Maker, found: Failures) -> list[Block]:
    """The Dirac-GAN."""
    if not found.circles:
        return []
    words, panels, rows = maker.words, [], []
    for circle in found.circles:
        title = words.known(f"games.{circle.name}", circle.name)
        axes = ("theta", "psi")
        panels.append(panel(maker, "circles", title, plane.path, circle.path, *axes, legend=()))
        known = {
            "game": title,
            "growth": words.data(circle.growth, words.number(round(circle.growth, 6))),
            "eigenvalues": _complex(words, circle.eigenvalues),
            "published": _complex(words, circle.published),
        }
        rows.append((circle.name, known))
    figure = maker.figure("circles", panels, small=True)
    return [
        *present([figure, maker.listed("circles", rows, numeric="growth")]),
        *_moved(maker, found),
    ]


def _moved(maker: Maker, found: Failures) -> list[Block]:
    """How far the plain GAN's samples still move at the end, and whose move least."""
    said: list[Block] = []
    for data in found.trial.data:
        done = [t for t in found.tried if t.data == data and t.courses]
        moved = {
            tried.remedy: statistics.fmean(course.moved for course in tried.courses)
            for tried in done
        }
        if len(done) > 1 and PLAIN in moved:
            least = min(done, key=lambda tried: moved[tried.remedy])
            values = {
                "plain": maker.words.percent(moved[PLAIN]),
                "least": maker.words.percent(moved[least.remedy]),
            }
            said.append(
                maker.paragraph(
                    "failures.moved", data=data, remedy=_called(maker.words, least), **values
                )
            )
    return said


def _complex(words: Words, values: Sequence[tuple[float, float]]) -> Markup:
    """Complex numbers as they are written by hand."""
    said = []
    for real, imaginary in values:
        sign = "-" if imaginary < 0 else "+"
        said.append(words.local(f"{real + 0.0:.4g} {sign} {abs(imaginary):.4g}i"))
    return Markup('<span dir="ltr">{}</span>').format(", ".join(said))


def _vanishing(maker: Maker, found: Failures) -> list[Block]:
    """The generator's gradient while the discriminator becomes perfect."""
    if not found.vanishing:
        return []
    words, lines, rows = maker.words, [], []
    for number, kept in enumerate(found.vanishing):
        label = str(words.known(f"remedies.{kept.name}", kept.name))
        means = [statistics.geometric_mean([max(n, 1e-30) for n in norms]) for norms in kept.norms]
        curve = Curve([max(step, 1) for step in kept.steps], means)
        spread = [(min(norms), max(norms)) for norms in kept.norms]
        colour, dash = palette.colour(number), palette.DASHES[number % len(palette.DASHES)]
        lines.append(figures.Line(curve, colour, dash, label, intervals=spread))
        left = [after / before for before, after in zip(kept.norms[0], kept.norms[-1], strict=True)]
        known = {
            "objective": label,
            "first": cells.rounded(words, means[0]),
            "last": cells.rounded(words, means[-1]),
            "left": cells.rounded(words, statistics.geometric_mean([max(n, 1e-30) for n in left])),
        }
        rows.append((kept.name, known))
    title = words.text("figures.vanishing.title")
    axes = ("critic_steps", "gradient")
    made = panel(maker, "vanishing", title, figures.joined, lines, *axes, titled=False, log_x=True)
    figure = maker.figure("vanishing", [made])
    return present([figure, maker.listed("vanishing", rows, numeric="first")])


def _remedies(maker: Maker, found: Failures) -> list[Block]:
    """What each remedy changes, and what failed."""
    words = maker.words
    changes = {tried.remedy: tried.changes for tried in found.tried}
    rows = [
        (
            name,
            {
                "remedy": words.known(f"remedies.{name}", name),
                "changes": _options(changed) if changed else None,
            },
        )
        for name, changed in changes.items()
    ]
    failed = [
        words.text(
            "failures.failed", data=t.data, remedy=t.remedy, reason=words.foreign(t.error or "")
        )
        for t in found.tried
        if t.error
    ]
    table = maker.listed("changes", rows, numeric="changes") if rows else None
    return present([table, Listing("", failed) if failed else None])


def _options(changes: dict[str, str]) -> Markup:
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
