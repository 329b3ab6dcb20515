"""The parts of a page: sections that hold paragraphs, figures and tables.

Figures and tables get their numbers when they are made, so that making them in the order of the
page numbers them consecutively. Each comes with the sentence of the running text that refers to it.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup

from naqsh.report.cells import cell
from naqsh.report.read.facts import Facts
from naqsh.report.words import Words


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a colour as CSS writes it, and CSS's name of the line style.

    Where there is a `sign`, such as the number of a point, it stands in place of the line.
    """

    label: str
    colour: str
    dash: str = "solid"
    sign: str = ""


@dataclass(frozen=True)
class Panel:
    """One part of a figure: an SVG or an image under its title, if any, and its legend.

    An image may be `reduced`: compressed with loss or made smaller.
    """

    title: str
    content: Markup
    legend: Sequence[Key] = ()
    reduced: bool = False


@dataclass(frozen=True)
class Numbered:
    """What figures and tables have in common.

    Attributes:
        id: what references point to.
        label: "Figure 3".
        caption: what is seen.
        mention: the sentence of the running text that refers to it.
    """

    id: str
    label: Markup
    caption: Markup
    mention: Markup

    @property
    def name(self) -> str:
        """The id without its kind."""
        return self.id.partition("-")[2]


@dataclass(frozen=True)
class Figure(Numbered):
    """Panels with one number and one caption below them.

    Attributes:
        panels: side by side as far as they fit.
        columns: panels in a row, where rows mean something; 0 lets the page choose.
        small: whether the panels may be narrow, as images may.
    """

    panels: Sequence[Panel]
    columns: int = 0
    small: bool = False
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Row:
    """A row of a table: its key in the embedded results, its cells, whether it stands out."""

    key: str
    cells: Sequence[str]
    marked: bool = False


@dataclass(frozen=True)
class Table(Numbered):
    """Rows with one number and one caption above them; the first column names the rows.

    Attributes:
        head: the columns' names.
        rows: the cells.
        numeric: from which column on cells are set to the right, as numbers are.
        foot: the totals, if any.
        wide: whether it has so many columns that the first must stay in sight.
    """

    head: Sequence[str]
    rows: Sequence[Row]
    numeric: int
    foot: Row | None = None
    wide: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: Markup
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Listing:
    """Short paragraphs under a title, for example one run's diagnosis."""

    title: str
    items: Sequence[Markup]
    kind: ClassVar[str] = "listing"


@dataclass(frozen=True)
class Code:
    """Text to copy; where `file` is named, also to save."""

    text: str
    file: str = ""
    uri: str = ""
    kind: ClassVar[str] = "code"


Block = Figure | Table | Paragraph | Listing | Code


@dataclass
class Section:
    """A heading and what stands under it."""

    id: str
    title: Markup
    blocks: list[Block] = field(default_factory=list)

    @property
    def lead(self) -> Markup:
        """The sentences that refer to the section's figures and tables."""
        return Markup(" ").join(b.mention for b in self.blocks if isinstance(b, Numbered))


@dataclass(frozen=True)
class Document:
    """A whole page.

    Attributes:
        words: its language.
        title: its name.
        leads: one paragraph a run under the title.
        sections: in order.
        results: everything it shows as plain data.
    """

    words: Words
    title: Markup
    leads: Sequence[Markup]
    sections: Sequence[Section]
    results: dict[str, Any]


class Maker:
    """Makes figures and tables with running numbers and texts by their names."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self._made = Counter[str]()

    def unique(self, name: str) -> str:
        """The name with a number, another one at each call."""
        self._made[name] += 1
        return f"{name}-{self._made[name]}"

    def figure(
        self,
        name: str,
        panels: Sequence[Panel],
        *,
        number: int | None = None,
        columns: int = 0,
        small: bool = False,
        notes: Sequence[Markup] = (),
        **values: Any,
    ) -> Figure:
        """The next figure.

        Args:
            name: of its texts, ``figures.<name>``.
            panels: what it shows.
            number: tells figures of the same name apart.
            columns: panels in a row.
            small: whether the panels may be narrow.
            notes: sentences that follow the caption.
            values: what its texts need.
        """
        return Figure(
            *self._numbered("figure", name, number, notes, values), panels, columns, small
        )

    def table(
        self,
        name: str,
        head: Sequence[str],
        rows: Sequence[Row],
        *,
        number: int | None = None,
        numeric: int | None = None,
        foot: Row | None = None,
        wide: bool = False,
        notes: Sequence[Markup] = (),
        **values: Any,
    ) -> Table:
        """The next table; `name`, `number`, `notes` and `values` as for :meth:`figure`.

        Where `numeric` is not given, no column is set to the right.
        """
        place = self._numbered("table", name, number, notes, values)
        aligned = len(head) if numeric is None else numeric
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
            name: of its texts, ``tables.<name>``.
            head: what stands above the titles, then what the things are called.
            columns: what is known of each, by the names of the rows.
            titles: of the rows, by these names; those of the texts' ``tables.<name>.rows`` if None.
            optional: rows that are left out where no column has them.
            marked: whether rows in which the columns differ stand out.
            how: as for :meth:`table`.
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
            name: of its texts, ``tables.<name>``.
            found: of each its key in the embedded results, and values by the names of the columns.
            numeric: the first column of numbers.
            titles: of the columns; those of the texts' ``tables.<name>.columns`` if None.
            without: columns that are left out.
            how: as for :meth:`table`.
        """
        titles = self.words.under(f"tables.{name}.columns") if titles is None else titles
        columns = [column for column in titles if column not in without]
        rows = [Row(key, [cell(self.words, c, known[c]) for c in columns]) for key, known in found]
        head = [titles[column] for column in columns]
        return self.table(name, head, rows, numeric=columns.index(numeric), **how)

    def head(self, labels: Sequence[str]) -> list[str]:
        """The head of a table with a column for each of several things."""
        return ["", *(labels if len(labels) > 1 else [self.words.text("value")])]

    def paragraph(self, key: str, **values: Any) -> Paragraph:
        """A text of its own."""
        return Paragraph(self.words.text(key, **values))

    def _numbered(
        self, kind: str, name: str, number: int | None, notes: Sequence[Markup], values: Any
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
