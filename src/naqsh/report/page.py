"""Which sections the page has, and in what order."""

import base64
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from naqsh.report import measures
from naqsh.report.document import Block, Code, Document, Listing, Maker, Paragraph, Section
from naqsh.report.draw import plots
from naqsh.report.read.facts import Facts, Note, studies
from naqsh.report.results import results
from naqsh.report.sections import bound, losses, remarks, samplers, tables
from naqsh.report.sections import detection as anomalies
from naqsh.report.words import Words

Make = Callable[[Maker, Sequence[Facts]], list[Block]]
"""Makes what a section holds."""


def build(runs: Sequence[Facts], words: Words) -> Document:
    """The page about these runs in a language."""
    maker = Maker(words)
    parts: dict[str, Make] = {
        "glance": _glance,
        "samples": _samples,
        "quality": _quality,
        "samplers": samplers.blocks,
        "bound": bound.blocks,
        "detection": anomalies.blocks,
        "losses": _losses,
        "diagnosis": diagnosis,
        "inside": _inside,
        "speed": _speed,
        "data": _data,
        "networks": networks,
        "hyperparameters": hyperparameters,
        "environment": environment,
        "again": again,
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
    summary = run.summary()
    sentences = [words.text("lead.of", run=run.label)] if several else []
    if summary["count"] is None:
        sentences.append(
            words.text("lead.what_only", method=summary["method"], data=summary["data"])
        )
    else:
        sentences.append(
            words.text(
                "lead.what",
                method=summary["method"],
                data=summary["data"],
                count=words.number(summary["count"]),
                shape=words.shape(summary["shape"]),
                parameters=words.number(summary["parameters"]),
            )
        )
    if run.records:
        sentences.append(
            words.text(
                "lead.how_long",
                epochs=words.number(summary["epochs"]),
                seen=words.number(summary["seen"]),
                time=words.time(summary["seconds"]),
            )
        )
    if summary["speed"] is not None:
        sentences.append(words.text("lead.speed", speed=words.number(summary["speed"])))
    return Markup(" ").join(sentences)


def _glance(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    items = [(run, state(maker.words, run)) for run in runs]
    table = tables.glance(maker, runs)
    if not any(state for _, state in items):
        return [table]
    listings = [Listing(run.label if len(runs) > 1 else "", state) for run, state in items if state]
    return [*listings, table]


def state(words: Words, run: Facts) -> list[Markup]:
    """What a reader must know before trusting the page: how far the run is, what is damaged."""
    said = []
    if not run.records:
        if not run.lost("metrics.jsonl"):
            said.append(words.text("state.nothing_logged"))
    elif run.checkpoint is None:
        said.append(words.text("state.no_checkpoint"))
    elif not run.finished:
        said.append(words.text("state.unfinished", step=words.number(run.checkpoint)))
    for problem in run.problems:
        key = "state.missing" if problem.reason is None else "state.damaged"
        reason = problem.reason and words.foreign(problem.reason)
        said.append(words.text(key, file=problem.file, reason=reason))
    return said


def _samples(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    figure = plots.grids(maker, runs)
    return [figure or _absence(maker, runs, "grids"), *plots.shown(maker, runs)]


def _quality(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    found = [study for run in runs for study in studies(run, run.evaluations)]
    table = measures.measured(maker, runs, found)
    if table is None and not any(run.likelihoods for run in runs):
        lost = any(run.lost("evaluation.json") for run in runs)
        return [_paragraph(maker, f"absences.{'lost' if lost else 'early'}.measured")]
    notes = [
        Listing(run.label if len(found) > 1 else "", said)
        for run, measured in found
        if (said := remarks.beside(maker.words, measured))
    ]
    return [*_present([table, measures.likelihood(maker, runs)]), *notes]


def _losses(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    made = [
        losses.losses(maker, runs),
        losses.held_out(maker, runs),
        *losses.terms(maker, runs),
        tables.results(maker, runs),
    ]
    return _present(made) or [_absence(maker, runs, "losses")]


def diagnosis(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """What was noticed in each run."""
    words = maker.words
    listings = []
    for run in runs:
        said = [
            words.text(
                "diagnosis.note",
                epoch=words.number(note.epoch),
                step=words.number(note.step),
                words=_said(words, note),
            )
            for note in run.notes
        ]
        quiet = "diagnosis.nothing"
        if run.lost("diagnosis.jsonl"):
            quiet = "diagnosis.lost"
        elif not run.records and not run.lost("metrics.jsonl"):
            quiet = "diagnosis.not_yet"
        title = run.label if len(runs) > 1 else ""
        listings.append(Listing(title, said or [words.text(quiet)]))
    return [_paragraph(maker, "diagnosis.lead"), *listings]


def _said(words: Words, note: Note) -> Markup:
    """What a rule said, in the page's language where its rule is known; else as it was said."""
    key = f"diagnosis.rules.{note.rule}"
    if note.value is None or key not in words:
        return words.foreign(note.words)
    return words.text(
        key,
        metric=note.metric,
        value=words.rounded(note.value),
        percent=words.percent(note.value),
        before=note.before,
        after=note.after,
    )


def _inside(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    gradients = plots.gradients(maker, runs)
    spread = _present([plots.weights(maker, runs), tables.spreads(maker, runs)])
    return [
        gradients or _absence(maker, runs, "gradients"),
        *(spread or [_absence(maker, runs, "weights")]),
    ]


def _speed(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    figure = plots.speed(maker, runs)
    return [figure] if figure else [_absence(maker, runs, "speed")]


def _data(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    if not any(run.data for run in runs):
        return [_paragraph(maker, "absences.data")]
    notes = [
        Listing(run.label if len(runs) > 1 else "", [maker.words.foreign(note) for note in said])
        for run in runs
        if (said := run.data.get("notes"))
    ]
    return [tables.data(maker, runs), *notes]


def hyperparameters(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Every number of the recipes."""
    return [tables.hyperparameters(maker, runs)]


def environment(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """What the runs were run on."""
    known = any(run.environment for run in runs)
    return [tables.environment(maker, runs) if known else _paragraph(maker, "absences.environment")]


def networks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Each phase's layers."""
    return [*tables.networks(maker, runs)] or [_paragraph(maker, "absences.networks")]


def again(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Each run's recipe, and the command that trains it again."""
    words = maker.words
    blocks: list[Block] = [_paragraph(maker, "again.lead")]
    for run in runs:
        if len(runs) > 1:
            blocks.append(Paragraph(words.text("lead.of", run=run.label)))
        encoded = base64.b64encode(run.recipe_text.encode()).decode()
        blocks += [
            Code(tables.command(run)),
            Code(run.recipe_text, "recipe.yaml", f"data:application/yaml;base64,{encoded}"),
        ]
    return blocks


def _present(made: Sequence[Block | None]) -> list[Block]:
    return [block for block in made if block is not None]


def _absence(maker: Maker, runs: Sequence[Facts], what: str) -> Paragraph:
    """Why something is not there: it is too early, or it was never recorded or is lost."""
    if what in ("grids", "weights"):
        early = not any(run.stages or run.lost("stages.jsonl") for run in runs)
    else:
        early = not any(run.records or run.lost("metrics.jsonl") for run in runs)
    return _paragraph(maker, f"absences.{'early' if early else 'none'}.{what}")


def _paragraph(maker: Maker, key: str) -> Paragraph:
    return Paragraph(maker.words.text(key))
