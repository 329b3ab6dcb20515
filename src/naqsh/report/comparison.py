"""The page that lays families side by side: quality, diversity and speed, measured alike.

A comparison is read from its folder, where ``comparison.json`` names the runs, the budget and what
failed, or from run folders alone. Only what was measured by the same features, against the same
reference and with as many images is compared; a run that was measured otherwise is shown, but
has no rank and no place in the figures.
"""

from collections.abc import Sequence
from dataclasses import asdict

from markupsafe import Markup

from naqsh.core.measured import Caution
from naqsh.report import page
from naqsh.report.document import Block, Document, Listing, Maker, Paragraph
from naqsh.report.draw import panels, plots
from naqsh.report.read import verdicts
from naqsh.report.read.comparison import FILE, Comparison, alike, read
from naqsh.report.read.facts import Facts
from naqsh.report.results import results
from naqsh.report.sections import bound, losses, remarks, samplers
from naqsh.report.sections import comparison as comparing
from naqsh.report.sections import detection as anomalies
from naqsh.report.words import Words
from naqsh.runs import records

__all__ = ["FILE", "Comparison", "alike", "build", "cautions", "paragraphs", "read"]


def build(found: Comparison, words: Words) -> Document:
    """The page of a comparison."""
    maker = Maker(words)
    runs = found.runs
    parts: dict[str, page.Make] = {
        "compared": lambda maker, _: _compared(maker, found),
        "trilemma": _trilemma,
        "families": lambda maker, runs: [Paragraph(text) for text in paragraphs(words, runs)],
        "samples": _samples,
        "samplers": samplers.blocks,
        "bound": bound.blocks,
        "detection": anomalies.blocks,
        "losses": _losses,
        "diagnosis": page.diagnosis,
        "networks": page.networks,
        "hyperparameters": page.hyperparameters,
        "environment": page.environment,
        "again": page.again,
    }
    sections = page.sections(maker, runs, parts)
    data = (found.plan and found.plan.data) or runs[0].summary()["data"]
    title = words.text("comparison.title", data=str(data))
    embedded = results(runs) | {
        "plan": records.plain(found.plan) if found.plan else {},
        "failures": [{"name": name, "reason": reason} for name, reason in found.failures],
        "floor": found.floor and asdict(found.floor),
        "trainings": {
            run.label: {name: verdicts.trainings(run, name) for name in comparing.MEASURES}
            for run in runs
            if run.trainings
        },
    }
    return Document(words, title, _leads(words, found), sections, embedded)


def _leads(words: Words, found: Comparison) -> list[Markup]:
    plan = found.plan
    said = [words.text("comparison.what", count=words.number(len(found.runs)))]
    if plan and plan.pictures:
        said.append(words.text("comparison.pictures", count=words.number(plan.pictures)))
    elif plan and (plan.recipes or not plan.runs):  # else all were trained elsewhere
        said.append(_minutes(words, plan.minutes, found.seconds))
    same = [run for run, is_alike in zip(found.runs, alike(found.runs), strict=True) if is_alike]
    if same and (m := same[0].measured):
        said.append(
            words.text(
                "comparison.how",
                generated=words.number(m.generated),
                real=words.number(m.real),
                reference=m.reference,
                features=m.features,
            )
        )
    return [Markup(" ").join(said)]


def _minutes(words: Words, minutes: float, seconds: Sequence[float]) -> Markup:
    """The budget of time, the shares, and what was really taken: a share is turned into steps."""
    total = 60 * minutes
    if not seconds:
        return words.text("comparison.minutes", time=words.time(total))
    return words.text(
        "comparison.shares",
        time=words.time(total),
        share=words.time(total / len(seconds)),
        low=words.time(min(seconds)),
        high=words.time(max(seconds)),
    )


def _compared(maker: Maker, found: Comparison) -> list[Block]:
    words, blocks = maker.words, list[Block]()
    if found.failures:
        said = [
            words.text("comparison.failure", run=name, reason=words.foreign(reason))
            for name, reason in found.failures
        ]
        blocks.append(Listing(words.text("comparison.failures"), said))
    for run in found.runs:
        if state := page.state(words, run):
            blocks.append(Listing(run.label, state))
    blocks.append(comparing.table(maker, found.runs, alike(found.runs), found.floor))
    if said := cautions(words, found):
        blocks.append(Listing(words.text("comparison.cautions"), said))
    return blocks


def cautions(words: Words, found: Comparison) -> list[Markup]:
    """What must be known to read the figures: what intervals cover, the floor, small samples."""
    pairs = zip(found.runs, alike(found.runs), strict=True)
    ranked = [run for run, is_alike in pairs if is_alike]
    if not ranked:
        return []
    measured = ranked[0].measured
    assert measured is not None
    several = [run for run in ranked if run.trainings]
    said = []
    if several:
        said.append(words.text("comparison.covers.trainings"))
    if len(several) < len(ranked):
        said.append(remarks.covers(words, measured))
        said.append(words.text("comparison.covers.bold"))
    unknown = [
        name for name in comparing.MEASURES if len(ranked) > 1 and not verdicts.best(name, ranked)
    ]
    if unknown:
        names = [comparing.called(name, ranked, [True] * len(ranked)) for name in unknown]
        told = words.listed(words.known(f"metrics.{n}", n) for n in names)
        old = [
            run for run in ranked if not run.trainings and not set(unknown) <= set(run.influences)
        ]
        runs = words.listed(run.label for run in old)
        key = "comparison.not_kept" if old else "comparison.unknown"
        said.append(words.text(key, metrics=told, runs=runs))
    said += remarks.floor(words, found.floor, measured)
    notes: dict[Caution, set[str]] = {}
    for run in ranked:
        for note, names_of in (run.measured.notes if run.measured else {}).items():
            notes.setdefault(note, set()).update(names_of)
    said += remarks.cautions(words, {note: sorted(names) for note, names in notes.items()})
    return said


def _trilemma(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    same = alike(runs)
    made = [comparing.trilemma(maker, runs, same), comparing.cost(maker, runs, same)]
    figures = [figure for figure in made if figure]
    return [*figures] or [Paragraph(maker.words.text("comparison.not_measured"))]


def _samples(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    figure = plots.last_grids(maker, runs)
    return [
        figure or Paragraph(maker.words.text("absences.none.grids")),
        *plots.shown(maker, runs),
    ]


def _losses(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Each run's totals on axes of their own: losses of different methods cannot be compared."""
    made = []
    for number, run in enumerate(runs):
        totals = losses.minimised(run)
        if totals:
            lines = list(totals.items())
            panel = panels.plot(maker, f"losses-{number}", run.label, lines, [])
            made.append(panels.titled(panel, run.label, lines))
    if not made:
        return [Paragraph(maker.words.text("absences.none.losses"))]
    found = [(run, losses.minimised(run)) for run in runs]
    return [maker.figure("each_loss", made, notes=panels.smooth(maker, found))]


def paragraphs(words: Words, runs: Sequence[Facts]) -> list[Markup]:
    """What the measured figures say of each run, in words."""
    same = alike(runs)
    ranked = [run for run, is_alike in zip(runs, same, strict=True) if is_alike]
    return [_paragraph(words, run, ranked) for run in runs]


def _paragraph(words: Words, run: Facts, ranked: Sequence[Facts]) -> Markup:
    kind = str(run.summary()["method"])
    label = Markup("<b>{}</b>").format(words.own(run.label))
    said = [words.text("families.is", run=label, family=words.known(f"families.{kind}", kind))]
    measured = run.measured
    if measured is None:
        said.append(words.text("families.not_measured"))
    elif run not in ranked:
        said.append(words.text("families.otherwise"))
    else:
        said += _ranks(words, run, ranked)
    if measured:
        speed, evaluations = measured.pictures_per_second, measured.evaluations
        key = "families.speed_once" if evaluations == 1 else "families.speed"
        values = {"speed": words.number(speed), "evaluations": words.number(evaluations)}
        said.append(words.text(key, **values))
        if likely := measured.likelihood:
            said.append(
                words.text(
                    "families.likelihood",
                    bits=words.number(likely.bits),
                    kind=words.known(f"kinds.{likely.kind}", likely.kind),
                    of=words.known(f"likelihood_of.{likely.of}", likely.of),
                )
            )
    summary = run.summary()
    if run.records:
        time, seen = words.time(summary["seconds"]), words.number(summary["seen"])
        said.append(words.text("families.training", time=time, seen=seen))
    return Markup(" ").join(said)


def _ranks(words: Words, run: Facts, ranked: Sequence[Facts]) -> list[Markup]:
    """Where a run stands among those that were measured like it, measure by measure."""
    said, corners = [], dict[str, int]()
    for name, corner in (("frechet", ""), ("precision", "quality"), ("recall", "diversity")):
        rank = verdicts.rank(run, ranked, name)
        if rank is None or not run.measured:
            continue
        value = words.number(run.measured.values[name][0])
        values = {"value": value, "rank": words.number(rank), "count": words.number(len(ranked))}
        said.append(words.text(f"families.{run.measured.called(name)}", **values))
        if name == "frechet" and (like := verdicts.not_told_apart(run, ranked)):
            labels = words.listed(run.label for run in like)
            said.append(words.text("families.like", runs=labels))
        if corner:
            corners[corner] = rank
    speeds = sorted(-r.measured.pictures_per_second for r in ranked if r.measured)
    if run.measured:
        corners["speed"] = 1 + speeds.index(-run.measured.pictures_per_second)
    if len(ranked) > 1 and len(corners) == 3 and len(set(corners.values())) > 1:
        best, worst = min(corners.values()), max(corners.values())
        named = {
            "strong": [
                words.text(f"families.corners.{c}") for c, r in corners.items() if r == best
            ],
            "weak": [words.text(f"families.corners.{c}") for c, r in corners.items() if r == worst],
        }
        joined = {key: words.listed(names, "list_and") for key, names in named.items()}
        said.append(words.text("families.corner", **joined))
    return said
