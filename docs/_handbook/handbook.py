"""What the handbook needs of Sphinx: formulas without scripts, the lessons as pages, two languages.

The lessons are computed when the handbook is built, by what `naqsh lesson` calls. Where it is not
all of them, NAQSH_DOCS_LESSONS names those to take, with commas between.
"""

import os
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.writers.html5 import HTML5Translator

from naqsh import lessons
from naqsh.lessons.mathml import mathml
from naqsh.lessons.text import read
from naqsh.report import html
from naqsh.report.words import Words

FONT = "fontpkg_noto_sans_arabic"
"""The package that ships the font of Persian pages; without it they have the system's."""

FENCE = "`" * 12


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of all this."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (block_formula, None))
    app.connect("config-inited", make_lessons)
    app.connect("html-page-context", add_other_language)
    app.add_css_file("lessons.css")
    app.add_css_file("handbook.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def inline_formula(translator: HTML5Translator, node: nodes.math) -> None:
    """A formula within a line."""
    translator.body.append(mathml(node.astext(), _words(translator)))
    raise nodes.SkipNode


def block_formula(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Formulas on lines of their own."""
    for latex in node.astext().strip().split("\n\n"):  # as Sphinx has it, one formula each
        if r"\\" in latex and r"\begin" not in latex:
            latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
        formula = mathml(latex, _words(translator), block=True)
        translator.body.append(f'<div class="formula">{formula}</div>')
    raise nodes.SkipNode


def _words(translator: HTML5Translator) -> Words:
    return Words(translator.config.language)


def make_lessons(app: Sphinx, config: Config) -> None:
    """Write the pages of the lessons and what they look like, before anything is read."""
    asked = os.environ.get("NAQSH_DOCS_LESSONS", "all")
    names = [n for n in lessons.names() if asked == "all" or n in asked.split(",")]
    words, folder = Words(config.language), Path(app.srcdir, "lessons")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in names:
        (folder / f"{name}.md").write_text(lesson_page(name, words), encoding="utf-8")
    listed = "\n".join(names)
    head = f"# {words.plain('lesson.lessons')}\n\n{words.plain('lesson.lead')}"
    index = f"{head}\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    (folder / "index.md").write_text(index, encoding="utf-8")
    static = Path(app.srcdir, "_generated")
    static.mkdir(exist_ok=True)
    (static / "lessons.css").write_text(html.style(words), encoding="utf-8")
    if words.leftward:
        copy_font(static)


def lesson_page(name: str, words: Words) -> str:
    """A lesson as MyST: its headings, and between them what its own page has."""
    text = read(lessons.load(name), words, lessons.markdown(name, words.language))
    parts = [text.source]
    for chapter in text.chapters:
        body = html.render_blocks([part.block for part in chapter.parts], words)
        inside = f'<div class="naqsh" id="{chapter.id}">\n{body}\n</div>'
        parts.append(f"## {chapter.source}\n\n{FENCE}{{raw}} html\n{inside}\n{FENCE}")
    return "\n\n".join(parts) + "\n"


def copy_font(folder: Path) -> None:
    """Lay the font of Persian pages into a folder, if its package is there."""
    try:
        files = resources.files(FONT) / "files"
    except ModuleNotFoundError:
        return
    for file in files.iterdir():
        if file.name.endswith(".ttf"):
            (folder / "persian.ttf").write_bytes(file.read_bytes())


def add_other_language(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """The address of the same page in the other language, or of its first page."""
    persian = app.config.language == "fa"
    other = Path(app.srcdir).parent if persian else Path(app.srcdir, "fa")
    found = page if (other / f"{page}.md").is_file() or page.startswith("lessons/") else "index"
    up = "../" * page.count("/")
    context["other_language"] = f"{up}{'../' if persian else 'fa/'}{found}.html"
