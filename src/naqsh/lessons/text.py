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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

from naqsh.lessons.course import names
from naqsh.lessons.lesson import Lesson
from naqsh.lessons.mathml import mathml
from naqsh.report.document import Block, Figure, Prose, Row, Table
from naqsh.report.words import Words

VALUE = re.compile(r"<<([^:<>]+)(?::([^<>]*))?>>")
CHECK = re.compile(r"^\[\[(\w+)\]\][ \t]*$", re.MULTILINE)
HEADING = re.compile(r"^## (.+?)\s*\{#([a-z0-9-]+)\}\s*$")
CAPTION = re.compile(r"Table:\s*(.+?)(?:\s*\{#([a-z0-9-]+)\})?\s*", re.DOTALL)
PLACE = re.compile("\ue000(\\d+)\ue001")
CHECKED = re.compile("<p>\ue002(\\w+)\ue003</p>")


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
        self.values: list[tuple[str, str]] = []
        self.markdown = CHECK.sub("\ue002\\1\ue003", VALUE.sub(self._keep, markdown))
        self.parser = _parser(self)
        self.tokens = self.parser.parse(self.markdown)
        self.labels = self._numbered()

    def _keep(self, found: re.Match[str]) -> str:
        """A sign in the place of a value, which Markdown leaves alone."""
        path, form = found[1].strip(), found[2] or ""
        self.values.append((path, form))
        return f"\ue000{len(self.values) - 1}\ue001"

    def _written(self, number: str) -> tuple[float, str]:
        path, form = self.values[int(number)]
        value = self.lesson.value(path)
        return value, f"{value + 0.0:{form or '.4g'}}"

    def filled(self, html: str) -> Markup:
        """HTML with the values and checks in their places."""

        def value(found: re.Match[str]) -> str:
            exact, text = self._written(found[1])
            return str(self.words.data(exact, self.words.scientific(text)))

        return Markup(CHECKED.sub(self._checked, PLACE.sub(value, html)))

    def _checked(self, found: re.Match[str]) -> str:
        name = found[1]
        code = Markup('<pre tabindex="0"><code>{}</code></pre>').format(self.lesson.source(name))
        said = checked(self.lesson, name, self.words)
        how = Markup('<details class="check"><summary>{}</summary>{}</details>')
        return str(how.format(said, code))

    def latex(self, formula: str) -> str:
        """A formula with the values in their places."""

        def value(found: re.Match[str]) -> str:
            _, text = self._written(found[1])
            return re.sub(r"e([+-])0*(\d+)$", _power, text)

        return PLACE.sub(value, formula)

    def _plain(self, lines: str) -> str:
        """Markdown for a notebook."""

        def outside(found: re.Match[str]) -> str:
            _, text = self._written(found[1])
            latex = re.sub(r"e([+-])0*(\d+)$", _power, text)
            return f"${latex}$" if latex != text else self.words.local(text)

        def label(found: re.Match[str]) -> str:
            return str(self.labels.get(found[1], ""))

        pieces = re.split(r"(\$\$.+?\$\$|\$[^$\n]+\$)", lines, flags=re.DOTALL)
        pieces[1::2] = [self.latex(piece) for piece in pieces[1::2]]
        pieces[::2] = [PLACE.sub(outside, piece) for piece in pieces[::2]]
        text = re.sub(r"\[\]\(#([a-z0-9-]+)\)", label, "".join(pieces))
        text = re.sub(r"\[([^\[\]]+)\]\(lesson:[a-z-]+\)", r"\1", text)
        answer = f"<details><summary>{self.words.plain('lesson.answer')}</summary>\n"
        text = re.sub(r"^::: *answer *$", answer, text, flags=re.MULTILINE)
        text = re.sub(r"^::: *$", "\n</details>", text, flags=re.MULTILINE)
        text = re.sub("\ue002(\\w+)\ue003", self._told, text)
        return re.sub(r"^Table:", f"**{self.words.plain('lesson.table')}**", text).strip()

    def _told(self, found: re.Match[str]) -> str:
        return str(checked(self.lesson, found[1], self.words).striptags())

    def html(self, tokens: Sequence[Token]) -> Markup:
        """Some tokens as HTML."""
        return self.filled(self.parser.renderer.render(tokens, self.parser.options, self._env))

    def inline(self, markdown: str) -> Markup:
        """A line of Markdown as HTML."""
        return self.filled(self.parser.renderInline(markdown, self._env))

    @property
    def _env(self) -> dict[str, Any]:
        return {"labels": self.labels}

    def _numbered(self) -> dict[str, Markup]:
        """The label of each figure and table by its id, numbered in their order."""
        labels: dict[str, Markup] = {}
        figures = tables = 0
        for group in _groups(self.tokens):
            if name := _figure(group):
                figures += 1
                labels[f"figure-{name}"] = self.words.text("figure", number=figures)
            elif group[0].type == "table_open":
                tables += 1
                labels[f"table-{tables}"] = self.words.text("table", number=tables)
            elif caption := _caption(group):
                labels[f"table-{caption[2] or tables + 1}"] = self.words.text(
                    "table", number=tables + 1
                )
        return labels

    def text(self) -> Text:
        head: Markup | None = None
        leads: list[Markup] = []
        chapters: list[Chapter] = []
        caption: re.Match[str] | None = None
        tables = 0
        for group in _groups(self.tokens):
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
            elif name := _figure(group):
                chapters[-1].parts.append(Part(self._figure_block(name, group)))
            elif said := _caption(group):
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
                check = re.fullmatch("\ue002(\\w+)\ue003", group[1].content) if group[1:] else None
                part = Part(Prose(html), self._plain(self._lines(group)), check[1] if check else "")
                chapters[-1].parts.append(part)
        if head is None:
            raise ValueError(f"{self.lesson}: the text begins with its title, '# …'")
        source = self._plain(self.markdown.partition("\n## ")[0])
        return Text(head, leads, source, chapters)

    def _lines(self, group: Sequence[Token]) -> str:
        begin, end = group[0].map or [0, 0]
        return "\n".join(self.markdown.splitlines()[begin:end])

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


def checked(lesson: Lesson, name: str, words: Words) -> Markup:
    """The sentence that says what a check came to."""
    check = lesson.checks[name]
    gap, allowed = check.worst
    called = Markup('<code dir="ltr">{}</code>').format(name)
    verdict = words.text("lesson.holds" if check.holds else "lesson.fails")
    values: dict[str, Any] = {
        "verdict": verdict,
        "gap": _number(words, gap),
        "allowed": _number(words, allowed),
    }
    if check.gap.ndim:
        values["count"] = check.gap.size
        return words.text("lesson.checked_many", name=called, **values)
    left, right = (_number(words, float(side), 6) for side in (check.left, check.right))
    return words.text("lesson.checked", name=called, left=left, right=right, **values)


def _number(words: Words, value: float, digits: int = 2) -> Markup:
    return words.data(value, words.scientific(f"{value + 0.0:.{digits}g}"))


def _power(found: re.Match[str]) -> str:
    sign = "-" if found[1] == "-" else ""
    return rf"\times 10^{{{sign}{found[2]}}}"


def _groups(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The tokens of each block at the top level."""
    begin = depth = 0
    for place, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            yield tokens[begin : place + 1]
            begin = place + 1


def _figure(group: Sequence[Token]) -> str:
    """The name of the figure that a paragraph is, if it is one."""
    if group[0].type != "paragraph_open":
        return ""
    children = group[1].children or []
    if len(children) != 1 or children[0].type != "image":
        return ""
    kind, _, name = str(children[0].attrGet("src")).partition(":")
    return name if kind == "figure" else ""


def _caption(group: Sequence[Token]) -> re.Match[str] | None:
    return CAPTION.fullmatch(group[1].content) if group[0].type == "paragraph_open" else None


def _parser(reader: _Reader) -> MarkdownIt:
    def formula(
        self: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: Any
    ) -> str:
        block = tokens[place].type != "math_inline"
        made = mathml(reader.latex(tokens[place].content), reader.words, block=block)
        return f'<div class="formula" tabindex="0">{made}</div>\n' if block else made

    def answer(
        self: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: Any
    ) -> str:
        if tokens[place].nesting < 0:
            return "</details>\n"
        return f"<details><summary>{reader.words.text('lesson.answer')}</summary>\n"

    def code(
        self: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: Any
    ) -> str:
        return str(Markup('<code dir="ltr">{}</code>').format(tokens[place].content))

    def link(
        self: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: Any
    ) -> str:
        token = tokens[place]
        target = str(token.attrGet("href"))
        if target.startswith("lesson:"):
            other = target.removeprefix("lesson:")
            token.attrs.pop("href")
            if other in names():  # a lesson that is not yet written is named, not linked to
                token.attrSet("href", f"{other}.html")
        label = ""
        if target.startswith("#") and tokens[place + 1].type == "link_close":
            labels = env["labels"]
            if target[1:] not in labels:
                raise ValueError(f"{reader.lesson}: nothing is called {target}")
            label = str(labels[target[1:]])
        return self.renderToken(tokens, place, options, env) + label

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.use(dollarmath_plugin, allow_labels=False, double_inline=False)
    parser.use(container_plugin, "answer", render=answer).use(deflist_plugin)
    parser.add_render_rule("math_inline", formula)
    parser.add_render_rule("math_block", formula)
    parser.add_render_rule("code_inline", code)
    parser.add_render_rule("link_open", link)
    return parser
