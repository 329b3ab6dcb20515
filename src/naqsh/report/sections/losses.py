"""The figures of what is minimised and of its parts.

Where there is one run, a panel holds the terms that belong together, each in its colour. Where
there are several, a panel holds one term of all runs, and a colour stands for a run. What belongs
together is told by names alone, since a report knows no method:

- ``reconstruction`` and ``kl`` are parts of their phase's ``total`` and share its axes;
- ``set_point`` stands on the axes of ``kl``, ``fake`` on those of ``real``, and what one of two
  domains has on those of the other;
- numbered terms, such as the KL of each latent, are a family: the largest at the end are named,
  the others are grey;
- what is taken on held-out images is drawn beside the same term in training.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report.document import Figure, Key, Panel
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import (
    HELD_OUT,
    TARGETS,
    Found,
    end,
    epochs,
    of_phase,
    of_runs,
    panel,
    panel_title,
    plot,
    smooth,
    union,
)
from naqsh.report.maker import Maker
from naqsh.report.read.facts import Curve, Facts, tail

BESIDE = {
    "fake": "real",
    "wrong": "real",
    "set_point": "kl",
    "to_a": "to_b",
    "critic_b": "critic_a",
}
"""Terms drawn on the axes of another one."""

CEILINGS = {"rotation_ceiling": "rotation_accuracy"}
"""On held-out images, terms drawn on the axes of what they are the ceiling of."""

PARTS = ("reconstruction", "kl")
"""Terms drawn on the axes of their phase's total, largest first."""

NAMED = 6
"""Most members of a family that are named."""


def losses(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """What each phase minimises, with its parts where there is one run."""
    found = [(run, _trained(run)) for run in runs]
    totals = [name for name in union(curves for _, curves in found) if end(name) == "total"]
    if not totals:
        return None
    groups = [totals]
    if len(runs) == 1:
        whole = [_whole(found[0][1], total) for total in totals]
        groups = [[names[0] for names in whole if len(names) == 1]]
        groups += [names for names in whole if len(names) > 1]
    shown = [name for group in groups for name in group]
    found = [(run, {n: c for n, c in curves.items() if n in shown}) for run, curves in found]
    panels = _panels(maker, "losses", found, [group for group in groups if group])
    return maker.figure("losses", panels, notes=[*smooth(maker, found), *epochs(maker, runs)])


def minimised(run: Facts) -> dict[str, Curve]:
    """The totals of a run's phases."""
    return {name: curve for name, curve in _trained(run).items() if end(name) == "total"}


def terms(maker: Maker, runs: Sequence[Facts]) -> list[Figure | None]:
    """The other terms, one figure a phase."""
    names = union(_trained(run) for run in runs)
    phases = union({name.partition(".")[0]: None} for name in names if not measured(name))
    made: list[Figure | None] = []
    for number, phase in enumerate(phases, start=1):
        found = [(run, _rest(run, phase, alone=len(runs) == 1)) for run in runs]
        names = union(curves for _, curves in found)
        if names:
            panels = _panels(maker, f"terms-{number}", found, groups(names))
            notes = _meanings(maker, names) + _about_families(maker, names) + smooth(maker, found)
            made.append(maker.figure("terms", panels, number=number, notes=notes, phase=phase))
    return made


def samples(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """What was measured of samples while training went on."""
    found = [(run, {n: c for n, c in run.losses().items() if measured(n)}) for run in runs]
    names = union(curves for _, curves in found)
    if not names:
        return None
    return maker.figure("measured", _panels(maker, "measured", found, [[name] for name in names]))


def measured(name: str) -> bool:
    """Whether a number is of samples and no phase's."""
    return name.partition(".")[0] == "samples"


def held_out(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """Each term on held-out images beside the same in training."""
    everything = [(run, run.losses()) for run in runs]
    names = [n for n in union(curves for _, curves in everything) if n.startswith(f"{HELD_OUT}.")]
    if not names:
        return None
    order = [run.label for run in runs] if len(runs) > 1 else []
    panels, drawn = [], []
    for name in names:
        below = f"{HELD_OUT}.{CEILINGS.get(end(name))}"
        if not order and below in names:
            continue
        pairs = [(run, _pair(curves, name)) for run, curves in everything if name in curves]
        lines = [line for pair in pairs for line in of_runs(maker, [pair], list(pair[1]))]
        if not order:
            lines = [*pairs[0][1].items()]
            (above,) = [n for n in names if CEILINGS.get(end(n)) == end(name)] or [""]
            lines += [(above, everything[0][1][above])] if above else []
        panels.append(plot(maker, "held-out", end(name), lines, order))
        drawn += pairs
    return maker.figure("held_out", panels, notes=smooth(maker, drawn))


def _pair(curves: Mapping[str, Curve], name: str) -> dict[str, Curve]:
    """A held-out term behind the same term of training, where one phase alone has it."""
    same = [n for n in curves if end(n) == end(name) and n != name]
    return {n: curves[n] for n in [*(same if len(same) == 1 else []), name]}


def _trained(run: Facts) -> dict[str, Curve]:
    return {n: c for n, c in run.losses().items() if not n.startswith(f"{HELD_OUT}.")}


def _whole(curves: Mapping[str, Curve], total: str) -> list[str]:
    """A total and those of its parts that the run logs."""
    phase = total.rpartition(".")[0]
    return [total, *[f"{phase}.{part}" for part in PARTS if f"{phase}.{part}" in curves]]


def _rest(run: Facts, phase: str, *, alone: bool) -> dict[str, Curve]:
    """A phase's terms that :func:`losses` does not show, and those that others stand beside."""
    own = of_phase(_trained(run), phase)
    aims = {f"{phase}.{BESIDE[term]}" for term in BESIDE if f"{phase}.{term}" in own}
    shown = [name for total in own if end(total) == "total" for name in _whole(own, total)]
    return {
        name: curve
        for name, curve in own.items()
        if end(name) != "total" and (not alone or name not in shown or name in aims)
    }


def _panels(maker: Maker, name: str, found: Found, grouped: Sequence[Sequence[str]]) -> list[Panel]:
    """A panel for each group of one run's terms, or for each term of several runs."""
    order = [run.label for run, _ in found] if len(found) > 1 else []
    panels: list[Panel] = []
    for group in grouped:
        if family(group[0]) and len(group) > 1:
            panels += _families(maker, name, found, group)
        elif not order:
            lines = [(term, found[0][1][term]) for term in group]
            panels.append(plot(maker, name, ", ".join(group), lines))
        else:
            together = [group] if end(group[-1]) in TARGETS else [[term] for term in group]
            panels += [
                plot(maker, name, terms[0], of_runs(maker, found, terms), order)
                for terms in together
            ]
    return panels


def _families(maker: Maker, name: str, found: Found, group: Sequence[str]) -> list[Panel]:
    """A panel a run of a family's members on common axes, the largest at the end named."""
    runs = [run for run, _ in found]
    values = [v for _, curves in found for n in group if n in curves for v in curves[n].values]
    margin = 0.03 * (max(values) - min(values)) or 1.0
    y_range = (min(values) - margin, max(values) + margin)
    panels = []
    for run, curves in found:
        ranked = rank({name: curves[name] for name in group if name in curves})
        if not ranked:
            continue
        cut = NAMED if len(ranked) > NAMED + 1 else len(ranked)
        named, others = ranked[:cut], ranked[cut:]
        faint = [figures.Line(curves[term], palette.FAINT, faint=True) for term in others]
        shown = [
            figures.Line(curves[term], palette.colour(n), palette.dash(n), end(term))
            for n, term in enumerate(named)
        ]
        legend = [line.key for line in shown]
        if others:
            named_so = maker.words.text("figures.others", count=len(others))
            legend.append(Key(named_so, palette.FAINT))
        title = panel_title(maker, runs, run.label, f"{family(group[0])}…")
        series = [*faint, *reversed(shown)]
        how: dict[str, Any] = {"legend": legend, "raw": False, "y_range": y_range}
        panels.append(panel(maker, name, title, figures.lines, series, "epochs", **how))
    return panels


def rank(curves: Mapping[str, Curve]) -> list[str]:
    """The names of curves, that with the largest mean at the end first."""
    ends = {name: statistics.fmean(tail(curve.values)) for name, curve in curves.items()}
    return sorted(ends, key=lambda name: (-ends[name], name))


def groups(names: Sequence[str]) -> list[list[str]]:
    """Names that share axes, in the order of their first ones."""
    found: dict[str, list[str]] = {}
    for name in names:
        phase, dot, term = name.rpartition(".")
        together = f"{phase}{dot}{BESIDE.get(term, term)}"
        key = together if together in names else name
        found.setdefault(family(name) or key, []).append(name)
    return list(found.values())


def family(name: str) -> str:
    """What numbered terms, such as a latent's ``kl_03``, have in common; empty for others."""
    stem, line, number = name.rpartition("_")
    return stem + line if number.isdigit() else ""


def _about_families(maker: Maker, names: Sequence[str]) -> list[Markup]:
    """How the members of families were chosen, where a legend names some of them."""
    members = [family(name) for name in names]
    large = any(stem and members.count(stem) > NAMED + 1 for stem in members)
    return [maker.words.text("figures.family")] if large else []


def _meanings(maker: Maker, names: Sequence[str]) -> list[Markup]:
    """What terms mean, as far as the texts know them."""
    known = dict.fromkeys(end(family(name) or name) for name in names)
    keys = [f"terms.{term}" for term in known if f"terms.{term}" in maker.words]
    return [maker.words.text(key) for key in keys]
