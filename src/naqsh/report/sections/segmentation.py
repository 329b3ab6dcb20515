"""The section on segmentation: features beside what needs none, classes, and overlays."""

from collections.abc import Sequence

from markupsafe import Markup

from naqsh.io import masks
from naqsh.report import cells
from naqsh.report.document import Block, Figure, Key, Table
from naqsh.report.draw.panels import panel_title, picture, reduced
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.facts import Facts, studies
from naqsh.report.read.segmentation import Segmented
from naqsh.report.words import Words
from naqsh.runs import records

BYTES = 400_000
"""Of one study's overlays."""

Found = Sequence[tuple[Facts, Segmented]]


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where no run's features were measured by segmentation."""
    found = [study for run in runs for study in studies(run, run.segmented)]
    if not found:
        return absent(maker, runs, "segmentation")
    said = [(run.label, _said(maker.words, study)) for run, study in found]
    several = len(found) > 1
    return [
        _approaches(maker, found),
        _classes(maker, found),
        *present([_overlays(maker, found)]),
        *listings(said, several=several),
    ]


def _name(words: Words, one: records.Classified) -> Markup | str:
    return words.known(f"tables.segmentation.approaches.{one.name}", one.name)


def _approaches(maker: Maker, found: Found) -> Table:
    """A row an approach of each study: mean IoU, how far features are above, accuracy."""
    words, rows = maker.words, []
    for run, study in found:
        for number, one in enumerate(study.found.approaches):
            above = study.found.above(one.name) if number else None
            rows.append(
                (
                    f"{run.label} {one.name}",
                    {
                        "run": run.label,
                        "approach": _name(words, one),
                        "mean_iou": cells.rounded(words, *one.over_draws()),
                        "above": above and cells.rounded(words, *above),
                        "accuracy": cells.rounded(words, *one.over_draws("accuracy")),
                    },
                )
            )
    without = set() if len(found) > 1 else {"run"}
    return maker.listed("segmentation", rows, numeric="mean_iou", without=without)


def _classes(maker: Maker, found: Found) -> Table:
    """A row a class of each study: the IoU of features and of what stands beside, over draws."""
    words, rows = maker.words, []
    names = list(dict.fromkeys(a.name for _, study in found for a in study.found.approaches))
    titles = {"run": words.text("tables.segmentation.columns.run")}
    titles |= {"class": words.text("tables.segmented_classes.class")}
    for name in names:
        titles[name] = words.known(f"tables.segmentation.approaches.{name}", name)
    for run, study in found:
        for place, label in enumerate(study.found.classes):
            values = {one.name: one.iou[place] for one in study.found.approaches}
            shown = {
                name: None if value is None else cells.rounded(words, value)
                for name, value in values.items()
            }
            row = {"run": run.label, "class": label} | dict.fromkeys(names) | shown
            rows.append((f"{run.label} {label}", row))
    without = set() if len(found) > 1 else {"run"}
    return maker.listed(
        "segmented_classes", rows, numeric=names[0], titles=titles, without=without, wide=True
    )


def _overlays(maker: Maker, found: Found) -> Figure | None:
    """Images, masks, predictions and disagreement, with the colours of the classes."""
    panels = []
    for run, study in found:
        title = panel_title(maker, found, run.label, maker.words.text("figures.segmentation.title"))
        file, titled = run.path / study.found.picture, len(found) > 1
        shown = picture(maker, title, file, BYTES, titled=titled)
        panels.append(type(shown)(shown.title, shown.content, _keys(study), shown.reduced))
    return maker.figure("segmentation", panels, columns=1, notes=reduced(maker, panels))


def _keys(study: Segmented) -> list[Key]:
    names = study.found.classes
    colours = masks.colours(len(names))
    return [
        Key(name, f"#{bytes(colour).hex()}") for name, colour in zip(names, colours, strict=True)
    ]


def _said(words: Words, study: Segmented) -> list[Markup]:
    """How it was done, and what the ensemble's disagreement is worth."""
    about = study.about
    levels = words.listed(words.number(level) for level in about.levels)
    values = {"labelled": about.labelled, "pool": study.found.pool, "draws": about.draws}
    values |= {"n": about.n, "members": about.members}
    said = [words.text("segmentation.how", data=about.data, levels=levels, **values)]
    if study.found.uncertain is not None:
        percent = words.percent(study.found.uncertain)
        said.append(words.text("segmentation.uncertain", percent=percent))
    return [*said, *map(words.foreign, study.found.remarks)]
