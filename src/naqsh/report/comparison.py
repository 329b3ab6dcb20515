"""The page that lays families side by side: quality, diversity and speed, measured alike.

A comparison is read from its folder, where ``comparison.json`` names the runs, the budget and what
failed, or from run folders alone. Only what was measured by the same features, against the same
reference and with as many images is compared; a run that was measured otherwise is shown, but
has no rank and no place in the figures.
"""

from collections.abc import Sequence

from markupsafe import Markup

from naqsh.core.measured import Caution
from naqsh.report import cells, page
from naqsh.report.document import Block, Document, Paragraph
from naqsh.report.draw import panels, plots
from naqsh.report.maker import Maker, listings, present
from naqsh.report.read import verdicts
from naqsh.report.read.comparison import FILE, Comparison, alike, read
from naqsh.report.read.evaluation import plain_floor
from naqsh.report.read.facts import Facts
from naqsh.report.results import results
from naqsh.report.sections import budgets, losses, remarks, tables
from naqsh.report.sections import comparison as comparing
from naqsh.report.words import Words
from naqsh.runs import records

RANKED = (
    *(("frechet", ""), ("precision", "quality"), ("recall", "diversity")),
    *(("energy", ""), ("good", "quality"), ("modes", "diversity")),
)
"""The measures whose ranks are told, and the corner of the trilemma that each is."""

__all__ = ["FILE", "Comparison", "alike", "build", "cautions", "paragraphs", "read"]


def build(found: Comparison, words: Words) -> Document:
    maker = Maker(words)
    runs = found.runs
    translated = all(run.translated for run in runs)
    of_samples: dict[str, page.Make] = {
        "trilemma": lambda maker, _: [*_largest(maker, found), *_trilemma(maker, found.groups[-1])],
        "families": lambda maker, _: [*_largest(maker, found), *_families(maker, found.groups[-1])],
    }
    parts: dict[str, page.Make] = {
        "budgets": lambda maker, _: budgets.blocks(maker, found),
        "compared": lambda maker, _: _compared(maker, found),
        **({} if translated else of_samples),
        "samples": _samples,
        "followed": _followed,
        **page.STUDIES,
        "losses": _losses,
        "diagnosis": page.diagnosis,
        **page.MADE_OF,
    }
    sections = page.sections(maker, runs, parts)
    data = (found.plan and found.plan.data) or runs[0].summary()["data"]
    title = words.text(f"comparison.{'translators' if translated else 'title'}", data=str(data))
    embedded = results(runs) | {
        "plan": records.plain(found.plan) if found.plan else {},
        "failures": [{"name": name, "reason": reason} for name, reason in found.failures],
        "floor": plain_floor(found.floor),
        "trainings": {
            run.label: {name: verdicts.trainings(run, name) for name in verdicts.ranked(runs)}
            for run in runs
            if run.trainings
        },
    }
    if found.budgets:
        embedded["budgets"] = budgets.plain(found)
    return Document(words, title, _leads(words, found), sections, embedded)


def _leads(words: Words, found: Comparison) -> list[Markup]:
    plan, said = found.plan, [words.text("comparison.what", count=len(found.runs))]
    if plan and plan.pictures:
        said.append(words.text("comparison.pictures", count=plan.pictures))
    elif plan and (plan.recipes or not plan.runs):  # else all were trained elsewhere
        said.append(_minutes(words, plan.budgets, found.seconds))
    same = alike(found.runs)
    if same and same[0].measured:
        said.append(words.text("comparison.how", **same[0].measured.terms))
    return [Markup(" ").join(said)]


def _minutes(words: Words, minutes: Sequence[float], taken: Sequence[float]) -> Markup:
    """The budget of time, the shares, and what was really taken: a share is turned into steps."""
    if len(minutes) > 1:
        listed = words.listed(words.time(60 * budget) for budget in minutes)
        return words.text("comparison.budgets", count=len(minutes), times=listed)
    total = 60 * minutes[0]
    if not taken:
        return words.text("comparison.minutes", time=words.time(total))
    times = {"share": total / len(taken), "low": min(taken), "high": max(taken), "time": total}
    return words.text("comparison.shares", **{n: words.time(time) for n, time in times.items()})


def _compared(maker: Maker, found: Comparison) -> list[Block]:
    words, runs = maker.words, found.runs
    failures = [
        words.text("comparison.failure", run=name, reason=words.foreign(reason))
        for name, reason in found.failures
    ]
    states = [(run.label, page.state(words, run)) for run in runs]
    said = [(words.text("comparison.failures"), failures), *states]
    if all(run.translated for run in runs):  # what was measured has its own section
        return [*listings(said, several=True), tables.glance(maker, runs)]
    known = [(words.text("comparison.cautions"), cautions(words, found))]
    return [*listings(said, several=True), *_tables(maker, found), *listings(known, several=True)]


def _tables(maker: Maker, found: Comparison) -> list[Block]:
    """Everything that was measured; a table for each budget, where there are several."""
    if not found.budgets:
        return [comparing.table(maker, found.runs, found.floor)]
    times = [maker.words.time(60 * budget.minutes) for budget in found.budgets]
    return [
        comparing.table(maker, runs, found.floor, number=number, time=time)
        for number, (runs, time) in enumerate(zip(found.groups, times, strict=True), 1)
    ]


def _largest(maker: Maker, found: Comparison) -> list[Block]:
    """Which of several budgets a section is of: a rank among all would be of time alone."""
    if not found.budgets:
        return []
    time = maker.words.time(60 * found.budgets[-1].minutes)
    return [maker.paragraph("comparison.largest", time=time)]


def _families(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    return [Paragraph(text) for text in paragraphs(maker.words, runs)]


def cautions(words: Words, found: Comparison) -> list[Markup]:
    """What must be known to read the figures: what intervals cover, the floor, small samples."""
    same = alike(found.runs)
    if not same:
        return []
    measured = same[0].measured
    assert measured is not None
    several = [run for run in same if run.trainings]
    said = []
    if several:
        said.append(words.text("comparison.covers.trainings"))
    if len(several) < len(same):
        said.append(remarks.covers(words, measured))
        said.append(words.text("comparison.covers.bold"))
    said += _unknown(words, same, [alike(group) for group in found.groups])
    said += remarks.floor(words, found.floor, measured)
    notes: dict[Caution, set[str]] = {}
    for run in same:
        for note, names_of in (run.measured.notes if run.measured else {}).items():
            notes.setdefault(note, set()).update(names_of)
    return [*said, *remarks.cautions(words, {note: sorted(n) for note, n in notes.items()})]


def _unknown(
    words: Words, same: Sequence[Facts], groups: Sequence[Sequence[Facts]]
) -> list[Markup]:
    """The measures by which nothing stands out in any table, since no difference is known."""
    known = verdicts.ranked(same) if len(same) > 1 else []
    unknown = [n for n in known if not any(verdicts.best(n, group) for group in groups)]
    counts = [name for name in unknown if not any(_has_interval(run, name) for run in same)]
    unknown = [name for name in unknown if name not in counts]
    old = [r.label for r in same if not r.trainings and not set(unknown) <= set(r.influences)]
    key = "comparison.not_kept" if old else "comparison.unknown"
    said = []
    for why, names in ((key, unknown), ("comparison.counts", counts)):
        called = [comparing.called(name, same) for name in names]
        metrics = words.listed(words.known(f"metrics.{name}", name) for name in called)
        said += [words.text(why, metrics=metrics, runs=words.listed(old))] if names else []
    return said


def _has_interval(run: Facts, name: str) -> bool:
    found = run.measured.values.get(name) if run.measured else None
    return found is not None and found[1] is not None


def _trilemma(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    made = present([comparing.trilemma(maker, runs), comparing.cost(maker, runs)])
    return made or [maker.paragraph("comparison.not_measured")]


def _samples(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    made = present([plots.last_grids(maker, runs), *plots.shown(maker, runs)])
    return made or [maker.paragraph("absences.none.grids")]


def _followed(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """How well captions are followed, where those of all runs are."""
    return page.followed(maker, runs) if all(run.followings for run in runs) else []


def _losses(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """Each run's totals on axes of their own: losses of different methods cannot be compared."""
    made = []
    for run in runs:
        if totals := losses.minimised(run):
            lines = list(totals.items())
            made.append(panels.plot(maker, "losses", run.label, lines, whole=True))
    found = [(run, losses.minimised(run)) for run in runs]
    figure = maker.figure("each_loss", made, notes=panels.smooth(maker, found))
    return [figure or maker.paragraph("absences.none.losses")]


def paragraphs(words: Words, runs: Sequence[Facts]) -> list[Markup]:
    """What the measured figures say of each run, in words."""
    return [_paragraph(words, run, alike(runs)) for run in runs]


def _paragraph(words: Words, run: Facts, same: Sequence[Facts]) -> Markup:
    summary, measured = run.summary(), run.measured
    kind = str(summary["method"])
    label = Markup("<b>{}</b>").format(words.own(run.label))
    said = [words.text("families.is", run=label, family=words.known(f"families.{kind}", kind))]
    if measured is None:
        said.append(words.text("families.not_measured"))
    elif run not in same:
        said.append(words.text("families.otherwise"))
    else:
        said += _ranks(words, run, same)
    if measured:
        speed, evaluations = measured.speed, measured.speed.evaluations_per_picture
        key = "families.speed_once" if evaluations == 1 else "families.speed"
        said.append(words.text(key, speed=speed.pictures_per_second, evaluations=evaluations))
        if likely := measured.likelihood:
            known = cells.kinds(words, likely)
            said.append(words.text("families.likelihood", bits=likely.bits, **known))
    if run.records:
        time = words.time(summary["seconds"])
        said.append(words.text("families.training", time=time, seen=summary["seen"]))
    return Markup(" ").join(said)


def _ranks(words: Words, run: Facts, same: Sequence[Facts]) -> list[Markup]:
    """Where a run stands among those that were measured like it, measure by measure."""
    assert run.measured is not None
    said, corners = [], dict[str, int]()
    for name, corner in RANKED:
        rank = verdicts.rank(run, same, name)
        if rank is None:
            continue
        value, key = run.measured.values[name][0], f"families.{run.measured.called(name)}"
        said.append(words.text(key, value=value, rank=rank, count=len(same)))
        if not corner and (like := verdicts.not_told_apart(run, same, name)):
            said.append(words.text("families.like", runs=words.listed(r.label for r in like)))
        if corner:
            corners[corner] = rank
    speeds = [r.measured.speed.pictures_per_second for r in same if r.measured]
    corners["speed"] = 1 + sum(s > run.measured.speed.pictures_per_second for s in speeds)
    ranks = set(corners.values())
    if len(same) > 1 and len(corners) == 3 and len(ranks) > 1:
        named = {
            which: words.listed(
                (words.text(f"families.corners.{c}") for c, r in corners.items() if r == rank),
                "list_and",
            )
            for which, rank in (("strong", min(ranks)), ("weak", max(ranks)))
        }
        said.append(words.text("families.corner", **named))
    return said
