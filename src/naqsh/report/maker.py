"""The maker of a document's pieces: numbers figures and tables, and finds their texts by name.

Making them in the order of the page numbers them consecutively.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from naqsh.report.cells import cell
from naqsh.report.document import Block, Figure, Listing, Panel, Paragraph, Row, Table
from naqsh.report.read.facts import Facts
from naqsh.report.words import Words


class Maker:
    """Makes figures and tables with running numbers and texts by their names."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self._made = Counter[str]()

    def unique(self, name: str) -> str:
        """The name with a number, another one at each call."""
        self._made[f"{name}-"] += 1
        return f"{name}-{self._made[f'{name}-']}"

    def figure(
        self,
        name: str,
        panels: Sequence[Panel],
        *,
        columns: int = 0,
        small: bool = False,
        **texts: Any,
    ) -> Figure | None:
        """The next figure; none where it has no panels.

        Args:
            name: of its texts, ``figures.<name>``.
            panels: what it shows.
            columns: panels in a row; 0 lets the page choose.
            small: whether the panels may be narrow.
            texts: ``number`` tells figures of the same name apart, ``notes`` are sentences that
                follow the caption, all else is what the texts need.
        """
        if not panels:
            return None
        return Figure(*self._numbered("figure", name, **texts), panels, columns, small)

    def table(
        self,
        name: str,
        head: Sequence[str],
        rows: Sequence[Row],
        *,
        numeric: int | None = None,
        foot: Row | None = None,
        wide: bool = False,
        **texts: Any,
    ) -> Table:
        """The next table, its columns from `numeric` on set to the right, as :meth:`figure`."""
        aligned = len(head) if numeric is None else numeric
        place = self._numbered("table", name, **texts)
        return Table(*place, head, rows, aligned, foot, wide or len(head) > 3)

    def beside(
        self,
        name: str,
        head: Sequence[str],
        columns: Sequence[Mapping[str, Any]],
        *,
        titles: Mapping[str, str] | None = None,
        optional: Container[str] = (),
        marked: bool = False,
        **how: Any,
    ) -> Table:
        """A table with a column for each of several things, such as runs.

        Args:
            name: of its texts.
            head: what stands above the titles, then what the things are called.
            columns: what is known of each, by the names of the rows.
            titles: of the rows, by these names; those of the texts' ``rows`` if None.
            optional: rows that are left out where no column has them.
            marked: whether rows in which the columns differ stand out.
        """
        titles = self.words.under(f"tables.{name}.rows") if titles is None else titles
        rows = []
        for key, title in titles.items():
            values = [column.get(key) for column in columns]
            if key not in optional or any(value is not None for value in values):
                cells = [cell(self.words, key, value) for value in values]
                rows.append(Row(key, [title, *cells], marked and len(set(cells)) > 1))
        return self.table(name, head, rows, **how)

    def listed(
        self,
        name: str,
        found: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        numeric: str,
        titles: Mapping[str, str] | None = None,
        without: Container[str] = (),
        **how: Any,
    ) -> Table:
        """A table with a row for each of several things.

        Args:
            name: of its texts.
            found: of each its key in the embedded results, and values by the names of the columns.
            numeric: the first column of numbers.
            titles: of the columns, by these names; those of the texts' ``columns`` if None.
            without: columns that are left out.
        """
        titles = self.words.under(f"tables.{name}.columns") if titles is None else titles
        columns = [column for column in titles if column not in without]
        rows = [Row(key, [cell(self.words, c, known[c]) for c in columns]) for key, known in found]
        head = [titles[column] for column in columns]
        return self.table(name, head, rows, numeric=columns.index(numeric), **how)

    def head(self, labels: Sequence[str]) -> list[str]:
        return ["", *(labels if len(labels) > 1 else [self.words.text("value")])]

    def paragraph(self, key: str, **values: Any) -> Paragraph:
        return Paragraph(self.words.text(key, **values))

    def _numbered(
        self,
        kind: str,
        name: str,
        *,
        number: int | None = None,
        notes: Sequence[Markup] = (),
        **values: Any,
    ) -> tuple[str, Markup, Markup, Markup]:
        self._made[kind] += 1
        text, texts = self.words.text, f"{kind}s.{name}"
        label = text(kind, number=self._made[kind])
        place = f"{kind}-{name}" if number is None else f"{kind}-{name}-{number}"
        link = Markup('<a href="#{}">{}</a>').format(place, label)
        caption = Markup(" ").join([text(f"{texts}.caption", **values), *notes])
        return place, label, caption, text(f"{texts}.mention", ref=link, **values)


def listings(said: Iterable[tuple[str, Sequence[Markup]]], *, several: bool) -> list[Block]:
    """What is said of each of several things, under its label; nothing where nothing is said."""
    return [Listing(label if several else "", items) for label, items in said if items]


def present(made: Sequence[Block | None]) -> list[Block]:
    """Those pieces that could be made."""
    return [block for block in made if block is not None]


def absent(maker: Maker, runs: Sequence[Facts], what: str) -> list[Block]:
    """A section without content: empty, or a line that the file it needs could not be used."""
    lost = any(run.lost(f"{what}.json") for run in runs)
    return [maker.paragraph(f"{what}.lost")] if lost else []
