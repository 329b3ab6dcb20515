"""The values and checks that a lesson's text names, in their places: HTML, formulas, Markdown.

While Markdown is read each is a sign that it leaves alone, from Unicode's private characters.
"""

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from naqsh.lessons.lesson import Lesson
from naqsh.report.words import Words

VALUE = re.compile(r"<<([^:<>]+)(?::([^<>]*))?>>")
CHECK = re.compile(r"^\[\[(\w+)\]\][ \t]*$", re.MULTILINE)
PLACE = re.compile("\ue000(\\d+)\ue001")
CHECKED = re.compile("\ue002(\\w+)\ue003")
ALONE = re.compile(f"<p>{CHECKED.pattern}</p>")


class Filling:
    """A text whose values and checks are signs, and what to write where they stand.

    Args:
        lesson: what the text names values and checks of.
        words: of the text's language.
        markdown: the text.

    Attributes:
        markdown: the text with signs.
    """

    def __init__(self, lesson: Lesson, words: Words, markdown: str) -> None:
        self.lesson, self.words = lesson, words
        self._values: list[tuple[str, str]] = []
        self.markdown = CHECK.sub("\ue002\\1\ue003", VALUE.sub(self._keep, markdown))

    def _keep(self, found: re.Match[str]) -> str:
        """A sign in the place of a value, which Markdown leaves alone."""
        path, form = found[1].strip(), found[2] or ""
        self._values.append((path, form))
        return f"\ue000{len(self._values) - 1}\ue001"

    def _written(self, number: str) -> tuple[float, str]:
        path, form = self._values[int(number)]
        value = self.lesson.value(path)
        return value, f"{value + 0.0:{form or '.4g'}}"

    def html(self, html: str) -> Markup:
        """HTML with the values and checks in their places."""

        def value(found: re.Match[str]) -> str:
            exact, text = self._written(found[1])
            return str(self.words.data(exact, self.words.scientific(text)))

        return Markup(ALONE.sub(self._checked, PLACE.sub(value, html)))

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

    def plain(self, lines: str, labels: Mapping[str, Markup]) -> str:
        """Markdown for a notebook.

        Args:
            lines: Markdown with signs.
            labels: of figures and tables, by their ids.
        """

        def outside(found: re.Match[str]) -> str:
            _, text = self._written(found[1])
            latex = re.sub(r"e([+-])0*(\d+)$", _power, text)
            return f"${latex}$" if latex != text else self.words.local(text)

        def label(found: re.Match[str]) -> str:
            return str(labels.get(found[1], ""))

        pieces = re.split(r"(\$\$.+?\$\$|\$[^$\n]+\$)", lines, flags=re.DOTALL)
        pieces[1::2] = [self.latex(piece) for piece in pieces[1::2]]
        pieces[::2] = [PLACE.sub(outside, piece) for piece in pieces[::2]]
        text = re.sub(r"\[\]\(#([a-z0-9-]+)\)", label, "".join(pieces))
        text = re.sub(r"\[([^\[\]]+)\]\(lesson:[a-z-]+\)", r"\1", text)
        answer = f"<details><summary>{self.words.plain('lesson.answer')}</summary>\n"
        text = re.sub(r"^::: *answer *$", answer, text, flags=re.MULTILINE)
        text = re.sub(r"^::: *$", "\n</details>", text, flags=re.MULTILINE)
        text = CHECKED.sub(self._told, text)
        return re.sub(r"^Table:", f"**{self.words.plain('lesson.table')}**", text).strip()

    def _told(self, found: re.Match[str]) -> str:
        return str(checked(self.lesson, found[1], self.words).striptags())


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
