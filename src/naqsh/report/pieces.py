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
from naqsh.report.document import Block, Document, Figure, Table
from naqsh.report.words import Words


class Piece:
    """One figure, one table, or the running text of a section.

    Attributes:
        blocks: what it is made of.
        words: its language.
    """

    def __init__(self, blocks: Iterable[Block], words: Words) -> None:
        self.blocks, self.words = list(blocks), words

    @property
    def caption(self) -> str:
        """Number and caption, without tags; empty for running text."""
        return " ".join(
            _read(f"{block.label}. {block.caption}")
            for block in self.blocks
            if isinstance(block, Figure | Table)
        )

    @cached_property
    def html(self) -> str:
        """The piece with its own style; light, whatever the page it stands on."""
        return html.fragment(self.blocks, self.words)

    def rows(self) -> list[list[str]]:
        """The cells of a table as they are read, its head first; empty for others."""
        return [
            [_read(cell) for cell in cells]
            for block in self.blocks
            if isinstance(block, Table)
            for cells in (
                block.head,
                *(row.cells for row in block.rows),
                *([block.foot.cells] if block.foot else []),
            )
        ]

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        rows = self.rows()
        widths = [
            max(len(cell) for cell in column)
            for column in itertools.zip_longest(*rows, fillvalue="")
        ]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
            for row in rows
        ]
        texts = [] if self.caption else [_read(html.render_blocks(self.blocks, self.words))]
        return "\n".join([self.caption, *lines] if self.caption else texts)


class Report:
    """A run, several side by side, or a comparison, opened to be shown piece by piece.

    Example:
        >>> page = report.open("runs/gan-digits")  # doctest: +SKIP
        >>> page.figure("losses")  # doctest: +SKIP
        >>> page.table("hyperparameters").rows()  # doctest: +SKIP
    """

    def __init__(self, document: Document) -> None:
        self.document = document

    def __repr__(self) -> str:
        return f"{_read(self.document.title)}: {', '.join([*self.figures, *self.tables])}"

    @property
    def figures(self) -> list[str]:
        """The names of the figures, in order."""
        return [_name(block) for block in self._blocks() if isinstance(block, Figure)]

    @property
    def tables(self) -> list[str]:
        """The names of the tables, in order."""
        return [_name(block) for block in self._blocks() if isinstance(block, Table)]

    @property
    def sections(self) -> list[str]:
        """The names of the sections, in order."""
        return [section.id for section in self.document.sections]

    def figure(self, name: str) -> Piece:
        """A figure; raises NaqshError where there is none of that name."""
        return self._piece("figure", name, self.figures)

    def table(self, name: str) -> Piece:
        """A table; raises NaqshError where there is none of that name."""
        return self._piece("table", name, self.tables)

    def text(self, name: str) -> Piece:
        """What a section says beside its figures and tables."""
        for section in self.document.sections:
            if section.id == name:
                blocks = [b for b in section.blocks if not isinstance(b, Figure | Table)]
                return Piece(blocks, self.document.words)
        raise one_of("section", name, self.sections)

    def _blocks(self) -> Iterable[Block]:
        return (block for section in self.document.sections for block in section.blocks)

    def _piece(self, kind: str, name: str, known: list[str]) -> Piece:
        for block in self._blocks():
            if block.kind == kind and _name(block) == name:
                return Piece([block], self.document.words)
        raise one_of(kind, name, known)


def _name(block: Block) -> str:
    """The name of a figure or table: its id without its kind."""
    return block.id.partition("-")[2] if isinstance(block, Figure | Table) else ""


def _read(text: str) -> str:
    """A text as it is read: without tags and isolates, in one line."""
    plain = Markup(text).striptags() if "<" in text or "&" in text else text
    return " ".join(re.sub("[\u2066-\u2069]", "", plain).split())
