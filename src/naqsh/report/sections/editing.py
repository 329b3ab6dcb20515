"""The section on editing: grids of what was given and what was made of it, and what it cost."""

from collections.abc import Sequence

from naqsh.report import cells
from naqsh.report.document import Block, Figure, Table
from naqsh.report.draw.panels import picture, reduced
from naqsh.report.maker import Maker, absent, listings, present
from naqsh.report.read.editing import Edited
from naqsh.report.read.facts import Facts

PICTURE_BYTES = 400_000
"""Bytes of one grid of images."""

SHOWN = 6
"""Edits of a run whose grids are shown, the latest."""


def blocks(maker: Maker, runs: Sequence[Facts]) -> list[Block]:
    """The section; empty where nothing was edited."""
    found = [(run, edited) for run in runs for edited in run.edited]
    if not found:
        return absent(maker, runs, "editing")
    notes = [(run.label, [maker.words.foreign(n) for n in e.found.notes]) for run, e in found]
    made = [_grids(maker, runs), _table(maker, found, several=len(runs) > 1)]
    return [*present(made), *listings(dict(notes).items(), several=len(runs) > 1)]


def _grids(maker: Maker, runs: Sequence[Facts]) -> Figure | None:
    """A panel an edit, the latest of each run."""
    panels = []
    for run in runs:
        for edited in run.edited[-SHOWN:]:
            title = _title(maker, edited)
            if len(runs) > 1:
                title = maker.words.text("figures.of_run", run=run.label, what=title)
            file = run.path / edited.found.picture
            panels.append(picture(maker, title, file, PICTURE_BYTES, alt="editing"))
    return maker.figure("editing", panels, columns=1, notes=reduced(maker, panels))


def _title(maker: Maker, edited: Edited) -> str:
    """What was done, and how much."""
    about, found = edited.about, edited.found
    words = maker.words
    if about.kind == "fill":
        return words.text("editing.fill", filled=words.percent(found.filled or 0.0))
    if about.kind == "vary":
        return words.text("editing.vary", strength=words.data(about.strength or 0.0))
    return words.text("editing.blend")


def _table(maker: Maker, found: Sequence[tuple[Facts, Edited]], *, several: bool) -> Table:
    """A row an edit."""
    words, rows = maker.words, []
    for number, (run, edited) in enumerate(found):
        about, of_it = edited.about, edited.found
        shown = {
            "run": run.label,
            "edit": _title(maker, edited),
            "options": edited.sampling,
            "change": cells.mean(words, of_it.change.value, of_it.change.error),
            "pictures_per_second": cells.rounded(words, of_it.pictures_per_second),
            "evaluations": cells.rounded(words, of_it.evaluations),
            "repaint": None if about.jump is None else f"{about.jump} × {about.resamples}",
        }
        rows.append((f"{run.label} {number}", vars(about) | vars(of_it) | shown))
    without = set() if several else {"run"}
    return maker.listed("editing", rows, numeric="images", without=without)
