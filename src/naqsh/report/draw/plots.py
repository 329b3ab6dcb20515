"""The figures of images, of what goes on inside the networks, and of speed."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report.document import Block, Figure, Panel
from naqsh.report.draw import figures, palette
from naqsh.report.draw.curves import window
from naqsh.report.draw.panels import (
    columns,
    of_phase,
    of_runs,
    panel,
    panel_title,
    picture,
    plot,
    reduced,
    smooth,
    stage_title,
    union,
)
from naqsh.report.maker import Maker, present
from naqsh.report.read.facts import Curve, Facts
from naqsh.runs.records import Stage

GRID_BYTES = 2_400_000
"""Bytes that all grids of a page may take; base64 makes a third more of them."""

LEGEND = 8
"""Most layers that a legend names."""


def grids(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """The images of each stage: runs beside each other, stages below each other."""
    files = sum(bool(stage.grid) for run in runs for stage in run.stages)
    if not files:
        return None
    panels = [
        _grid(maker, runs, run, stage, files)
        for row in itertools.zip_longest(*[run.stages for run in runs])
        for run, stage in zip(runs, row, strict=True)
    ]
    notes = reduced(maker, panels)
    name = "points" if all(run.of_points for run in runs) else "grids"
    return maker.figure(name, panels, columns=columns(runs), small=True, notes=notes)


def last_grids(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    last = [(run, run.stages[-1]) for run in runs if run.stages and run.stages[-1].grid]
    panels = [_grid(maker, runs, run, stage, len(last)) for run, stage in last]
    notes = reduced(maker, panels)
    name = "last_points" if all(run.of_points for run, _ in last) else "last_grids"
    return maker.figure(name, panels, small=True, notes=notes)


def _grid(
    maker: Maker, runs: Sequence[Facts], run: Facts, stage: Stage | None, files: int
) -> Panel:
    """A run's samples at a stage, which it may not have reached, as one of so many files."""
    title = panel_title(maker, runs, run.label, stage_title(maker, stage))
    grid = run.grid(stage.grid) if stage and stage.grid else None
    alt = "points" if run.of_points else "grids"
    return picture(maker, title, grid, GRID_BYTES // files, wanted=stage is not None, alt=alt)


def shown(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """What the method showed beside samples, one figure a kind: at the last stage.

    Where it makes no samples there is nothing else to see it grow by: then at every stage.
    """
    sampled = any(stage.grid for run in runs for stage in run.stages)
    stages = [run.stages[-1:] if sampled else run.stages for run in runs]
    made: list[Figure | None] = []
    for kind in union(stage.shown or {} for of_run in stages for stage in of_run):
        panels = []
        for row in range(max(map(len, stages))):
            for run, of_run in zip(runs, stages, strict=True):
                if row < len(of_run) and (file := (of_run[row].shown or {}).get(kind)):
                    title = run.label if len(runs) > 1 else ""
                    if not sampled:
                        title = panel_title(maker, runs, run.label, stage_title(maker, of_run[row]))
                    panels.append(picture(maker, title, run.grid(file), GRID_BYTES // 8))
        what, name = f"shown.{kind}", f"shown_names.{kind}"
        text = maker.words.text(what if what in maker.words else "shown.other", kind=kind)
        named = maker.words.known(name, kind)
        how: dict[str, Any] = {} if sampled else {"columns": columns(runs) or 1}
        number = len(made) + 1
        made.append(maker.figure("shown", panels, number=number, what=text, named=named, **how))
    return present(made)


def captioned(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Images of captions at the last stage: a figure a kind and run, a panel a caption."""
    made: list[Figure | None] = []
    for number, run in enumerate(runs, 1):
        for kind, rows in (run.stages[-1].captions or {} if run.stages else {}).items():
            name = f"captions_{kind}"
            if f"figures.{name}.caption" not in maker.words:
                continue
            share = GRID_BYTES // (2 * len(rows) or 1)
            panels = [
                picture(maker, Markup("<bdi>{}</bdi>").format(row.text), run.grid(row.file), share)
                for row in rows
            ]
            notes = reduced(maker, panels)
            how: dict[str, Any] = {"notes": notes, "columns": 2}
            if len(runs) > 1:
                of = maker.words.text("figures.captions_of", run=run.label)
                how |= {"number": number, "notes": [of, *notes]}
            made.append(maker.figure(name, panels, **how))
    return present(made)


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
            title = panel_title(maker, runs, run.label, phase)
            panels.append(_layers(maker, title, curves, y_range))
    averaged = any(window(len(c.values)) > 1 for _, curves in found for c in curves.values())
    notes = [maker.words.text("figures.gradients.mean")] if averaged else []
    if any(len(of_phase(curves, phase)) > LEGEND for _, curves in found for phase in phases):
        notes.append(maker.words.text("figures.gradients.some"))
    return maker.figure("gradients", panels, notes=notes, columns=columns(runs))


def _layers(
    maker: Maker, title: str, curves: Mapping[str, Curve], y_range: tuple[float, float]
) -> Panel:
    colours = palette.ramp(len(curves))
    series = [
        figures.Line(curve, colour, label=layer.partition(".")[2].removesuffix(".weight"))
        for (layer, curve), colour in zip(curves.items(), colours, strict=True)
    ]
    legend = [line.key for line in series]
    if len(legend) > LEGEND:
        last = len(legend) - 1
        legend = [legend[round(number * last / (LEGEND - 1))] for number in range(LEGEND)]
    how: dict[str, Any] = {"log": True, "raw": False, "y_range": y_range}
    return panel(maker, "gradients", title, figures.lines, series, "epochs", legend=legend, **how)


def weights(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """How each phase's weights are spread at the stages, one panel a phase and run."""
    panels: list[Panel] = []
    for phase in union(stage.weights for run in runs for stage in run.stages):
        for run in runs:
            spreads = [
                figures.Spread(stage.weights[phase], palette.colour(n), stage_title(maker, stage))
                for n, stage in enumerate(s for s in run.stages if phase in s.weights)
            ]
            title = panel_title(maker, runs, run.label, phase)
            panels.append(panel(maker, "weights", title, figures.histograms, spreads, "weight"))
    return maker.figure("weights", panels, columns=columns(runs))


def speed(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    name = maker.words.plain("axes.speed")
    found = [(run, {name: run.speed()} if run.speed().values else {}) for run in runs]
    if not any(curves for _, curves in found):
        return None
    order = [run.label for run in runs] if len(runs) > 1 else []
    lines = of_runs(maker, found, [name]) if order else [(name, found[0][1][name])]
    panels = [plot(maker, "speed", Markup.escape(name), lines, order)]
    return maker.figure("speed", panels, notes=smooth(maker, found))
