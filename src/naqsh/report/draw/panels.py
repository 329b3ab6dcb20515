"""What the figures share: lines of one run or of several on one panel, titles and notes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report.document import Key, Maker, Panel
from naqsh.report.draw import figures, images, palette
from naqsh.report.draw.curves import window
from naqsh.report.read.facts import Curve, Facts, Stage

TARGETS = {"set_point"}
"""Terms that say where another one should be; dashed, where several runs share its axes."""

HELD_OUT = "validation"
"""The phase whose terms are taken on held-out images; dashed beside those of training."""

FAR = 20.0
"""How many times its end a curve begins at, for its axis to be logarithmic."""

Curves = Sequence[tuple[str, Curve]]
Found = Sequence[tuple[Facts, Mapping[str, Curve]]]
"""Some of each run's curves."""


def of_runs(maker: Maker, found: Found, terms: Sequence[str]) -> list[tuple[str, Curve]]:
    """Each run's curves of these terms, the first that it has by the run's label alone."""
    lines = []
    for run, curves in found:
        for number, term in enumerate(term for term in terms if term in curves):
            what = term if term.startswith(f"{HELD_OUT}.") else end(term)
            named = str(maker.words.text("figures.of_run", run=run.label, what=what))
            lines.append((named if number else run.label, curves[term]))
    return lines


def plot(maker: Maker, name: str, title: str, lines: Curves, order: Sequence[str]) -> Panel:
    """One panel; `order` fixes the colours of runs, terms are coloured as they come."""
    numbers, dashes = list(range(len(lines))), [palette.dash(n) for n in range(len(lines))]
    if order:
        # A label that is no run's stands behind its run's and takes its colour.
        own = [label in order for label, _ in lines]
        labels = [lines[n if own[n] else n - 1][0] for n in range(len(lines))]
        numbers = [order.index(label) for label in labels]
        dashes = [
            palette.dash(n) if mine else palette.TARGET
            for n, mine in zip(numbers, own, strict=True)
        ]
    series = [
        figures.Line(curve, palette.colour(number), dash[0])
        for number, dash, (_, curve) in zip(numbers, dashes, lines, strict=True)
    ]
    log = falls_far([curve for _, curve in lines])
    drawn = figures.lines(series, "epochs", words=maker.words, name=name, log=log)
    legend = [
        Key(label, palette.css(palette.colour(number)), dash[1])
        for number, dash, (label, _) in zip(numbers, dashes, lines, strict=True)
    ]
    if order:
        return Panel(title, labelled(drawn, title), legend)
    # One run: a single term needs no legend, and several are named by theirs.
    single = len(lines) == 1
    return Panel(title if single else "", labelled(drawn, title), () if single else legend)


def falls_far(curves: Sequence[Curve]) -> bool:
    """Whether positive curves end so far below their start that a linear axis would hide it."""
    values = [value for curve in curves for value in curve.values]
    if not values or min(values) <= 0:
        return False
    return max(values) > FAR * max(curve.values[-1] for curve in curves if curve.values)


def titled(panel: Panel, title: str, lines: Curves) -> Panel:
    """A panel of one run's terms under the run's name, with a legend though it has one line."""
    legend = panel.legend or [Key(lines[0][0], palette.css(palette.colour(0)))]
    return Panel(title, panel.content, legend)


def labelled(drawn: str, title: str) -> Markup:
    """The SVG with a name for those who hear the page."""
    head, rest = drawn.split("<svg", 1)
    text = spoken(title)
    return Markup('{}<svg role="img" aria-label="{}"{}').format(Markup(head), text, Markup(rest))


def spoken(title: str) -> str:
    """A title without tags, for an attribute."""
    return title.striptags() if isinstance(title, Markup) else title


def picture(maker: Maker, title: str, image: images.Inline | None, wanted: bool = True) -> Markup:
    """A grid of images; where it is wanted and there is none, a line that says so."""
    if image is None:
        missing = maker.words.text("figures.grids.missing") if wanted else ""
        return Markup('<p class="missing">{}</p>').format(missing)
    alt = maker.words.text("figures.grids.alt", title=Markup.escape(spoken(title)))
    return Markup('<img src="{}" width="{}" height="{}" alt="{}">').format(
        image.uri, image.width, image.height, alt
    )


def stage_title(maker: Maker, stage: Stage | None) -> Markup:
    """When a stage was reached."""
    words = maker.words
    if stage is None:
        return words.text("figures.grids.not_reached")
    epoch, step = words.number(stage.epoch), words.number(stage.step)
    return words.text("figures.stage", epoch=epoch, step=step)


def panel_title(maker: Maker, runs: Sequence[Facts], run: Facts, what: str) -> str:
    """What a panel shows, and of which run where there are several."""
    if len(runs) == 1:
        return what
    return maker.words.text("figures.of_run", run=run.label, what=what)


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
