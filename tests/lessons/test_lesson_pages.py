"""What lessons are made of: checks, formulas, the Markdown of texts, pages, notebooks, the verb."""

import json
import math
import re

import numpy as np
import pytest

from naqsh import lessons
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.lessons.lesson import Check, Figure, Lesson
from naqsh.lessons.mathml import mathml
from naqsh.lessons.plots import Plot
from naqsh.lessons.text import read
from naqsh.report import html
from naqsh.report.words import Words

ENGLISH, PERSIAN = Words("en"), Words("fa")

SMALL = Lesson("small", number=1, questions=("why",))


@SMALL.check
def half() -> Check:
    """Two halves."""
    return Check(0.5, 1 / 2, 0.0)


@SMALL.check
def many() -> Check:
    """Some numbers."""
    return Check(np.array([1.0, 2.0]), np.array([1.0, 2.5]), np.array([0.1, 1.0]))


@SMALL.numbers
def numbers() -> dict[str, float]:
    """A small number and a large one."""
    return {"tiny": -1.25e-7, "large": 12345.0}


@SMALL.figure
def line(words: Words) -> Figure:
    """Two panels."""
    plots = [Plot(words, x=("place", "جا"), title=(f"panel {n}", "قاب")) for n in (1, 2)]
    for plot in plots:
        plot.line([0, 1], [0, 1], ("a line", "یک خط"))
    return Figure(plots)


def blocks(markdown: str, words: Words = ENGLISH) -> str:
    text = read(SMALL, words, f"# T\n\nlead\n\n## Why {{#why}}\n\n{markdown}\n")
    return html.render_blocks([part.block for part in text.chapters[0].parts], words)


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        (Check(1.0, 1.0, 0.0), True),
        (Check(1.0, 1.1, 0.05), False),
        (Check(math.nan, 1.0, 9.0), False),
        (Check([1.0, math.nan], [1.0, 1.0], 9.0), False),
        (Check([1.0, 2.0], 1.0, [0.0, 1.0]), True),
        (Check([1.0, 2.0], 1.0, [1.0, 0.5]), False),
    ],
)
def test_a_check_holds_where_every_difference_is_allowed(check, holds):
    assert check.holds is holds
    assert ("does not hold" in repr(check)) is not holds


def test_the_difference_that_is_shown_is_the_one_nearest_to_its_limit():
    assert Check([0.0, 5.0], 0.0, [0.0, 10.0]).worst == (0.0, 0.0)
    assert Check([3.0, 5.0], 0.0, [1.0, 10.0]).worst == (3.0, 1.0)


def test_a_mean_may_be_four_standard_errors_off():
    samples = np.array([[1.0, 0.0], [3.0, 2.0]])
    check = Check.of_mean(samples, [2.0, 1.0])
    assert check.left.tolist() == [2.0, 1.0]
    # deviation sqrt(2), two samples: an error of 1
    assert check.tolerance == pytest.approx([4.0, 4.0])


def test_values_stand_in_prose_and_formulas_as_their_format_says():
    made = blocks("It is <<half.left:.2f>>, <<numbers.tiny:.2e>>, $x = <<numbers.tiny:.2e>>$.")
    assert '<data value="0.5">0.50</data>' in made
    assert "−1.25\u2009×\u200910<sup>−7</sup>" in made
    assert re.search(r"<mo>−</mo><mn>1.25</mn><mo>×</mo><msup><mn>10</mn>", made)
    assert "<data" in blocks("<<many.left[1]:.1f>> and <<many.gap:.1f>>")
    said = blocks("<<numbers.large:,.1f>> $<<half.left:.1f>>$", PERSIAN)
    assert "۱۲٬۳۴۵٫۰" in said
    assert "<mn>۰٫۵</mn>" in said


def test_a_check_is_a_sentence_with_its_code_behind_it():
    made = blocks("[[half]]\n\n[[many]]")
    assert re.sub("<[^>]+>", "", made).startswith("Checked, half: 0.5 = 0.5; they differ by 0, 0")
    assert "2 pairs of numbers" in made
    assert "return Check(0.5, 1 / 2, 0.0)" in made
    assert "@SMALL" not in made


def test_a_check_that_fails_says_so():
    failing = Lesson("failing", number=1, questions=())

    @failing.check
    def wrong() -> Check:
        return Check(1.0, 2.0, 0.5)

    text = read(failing, ENGLISH, "# T\n\n## W {#w}\n\n[[wrong]]")
    said = html.render_blocks([text.chapters[0].parts[0].block], ENGLISH)
    assert "Does not hold, <code" in said
    assert "Checked" not in said


def test_figures_and_tables_are_numbered_and_referred_to():
    source = "See [](#figure-line), [](#table-t).\n\n![Lines of $x$](figure:line)\n\n"
    source += "Table: All of it {#t}\n\n| a | b |\n| --- | ---: |\n| $x$ | <<half.left:.1f>> |"
    made = blocks(source)
    assert '<a href="#figure-line">Figure\xa01</a>' in made
    assert '<a href="#table-t">Table\xa01</a>' in made
    assert re.search(r"<figcaption><b>Figure\xa01.</b> Lines of <math", made)
    assert made.count('<svg role="img" aria-label="panel') == 2
    assert made.index("All of it") < made.index("<table")
    assert '<td class="number"><data value="0.5">0.5</data></td>' in made
    assert len(set(re.findall(r' id="([^"]+)"', made))) == len(re.findall(r' id="', made))


def test_answers_links_code_and_lists():
    links = "[on](lesson:forward-diffusion), [off](lesson:none)"
    made = blocks(f"1. What?\n\n::: answer\nThat: `a < b`.\n\n[[half]]\n:::\n\n{links}")
    assert re.search(r"<details><summary>Answer</summary>\s*<p>That", made)
    assert '<code dir="ltr">a &lt; b</code>' in made
    assert '<details class="check">' in made
    assert '<a href="forward-diffusion.html">on</a>, <a>off</a>' in made
    assert "<script>" not in blocks("a <script>alert(1)</script>")


@pytest.mark.parametrize(
    ("markdown", "said"),
    [
        ("<<numbers.huge:.1f>>", "no number of lesson small named 'huge'"),
        ("<<half.middle:.1f>>", "no side of a check"),
        ("[[third]]", "no check of lesson small named 'third'"),
        ("![a](figure:circle)", "no figure of lesson small named 'circle'"),
        ("| a |\n| --- |\n| b |", "needs a line 'Table: …'"),
        ("- ![a](figure:line)", "stand by themselves"),
        (r"$\nonsense{a}$", r"\\nonsense in the formula"),
        ("$$ \\begin{nothing} a & b \\end{nothing} $$", "nothing"),
        ("[](#figure-circle)", "nothing is called #figure-circle"),
    ],
)
def test_a_text_that_names_what_is_not_there_is_refused(markdown, said):
    with pytest.raises((NaqshError, ValueError), match=said):
        blocks(markdown)


@pytest.mark.parametrize(
    ("latex", "holds"),
    [
        (r"a \sim b", "<mo>\N{TILDE OPERATOR}</mo>"),
        (r"a \mid b", "<mo>\N{DIVIDES}</mo>"),
        (r"\bar\alpha_t", '<mover accent="true">'),
        (r"\operatorname{KL}(q)", "<mi>KL</mi>"),
        (r"\mathbb{E}", "<mi>\U0001d53c</mi>"),
        (r"\begin{aligned} a &= b \\ &= c \end{aligned}", '<mtd style="text-align: left">'),
        (r"\begin{cases} a & b \end{cases}", '<mtd style="text-align: left">'),
    ],
)
def test_formulas_are_written_as_browsers_set_them(latex, holds):
    assert holds in mathml(latex, ENGLISH)
    assert "&amp;#" not in mathml(latex, ENGLISH)


def test_conditions_stand_below_operators_in_a_formula_of_its_own():
    assert "<munder>" in mathml(r"\max_x f", ENGLISH, block=True)
    assert "<munder>" not in mathml(r"\max_x f", ENGLISH)


@pytest.mark.parametrize(
    ("latex", "spaces"), [(r"\ln x", 1), (r"r\cos^2 x", 2), (r"\ln(x)", 0), (r"a + \exp(x)", 0)]
)
def test_names_of_functions_stand_apart(latex, spaces):
    assert mathml(latex, ENGLISH).count("<mspace") == spaces


def test_digits_of_formulas_are_those_of_the_language():
    assert "<mn>۰٫۲۵</mn>" in mathml("0.25", PERSIAN)
    assert "<mn>0.25</mn>" in mathml("0.25", ENGLISH)


def test_the_list_has_a_name_first_on_each_line(capsys):
    assert main(["lesson"]) == 0
    lines = capsys.readouterr().out.splitlines()
    firsts = [line.split()[0] for line in lines if line[2] != " "]
    assert firsts == lessons.names()
    assert main(["lesson", "--language", "fa"]) == 0
    assert "گام" in capsys.readouterr().out


def test_a_page_is_written_in_each_language(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["lesson", "forward-diffusion"]) == 0
    page = (tmp_path / "forward-diffusion.html").read_text(encoding="utf-8")
    assert "<title>Forward diffusion: one jump instead of t steps · Naqsh</title>" in page
    assert 'name="generator" content="Naqsh"' in page
    assert not re.search(r'(src|href)="(?!https://arxiv|#|data:|[a-z-]+\.html)', page)
    assert len(set(ids := re.findall(r'\bid="([^"]+)"', page))) == len(ids)
    out = str(tmp_path / "fa" / "x.html")
    assert main(["lesson", "forward-diffusion", "--language", "fa", "--out", out]) == 0
    assert 'dir="rtl"' in (tmp_path / "fa" / "x.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out.split() == ["forward-diffusion.html", out]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["forward-difusion"], "did you mean 'forward-diffusion'"),
        (["forward-diffusion", "--language", "de"], "language"),
        (["--language", "de"], "language"),
        (["forward-diffusion", "--out", "a.pdf"], ".html"),
        (["all", "--notebook", "a.ipynb"], "one lesson"),
        (["--out", "a.html"], "which lesson"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["lesson", *words]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_someone_else_is_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index.html").write_text("mine")
    assert main(["lesson", "all", "--out", "."]) == 2
    assert "index.html is there already" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]


def test_all_lessons_have_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "names", lambda: ["forward-diffusion"])
    *pages, index = lessons.write_all(tmp_path, "fa")
    assert [page.name for page in pages] == ["forward-diffusion.html"]
    assert '<a href="forward-diffusion.html">پخش رو به جلو' in index.read_text(encoding="utf-8")


def test_a_notebook_computes_the_checks(tmp_path):
    out = lessons.write_notebook("forward-diffusion", tmp_path / "n.ipynb", "fa")
    cells = json.loads(out.read_text(encoding="utf-8"))["cells"]
    code = {"".join(c["source"]): c["outputs"] for c in cells if c["cell_type"] == "code"}
    shown = code["lesson.decay()"][0]["data"]["text/plain"][0]
    assert shown.startswith("-10.1177 = -10.1177")
    assert "<svg" in "".join(code['page.figure("paths")'][0]["data"]["text/html"])
    prose = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    assert all(text.startswith('<div dir="rtl">') for text in prose)
    assert not re.search("[\ue000-\ue003]|<<|:::", "".join(prose))
