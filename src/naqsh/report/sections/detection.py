"""The section on anomaly detection: curves, histograms, tables, images, and what they mean."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Listing, Table
from naqsh.report.draw import figures, palette
from naqsh.report.draw.panels import panel, panel_title, picture
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.detection import Detected
from naqsh.report.read.facts import Curve, Facts, apart
from naqsh.report.words import Words
from naqsh.runs.records import Choice, Histogram, Scorer

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
    everything = _labelled(runs)
    found = everything[:SHOWN]
    if not found:
        return absent(maker, runs, "detection")
    made = [
        maker.paragraph("detection.lead"),
        _roc(maker, found),
        _histograms(maker, found),
        _table(maker, found),
        _kinds(maker, found),
        _extremes(maker, found),
        _terms(maker, found),
    ]
    said = [(label, _limits(maker.words, detected)) for label, detected in found]
    blocks = [*present(made), *listings(said, several=len(found) > 1)]
    if len(everything) > SHOWN:
        further = [Markup.escape(maker.words.own(label)) for label, _ in everything[SHOWN:]]
        blocks.append(Listing(maker.words.text("detection.further"), further))
    return blocks


def _labelled(runs: Sequence[Facts]) -> list[tuple[str, Detected]]:
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
    return [(label, detected) for label, (_, detected) in zip(apart(named), pairs, strict=True)]


def _scorer(words: Words, name: str) -> Markup:
    return words.known(f"detection.scorers.{name}", name)


def _roc(maker: Maker, found: Found) -> Figure | None:
    """One run: all of its scores, baselines dashed. Several: what decides in each."""
    words = maker.words
    series: list[tuple[str, Scorer]]
    if len(found) == 1:
        scorers = found[0][1].scorers
        series = [(_scorer(words, name), scorer) for name, scorer in scorers.items()]
    else:
        series = [
            (panel_title(maker, found, label, _scorer(words, one.deciding.name)), one.deciding)
            for label, one in found
        ]
        pca = found[0][1].scorers.get("pca")
        series += [(_scorer(words, "pca"), pca)] if pca else []
    lines = []
    for number, (label, scorer) in enumerate(series):
        if scorer.quality:
            roc = Curve([*scorer.quality.roc.false], [*scorer.quality.roc.true])
            dash = palette.TARGET if scorer.baseline else palette.DASHES[0]
            lines.append(figures.Line(roc, palette.colour(number), dash, label))
    title, axes = words.text("figures.roc.title"), ("false_alarms", "found")
    made = [panel(maker, "roc", title, figures.roc, lines, *axes, titled=False)] if lines else []
    return maker.figure("roc", made)


def _histograms(maker: Maker, found: Found) -> Figure | None:
    words, panels = maker.words, []
    for label, detected in found:
        scorer = detected.deciding
        edges, counts = scorer.histogram.edges, scorer.histogram.counts
        # The normal ones first: those held out, and the good ones among those examined.
        kinds = sorted(counts, key=lambda kind: (kind != "", kind != GOOD, kind))[:KINDS]
        spreads = [
            figures.Spread(Histogram(edges, counts[kind]), _colour(kind), _kind(words, kind))
            for kind in kinds
        ]
        title = panel_title(maker, found, label, _scorer(words, scorer.name))
        # A threshold beyond the outermost bins has no place among them.
        inside = edges[0] <= scorer.threshold <= edges[-1]
        how: dict[str, Any] = {"mark": scorer.threshold if inside else None, "legend": ()}
        panels.append(panel(maker, "scores", title, figures.ridges, spreads, "score", **how))
    return maker.figure("scores", panels)


def _colour(kind: str) -> str:
    """Normal images, good ones and anomalies each have one."""
    return palette.colour({"": 0, GOOD: 2}.get(kind, 1))


def _kind(words: Words, kind: str) -> str:
    return str(words.known(f"detection.kinds.{kind or 'normal'}", kind))


def _extremes(maker: Maker, found: Found) -> Figure | None:
    panels = []
    for label, detected in found:
        for name, path in detected.pictures.items():
            what = maker.words.text(f"detection.pictures.{name}")
            title = panel_title(maker, found, label, what)
            panels.append(picture(maker, title, path, PICTURE_BYTES))
    return maker.figure("extremes", panels, columns=1)


def _table(maker: Maker, found: Found) -> Table | None:
    """One run: a row a score, all that was measured of it. Several: AUROC alone, a column a run."""
    words = maker.words
    if not any(detected.deciding.quality for _, detected in found):
        return None
    if len(found) == 1:
        detected = found[0][1]
        rows = [(name, _measured(words, detected, s)) for name, s in detected.scorers.items()]
        return maker.listed("detection", rows, numeric="auroc")
    names = dict.fromkeys(name for _, detected in found for name in detected.scorers)
    columns = [
        {
            name: cells.rounded(words, scorer.quality.auroc, scorer.quality.auroc_interval)
            for name, scorer in detected.scorers.items()
            if scorer.quality
        }
        for _, detected in found
    ]
    head = [words.text("tables.detection.columns.score"), *[label for label, _ in found]]
    titles = {name: _scorer(words, name) for name in names}
    return maker.beside("detection_of", head, columns, titles=titles, numeric=1)


def _measured(words: Words, detected: Detected, scorer: Scorer) -> dict[str, Any]:
    """A score's row; what is not known of it has no value."""
    columns = words.under("tables.detection.columns")
    quality, known = scorer.quality, dict.fromkeys(columns) | {"score": _scorer(words, scorer.name)}
    if quality is None:
        return known
    suspects = detected.of.suspects
    good, alarms = suspects.kinds.get(GOOD, 0), scorer.flagged_by_kind.get(GOOD, 0)
    pixels = quality.pixel_auroc
    return known | {
        "auroc": cells.rounded(words, quality.auroc, quality.auroc_interval),
        "average_precision": cells.rounded(
            words, quality.average_precision, quality.average_precision_interval
        ),
        "f1": cells.rounded(words, quality.f1.f1),
        "pixels": None if pixels is None else cells.rounded(words, pixels),
        "alarms": words.formula("detection.of", part=alarms, whole=good),
        "flagged": words.formula(
            "detection.of", part=scorer.flagged - alarms, whole=suspects.count - good
        ),
    }


def _kinds(maker: Maker, found: Found) -> Table | None:
    """AUROC of each kind by what decides, a column a run; one run shows its baseline beside it."""
    words = maker.words
    columns = [(label, detected.deciding) for label, detected in found]
    if len(found) == 1:
        deciding, pca = found[0][1].deciding, found[0][1].scorers.get("pca")
        scorers = [deciding, pca] if pca and pca is not deciding else [deciding]
        columns = [(_scorer(words, scorer.name), scorer) for scorer in scorers]
    known = [
        {k: cells.rounded(words, v.auroc, v.interval) for k, v in scorer.quality.kinds.items()}
        if scorer.quality
        else {}
        for _, scorer in columns
    ]
    kinds = {kind: kind for column in known for kind in column}
    if len(kinds) < 2:
        return None
    head = [words.text("tables.detection_kinds.kind"), *[title for title, _ in columns]]
    return maker.beside("detection_kinds", head, known, titles=kinds, numeric=1)


def _terms(maker: Maker, found: Found) -> Table:
    """What was examined, by what, against what."""
    words = maker.words
    columns = [
        vars(detected.of)
        | vars(detected.of.normal)
        | {
            "suspects": detected.of.suspects.name,
            "count": detected.of.suspects.count,
            "normal": detected.of.normal.name,
            "decides": _scorer(words, detected.deciding.name),
            "maps": detected.maps_of and _scorer(words, detected.maps_of),
            "threshold": detected.deciding.threshold,
        }
        for _, detected in found
    ]
    return maker.beside("detection_terms", maker.head([label for label, _ in found]), columns)


def _limits(words: Words, detected: Detected) -> list[Markup]:
    """What the figures do not say by themselves, in words, from what was measured."""
    said = [_choice(words, detected.of.choice)] if detected.of.choice else []
    deciding, warned = detected.deciding, detected.of.likelihood
    if deciding.quality and deciding.quality.less_pca and not deciding.baseline:
        low, high = deciding.quality.less_pca.interval
        which = "above" if low > 0 else "below" if high < 0 else "alike"
        values = {"score": _scorer(words, deciding.name)} | _rounded(words, low=low, high=high)
        said.append(words.text(f"detection.against_pca.{which}", **values))
    if warned:
        grey = warned.constants["grey"].likelier_than
        key = f"detection.grey.{'fooled' if grey > 0.5 else 'safe'}"
        said.append(words.text(key, percent=words.percent(grey), normal=warned.normal))
        complexity, brightness = warned.complexity_correlation, warned.brightness_correlation
        if complexity is not None and brightness is not None:
            both = _rounded(words, complexity=complexity, brightness=brightness)
            said.append(words.text("detection.correlations", **both))
    plain = detected.scorers.get("complexity")
    if plain and plain.quality:
        said.append(words.text("detection.size", auroc=words.rounded(plain.quality.auroc)))
    largest = detected.scorers.get("reconstruction")
    error = words.rounded(largest.largest) if largest else ""
    for note in detected.of.notes:
        key = f"detection.notes.{note}"
        said.append(words.text(key, error=error) if key in words else words.foreign(note))
    return [*said, *(words.foreign(note) for note in detected.of.suspects.notes)]


def _choice(words: Words, choice: Choice) -> Markup:
    """How the score was chosen, or why both flag."""
    first, second = choice.names
    named = {"first": _scorer(words, first), "second": _scorer(words, second)}
    if choice.interval is None or choice.aurocs is None:
        return words.text(f"detection.choice.{choice.unsound or 'few'}", **named)
    (a, b), (low, high) = choice.aurocs, choice.interval
    return words.text(
        f"detection.choice.{'chosen' if choice.better else 'both'}",
        **named,
        **_rounded(words, a=a, b=b, low=low, high=high),
        better=_scorer(words, choice.better or first),
        images=choice.images,
    )


def _rounded(words: Words, **values: float) -> dict[str, str]:
    return {name: words.rounded(value) for name, value in values.items()}
