"""What the figures share: lines of one run or of several on one panel, titles and notes."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

from markupsafe import Markup

from naqsh.report.document import Key, Panel
from naqsh.report.draw import figures, images, palette
from naqsh.report.draw.curves import window
from naqsh.report.maker import Maker
from naqsh.report.read.facts import Curve, Facts
from naqsh.runs.records import Stage

TARGETS = {"set_point"}
"""Terms that say where another one should be; dashed, where several runs share its axes."""

HELD_OUT = "validation"
"""The phase whose terms are taken on held-out images; dashed beside those of training."""

FAR = 20.0
"""How many times its end a curve begins at, for its axis to be logarithmic."""

Found = Sequence[tuple[Facts, Mapping[str, Curve]]]
"""Some of each run's curves."""


def panel(
    maker: Maker,
    name: str,
    title: str,
    draw: Callable[..., str],
    series: Sequence[Any],
    *axes: str,
    legend: Sequence[Key] | None = None,
    titled: bool = True,
    **how: Any,
) -> Panel:
    """What a function of :mod:`figures` makes of some series, with a legend.

    Args:
        maker: gives the language and the ids.
        name: that the ids begin with.
        title: stands above the panel if `titled`, and is heard by those who hear the page.
        draw: the function.
        series: what it is to draw.
        axes: what the axes are called.
        legend: the entries of all series if None.
    """
    drawn = draw(series, *axes, words=maker.words, name=maker.unique(name), **how)
    content = Markup('<svg role="img" aria-label="{}"{}').format(
        spoken(title), Markup(drawn.removeprefix("<svg"))
    )
    legend = [one.key for one in series] if legend is None else legend
    return Panel(title if titled else "", content, legend)


def of_runs(maker: Maker, found: Found, terms: Sequence[str]) -> list[tuple[str, Curve]]:
    """Each run's curves of these terms, the first that it has by the run's label alone."""
    lines = []
    for run, curves in found:
        for number, term in enumerate(term for term in terms if term in curves):
            what = term if term.startswith(f"{HELD_OUT}.") else end(term)
            named = str(maker.words.text("figures.of_run", run=run.label, what=what))
            lines.append((named if number else run.label, curves[term]))
    return lines


def plot(
    maker: Maker,
    name: str,
    title: str,
    lines: Sequence[tuple[str, Curve]],
    order: Sequence[str] = (),
    *,
    whole: bool = False,
) -> Panel:
    """One panel of curves over training.

    Args:
        order: the runs' labels, where there are several: it fixes the colours; otherwise terms are
            coloured as they come, a single one needs no legend, and several are named by theirs.
        whole: whether title and legend stand there nonetheless.
    """
    series: list[figures.Line] = []
    for number, (label, curve) in enumerate(lines):
        # A label that is no run's stands behind its run's and takes its colour.
        aim = bool(order) and label not in order
        place = order.index(label) if label in order else number
        colour = series[-1].colour if aim else palette.colour(place)
        dash = palette.TARGET if aim else palette.dash(place)
        series.append(figures.Line(curve, colour, dash, label))
    whole, single = whole or bool(order), len(lines) == 1
    return panel(
        maker,
        name,
        title,
        figures.lines,
        series,
        "epochs",
        legend=None if whole or not single else (),
        titled=whole or single,
        log=falls_far([curve for _, curve in lines]),
    )


def falls_far(curves: Sequence[Curve]) -> bool:
    """Whether positive curves end so far below their start that a linear axis would hide it."""
    values = [value for curve in curves for value in curve.values]
    if not values or min(values) <= 0:
        return False
    return max(values) > FAR * max(curve.values[-1] for curve in curves if curve.values)


def spoken(title: str) -> str:
    """A title without tags, for an attribute."""
    return title.striptags() if isinstance(title, Markup) else title


def picture(
    maker: Maker,
    title: str,
    path: Path | None,
    budget: int,
    *,
    titled: bool = True,
    wanted: bool = True,
    alt: str = "grids",
    wide: bool = False,
) -> Panel:
    """A grid of images in at most `budget` bytes; where a wanted one is missing, it says so.

    Whoever does not see it is told what it is by the text of the figure `alt`. A `wide` one may be
    as wide as the page.
    """
    seen = title if titled else ""
    image = images.inline(path, budget) if path else None
    if image is None:
        missing = maker.words.text("figures.grids.missing") if wanted else ""
        return Panel(seen, Markup('<p class="missing">{}</p>').format(missing))
    told = maker.words.text(f"figures.{alt}.alt", title=Markup.escape(spoken(title)))
    size = Markup(' class="wide"') if wide else ""
    shown = Markup('<img{} src="{}" width="{}" height="{}" alt="{}">').format(
        size, image.uri, image.width, image.height, told
    )
    return Panel(seen, shown, reduced=image.reduced)


def reduced(maker: Maker, panels: Sequence[Panel]) -> list[Markup]:
    """That images of a figure were compressed with loss, where they were."""
    return [maker.words.text("figures.grids.reduced")] if any(p.reduced for p in panels) else []


def stage_title(maker: Maker, stage: Stage | None) -> Markup:
    words = maker.words
    if stage is None:
        return words.text("figures.grids.not_reached")
    return words.text("figures.stage", epoch=stage.epoch, step=stage.step)


def panel_title(maker: Maker, among: Sized, label: str, what: str) -> str:
    """What a panel shows, and of which run or study where there are several."""
    return what if len(among) == 1 else maker.words.text("figures.of_run", run=label, what=what)


def columns(runs: Sequence[Facts]) -> int:
    """One column a run where there are several; else the page chooses."""
    return len(runs) if len(runs) > 1 else 0


def end(name: str) -> str:
    """A term's name without its phase."""
    return name.rpartition(".")[2]


def of_phase(curves: Mapping[str, Curve], phase: str) -> dict[str, Curve]:
    """The curves whose names begin with a phase."""
    return {name: curve for name, curve in curves.items() if name.partition(".")[0] == phase}


def union(named: Iterable[Mapping[str, Any]]) -> list[str]:
    """All names, in the order of their first appearance."""
    return list(dict.fromkeys(name for names in named for name in names))


def smooth(maker: Maker, found: Found) -> list[Markup]:
    """How the lines of a figure were smoothed, where they were."""
    widths = {window(len(curve.values)) for _, curves in found for curve in curves.values()}
    if widths == {1}:
        return [maker.words.text("figures.raw")]
    return [maker.words.text("figures.smooth_or_raw" if 1 in widths else "figures.smooth")]


def epochs(maker: Maker, runs: Sequence[Facts]) -> list[Markup]:
    """How many images an epoch is, for each data set."""
    words, counts = maker.words, {}
    for run in runs:
        last = run.records[-1] if run.records else None
        if last and last.epoch > 0:
            counts[str(run.data.get("name", run.label))] = round(last.seen / last.epoch)
    return [
        words.text("figures.epoch", data=data, count=words.data(count))
        for data, count in counts.items()
    ]
