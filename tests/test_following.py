"""How well images follow captions, where the right answer is known: of renderings themselves."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import naqsh
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG, scenes, sentences
from naqsh.data.scenes import Scene, Thing
from naqsh.metrics import reading
from naqsh.report import comparison as comparing
from naqsh.report import page
from naqsh.report.read import gather
from naqsh.report.words import Words
from naqsh.runs.origin import Found
from naqsh.studies import following

RED, BLUE = Thing("circle", "red", "small"), Thing("square", "blue", "large")
ONE = Scene(RED, "left", None, "grey")
TWO = Scene(RED, "above", BLUE, "black")


def some(split, count):
    chance = scenes.numbers("scenes", split, count, scenes.NUMBERS)
    told = scenes.scenes(split, chance)
    return told, np.concatenate(list(scenes.render(told, chance, 32)))


def right(asked, found):
    table = following.followed(following.table([asked]), following.table([found]))
    return {name for name, value in table.items() if value[0]}


EVERY = {"shape", "colour", "size", "where", "background", "all"}


@pytest.mark.parametrize(
    ("asked", "found", "wrong"),
    [
        (ONE, ONE, set()),
        (TWO, TWO, set()),
        (TWO, TWO.turned(), set()),
        (ONE, dataclasses.replace(ONE, background="white"), {"background"}),
        (ONE, dataclasses.replace(ONE, where="top"), {"where"}),
        (ONE, dataclasses.replace(ONE, first=Thing("star", "red", "large")), {"shape", "size"}),
        (TWO, dataclasses.replace(TWO, second=Thing("square", "green", "large")), {"colour"}),
        (TWO, dataclasses.replace(TWO, where="left of"), {"where"}),
        (TWO, dataclasses.replace(TWO, where="below"), {"where"}),  # exchanged, else as asked
        (TWO, Scene(RED, "top", None, "black"), {"shape", "colour", "size", "where"}),
        (ONE, Scene(BLUE, "left of", RED, "grey"), {"where"}),  # it is there, beside another
    ],
)
def test_what_is_wrong_is_told_factor_by_factor(asked, found, wrong):
    assert right(asked, found) == EVERY - wrong - ({"all"} if wrong else set())


def test_scenes_that_differ_in_one_factor():
    one = {tuple(row) for row in following.alike(following.table([ONE])[0])}
    things = {
        dataclasses.replace(RED, **{name: value})
        for name, values in (
            ("shape", scenes.SHAPES),
            ("colour", scenes.COLOURS),
            ("size", scenes.SIZES),
        )
        for value in values
    } - {RED}
    expected = [dataclasses.replace(ONE, first=thing) for thing in things]
    expected += [dataclasses.replace(ONE, where=w) for w in scenes.PLACES if w != "left"]
    expected += [dataclasses.replace(ONE, background=b) for b in ("black", "white")]
    assert one == {tuple(row) for row in following.table(expected)}
    assert len(one) == 16
    two = {tuple(row) for row in following.alike(following.table([TWO])[0])}
    exchanged = [dataclasses.replace(TWO, where=w) for w in ("below", "left of", "right of")]
    assert {tuple(row) for row in following.table(exchanged)} < two
    assert len(two) == 25


def test_likelihoods_are_sums_over_what_a_scene_has():
    rng = np.random.default_rng(0)
    scores = {
        name: rng.normal(size=(2, len(values))).astype(np.float32)
        for name, values in scenes.FACTORS.items()
    }
    told = [ONE, TWO]
    found = following.likelihood(scores, np.stack([following.table(told)] * 2))
    for image in range(2):
        for k, scene in enumerate(told):
            expected = scores["where"][image][scenes.FACTORS["where"].index(scene.where)]
            expected += scores["background"][image][scenes.BACKGROUNDS.index(scene.background)]
            for number, thing in ((1, scene.first), (2, scene.second)):
                for name in ("shape", "colour", "size") if thing else ():
                    key = f"{name}{number}"
                    value = scenes.FACTORS[key].index(getattr(thing, name))
                    expected += scores[key][image][value]
            assert found[image, k] == pytest.approx(expected, abs=1e-5)


def test_renderings_follow_their_captions_and_no_others():
    told, images = some("test", 400)
    found = following.study(images, images, told, seed=0)
    assert found.n == 400
    assert (found.seen.n, found.held_out.n) == (300, 100)
    for shares in (found.whole, found.seen, found.held_out, found.ceiling):
        assert min(dataclasses.astuple(shares)) > 0.99
    assert found.precision > 0.99
    assert found.precision_hard > 0.99
    assert found.shuffled.all < 0.05
    assert abs(found.shuffled.background - 1 / 3) < 0.1
    assert found.chance.background == pytest.approx(1 / 3)
    two = np.mean([scene.second is not None for scene in told])
    assert found.chance.shape == pytest.approx((1 - two) / 5 + two / 25)


def test_images_of_other_scenes_do_not():
    told, images = some("test", 300)
    found = following.study(images[::-1].copy(), images, told, seed=0)
    assert found.whole.all < 0.05
    assert found.precision < 0.1
    assert found.precision_hard < 0.3
    assert found.ceiling.all > 0.99
    grey = following.study(np.full_like(images, 128), images, told, seed=0)
    assert grey.whole.all < 0.02


def test_larger_images_are_read_too():
    told, images = some("all", 60)
    chance = scenes.numbers("scenes", "all", 60, scenes.NUMBERS)
    large = np.concatenate(list(scenes.render(told, chance, 96)))
    assert following.study(large, images, told, seed=0).whole.all > 0.95


def test_captions_are_read_or_not():
    said = ["a small red circle on the left on a grey background"]
    assert following.scenes_of(said) == [ONE]
    assert following.scenes_of([*said, "a bird"]) is None
    assert sentences.read(said[0]).language == "en"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """StackGAN's stage I after a step on a few scenes."""
    with pytest.MonkeyPatch.context() as patch:
        few = dataclasses.replace(CATALOG["shapes"], train=60, test=120)
        patch.setitem(CATALOG, "shapes", few)
        overrides = {"data.size": 16, "data.text_size": 8, "training.steps": 1}
        overrides |= {"training.batch": 8, "method.width": 4, "method.critic_width": 4}
        place = tmp_path_factory.mktemp("captions") / "run"
        yield naqsh.train(
            "stackgan-shapes-1", out=place, overrides=overrides, device="cpu", quiet=True
        )


def first_cells(document, name):
    """What the rows of a page's table are called."""
    blocks = [block for section in document.sections for block in section.blocks]
    (table,) = [block for block in blocks if block.kind == "table" and block.name == name]
    return [str(row.cells[0]) for row in table.rows]


def test_captions_alone_stand_on_the_page(run, tmp_path):
    """An evaluation of nothing but captions has no measure of features, and has its table."""
    place = tmp_path / "run"
    shutil.copytree(run.folder.path, place, ignore=shutil.ignore_patterns("evaluation.json"))
    naqsh.open(place).evaluate("captions", n=115)
    for language, hard in (("en", "differ from it in one factor"), ("fa", "تنها در یک عامل")):
        words = Words(language)
        made = page.build(gather.read([place]), words)
        parts = words.under("tables.followed.parts")
        wanted = [parts[name] for name in ("whole", "seen", "held_out", "ceiling", "shuffled")]
        assert first_cells(made, "followed") == [*wanted, parts["chance"]]
        (quality,) = [section for section in made.sections if section.id == "quality"]
        said = " ".join(str(i) for b in quality.blocks if b.kind == "listing" for i in b.items)
        assert hard in said
        assert "R-precision" in said  # among 99 others: there are more scenes than those
    naqsh.open(place).evaluate("captions", n=30)
    made = page.build(gather.read([place]), Words("en"))
    assert len(first_cells(made, "followed")) > 6  # of each evaluation


def test_families_are_compared_by_captions_where_all_follow_some(run, tmp_path):
    run.evaluate(["captions", "frechet"], n=100)
    places = [run.folder.path, tmp_path / "other"]
    shutil.copytree(*places)
    for language in ("en", "fa"):
        rows = Words(language).under("tables.everything.rows")
        wanted = {rows[name] for name in ("shape_right", "all_right", "own_hard")}
        made = comparing.build(comparing.read(places), Words(language))
        assert wanted <= set(first_cells(made, "everything"))
        assert "followed" in {section.id for section in made.sections}
    kept = json.loads((places[1] / "evaluation.json").read_text())
    kept["results"] = [r for r in kept["results"] if r["of"]["metric"] != "captions"]
    (places[1] / "evaluation.json").write_text(json.dumps(kept))
    made = comparing.build(comparing.read(places), Words("en"))
    rows = Words("en").under("tables.everything.rows")
    assert rows["frechet"] in first_cells(made, "everything")
    assert not {rows["shape_right"], rows["own_hard"]} & set(first_cells(made, "everything"))
    assert "followed" not in {section.id for section in made.sections}


def test_evaluate_tells_how_well_captions_are_followed(run, tmp_path, capsys):
    found = run.evaluate(["captions", "frechet"], n=110).followed
    assert found.n == found.whole.n == 110
    assert found.ceiling.all > 0.7  # of 16 pixels, which are half of what the reader knows
    assert found.whole.all < 0.2
    assert found.precision is None or found.precision < 0.5
    kept = [
        r
        for r in json.loads(run.folder.evaluation.read_text())["results"]
        if r["of"]["metric"] == "captions"
    ][-1]
    assert kept["found"]["whole"]["all"] == found.whole.all
    assert main(["evaluate", str(run.folder.path), "--metrics", "captions", "--n", "110"]) == 0
    out = capsys.readouterr().out
    assert "captions followed" in out
    assert f"{found.whole.background:.3f}" in out
    for language, title in (("en", "Place or relation"), ("fa", "جا یا رابطه")):
        page = run.report(tmp_path / f"{language}.html", language=language).read_text("utf-8")
        assert title in page
        assert "table-followed" in page


def test_captions_that_cannot_be_read_back_are_refused(run, finished):
    with pytest.raises(NaqshError, match="follows no captions"):
        naqsh.open(finished).evaluate("captions")
    few = replace_texts(run.images("test").images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run), "images", lambda *_: Found(few, None, run.recipe))
        with pytest.raises(NaqshError, match="not of rendered scenes"):
            run.evaluate("captions")


def replace_texts(data):
    return dataclasses.replace(data, texts=tuple(("a bird",) * 4 for _ in data.texts))


def test_a_damaged_reader_is_one_line(tmp_path):
    path = tmp_path / "reader.safetensors"
    path.write_bytes(reading.WEIGHTS.read_bytes()[:-7])
    for file in (path, tmp_path / "none"):
        with pytest.raises(NaqshError, match="cannot be read") as caught:
            reading.load(file)
        assert "\n" not in str(caught.value)
