"""The section on anomaly detection: curves, histograms, tables, images, and what they mean."""

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from naqsh.report.document import Block, Figure, Key, Listing, Maker, Panel, Paragraph, Row, Table
from naqsh.report.draw import figures, images, palette
from naqsh.report.draw.panels import labelled, picture
from naqsh.report.read.detection import Detected
from naqsh.report.read.facts import Curve, Facts, Histogram
from naqsh.report.words import Words
from naqsh.runs.records import Choice, Interval, Scorer

GOOD = "good"
PICTURE_BYTES = 400_000
"""Bytes of one grid of images."""

KINDS = 12
"""Most kinds that a histogram parts."""

SHOWN = 6
"""Most detections that are drawn; more are named."""

Found = Sequence[tuple[str, Detected]]
"""Detections with what each is called: its run, its images, or both."""


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run was asked for anomalies."""
    everything = _labelled(maker.words, runs)
    found = everything[:SHOWN]
    if not found:
        lost = any(run.lost("detection.json") for run in runs)
        return [Paragraph(maker.words.text("detection.lost"))] if lost else []
    made: list[Block | None] = [
        Paragraph(maker.words.text("detection.lead")),
        _roc(maker, found),
        _histograms(maker, found),
        _table(maker, found),
        _kinds(maker, found),
        _extremes(maker, found),
        _terms(maker, found),
    ]
    said = [
        Listing(label if len(found) > 1 else "", items)
        for label, detected in found
        if (items := _limits(maker.words, detected))
    ]
    if len(everything) > SHOWN:
        further = [maker.words.own(label) for label, _ in everything[SHOWN:]]
        said.append(Listing(str(maker.words.text("detection.further")), further))
    return [*[block for block in made if block is not None], *said]


def _labelled(words: Words, runs: Sequence[Facts]) -> list[tuple[str, Detected]]:
    """All detections, those with known labels first, each by a name of its own."""
    pairs = [(run, detected) for run in runs for detected in run.detected]
    pairs.sort(key=lambda pair: pair[1].deciding.quality is None)
    named = []
    for run, detected in pairs:
        own = len({id(other) for other, _ in pairs}) > 1
        label = run.label if own else detected.of.suspects.name
        if own and len(run.detected) > 1:
            label = f"{run.label}, {detected.of.suspects.name}"
        named.append(label)
    alike = Counter(named)
    labels = [
        label if alike[label] == 1 else f"{label} #{named[: number + 1].count(label)}"
        for number, label in enumerate(named)
    ]
    return [(label, detected) for label, (_, detected) in zip(labels, pairs, strict=True)]


def _scorer(words: Words, name: str) -> Markup:
    return words.known(f"detection.scorers.{name}", name)


def _roc(maker: Maker, found: Found) -> Figure | None:
    """One run: all of its scores, baselines dashed. Several: what decides in each."""
    words = maker.words
    series: list[tuple[str, Scorer]] = []
    if len(found) == 1:
        scorers = found[0][1].scorers
        series = [(str(_scorer(words, name)), scorer) for name, scorer in scorers.items()]
    else:
        for label, detected in found:
            what = _scorer(words, detected.deciding.name)
            series.append(
                (str(words.text("figures.of_run", run=label, what=what)), detected.deciding)
            )
        pca = found[0][1].scorers.get("pca")
        series += [(str(_scorer(words, "pca")), pca)] if pca else []
    lines, legend = [], []
    for number, (label, scorer) in enumerate(series):
        if scorer.quality:
            roc = scorer.quality.roc
            dash = palette.TARGET if scorer.baseline else palette.DASHES[0]
            colour = palette.colour(number)
            lines.append(figures.Line(Curve([*roc.false], [*roc.true]), colour, dash[0]))
            legend.append(Key(label, palette.css(colour), dash[1]))
    if not lines:
        return None
    title = words.text("figures.roc.title")
    drawn = figures.roc(lines, "false_alarms", "found", words=words, name="roc")
    return maker.figure("roc", [Panel("", labelled(drawn, title), legend)])


def _histograms(maker: Maker, found: Found) -> Figure:
    words, panels = maker.words, []
    for number, (label, detected) in enumerate(found):
        scorer = detected.deciding
        edges, counts = scorer.histogram.edges, scorer.histogram.counts
        # The normal ones first: those held out, and the good ones among those examined.
        kinds = sorted(counts, key=lambda kind: (kind != "", kind != GOOD, kind))[:KINDS]
        spreads = [
            (_kind(words, kind), Histogram(edges, counts[kind]), _colour(kind)) for kind in kinds
        ]
        title = _scorer(words, scorer.name)
        if len(found) > 1:
            title = words.text("figures.of_run", run=label, what=title)
        # A threshold beyond the outermost bins has no place among them.
        inside = edges[0] <= scorer.threshold <= edges[-1]
        mark = scorer.threshold if inside else None
        name = f"scores-{number}"
        drawn = figures.ridges(spreads, "score", words=words, name=name, mark=mark)
        panels.append(Panel(title, labelled(drawn, title)))
    return maker.figure("scores", panels)


def _colour(kind: str) -> str:
    """Normal images, good ones and anomalies each have one."""
    return palette.colour({"": 0, GOOD: 2}.get(kind, 1))


def _kind(words: Words, kind: str) -> str:
    return str(words.known(f"detection.kinds.{kind or 'normal'}", kind))


def _extremes(maker: Maker, found: Found) -> Figure | None:
    words, panels = maker.words, []
    for label, detected in found:
        for name, path in detected.pictures.items():
            image = images.inline(path, PICTURE_BYTES)
            title = words.text(f"detection.pictures.{name}")
            if len(found) > 1:
                title = words.text("figures.of_run", run=label, what=title)
            panels.append(Panel(title, picture(maker, title, image)))
    return maker.figure("extremes", panels, columns=1) if panels else None


def _table(maker: Maker, found: Found) -> Table | None:
    """One run: a row a score, all that was measured of it. Several: AUROC alone, a column a run."""
    words = maker.words
    if not any(detected.deciding.quality for _, detected in found):
        return None
    if len(found) == 1:
        detected = found[0][1]
        columns = ["score", "auroc", "average_precision", "f1", "pixels", "alarms", "flagged"]
        rows = [Row(name, _cells(words, detected, s)) for name, s in detected.scorers.items()]
        head = [words.text(f"tables.detection.columns.{column}") for column in columns]
        return maker.table("detection", head, rows, numeric=1)
    names = list(dict.fromkeys(name for _, detected in found for name in detected.scorers))
    rows = []
    for name in names:
        scorers = [detected.scorers.get(name) for _, detected in found]
        cells = [
            _estimate(words, scorer.quality.auroc, scorer.quality.auroc_interval)
            if scorer and scorer.quality
            else words.text("absent")
            for scorer in scorers
        ]
        rows.append(Row(name, [_scorer(words, name), *cells]))
    head = [words.text("tables.detection.columns.score"), *[words.own(label) for label, _ in found]]
    return maker.table("detection_of", head, rows, numeric=1)


def _cells(words: Words, detected: Detected, scorer: Scorer) -> list[Markup | str]:
    quality = scorer.quality
    cells: list[Markup | str] = [_scorer(words, scorer.name)]
    if quality is None:
        return [*cells, *[words.text("absent")] * 6]
    good = detected.of.suspects.kinds.get(GOOD, 0)
    alarms = scorer.flagged_by_kind.get(GOOD, 0)
    pixels = quality.pixel_auroc
    return [
        *cells,
        _estimate(words, quality.auroc, quality.auroc_interval),
        _estimate(words, quality.average_precision, quality.average_precision_interval),
        words.data(quality.f1.f1, words.rounded(quality.f1.f1)),
        words.text("absent") if pixels is None else words.data(pixels, words.rounded(pixels)),
        _of(words, alarms, good),
        _of(words, scorer.flagged - alarms, detected.of.suspects.count - good),
    ]


def _of(words: Words, part: int, whole: int) -> Markup:
    return words.formula("detection.of", part=words.number(part), whole=words.number(whole))


def _estimate(words: Words, value: float, interval: Interval) -> Markup:
    low, high = (words.rounded(bound) for bound in interval)
    shown = words.data(value, words.rounded(value))
    return words.text("tables.measured.cell", value=shown, low=low, high=high)


def _kinds(maker: Maker, found: Found) -> Table | None:
    """AUROC of each kind by what decides, a column a run; one run shows its baseline beside it."""
    words = maker.words
    columns: list[tuple[Markup | str, Scorer]] = []
    for label, detected in found:
        own = _scorer(words, detected.deciding.name)
        columns.append((own if len(found) == 1 else words.own(label), detected.deciding))
    pca = found[0][1].scorers.get("pca")
    if len(found) == 1 and pca and pca is not found[0][1].deciding:
        columns.append((_scorer(words, "pca"), pca))
    kinds = list(dict.fromkeys(k for _, s in columns if s.quality for k in s.quality.kinds))
    if len(kinds) < 2:
        return None
    rows = []
    for kind in kinds:
        cells: list[Markup | str] = [words.own(kind)]
        for _, scorer in columns:
            part = scorer.quality.kinds.get(kind) if scorer.quality else None
            cells.append(
                _estimate(words, part.auroc, part.interval) if part else words.text("absent")
            )
        rows.append(Row(kind, cells))
    head = [words.text("tables.detection_kinds.kind"), *[title for title, _ in columns]]
    return maker.table("detection_kinds", head, rows, numeric=1)


def _terms(maker: Maker, found: Found) -> Table:
    """What was examined, by what, against what."""
    words = maker.words
    rows = {
        "suspects": [words.own(d.of.suspects.name) for _, d in found],
        "count": [words.data(d.of.suspects.count) for _, d in found],
        "normal": [words.own(d.of.normal.name) for _, d in found],
        "fitted": [words.data(d.of.normal.fitted) for _, d in found],
        "held_out": [words.data(d.of.normal.held_out) for _, d in found],
        "decides": [_scorer(words, d.deciding.name) for _, d in found],
        "maps": [
            _scorer(words, d.maps_of) if d.maps_of else words.text("absent") for _, d in found
        ],
        "false_alarms": [
            words.data(d.of.false_alarms, words.percent(d.of.false_alarms)) for _, d in found
        ],
        "threshold": [words.data(d.deciding.threshold) for _, d in found],
        "draws": [words.data(d.of.draws) for _, d in found],
        "step": [words.data(d.of.step) for _, d in found],
    }
    head = ["", words.text("value")]
    if len(found) > 1:
        head = ["", *[words.own(label) for label, _ in found]]
    made = [
        Row(key, [words.text(f"tables.detection_terms.rows.{key}"), *cells])
        for key, cells in rows.items()
    ]
    return maker.table("detection_terms", head, made)


def _limits(words: Words, detected: Detected) -> list[Markup]:
    """What the figures do not say by themselves, in words, from what was measured."""
    said = [_choice(words, detected.of.choice)] if detected.of.choice else []
    less = detected.deciding.quality and detected.deciding.quality.less_pca
    if less and not detected.deciding.baseline:
        (low, high), values = less.interval, {"score": _scorer(words, detected.deciding.name)}
        which = "above" if low > 0 else "below" if high < 0 else "alike"
        bounds = {"low": words.rounded(low), "high": words.rounded(high)}
        said.append(words.text(f"detection.against_pca.{which}", **values, **bounds))
    if warned := detected.of.likelihood:
        grey = warned.constants["grey"].likelier_than
        which = "fooled" if grey > 0.5 else "safe"
        said.append(
            words.text(
                f"detection.grey.{which}",
                percent=words.percent(grey),
                normal=words.number(warned.normal),
            )
        )
        if warned.complexity_correlation is not None and warned.brightness_correlation is not None:
            said.append(
                words.text(
                    "detection.correlations",
                    complexity=words.rounded(warned.complexity_correlation),
                    brightness=words.rounded(warned.brightness_correlation),
                )
            )
    plain = detected.scorers.get("complexity")
    if plain and plain.quality:
        said.append(words.text("detection.size", auroc=words.rounded(plain.quality.auroc)))
    for note in detected.of.notes:
        largest = detected.scorers.get("reconstruction")
        error = words.rounded(largest.largest) if largest else ""
        key = f"detection.notes.{note}"
        said.append(words.text(key, error=error) if key in words else words.foreign(note))
    return [*said, *(words.foreign(note) for note in detected.of.suspects.notes)]


def _choice(words: Words, choice: Choice) -> Markup:
    """How the score was chosen, or why both flag."""
    first, second = choice.names
    named = {"first": _scorer(words, first), "second": _scorer(words, second)}
    if choice.interval is None or choice.aurocs is None:
        return words.text(f"detection.choice.{choice.unsound or 'few'}", **named)
    low, high = choice.interval
    return words.text(
        f"detection.choice.{'chosen' if choice.better else 'both'}",
        **named,
        better=_scorer(words, choice.better or first),
        images=words.number(choice.images),
        a=words.rounded(choice.aurocs[0]),
        b=words.rounded(choice.aurocs[1]),
        low=words.rounded(low),
        high=words.rounded(high),
    )
