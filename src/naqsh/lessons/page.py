"""A lesson as a document of the reports: the same page, the same pieces, the same notebook."""

import json
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from naqsh.lessons.course import markdown
from naqsh.lessons.lesson import Lesson
from naqsh.lessons.text import read
from naqsh.report import notebook
from naqsh.report.document import Document, Figure, Prose, Section
from naqsh.report.words import Words


def build(lesson: Lesson, words: Words) -> Document:
    """The page of a lesson; computes all that it shows."""
    text = read(lesson, words, markdown(lesson.name, words.language))
    sections = [
        Section(chapter.id, chapter.title, [part.block for part in chapter.parts])
        for chapter in text.chapters
    ]
    return Document(words, text.title, text.leads, sections, _results(lesson), "lesson.title")


def index(titles: Sequence[tuple[str, str]], words: Words) -> Document:
    """The page that leads to others.

    Args:
        titles: of lessons, each after its name.
        words: of the language.
    """
    rows = [Markup('<li><a href="{}.html">{}</a></li>').format(*row) for row in titles]
    listed = Markup("<ol>{}</ol>").format(Markup("").join(rows))
    section = Section("lessons", words.text("lesson.all"), [Prose(listed)])
    lead = words.text("lesson.lead")
    return Document(words, words.text("lesson.lessons"), [lead], [section], {}, "lesson.title")


def cells(lesson: Lesson, words: Words) -> list[dict[str, Any]]:
    """The notebook of a lesson before it is executed: its text, and cells that compute."""
    text = read(lesson, words, markdown(lesson.name, words.language))
    module = lesson.name.replace("-", "_")
    language = json.dumps(words.language)
    start = (
        "from naqsh import lessons\n"
        f"from naqsh.lessons import {module} as lesson\n\n"
        f'page = lessons.open("{lesson.name}", language={language})'
    )
    made = [_prose(words, [text.source]), notebook.code_cell(start)]
    for chapter in text.chapters:
        waiting = [f"## {chapter.source}"]
        for part in chapter.parts:
            if isinstance(part.block, Figure):
                call = f'page.figure("{part.block.name}")'
            elif part.check:
                call = f"lesson.{part.check}()"
            else:
                waiting.append(part.source)
                continue
            made += [_prose(words, waiting)] if waiting else []
            waiting = []
            made.append(notebook.code_cell(call))
        made += [_prose(words, waiting)] if waiting else []
    return made


def _prose(words: Words, sources: Sequence[str]) -> dict[str, Any]:
    """A cell of Markdown; in a language from right to left its blocks run so too."""
    source = "\n\n".join(sources)
    if words.leftward:
        source = f'<div dir="rtl">\n\n{source}\n\n</div>'
    return notebook.text_cell(source)


def _results(lesson: Lesson) -> dict[str, Any]:
    checks = {}
    for name, check in lesson.checks.items():
        gap, allowed = check.worst
        checks[name] = {"count": check.gap.size, "gap": gap, "allowed": allowed}
    return {"lesson": lesson.name, "checks": checks, "numbers": lesson.values}
