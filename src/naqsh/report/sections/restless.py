"""Non-convergence and vanishing gradients: what does not come to rest, and what has no push."""

import statistics
from collections.abc import Sequence

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block
from naqsh.report.draw import figures, palette, plane
from naqsh.report.draw.panels import panel
from naqsh.report.maker import Maker, present
from naqsh.report.read.facts import Curve
from naqsh.report.sections.collapse import called
from naqsh.report.words import Words
from naqsh.runs.records import Failures

PLAIN = "plain"


def circling(maker: Maker, found: Failures) -> list[Block]:
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
                    "failures.moved", data=data, remedy=called(maker.words, least), **values
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


def vanishing(maker: Maker, found: Failures) -> list[Block]:
    """The generator's gradient while the discriminator becomes perfect."""
    if not found.vanishing:
        return []
    words, lines, rows = maker.words, [], []
    for number, kept in enumerate(found.vanishing):
        label = str(words.known(f"remedies.{kept.name}", kept.name))
        means = [_mean(norms) for norms in kept.norms]
        curve = Curve([max(step, 1) for step in kept.steps], means)
        spread = [(min(norms), max(norms)) for norms in kept.norms]
        colour, dash = palette.colour(number), palette.DASHES[number % len(palette.DASHES)]
        lines.append(figures.Line(curve, colour, dash, label, intervals=spread))
        known = {
            "objective": label,
            "first": cells.rounded(words, means[0]),
            "last": cells.rounded(words, means[-1]),
            "left": cells.rounded(words, means[-1] / means[0]),
        }
        rows.append((kept.name, known))
    title = words.text("figures.vanishing.title")
    axes = ("critic_steps", "gradient")
    made = panel(maker, "vanishing", title, figures.joined, lines, *axes, titled=False, log_x=True)
    figure = maker.figure("vanishing", [made])
    return present([figure, maker.listed("vanishing", rows, numeric="first")])


def _mean(norms: Sequence[float]) -> float:
    """The geometric mean; a gradient that is exactly 0 counts as one far below any other."""
    return statistics.geometric_mean([max(norm, 1e-30) for norm in norms])
