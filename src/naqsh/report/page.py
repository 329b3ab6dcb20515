"""Which sections the page has, and in what order."""

import base64
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from naqsh.report.document import Block, Code, Document, Paragraph, Section
from naqsh.report.draw import plots
from naqsh.report.maker import Maker, listings, present
from naqsh.report.read.facts import Facts, studies
from naqsh.report.results import results
from naqsh.report.sections import (
    bound,
    editing,
    field,
    guidance,
    losses,
    remarks,
    samplers,
    segmentation,
    tables,
    translation,
)
from naqsh.report.sections import detection as anomalies
from naqsh.report.words import Words
from naqsh.runs.records import Note

Make = Callable[[Maker, Sequence[Facts]], list[Block]]
"""Makes what a section holds."""


def build(runs: Sequence[Facts], words: Words) -> Document:
    maker = Maker(words)
    parts: dict[str, Make] = {
        "glance": _glance,
        "samples": _samples,
        "quality": _quality,
        **STUDIES,
        "losses": _losses,
        "diagnosis": diagnosis,
        "inside": _inside,
        "speed": _speed,
        "data": tables.data,
        **MADE_OF,
    }
    title = words.listed(run.label for run in runs)
    leads = [_lead(words, run, several=len(runs) > 1) for run in runs]
    return Document(words, title, leads, sections(maker, runs, parts), results(runs))


def sections(maker: Maker, runs: Sequence[Facts], parts: Mapping[str, Make]) -> list[Section]:
    """The sections that have something in them, in order.

    Figures and tables are numbered as they are made: one section after the other.
    """
    return [
        Section(name, maker.words.text(f"sections.{name}"), made)
        for name, make in parts.items()
        if (made := make(maker, runs))
    ]


def _lead(words: Words, run: Facts, *, several: bool) -> Markup:
    """The run in one line, and whether it is done."""
    known = run.summary()
    if known["count"] is None:
        said = [words.text("lead.what_only", **known)]
    else:
        what = "lead.what_two" if known["second"] else "lead.what"
        what = "lead.what_points" if run.of_points else what
        said = [words.text(what, **known | {"shape": words.shape(known["shape"])})]
    if run.records:
        said.append(words.text("lead.how_long", **known, time=words.time(known["seconds"])))
    if known["speed"] is not None:
        said.append(words.text("lead.speed", **known))
    return Markup(" ").join([words.text("lead.of", run=run.label), *said] if several else said)


def _glance(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    states = [(run.label, state(maker.words, run)) for run in runs]
    return [*listings(states, several=len(runs) > 1), tables.glance(maker, runs)]


def state(words: Words, run: Facts) -> list[Markup]:
    """What a reader must know before trusting the page: how far the run is, what is damaged."""
    said = []
    if not run.records:
        if not run.lost("metrics.jsonl"):
            said.append(words.text("state.nothing_logged"))
    elif run.checkpoint is None:
        said.append(words.text("state.no_checkpoint"))
    elif not run.finished:
        said.append(words.text("state.unfinished", step=run.checkpoint))
    for problem in run.problems:
        key = "state.missing" if problem.reason is None else "state.damaged"
        reason = problem.reason and words.foreign(problem.reason)
        said.append(words.text(key, file=problem.file, reason=reason))
    return said


def _samples(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    made = [*present([plots.grids(maker, runs)]), *plots.shown(maker, runs)]
    made += plots.captioned(maker, runs)
    return made or [_absence(maker, runs, "grids")]


def _quality(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    found = [study for run in runs for study in studies(run, run.evaluations)]
    table = tables.measured(maker, runs, found)
    if table is None and not any(run.likelihoods or run.followings for run in runs):
        if any(run.translated for run in runs):
            return []
        lost = any(run.lost("evaluation.json") for run in runs)
        return [maker.paragraph(f"absences.{'lost' if lost else 'early'}.measured")]
    notes = [(run.label, remarks.beside(maker.words, measured)) for run, measured in found]
    made: list[Block] = [
        *present([table]),
        *listings(notes, several=len(found) > 1),
        *followed(maker, runs),
        *present([tables.likelihood(maker, runs)]),
    ]
    return made


def followed(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """How well samples follow captions, where that was read off them."""
    found = [study for run in runs for study in studies(run, run.followings)]
    notes = [(run.label, remarks.precision(maker.words, one.found)) for run, one in found]
    return [*present([tables.followed(maker, found)]), *listings(notes, several=len(found) > 1)]


def _losses(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    made = [
        losses.losses(maker, runs),
        losses.samples(maker, runs),
        losses.held_out(maker, runs),
        *losses.terms(maker, runs),
        tables.results(maker, runs),
    ]
    return present(made) or [_absence(maker, runs, "losses")]


def diagnosis(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    words, noticed = maker.words, []
    for run in runs:
        said = [
            words.text("diagnosis.note", epoch=note.epoch, step=note.step, words=_said(words, note))
            for note in run.notes
        ]
        quiet = "nothing"
        if run.lost("diagnosis.jsonl"):
            quiet = "lost"
        elif not run.records and not run.lost("metrics.jsonl"):
            quiet = "not_yet"
        noticed.append((run.label, said or [words.text(f"diagnosis.{quiet}")]))
    return [maker.paragraph("diagnosis.lead"), *listings(noticed, several=len(runs) > 1)]


def _said(words: Words, note: Note) -> Markup:
    """What a rule said, in the page's language where its rule is known; else as it was said."""
    key = f"diagnosis.rules.{note.rule}"
    if note.value is None or key not in words:
        return words.foreign(note.words)
    values = {"value": words.rounded(note.value), "percent": words.percent(note.value)}
    return words.text(key, metric=note.metric, before=note.before, after=note.after, **values)


def _inside(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    gradients = plots.gradients(maker, runs) or _absence(maker, runs, "gradients")
    weights = present([plots.weights(maker, runs), tables.spreads(maker, runs)])
    return [gradients, *(weights or [_absence(maker, runs, "weights")])]


def _speed(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    return [plots.speed(maker, runs) or _absence(maker, runs, "speed")]


def again(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Each run's recipe, and the command that trains it again."""
    blocks: list[Block] = [maker.paragraph("again.lead")]
    for run in runs:
        if len(runs) > 1:
            blocks.append(maker.paragraph("lead.of", run=run.label))
        encoded = base64.b64encode(run.recipe_text.encode()).decode()
        uri = f"data:application/yaml;base64,{encoded}"
        blocks += [Code(_command(run)), Code(run.recipe_text, "recipe.yaml", uri)]
    return blocks


def _command(run: Facts) -> str:
    """What trains the run again, from its recipe saved as ``recipe.yaml``."""
    ranks = run.environment.get("ranks", 1)
    many = isinstance(ranks, int) and ranks > 1
    start = f"torchrun --nproc-per-node {ranks} -m naqsh" if many else "naqsh"
    device = run.environment.get("device")
    where = "" if device is None else f" --device {'cpu' if device == 'cpu' else 'cuda'}"
    return f"{start} train recipe.yaml --out DIR{where}"


def _absence(maker: Maker, runs: Sequence[Facts], what: str) -> Paragraph:
    """Why something is not there: it is too early, or it was never recorded or is lost."""
    stages = what in ("grids", "weights")
    file = "stages.jsonl" if stages else "metrics.jsonl"
    early = not any((run.stages if stages else run.records) or run.lost(file) for run in runs)
    return maker.paragraph(f"absences.{'early' if early else 'none'}.{what}")


STUDIES: dict[str, Make] = {
    "translation": translation.blocks,
    "samplers": samplers.blocks,
    "guidance": guidance.blocks,
    "editing": editing.blocks,
    "bound": bound.blocks,
    "field": field.blocks,
    "detection": anomalies.blocks,
    "segmentation": segmentation.blocks,
}
MADE_OF: dict[str, Make] = {
    "networks": tables.networks,
    "hyperparameters": tables.hyperparameters,
    "environment": tables.environment,
    "again": again,
}
"""Sections that the page of a comparison has too."""
