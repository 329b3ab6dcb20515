"""The parts of a page: sections that hold paragraphs, figures and tables.

Each figure and table comes with the sentence of the running text that refers to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

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

    References point to the `id`; `mention` is the sentence of the running text with a reference.
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
    """Panels side by side as far as they fit, with one number and one caption below them.

    Where rows mean something it has `columns` panels in a row; `small` ones may be narrow.
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


@dataclass(frozen=True)
class Prose:
    """Running text with all that belongs to it: paragraphs, formulas, lists, code."""

    html: Markup
    kind: ClassVar[str] = "prose"


Block = Figure | Table | Paragraph | Listing | Code | Prose


@dataclass
class Section:
    id: str
    title: Markup
    blocks: list[Block] = field(default_factory=list)

    @property
    def lead(self) -> Markup:
        """The sentences that refer to the section's figures and tables, if they have any."""
        numbered = [block for block in self.blocks if isinstance(block, Numbered)]
        return Markup(" ").join(block.mention for block in numbered if block.mention)


@dataclass(frozen=True)
class Document:
    """A whole page: a lead a run under the title, and all that it shows as plain data.

    `named` is the text that makes the browser's title of the page's.
    """

    words: Words
    title: Markup
    leads: Sequence[Markup]
    sections: Sequence[Section]
    results: dict[str, Any]
    named: str = "title"
