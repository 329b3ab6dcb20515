"""The figures of images, of what goes on inside the networks, and of speed."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from naqsh.report.document import Figure, Key, Maker, Panel
from naqsh.report.draw import figures, images, palette
from naqsh.report.draw.curves import window
from naqsh.report.draw.panels import (
    columns,
    labelled,
    of_phase,
    of_runs,
    panel_title,
    picture,
    plot,
    smooth,
    stage_title,
    union,
)
from naqsh.report.read.facts import Curve, Facts

GRID_BYTES = 2_400_000
"""Bytes that all grids of a page may take; base64 makes a third more of them."""

LEGEND = 8
"""Most layers that a legend names."""


def grids(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """The images of each stage: runs beside each other, stages below each other."""
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
            title = stage_title(maker, stage)
            if len(runs) > 1:
                title = maker.words.text("figures.of_run", run=run.label, what=title)
            panels.append(Panel(title, picture(maker, title, image, stage is not None)))
    notes = [maker.words.text("figures.grids.reduced")] if reduced else []
    return maker.figure("grids", panels, columns=columns(runs), small=True, notes=notes)


def last_grids(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """The images of each run's last stage."""
    files = [(run, run.stages[-1]) for run in runs if run.stages and run.stages[-1].grid]
    made, reduced = [], False
    for run, stage in files:
        image = images.inline(stage.grid, GRID_BYTES // len(files)) if stage.grid else None
        reduced = reduced or (image is not None and image.reduced)
        title = panel_title(maker, runs, run, stage_title(maker, stage))
        made.append(Panel(title, picture(maker, title, image)))
    notes = [maker.words.text("figures.grids.reduced")] if reduced else []
    return maker.figure("last_grids", made, small=True, notes=notes) if made else None


def shown(maker: Maker, runs: Sequence[Facts]) -> list[Figure]:
    """What the method showed at the last stage beside samples, one figure a kind."""
    last = [run.stages[-1].shown if run.stages else {} for run in runs]
    made: list[Figure] = []
    for kind in union(last):
        panels = []
        for run, files in zip(runs, last, strict=True):
            if kind in files:
                image = images.inline(files[kind], GRID_BYTES // 8)
                title = run.label if len(runs) > 1 else ""
                panels.append(Panel(title, picture(maker, title, image)))
        what, name = f"shown.{kind}", f"shown_names.{kind}"
        text = maker.words.text(what if what in maker.words else "shown.other", kind=kind)
        named = maker.words.known(name, kind)
        made.append(maker.figure("shown", panels, number=len(made) + 1, what=text, named=named))
    return made


def gradients(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """Gradient norms of each phase's layers, one panel a phase and run on the phase's axes."""
    found = [(run, run.gradients()) for run in runs]
    names = union(curves for _, curves in found)
    phases = union({name.partition(".")[0]: None} for name in names)
    panels: list[Panel] = []
    for phase in phases:
        own = [(run, of_phase(curves, phase)) for run, curves in found]
        positive = [v for _, cs in own for curve in cs.values() for v in curve.values if v > 0]
        if not positive:
            continue
        y_range = (min(positive) / 1.5, max(positive) * 1.5)
        for run, curves in own:
            name = f"gradients-{len(panels)}"
            title = panel_title(maker, runs, run, phase)
            panels.append(_layers(maker, title, curves, name, y_range))
    averaged = any(window(len(c.values)) > 1 for _, curves in found for c in curves.values())
    notes = [maker.words.text("figures.gradients.mean")] if averaged else []
    if any(len(of_phase(curves, phase)) > LEGEND for _, curves in found for phase in phases):
        notes.append(maker.words.text("figures.gradients.some"))
    return maker.figure("gradients", panels, notes=notes, columns=columns(runs)) if panels else None


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
        series, "epochs", words=maker.words, name=name, log=True, raw=False, y_range=y_range
    )
    legend = [
        Key(layer.partition(".")[2].removesuffix(".weight"), colour)
        for layer, colour in zip(curves, colours, strict=True)
    ]
    if len(legend) > LEGEND:
        last = len(legend) - 1
        legend = [legend[round(number * last / (LEGEND - 1))] for number in range(LEGEND)]
    return Panel(title, labelled(drawn, title), legend)


def weights(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """How each phase's weights are spread at the stages, one panel a phase and run."""
    panels: list[Panel] = []
    for phase in union(stage.weights for run in runs for stage in run.stages):
        for run in runs:
            stages = [stage for stage in run.stages if phase in stage.weights]
            colours = [palette.colour(number) for number in range(len(stages))]
            drawn = figures.histograms(
                [(s.weights[phase], colour) for s, colour in zip(stages, colours, strict=True)],
                "weight",
                words=maker.words,
                name=f"weights-{len(panels)}",
            )
            legend = [
                Key(stage_title(maker, stage), palette.css(colour))
                for stage, colour in zip(stages, colours, strict=True)
            ]
            title = panel_title(maker, runs, run, phase)
            panels.append(Panel(title, labelled(drawn, title), legend))
    return maker.figure("weights", panels, columns=columns(runs)) if panels else None


def speed(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """Images a second over training."""
    name = maker.words.plain("axes.speed")
    found = [(run, {name: run.speed()} if run.speed().values else {}) for run in runs]
    if not any(curves for _, curves in found):
        return None
    order = [run.label for run in runs] if len(runs) > 1 else []
    lines = of_runs(maker, found, [name]) if order else [(name, found[0][1][name])]
    panel = plot(maker, "speed", Markup.escape(name), lines, order)
    return maker.figure("speed", [panel], notes=smooth(maker, found))
