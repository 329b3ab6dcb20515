"""The handbook: commands that can be typed, alike in both languages, and no warnings."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from naqsh.cli import entry, main
from naqsh.cli.parsing import Parser, apart, named
from naqsh.io import codec
from naqsh.recipes import all_recipes, by_name

DOCS = Path(__file__).parent.parent / "docs"
MEASURED = ["editing", "failures-of-gans", "segmentation", "steps"]
MEASURED += [f"systems/{file.stem}" for file in sorted(DOCS.glob("systems/*.md"))]
PAGES = ["index", "start", "assignment", "method", *MEASURED]
OF_A_RUN = {
    "--denoise",
    "--guidance",
    "--guidance_interval",
    "--inner",
    "--label",
    "--sampler",
    "--steps",
}  # what `naqsh sample` asks the run's method about
LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٫٬", "0123456789.,")


def english(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def persian(page: str) -> str:
    return (DOCS / "fa" / f"{page}.md").read_text(encoding="utf-8")


def code(text: str) -> list[str]:
    """The blocks of code, but for what files are called that lie elsewhere from another folder."""
    return re.findall(r"^```(?:sh|python)\n.*?^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """Every `naqsh` command of a page, in blocks and within lines."""
    blocks = [re.sub(r" *\\\n *", " ", block) for block in code(text)]  # a line that goes on is one
    lines = [line for block in blocks for line in block.splitlines()]
    typed = [line.partition("  #")[0] for line in lines] + re.findall(
        r"`(naqsh [a-z]+ [^`]*)`", text
    )
    return [re.sub(r"^[A-Z_]+=\S+ ", "", t) for t in typed if re.match(r"([A-Z_]+=\S+ )?naqsh ", t)]


def numbers(text: str) -> list[float]:
    """The numbers that stand in the prose of a page, sorted."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose).translate(LATIN)
    found = re.findall(r"(?<![A-Za-z0-9_.-])\d[\d,]*(?:\.\d+)?", prose)
    return sorted(float(number.replace(",", "")) for number in found)


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_commands_and_figures(page):
    ours, theirs = english(page), persian(page)
    assert code(ours) == code(theirs)
    assert sorted(commands(ours)) == sorted(commands(theirs))
    if page in MEASURED:
        assert numbers(ours) == numbers(theirs)
    assert len(re.findall("^#", ours, re.MULTILINE)) >= 1


def test_every_persian_page_has_an_english_one():
    there = {str(file.relative_to(DOCS / "fa").with_suffix("")) for file in DOCS.glob("fa/**/*.md")}
    assert {page for page in there if not page.startswith("lessons/")} == set(PAGES)


TYPED = sorted({command for page in PAGES for command in commands(english(page))})


@pytest.mark.parametrize("command", TYPED)
def test_every_command_can_be_typed(command):
    """Verb, options, recipes and hyperparameters are all known; nothing is run."""
    words = shlex.split(command)[1:]
    if "NAQSH_PLUGINS" in command or "gaussian-pixels-digits" in words:
        pytest.skip("a recipe of another package, which test_plugins trains")
    parser = Parser(prog="naqsh")
    verbs = parser.add_subparsers(required=True)
    for module in entry.VERBS:
        module.add(verbs)
    plain, dotted = apart(words)
    if "--help" in plain:
        plain.remove("--help")
    options, rest = parser.parse_known_args(plain)
    assert {word for word in rest if word.startswith("--")} <= OF_A_RUN
    recipes = [getattr(options, "recipe", None), *(getattr(options, "recipes", None) or [])]
    for recipe in filter(None, recipes):
        assert recipe in all_recipes()
        by_name(recipe).override({k: codec.Text(v) for k, v in named(dotted).items()})
    for word in plain:
        if run := re.fullmatch(r"runs/([a-z0-9-]+)", word):
            assert run[1] in {*all_recipes(), "mine", "kl14", "one-step", "one-process"}, word


def test_the_first_five_minutes_do_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = code(english("start"))
    (first,) = [block for block in blocks if "naqsh sample" in block]
    for line in first.splitlines()[1:-1]:
        assert (
            main([*shlex.split(line)[1:], *(["--device", "cpu"] if " train " in line else [])]) == 0
        )
    assert (tmp_path / "digits.png").stat().st_size > 1000
    assert (tmp_path / "runs/vae-digits/report.html").is_file()


def test_the_handbook_is_built_without_warnings(tmp_path):
    for package in ("sphinx", "furo", "myst_parser"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("needs the extra docs")
    environment = os.environ | {"NAQSH_DOCS_LESSONS": "forward-diffusion"}
    for source, language in ((DOCS, "en"), (DOCS / "fa", "fa")):
        out = tmp_path / language
        command = [sys.executable, "-m", "sphinx", "-W", "-q", "-d", tmp_path / "trees" / language]
        done = subprocess.run(
            [*map(str, command), str(source), str(out)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        page = (out / "lessons/forward-diffusion.html").read_text(encoding="utf-8")
        assert "<math" in page
        assert "cdn" not in page
        assert f'<html class="no-js" lang="{language}"' in page
