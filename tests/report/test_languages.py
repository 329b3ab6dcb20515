"""English and Persian say the same: keys, placeholders, numbers; and Persian is written rightly."""

import json
import re
import string
import unicodedata

import pytest
from folders import make_run
from pages import Page

from naqsh import report
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.report.words import END, ISOLATE, LANGUAGES, Words
from naqsh.training.diagnosis import say, watchers

OF_STAGES = ("astray", "astray_over", "worse", "hidden_message")
ENGLISH, PERSIAN = Words("en"), Words("fa")
NUMBERS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٫−", "0123456789.-", "٬,\u2066\u2068\u2069")


def _placeholders(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def _read(text):
    """The number that a reader reads."""
    return float(text.translate(NUMBERS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "run"
    run = make_run(place, notes=["The samples collapse."])
    line = json.loads((run / "diagnosis.jsonl").read_text())
    said = {"words": "x", "rule": "mode_collapse", "metric": "generator.diversity", "value": 0.117}
    with (run / "diagnosis.jsonl").open("a") as file:
        file.write(json.dumps(line | said) + "\n")
    return run


@pytest.fixture(scope="module")
def pages(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("out")
    written = {name: report.write(folder, place / f"{name}.html", name) for name in LANGUAGES}
    return {name: Page(path.read_text(encoding="utf-8")) for name, path in written.items()}


def test_languages_have_the_same_keys_in_the_same_order():
    assert list(ENGLISH.texts) == list(PERSIAN.texts)


def test_languages_have_the_same_placeholders():
    for key, ours in ENGLISH.texts.items():
        theirs = PERSIAN.texts[key]
        assert isinstance(ours, str), key
        assert isinstance(theirs, str), key
        assert _placeholders(ours) == _placeholders(theirs), key


def test_persian_is_spelt_with_persian_letters_and_joined_prefixes():
    """No Arabic yeh, kaf or digits, no Latin digits, and no prefix or suffix cut off by a space."""
    for key, text in PERSIAN.texts.items():
        assert not re.search("[يكة٠-٩]", text), key
        words = re.sub(r"\{[^}]*\}", "", text)
        words = words.removeprefix(f"{key.removeprefix('terms.')}:")  # such a text begins with it
        assert not re.search(r"[0-9]", words), key
        assert not re.search(r"(^|\s)ن?می\s", words), f"{key}: a space after the prefix"
        assert not re.search(r"\sها(ی|یی)?(\s|$)", words), f"{key}: a space before the suffix"
        assert not re.search(r"ه\sی(\s|$)", words), f"{key}: a space before the ezafe"
        assert "\u200c " not in words, key
        assert " \u200c" not in words, key


def test_the_main_persian_texts_are_persian():
    latin = [
        key
        for key, text in PERSIAN.texts.items()
        if key.startswith(("sections.", "state.", "absences.", "diagnosis.", "figures."))
        and key not in ("figures.of_run", "figures.shown.caption")
        and not any("ARABIC" in unicodedata.name(letter, "") for letter in text)
    ]
    assert latin == []


def test_an_unknown_language_is_refused(folder, tmp_path, capsys):
    with pytest.raises(NaqshError, match="language"):
        Words("de")
    out = tmp_path / "page.html"
    assert main(["report", str(folder), "--out", str(out), "--language", "de"]) == 2
    assert "language" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "۰"),
        (3294154, "۳٬۲۹۴٬۱۵۴"),
        (-12, "−۱۲"),
        (0.30084, "۰٫۳۰۰۸"),
        (1234.56, "۱٬۲۳۵"),
        (2.5e9, '<span dir="ltr">۲٫۵\u2009×\u2009۱۰<sup>۹</sup></span>'),
        (2e-5, '<span dir="ltr">۲\u2009×\u2009۱۰<sup>−۵</sup></span>'),
    ],
)
def test_numbers_in_persian(value, text):
    assert PERSIAN.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(42, "۴۲ ثانیه"), (185, "۳ دقیقه و ۵ ثانیه"), (7800, "۲ ساعت و ۱۰ دقیقه")],
)
def test_times_in_persian(seconds, text):
    assert PERSIAN.time(seconds) == text


def test_ticks_have_powers_of_ten():
    assert [ENGLISH.tick(value) for value in (1e-5, 2e6, 0.25, -3)] == [
        "10^−5",
        "2×10^6",
        "0.25",
        "−3",
    ]
    assert PERSIAN.tick(1e-5) == "۱۰^−۵"


def test_a_name_keeps_its_direction_among_persian_words():
    assert ENGLISH.text("figures.of_run", run="a<b", what="c") == "a&lt;b: c"
    said = PERSIAN.text("figures.of_run", run="a<b", what=PERSIAN.text("axes.epochs"))
    assert said == f"{ISOLATE}a&lt;b{END}: ایپاک"


def test_the_page_runs_from_right_to_left(pages):
    (root,) = pages["fa"].all("html")
    assert (root.get("lang"), root.get("dir")) == ("fa", "rtl")
    assert all(pre.get("dir", "ltr") == "ltr" for pre in pages["fa"].all("pre"))
    style = next(iter(pages["fa"].all("style"))).text()
    assert re.search(r"\.panel svg \{[^}]*direction: ltr", style)
    assert re.search(r"pre \{[^}]*direction: ltr", style)
    # Sides are named by where a line begins and ends, so that one style serves both directions.
    assert not re.search(r"(margin|padding|border)-(left|right)|[{;\s](left|right):", style)


def test_both_pages_hold_the_same_results_and_parts(pages):
    assert pages["en"].results() == pages["fa"].results()
    assert pages["en"].ids() == pages["fa"].ids()


def test_persian_numbers_are_the_embedded_ones(pages):
    exact = pages["fa"].all("data")
    assert [e.get("value") for e in exact] == [e.get("value") for e in pages["en"].all("data")]
    read = 0
    for element in exact:
        value, text = json.loads(element.get("value")), element.text()
        assert not re.search("[0-9]", text)
        if re.fullmatch("[۰-۹٬٫−]+", text):
            assert _read(text) == pytest.approx(value, rel=5e-4)
            read += 1
    assert read > 30


def test_digits_of_prose_are_persian(pages):
    """Latin digits stand in names, versions and recipes alone."""
    page = pages["fa"]
    for section in ("glance", "losses", "inside", "speed"):
        text = re.sub(r"\u2068[^\u2069]*\u2069", "", page.by_id(section).text())
        assert not re.search("[0-9]", re.sub(r"[A-Za-z_.]+[0-9]+", "", text)), section


@pytest.mark.parametrize("rule", [*(w.rule for w in watchers()), *OF_STAGES, "back"])
@pytest.mark.parametrize("value", [0.03, 0.117, 0.9994])
def test_every_rule_of_the_diagnosis_says_the_same_on_the_terminal_and_the_page(rule, value):
    key = f"diagnosis.rules.{rule}"
    said = say(rule, "critic.kl", value, "0.2")
    numbers = {"value": ENGLISH.rounded(value), "percent": ENGLISH.percent(value)}
    assert ENGLISH.text(key, metric="critic.kl", before="0.2", **numbers) == said.words
    assert "{" not in said.words
    assert key in PERSIAN


def test_the_diagnosis_is_translated_where_its_rule_is_known(pages):
    old, known = [e.text() for e in pages["fa"].by_id("diagnosis").all("li")]
    assert "The samples collapse." in old
    assert "فروپاشی مد" in known
    assert "۱۱٫۷٪" in known
    (foreign,) = [e for e in pages["fa"].by_id("diagnosis").all("span") if e.get("lang") == "en"]
    assert foreign.get("dir") == "ltr"
    assert "11.7%" in pages["en"].by_id("diagnosis").text()


def test_names_of_axes_are_whole_words_for_the_browser_to_join(pages):
    texts = [text.text() for text in pages["fa"].all("text")]
    assert "ایپاک" in texts
    assert not any(re.search("[\ufb50-\ufdff\ufe70-\ufeff]", text) for text in texts)
