"""The text of a lesson: Markdown with formulas, values, checks, figures and tables.

========================================  ======================================================
``$...$``, ``$$...$$``                    formulas in LaTeX; they become MathML
``<<closed_form.left:.4f>>``              a value (:meth:`naqsh.lessons.lesson.Lesson.value`),
                                          written as Python's format says, in prose and formulas
``[[closed_form]]``                       on a line of its own: what a check came to, with its code
``![caption](figure:paths)``              alone: a figure of the lesson, its caption below
``Table: caption``                        the line before a table: its caption; ``{#id}`` ends it
                                          where the text refers to the table
``[](#figure-paths)``, ``[](#table-id)``  a reference, "Figure 1"
``[other](lesson:ddim)``                  a link to another lesson
``::: answer`` … ``:::``                  an answer that opens on a click
``## Title {#id}``                        a section
========================================  ======================================================
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it.token import Token
from markupsafe import Markup

from naqsh.lessons import parsing
from naqsh.lessons.filling import CHECK, CHECKED, VALUE, Filling
from naqsh.lessons.lesson import Lesson
from naqsh.report.document import Block, Figure, Prose, Row, Table
from naqsh.report.words import Words

HEADING = re.compile(r"^## (.+?)\s*\{#([a-z0-9-]+)\}\s*$")


@dataclass(frozen=True)
class Part:
    """One block of the page, and the Markdown that says the same in a notebook.

    Attributes:
        block: of the page.
        source: Markdown with values filled in; empty for a figure.
        check: the name of the check that the block tells of, if it is one.
    """

    block: Block
    source: str = ""
    check: str = ""


@dataclass
class Chapter:
    """A section: its id, its title, as HTML and as Markdown, and its parts."""

    id: str
    title: Markup
    source: str
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """A lesson's text in a language, with all that it shows.

    `source` is title and leads as Markdown.
    """

    title: Markup
    leads: Sequence[Markup]
    source: str
    chapters: Sequence[Chapter]


def named(markdown: str) -> set[str]:
    """The values that a text names, and the checks as ``closed_form.holds``."""
    checks = {f"{name}.holds" for name in CHECK.findall(markdown)}
    return checks | {path.strip() for path, _ in VALUE.findall(markdown)}


def sections(markdown: str) -> list[str]:
    """The ids of a text's sections, in order."""
    return [found[2] for line in markdown.splitlines() if (found := HEADING.match(line))]


def read(lesson: Lesson, words: Words, markdown: str) -> Text:
    """A lesson's text as blocks, with values, checks and figures in their places.

    Args:
        lesson: what the text names values, checks and figures of.
        words: of the text's language.
        markdown: the text.

    Raises:
        NaqshError: it names something that the lesson has not.
        ValueError: the text is not as it should be: a table without caption, a figure inside of
            something else, a formula with an unknown command.
    """
    return _Reader(lesson, words, markdown).text()


class _Reader:
    def __init__(self, lesson: Lesson, words: Words, markdown: str) -> None:
        self.lesson, self.words = lesson, words
        self.filling = Filling(lesson, words, markdown)
        self.parser = parsing.parser(self.filling)
        self.tokens = self.parser.parse(self.filling.markdown)
        self.labels = self._numbered()

    def html(self, tokens: Sequence[Token]) -> Markup:
        """Some tokens as HTML."""
        return self.filling.html(
            self.parser.renderer.render(tokens, self.parser.options, self._env)
        )

    def inline(self, markdown: str) -> Markup:
        """A line of Markdown as HTML."""
        return self.filling.html(self.parser.renderInline(markdown, self._env))

    @property
    def _env(self) -> dict[str, Any]:
        return {"labels": self.labels}

    def _numbered(self) -> dict[str, Markup]:
        """The label of each figure and table by its id, numbered in their order."""
        labels: dict[str, Markup] = {}
        figures = tables = 0
        for group in parsing.blocks(self.tokens):
            if name := parsing.figure(group):
                figures += 1
                labels[f"figure-{name}"] = self.words.text("figure", number=figures)
            elif group[0].type == "table_open":
                tables += 1
                labels[f"table-{tables}"] = self.words.text("table", number=tables)
            elif caption := parsing.caption(group):
                labels[f"table-{caption[2] or tables + 1}"] = self.words.text(
                    "table", number=tables + 1
                )
        return labels

    def _plain(self, lines: str) -> str:
        return self.filling.plain(lines, self.labels)

    def text(self) -> Text:
        head: Markup | None = None
        leads: list[Markup] = []
        chapters: list[Chapter] = []
        caption: re.Match[str] | None = None
        tables = 0
        for group in parsing.blocks(self.tokens):
            kind = group[0].type
            if kind == "heading_open" and group[0].tag == "h1":
                head = self.inline(group[1].content)
            elif kind == "heading_open" and group[0].tag == "h2":
                found = HEADING.match(f"## {group[1].content}")
                if not found:
                    raise ValueError(f"{self.lesson}: {group[1].content!r} needs an {{#id}}")
                chapters.append(Chapter(found[2], self.inline(found[1]), self._plain(found[1])))
            elif not chapters:
                leads.append(self.inline(group[1].content))
            elif name := parsing.figure(group):
                chapters[-1].parts.append(Part(self._figure_block(name, group)))
            elif said := parsing.caption(group):
                caption = said
            elif kind == "table_open":
                if caption is None:
                    raise ValueError(f"{self.lesson}: a table needs a line 'Table: …' before it")
                tables += 1
                block = self._table(group, caption, tables)
                lines = self._lines(group)
                source = self._plain(f"**{block.label}.** {caption[1]}\n\n{lines}")
                chapters[-1].parts.append(Part(block, source))
                caption = None
            else:
                self._refuse_inner(group)
                html = self.html(group)
                check = CHECKED.fullmatch(group[1].content) if group[1:] else None
                part = Part(Prose(html), self._plain(self._lines(group)), check[1] if check else "")
                chapters[-1].parts.append(part)
        if head is None:
            raise ValueError(f"{self.lesson}: the text begins with its title, '# …'")
        source = self._plain(self.filling.markdown.partition("\n## ")[0])
        return Text(head, leads, source, chapters)

    def _lines(self, group: Sequence[Token]) -> str:
        begin, end = group[0].map or [0, 0]
        return "\n".join(self.filling.markdown.splitlines()[begin:end])

    def _refuse_inner(self, group: Sequence[Token]) -> None:
        for token in group:
            inner = [c for c in token.children or [] if c.type == "image"]
            if token.type == "table_open" or inner:
                raise ValueError(f"{self.lesson}: figures and tables stand by themselves")

    def _figure_block(self, name: str, group: Sequence[Token]) -> Figure:
        image = (group[1].children or [])[0]
        caption = self.inline(image.content)
        place = f"figure-{name}"
        drawn = self.lesson.draw(name, self.words)
        panels = drawn.panels(f"{self.lesson.name}-{name}", caption.striptags())
        label = self.labels[place]
        return Figure(place, label, caption, Markup(""), panels, drawn.columns, drawn.small)

    def _table(self, group: Sequence[Token], caption: re.Match[str], number: int) -> Table:
        rows: list[list[Markup]] = []
        aligned: list[bool] = []
        for token, following in itertools.pairwise(group):
            if token.type == "tr_open":
                rows.append([])
            elif token.type in ("th_open", "td_open"):
                rows[-1].append(self.inline(following.content))
                if len(rows) == 1:
                    aligned.append("right" in str(token.attrGet("style") or ""))
        # Columns are to the right from the first one on that all later ones are like.
        numeric = len(aligned) - next(
            (i for i, right in enumerate(reversed(aligned)) if not right), len(aligned)
        )
        place, label = f"table-{caption[2] or number}", self.words.text("table", number=number)
        body = [Row("", row) for row in rows[1:]]
        return Table(
            place, label, self.inline(caption[1]), Markup(""), rows[0], body, max(numeric, 1)
        )
