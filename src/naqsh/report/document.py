"""The parts of a page: sections that hold paragraphs, figures and tables.

Figures and tables get their numbers when they are made, so that making them in the order of the
page numbers them consecutively. Each comes with the sentence of the running text that refers to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

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
    """One part of a figure: an SVG or an image under its title, if any, and its legend."""

    title: str
    content: Markup
    legend: Sequence[Key] = ()


@dataclass(frozen=True)
class Figure:
    """Panels with one number and one caption below them.

    Attributes:
        id: what references point to.
        label: "Figure 3".
        caption: what is seen.
        panels: side by side as far as they fit.
        columns: panels in a row, where rows mean something; 0 lets the page choose.
        mention: the sentence of the running text that refers to it.
        small: whether the panels may be narrow, as images may.
    """

    id: str
    label: Markup
    caption: Markup
    panels: Sequence[Panel]
    columns: int
    mention: Markup
    small: bool = False
    kind: str = "figure"


@dataclass(frozen=True)
class Row:
    """A row of a table: its key in the embedded results, its cells, whether it stands out."""

    key: str
    cells: Sequence[str]
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """Rows with one number and one caption above them; the first column names the rows.

    Attributes:
        id: what references point to.
        label: "Table 2".
        caption: what is listed.
        head: the columns' names.
        rows: the cells.
        numeric: from which column on cells are set to the right, as numbers are.
        foot: the totals, if any.
        mention: the sentence of the running text that refers to it.
        wide: whether it has so many columns that the first must stay in sight.
    """

    id: str
    label: Markup
    caption: Markup
    head: Sequence[str]
    rows: Sequence[Row]
    numeric: int
    foot: Row | None
    mention: Markup
    wide: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: Markup
    kind: str = "paragraph"


@dataclass(frozen=True)
class Listing:
    """Short paragraphs under a title, for example one run's diagnosis."""

    title: str
    items: Sequence[Markup]
    kind: str = "listing"


@dataclass(frozen=True)
class Code:
    """Text to copy; where `file` is named, also to save."""

    text: str
    file: str = ""
    uri: str = ""
    kind: str = "code"


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
        return Markup(" ").join(b.mention for b in self.blocks if isinstance(b, Figure | Table))


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
        self._figures = self._tables = 0

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
        self._figures += 1
        label = self.words.text("figure", number=self.words.number(self._figures))
        place = f"figure-{name}" if number is None else f"figure-{name}-{number}"
        caption = Markup(" ").join([self.words.text(f"figures.{name}.caption", **values), *notes])
        mention = self.words.text(f"figures.{name}.mention", ref=_link(place, label), **values)
        return Figure(place, label, caption, panels, columns, mention, small)

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
        self._tables += 1
        label = self.words.text("table", number=self.words.number(self._tables))
        place = f"table-{name}" if number is None else f"table-{name}-{number}"
        caption = Markup(" ").join([self.words.text(f"tables.{name}.caption", **values), *notes])
        mention = self.words.text(f"tables.{name}.mention", ref=_link(place, label), **values)
        aligned = len(head) if numeric is None else numeric
        return Table(
            place, label, caption, head, rows, aligned, foot, mention, wide or len(head) > 3
        )


def _link(place: str, label: Markup) -> Markup:
    return Markup('<a href="#{}">{}</a>').format(place, label)
