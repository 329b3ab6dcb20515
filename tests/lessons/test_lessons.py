"""Every lesson: its identities hold, and its two texts say the same."""

import re

import pytest

from naqsh import lessons
from naqsh.lessons.filling import CHECK
from naqsh.lessons.text import named, read, sections
from naqsh.report.words import LANGUAGES, Words

SHORT = {"en": "**In short.**", "fa": "**به طور خلاصه.**"}
LAST = ["remember", "exercises", "sources"]
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL)


def chapters(markdown: str) -> dict[str, str]:
    """What stands in each section."""
    parts = re.split(r"^## .*\{#([a-z0-9-]+)\}\s*$", markdown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


every = pytest.mark.parametrize("name", lessons.names())
in_each = pytest.mark.parametrize("language", LANGUAGES)


def test_every_lesson_of_the_course_is_there():
    assert len(set(lessons.COURSE)) == 23
    assert lessons.names() == list(lessons.COURSE)


@every
def test_a_lesson_has_its_name_and_place(name):
    lesson = lessons.load(name)
    assert lesson.name == name
    assert lessons.COURSE[lesson.number - 1] == name


@every
def test_every_identity_holds(name):
    checks = lessons.load(name).checks
    assert checks
    assert {key: check for key, check in checks.items() if not check.holds} == {}


@every
@in_each
def test_every_question_is_answered(name, language):
    lesson, markdown = lessons.load(name), lessons.markdown(name, language)
    assert lesson.questions
    assert sections(markdown) == [*lesson.questions, *LAST]
    found = chapters(markdown)
    for question in lesson.questions:
        assert found[question].strip().startswith(SHORT[language]), question
    exercises = re.findall(r"^\d+\. ", found["exercises"], re.MULTILINE)
    assert exercises
    assert len(exercises) == found["exercises"].count("\n::: answer\n")
    assert "](http" in found["sources"]


@every
@in_each
def test_the_text_shows_every_check_and_figure_and_all_its_values_are_there(name, language):
    lesson, markdown = lessons.load(name), lessons.markdown(name, language)
    assert set(lesson.checks) <= {path.partition(".")[0] for path in named(markdown)}
    assert sorted(re.findall(r"\]\(figure:(\w+)\)", markdown)) == sorted(lesson.figures)
    for figure in lesson.figures:
        assert f"[](#figure-{figure})" in markdown, f"the text does not refer to {figure}"
    text = read(lesson, Words(language), markdown)
    html = "".join(str(part.block) for chapter in text.chapters for part in chapter.parts)
    assert not re.search("[\ue000-\ue003]", html)
    for link in re.findall(r"\(lesson:([a-z-]+)\)", markdown):
        assert link in lessons.COURSE


@every
def test_both_texts_have_the_same_parts(name):
    english, persian = (lessons.markdown(name, language) for language in LANGUAGES)
    assert sections(english) == sections(persian)
    assert named(english) == named(persian)
    for pattern in (CHECK, re.compile(r"\(figure:(\w+)\)"), re.compile("^Table:", re.MULTILINE)):
        assert pattern.findall(english) == pattern.findall(persian)
    for id, part in chapters(english).items():
        theirs = chapters(persian)[id]
        assert part.count("\n$$ ") == theirs.count("\n$$ "), f"formulas of {id}"
        assert part.count("\n### ") == theirs.count("\n### "), f"steps of {id}"


@every
def test_persian_is_written_rightly(name):
    """Letters, digits and joins as the reports have them; formulas, code and sources apart."""
    markdown = lessons.markdown(name, "fa")
    assert not re.search("[يكة٠-٩]", markdown)
    assert not re.search(r"\\cdot\s*\d", markdown), "a dot before Persian digits reads as a zero"
    prose = markdown.partition("{#sources}")[0]
    prose = FORMULA.sub(" ", re.sub(r"```.*?```|`[^`]*`", " ", prose, flags=re.DOTALL))
    prose = re.sub(
        r"<<[^<>]*>>|\{#[^}]*\}|\]\([^)]*\)|^\d+\. |\[\[\w+\]\]|[|:-]{3,}",
        " ",
        prose,
        flags=re.MULTILINE,
    )
    assert not re.search(r"[0-9]", re.sub(r"[A-Za-z_.:/-]+[0-9]+[A-Za-z0-9.:]*", "", prose))
    assert not re.search(r"[−-][۰-۹]", prose), "a minus belongs into a formula"
    assert not re.search(r"(^|\s)ن?می\s", prose), "a space after the prefix"
    assert not re.search(r"\sها(ی|یی)?(\s|$)", prose), "a space before the suffix"
    assert not re.search(r"ه\sی(\s|$)", prose), "a space before the ezafe"
    assert "\u200c " not in prose
    assert " \u200c" not in prose
