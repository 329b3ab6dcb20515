"""What every page holds to: one file, well formed, numbered, the same to the byte."""

import base64
import json
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from folders import make_run
from pages import Page
from PIL import Image

import naqsh
from naqsh import report
from naqsh.core.errors import NaqshError

MOST = 5_000_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return [
        make_run(place / "one", name="gan-tiny", notes=["The samples collapse."]),
        make_run(place / "two", name="wgan-tiny", seed=1, clip=0.01, records=30),
    ]


@pytest.fixture(scope="module")
def single(runs, tmp_path_factory):
    return _read(report.write(runs[0], tmp_path_factory.mktemp("out") / "single.html"))


@pytest.fixture(scope="module")
def several(runs, tmp_path_factory):
    return _read(report.write(runs, tmp_path_factory.mktemp("out") / "several.html"))


@pytest.fixture(params=["single", "several"])
def page(request):
    return request.getfixturevalue(request.param)


def _read(path):
    return Page(path.read_text(encoding="utf-8"))


def test_the_same_folder_gives_the_same_bytes_wherever_it_lies(runs, tmp_path):
    moved = tmp_path / "elsewhere" / "one"
    shutil.copytree(runs[0], moved)
    here = report.write(runs[0], tmp_path / "here.html").read_bytes()
    assert len(here) > 100_000
    there = report.write(moved, tmp_path / "there.html").read_bytes()
    assert here == there
    assert str(runs[0].parent).encode() not in here


def test_other_numbers_give_another_page(single, tmp_path):
    other = make_run(tmp_path / "one", name="gan-tiny", seed=5, notes=["The samples collapse."])
    assert _read(report.write(other, tmp_path / "other.html")).source != single.source


def test_nothing_is_fetched(page):
    for element in page.all():
        assert element.name not in ("link", "iframe", "object", "embed", "base")
        for attribute in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            value = element.get(attribute, "#")
            assert value.startswith(("#", "data:")), (element.name, attribute, value)
        assert not [name for name in element.attributes if name.startswith("on")]
    targets = re.findall(r"url\(([^)]*)\)", page.source)
    assert targets
    assert all(target.strip("'\"").startswith("#") for target in targets)
    assert "@import" not in page.source
    assert not re.search(r"https?:", page.source)


def test_ids_are_unique_and_every_reference_resolves(page):
    ids = page.ids()
    assert len(set(ids)) == len(ids)
    links = [e.get("href")[1:] for e in page.all("a", "use") if e.get("href").startswith("#")]
    clips = re.findall(r"url\(#([^)]*)\)", page.source)
    labels = [e.get("aria-labelledby") for e in page.all() if e.get("aria-labelledby")]
    assert links
    assert set(links + clips + labels) <= set(ids)


@pytest.mark.parametrize(("kind", "word"), [("figure", "Figure"), ("table", "Table")])
def test_numbers_are_consecutive_and_each_is_referred_to(page, kind, word):
    blocks = [e for e in page.all("figure", "div") if e.get("id", "").startswith(f"{kind}-")]
    assert len(blocks) >= 6
    labels = [next(block.all("b")).text() for block in blocks]
    assert labels == [f"{word}\N{NO-BREAK SPACE}{n}." for n in range(1, len(blocks) + 1)]
    for block, label in zip(blocks, labels, strict=True):
        links = [e for e in page.all("a") if e.get("href") == f"#{block.get('id')}"]
        assert [link.text() for link in links] == [label.rstrip(".")]


def test_captions_stand_below_figures_and_above_tables(page):
    for figure in page.all("figure"):
        assert [e.name for e in figure.children if hasattr(e, "name")] == ["div", "figcaption"]
    tables = [e for e in page.all("div") if "table" in (e.get("class") or "").split()]
    assert len(tables) == len(page.all("table"))
    for table in tables:
        inner = [e.get("class") for e in table.children if hasattr(e, "name")]
        assert inner == ["caption", "scroll"]


def test_pictures_have_a_text_for_those_who_do_not_see_them(page):
    assert all(e.get("alt") for e in page.all("img"))
    assert all(e.get("aria-label") for e in page.all("svg"))


def test_a_long_run_stays_small(tmp_path):
    run = make_run(tmp_path / "long", records=20_000)
    out = report.write(run, tmp_path / "long.html")
    assert (run / "metrics.jsonl").stat().st_size > 2 * MOST
    assert out.stat().st_size < MOST
    assert len(_read(out).results()["runs"][0]["curves"]["records"]) > 500


def test_large_grids_are_reduced_and_the_page_says_so(tmp_path):
    run = make_run(tmp_path / "run", records=5, plain=True)
    pixels = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png", compress_level=1)
    assert (tmp_path / "large.png").stat().st_size > MOST
    for grid in (run / "grids").iterdir():
        shutil.copy(tmp_path / "large.png", grid)
    page = _read(report.write(run, tmp_path / "page.html"))
    assert len(page.source) < MOST
    assert len(page.all("img")) == 3
    assert "compressed with loss" in page.by_id("figure-grids").text()


def test_small_grids_are_the_files_themselves(single, runs):
    assert "compressed with loss" not in single.by_id("figure-grids").text()
    assert all(e.get("src").startswith("data:image/png;base64,") for e in single.all("img"))
    assert [e.get("width") for e in single.all("img")] == ["64"] * 3


def test_nothing_slow_is_imported(runs, tmp_path):
    out = tmp_path / "page.html"
    code = (
        "import sys, pathlib\n"
        "from naqsh import report\n"
        "assert not {'matplotlib', 'jinja2', 'PIL', 'numpy'} & set(sys.modules)\n"
        "report.write(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "heavy = {'torch', 'naqsh.api', 'naqsh.training', 'naqsh.recipes', 'naqsh.methods'}\n"
        "assert not heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(runs[0]), str(out)], check=True)
    assert out.exists()


def test_the_page_is_written_whole_and_its_folder_made(runs, tmp_path):
    out = tmp_path / "a" / "b" / "page.html"
    assert report.write(runs[0], out) == out
    assert [entry.name for entry in out.parent.iterdir()] == ["page.html"]


def test_what_cannot_be_is_said_in_one_line(runs, tmp_path):
    (tmp_path / "file").write_text("")
    for folder, out, words in [
        (tmp_path, tmp_path / "p.html", "is no run"),
        (tmp_path / "none", tmp_path / "p.html", "no such folder"),
        (runs[0], tmp_path, "a page is one file"),
        (runs[0], tmp_path / "file" / "p.html", "a file stands there"),
        ([], tmp_path / "p.html", "at least one"),
    ]:
        with pytest.raises(NaqshError, match=words) as error:
            report.write(folder, out)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "p.html").exists()


def test_templates_hold_no_words():
    """All that is read stands in texts/, so that a language is one file."""
    folder = resources.files("naqsh.report") / "templates"
    templates = [file for file in folder.iterdir() if file.name.endswith(".html.j2")]
    assert len(templates) >= 2
    for file in templates:
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)
        text = re.sub(r"<[^>]*>", "", text)
        assert not re.search(r"\w", text), text


def test_the_recipe_can_be_saved_and_the_command_is_whole(single, runs):
    (link,) = [e for e in single.all("a") if e.get("download")]
    assert link.get("download") == "recipe.yaml"
    saved = base64.b64decode(link.get("href").partition("base64,")[2])
    assert saved == (runs[0] / "recipe.yaml").read_bytes()
    command, recipe = [e.text() for e in single.all("pre")]
    assert command == "naqsh train recipe.yaml --out DIR --device cpu"
    assert recipe.startswith("name: gan-tiny data: name: tiny")


def test_several_ranks_are_part_of_the_command(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs[0], run)
    about = json.loads((run / "run.json").read_text())
    about["environment"] |= {"ranks": 4, "device": "NVIDIA A100"}
    (run / "run.json").write_text(json.dumps(about))
    page = _read(report.write(run, tmp_path / "page.html"))
    assert page.all("pre")[0].text() == (
        "torchrun --nproc-per-node 4 -m naqsh train recipe.yaml --out DIR --device cuda"
    )


def test_what_reads_files_knows_neither_words_nor_figures():
    for file in (Path(naqsh.__file__).parent / "report" / "read").glob("*.py"):
        known = set(re.findall(r"from naqsh\.report(\S*) import", file.read_text()))
        assert all(name.startswith(".read") for name in known), file.name
