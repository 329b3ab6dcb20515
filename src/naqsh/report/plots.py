"""The figures of the page.

Where there is one run, a panel holds the terms that belong together, each in its colour. Where
there are several, a panel holds one term of all runs, and a colour stands for a run.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report import figures, images, palette
from naqsh.report.curves import window
from naqsh.report.document import Figure, Key, Maker, Panel
from naqsh.report.gather import Curve, Facts, Stage

BESIDE = {"fake": "real", "set_point": "kl"}
"""Terms drawn on the axes of another one."""

TARGETS = {"set_point"}
"""Terms that say where another one should be; dashed, where several runs share its axes."""

GRID_BYTES = 2_400_000
"""Bytes that all grids of a page may take; base64 makes a third more of them."""

LEGEND = 8
"""Most layers that a legend names."""

Curves = Sequence[tuple[str, Curve]]


def grids(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """The pictures of each stage: runs beside each other, stages below each other."""
    rows = max(len(run.stages) for run in runs)
    files = sum(stage.grid is not None for run in runs for stage in run.stages)
    if not files:
        return None
    panels, reduced = [], False
    for row in range(rows):
        for run in runs:
            stage = run.stages[row] if row < len(run.stages) else None
            grid = stage and stage.grid
            image = images.inline(grid, GRID_BYTES // files) if grid else None
            reduced = reduced or (image is not None and image.reduced)
            title = _stage_title(maker, stage)
            if len(runs) > 1:
                title = maker.words.text("figures.of_run", run=run.label, what=title)
            panels.append(Panel(title, _grid(maker, title, stage, image)))
    notes = [maker.words.text("figures.grids.reduced")] if reduced else []
    return maker.figure("grids", panels, columns=_columns(runs), notes=notes)


def shown(maker: Maker, runs: Sequence[Facts]) -> list[Figure]:
    """What the method showed at the last stage beside samples, one figure a kind."""
    last = [run.stages[-1].shown if run.stages else {} for run in runs]
    made: list[Figure] = []
    for kind in _union(last):
        panels = []
        for run, files in zip(runs, last, strict=True):
            if kind in files:
                image = images.inline(files[kind], GRID_BYTES // 8)
                title = Markup("{}").format(run.label) if len(runs) > 1 else Markup("")
                panels.append(Panel(title, _grid(maker, title, run.stages[-1], image)))
        what = f"shown.{kind}"
        text = maker.words.text(what if what in maker.words else "shown.other", kind=kind)
        name = f"shown_names.{kind}"
        named = maker.words.text(name) if name in maker.words else kind
        made.append(maker.figure("shown", panels, number=len(made) + 1, what=text, named=named))
    return made


def _columns(runs: Sequence[Facts]) -> int:
    """One column a run where there are several; else the page chooses."""
    return len(runs) if len(runs) > 1 else 0


def _stage_title(maker: Maker, stage: Stage | None) -> Markup:
    words = maker.words
    if stage is None:
        return words.text("figures.grids.not_reached")
    epoch, step = words.number(stage.epoch), words.number(stage.step)
    return words.text("figures.stage", epoch=epoch, step=step)


def _grid(maker: Maker, title: str, stage: Stage | None, image: images.Inline | None) -> Markup:
    if image is None:
        missing = maker.words.text("figures.grids.missing") if stage else ""
        return Markup('<p class="missing">{}</p>').format(missing)
    return Markup('<img src="{}" width="{}" height="{}" alt="{}">').format(
        image.uri, image.width, image.height, maker.words.text("figures.grids.alt", title=title)
    )


def losses(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """What each phase minimises."""
    found = [(run, _total(run.losses())) for run in runs]
    names = _union(curves for _, curves in found)
    if not names:
        return None
    panels = _panels(maker, "losses", found, [names])
    return maker.figure("losses", panels, notes=[*_smooth(maker, found), *_epochs(maker, runs)])


def terms(maker: Maker, runs: Sequence[Facts]) -> list[Figure]:
    """The other terms, one figure a phase."""
    everything = _union(run.losses() for run in runs)
    phases = _union({name.partition(".")[0]: None} for name in everything)
    made: list[Figure] = []
    for number, phase in enumerate(phases, start=1):
        found = [(run, _rest(run.losses(), phase)) for run in runs]
        names = _union(curves for _, curves in found)
        if names:
            panels = _panels(maker, f"terms-{number}", found, _groups(names))
            notes = [*_meanings(maker, names), *_smooth(maker, found)]
            made.append(maker.figure("terms", panels, number=number, notes=notes, phase=phase))
    return made


def gradients(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """Gradient norms of each phase's layers, one panel a phase and run on the phase's axes."""
    found = [(run, run.gradients()) for run in runs]
    names = _union(curves for _, curves in found)
    phases = _union({name.partition(".")[0]: None} for name in names)
    panels: list[Panel] = []
    for phase in phases:
        own = [(run, _of_phase(curves, phase)) for run, curves in found]
        positive = [v for _, cs in own for curve in cs.values() for v in curve.values if v > 0]
        if not positive:
            continue
        y_range = (min(positive) / 1.5, max(positive) * 1.5)
        for run, curves in own:
            name = f"gradients-{len(panels)}"
            title = _panel_title(maker, runs, run, phase)
            panels.append(_layers(maker, title, curves, name, y_range))
    smooth = any(window(len(curve.values)) > 1 for _, curves in found for curve in curves.values())
    notes = [maker.words.text("figures.gradients.mean")] if smooth else []
    if any(len(_of_phase(curves, phase)) > LEGEND for _, curves in found for phase in phases):
        notes.append(maker.words.text("figures.gradients.some"))
    return (
        maker.figure("gradients", panels, notes=notes, columns=_columns(runs)) if panels else None
    )


def _layers(
    maker: Maker,
    title: str,
    curves: Mapping[str, Curve],
    name: str,
    y_range: tuple[float, float],
) -> Panel:
    colours = palette.ramp(len(curves))
    series = [figures.Line(c, colour) for c, colour in zip(curves.values(), colours, strict=True)]
    drawn = figures.lines(
        series, maker.words.plain("axes.epochs"), name=name, log=True, raw=False, y_range=y_range
    )
    legend = [
        Key(layer.partition(".")[2].removesuffix(".weight"), colour)
        for layer, colour in zip(curves, colours, strict=True)
    ]
    if len(legend) > LEGEND:
        last = len(legend) - 1
        legend = [legend[round(number * last / (LEGEND - 1))] for number in range(LEGEND)]
    return Panel(title, _labelled(drawn, title), legend)


def weights(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """How each phase's weights are spread at the stages, one panel a phase and run."""
    panels: list[Panel] = []
    for phase in _union(stage.weights for run in runs for stage in run.stages):
        for run in runs:
            stages = [stage for stage in run.stages if phase in stage.weights]
            colours = [palette.colour(number) for number in range(len(stages))]
            drawn = figures.histograms(
                [(s.weights[phase], colour) for s, colour in zip(stages, colours, strict=True)],
                maker.words.plain("axes.weight"),
                name=f"weights-{len(panels)}",
            )
            legend = [
                Key(_stage_title(maker, stage), palette.css(colour))
                for stage, colour in zip(stages, colours, strict=True)
            ]
            title = _panel_title(maker, runs, run, phase)
            panels.append(Panel(title, _labelled(drawn, title), legend))
    return maker.figure("weights", panels, columns=_columns(runs)) if panels else None


def speed(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """Pictures a second over training."""
    name = maker.words.plain("axes.speed")
    found: list[tuple[Facts, dict[str, Curve]]] = [
        (run, {name: run.speed()} if run.speed().values else {}) for run in runs
    ]
    if not any(curves for _, curves in found):
        return None
    return maker.figure(
        "speed", _panels(maker, "speed", found, [[name]]), notes=_smooth(maker, found)
    )


def _panels(
    maker: Maker,
    name: str,
    found: Sequence[tuple[Facts, Mapping[str, Curve]]],
    groups: Sequence[Sequence[str]],
) -> list[Panel]:
    """A panel for each group of one run's terms, or for each term of several runs."""
    if len(found) == 1:
        curves = found[0][1]
        plots = [(", ".join(group), [(term, curves[term]) for term in group]) for group in groups]
    else:
        plots = [
            (terms[0], _of_runs(maker, found, terms))
            for group in groups
            if not _family(group[0])
            for terms in ([group] if _end(group[-1]) in TARGETS else [[term] for term in group])
        ]
    order = [run.label for run, _ in found]
    return [
        _plot(maker, f"{name}-{number}", title, lines, order if len(found) > 1 else [])
        for number, (title, lines) in enumerate(plots)
    ]


def _of_runs(
    maker: Maker, found: Sequence[tuple[Facts, Mapping[str, Curve]]], terms: Sequence[str]
) -> list[tuple[str, Curve]]:
    """Each run's curves of these terms, the first by the run's label alone."""
    lines = []
    for run, curves in found:
        for term in terms:
            if term in curves:
                named = maker.words.text("figures.of_run", run=run.label, what=_end(term))
                lines.append((run.label if term == terms[0] else str(named), curves[term]))
    return lines


def _plot(maker: Maker, name: str, title: str, lines: Curves, order: Sequence[str]) -> Panel:
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
    drawn = figures.lines(series, maker.words.plain("axes.epochs"), name=name)
    legend = [
        Key(label, palette.css(palette.colour(number)), dash[1])
        for number, dash, (label, _) in zip(numbers, dashes, lines, strict=True)
    ]
    if order:
        return Panel(title, _labelled(drawn, title), legend)
    # One run: a single term needs no legend, and several are named by theirs.
    single = len(lines) == 1
    return Panel(title if single else "", _labelled(drawn, title), () if single else legend)


def _labelled(drawn: str, title: str) -> Markup:
    """The SVG with a name for those who hear the page."""
    head, rest = drawn.split("<svg", 1)
    return Markup('{}<svg role="img" aria-label="{}"{}').format(Markup(head), title, Markup(rest))


def _panel_title(maker: Maker, runs: Sequence[Facts], run: Facts, phase: str) -> str:
    if len(runs) == 1:
        return phase
    return maker.words.text("figures.of_run", run=run.label, what=phase)


def _total(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    return {name: curve for name, curve in curves.items() if name.endswith(".total")}


def _rest(curves: Mapping[str, Curve], phase: str) -> dict[str, Curve]:
    own = _of_phase(curves, phase)
    return {name: curve for name, curve in own.items() if not name.endswith(".total")}


def _of_phase(curves: Mapping[str, Curve], phase: str) -> dict[str, Curve]:
    return {name: curve for name, curve in curves.items() if name.partition(".")[0] == phase}


def _groups(names: Sequence[str]) -> list[list[str]]:
    """Names that share axes, in the order of their first ones."""
    groups: dict[str, list[str]] = {}
    for name in names:
        phase, dot, term = name.rpartition(".")
        together = f"{phase}{dot}{BESIDE.get(term, term)}"
        key = together if together in names else name
        groups.setdefault(_family(name) or key, []).append(name)
    return list(groups.values())


def _family(name: str) -> str:
    """What numbered terms, such as a latent's ``kl_03``, have in common; empty for others."""
    stem, line, number = name.rpartition("_")
    return stem + line if number.isdigit() else ""


def _end(name: str) -> str:
    """A term's name without its phase."""
    return name.rpartition(".")[2]


def _union(named: Iterable[Mapping[str, Any]]) -> list[str]:
    """All names, in the order of their first appearance."""
    return list(dict.fromkeys(name for names in named for name in names))


def _meanings(maker: Maker, names: Sequence[str]) -> list[Markup]:
    """What terms mean, as far as the texts know them."""
    known = dict.fromkeys(name.rpartition(".")[2] for name in names)
    keys = [f"terms.{term}" for term in known if f"terms.{term}" in maker.words]
    return [maker.words.text(key) for key in keys]


def _smooth(maker: Maker, found: Sequence[tuple[Facts, Mapping[str, Curve]]]) -> list[Markup]:
    """How the lines of a figure were smoothed, where they were."""
    widths = {window(len(curve.values)) for _, curves in found for curve in curves.values()}
    if widths == {1}:
        return [maker.words.text("figures.raw")]
    return [maker.words.text("figures.smooth_or_raw" if 1 in widths else "figures.smooth")]


def _epochs(maker: Maker, runs: Sequence[Facts]) -> list[Markup]:
    """How many pictures an epoch is, for each data set."""
    words, counts = maker.words, {}
    for run in runs:
        last = run.records[-1] if run.records else None
        if last and last.epoch > 0:
            counts[str(run.data.get("name", run.label))] = round(last.seen / last.epoch)
    return [
        words.text("figures.epoch", data=data, count=words.data(count))
        for data, count in counts.items()
    ]
