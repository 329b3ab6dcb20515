"""A report in pieces: every figure and table by its name, as something that shows itself.

In a notebook, a piece that ends a cell is drawn; elsewhere ``piece.html`` is a piece of HTML that
needs nothing beside itself, and ``str(piece)`` is its text.
"""

import itertools
import re
from collections.abc import Iterable
from functools import cached_property

from markupsafe import Markup

from naqsh.core.errors import one_of
from naqsh.report import html
from naqsh.report.document import Block, Document, Figure, Numbered, Table
from naqsh.report.words import Words


class Piece:
    """One figure, one table, or the running text of a section, in its language."""

    def __init__(self, blocks: Iterable[Block], words: Words) -> None:
        self.blocks, self.words = list(blocks), words

    @property
    def caption(self) -> str:
        """Number and caption, without tags; empty for running text."""
        return " ".join(
            _read(f"{block.label}. {block.caption}")
            for block in self.blocks
            if isinstance(block, Numbered)
        )

    @cached_property
    def html(self) -> str:
        """The piece with its own style; light, whatever the page it stands on."""
        return html.fragment(self.blocks, self.words)

    def rows(self) -> list[list[str]]:
        """The cells of a table as they are read, its head first; empty for others."""
        tables = [block for block in self.blocks if isinstance(block, Table)]
        feet = [[table.foot] if table.foot else [] for table in tables]
        rows = [
            cells
            for table, foot in zip(tables, feet, strict=True)
            for cells in (table.head, *[row.cells for row in (*table.rows, *foot)])
        ]
        return [[_read(cell) for cell in cells] for cells in rows]

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        if not self.caption:
            return _read(html.render_blocks(self.blocks, self.words))
        rows = self.rows()
        columns = itertools.zip_longest(*rows, fillvalue="")
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
            for row in rows
        ]
        return "\n".join([self.caption, *lines])


class Report:
    """A run, several side by side, or a comparison, opened to be shown piece by piece.

    In a notebook::

        page = naqsh.report.open("runs/gan-digits")
        page.figure("losses")
        page.table("hyperparameters").rows()
    """

    def __init__(self, document: Document) -> None:
        self.document = document

    def __repr__(self) -> str:
        return f"{_read(self.document.title)}: {', '.join([*self.figures, *self.tables])}"

    @property
    def figures(self) -> list[str]:
        """The names of the figures, in order."""
        return [block.name for block in self._numbered("figure")]

    @property
    def tables(self) -> list[str]:
        """The names of the tables, in order."""
        return [block.name for block in self._numbered("table")]

    @property
    def sections(self) -> list[str]:
        """The names of the sections, in order."""
        return [section.id for section in self.document.sections]

    def figure(self, name: str) -> Piece:
        """A figure; raises NaqshError where there is none of that name."""
        return self._piece("figure", name)

    def table(self, name: str) -> Piece:
        """A table; raises NaqshError where there is none of that name."""
        return self._piece("table", name)

    def text(self, name: str) -> Piece:
        """What a section says beside its figures and tables."""
        for section in self.document.sections:
            if section.id == name:
                blocks = [b for b in section.blocks if not isinstance(b, Numbered)]
                return Piece(blocks, self.document.words)
        raise one_of("section", name, self.sections)

    def _numbered(self, kind: str) -> list[Figure | Table]:
        return [
            block
            for section in self.document.sections
            for block in section.blocks
            if isinstance(block, Figure | Table) and block.kind == kind
        ]

    def _piece(self, kind: str, name: str) -> Piece:
        found = {block.name: block for block in self._numbered(kind)}
        if name not in found:
            raise one_of(kind, name, list(found))
        return Piece([found[name]], self.document.words)


def _read(text: str) -> str:
    """A text as it is read: without tags and isolates, in one line."""
    plain = Markup(text).striptags() if "<" in text or "&" in text else text
    return " ".join(re.sub("[\u2066-\u2069]", "", plain).split())
