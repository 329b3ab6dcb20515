"""How a lesson's Markdown is parsed and rendered: formulas, answers, code, links, its blocks."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

from naqsh.lessons.course import names
from naqsh.lessons.filling import Filling
from naqsh.lessons.mathml import mathml

CAPTION = re.compile(r"Table:\s*(.+?)(?:\s*\{#([a-z0-9-]+)\})?\s*", re.DOTALL)


def blocks(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The tokens of each block at the top level."""
    begin = depth = 0
    for place, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            yield tokens[begin : place + 1]
            begin = place + 1


def figure(group: Sequence[Token]) -> str:
    """The name of the figure that a paragraph is, if it is one."""
    if group[0].type != "paragraph_open":
        return ""
    children = group[1].children or []
    if len(children) != 1 or children[0].type != "image":
        return ""
    kind, _, name = str(children[0].attrGet("src")).partition(":")
    return name if kind == "figure" else ""


def caption(group: Sequence[Token]) -> re.Match[str] | None:
    """What a paragraph says of the table after it, and its id, if it does."""
    return CAPTION.fullmatch(group[1].content) if group[0].type == "paragraph_open" else None


def parser(filling: Filling) -> MarkdownIt:
    """A parser of a text; what it renders needs the labels of figures and tables, by their ids."""

    def formula(
        self: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: Any
    ) -> str:
        block = tokens[place].type != "math_inline"
        drawn = mathml(filling.latex(tokens[place].content), filling.words, block=block)
        return f'<div class="formula" tabindex="0">{drawn}</div>\n' if block else drawn

    def answer(
        self: RendererHTML, tokens: Sequence[Token], place: int, options: Any, env: Any
    ) -> str:
        if tokens[place].nesting < 0:
            return "</details>\n"
        return f"<details><summary>{filling.words.text('lesson.answer')}</summary>\n"

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
                raise ValueError(f"{filling.lesson}: nothing is called {target}")
            label = str(labels[target[1:]])
        return self.renderToken(tokens, place, options, env) + label

    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    made.use(dollarmath_plugin, allow_labels=False, double_inline=False)
    made.use(container_plugin, "answer", render=answer).use(deflist_plugin)
    made.add_render_rule("math_inline", formula)
    made.add_render_rule("math_block", formula)
    made.add_render_rule("code_inline", code)
    made.add_render_rule("link_open", link)
    return made
