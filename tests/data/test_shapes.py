"""The rendered scenes and their captions, by sums of pixels and by reading the captions back."""

import itertools

import numpy as np
import pytest

from naqsh.data import CATALOG, load, scenes, sentences
from naqsh.data.scenes import Scene, Thing


def of(split, count):
    return scenes.scenes(split, scenes.numbers("scenes", split, count, scenes.NUMBERS))


def one(shape, colour="red", size="large", where="centre", background="black", side=64):
    """A single object, exactly in its place, at its size and not turned."""
    scene = Scene(Thing(shape, colour, size), where, None, background)
    return next(scenes.render([scene], np.full((1, scenes.NUMBERS), 0.5), side))[0]


def all_scenes():
    things = [Thing(*x) for x in itertools.product(scenes.SHAPES, scenes.COLOURS, scenes.SIZES)]
    for thing, where in itertools.product(things, scenes.PLACES):
        yield Scene(thing, where, None, "grey")
    for (first, second), where in itertools.product(
        zip(things, things[7:] + things[:7], strict=True), scenes.RELATIONS
    ):
        yield Scene(first, where, second, "black")


def test_a_scene_is_a_function_of_its_place_alone():
    assert of("test", 12) == of("test", 40)[:12]
    whole = np.concatenate(list(scenes.render(of("test", 9), chance(9), 32)))
    alone = np.concatenate(list(scenes.render(of("test", 9)[4:5], chance(9)[4:5], 32)))
    assert np.array_equal(whole[4:5], alone)


def chance(count):
    return scenes.numbers("scenes", "test", count, scenes.NUMBERS)


def test_pairs_that_are_held_out_are_in_test_images_alone():
    def pairs(some):
        return {(thing.colour, thing.shape) for s in some for thing in (s.first, s.second) if thing}

    train, test = of("train", 5000), of("test", 400)
    assert len(pairs(train)) == 25
    assert not pairs(train) & set(scenes.HELD_OUT)
    assert pairs(test[3::4]) >= set(scenes.HELD_OUT)
    seen = [scene for k, scene in enumerate(test) if k % 4 != 3]
    assert not pairs(seen) & set(scenes.HELD_OUT)
    for value in (*scenes.PLACES, *scenes.RELATIONS):
        assert sum(scene.where == value for scene in train) > 300
    assert not any(
        s.second and s.first.colour == s.second.colour and s.first.shape == s.second.shape
        for s in train
    )


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle", np.pi),
        ("square", 4 * 0.88**2),
        ("triangle", 3 * np.sqrt(3) * 0.6**2),  # of the circle inside, radius 0.6
        ("cross", 2 * (2 * 0.68) - 0.68**2),
        ("star", 10 * 0.5 * 1.15 * 0.5 * np.sin(np.pi / 5)),
    ],
)
def test_areas_are_those_of_the_outlines(shape, area):
    side = 128
    red = one(shape, side=side)[0].sum() / (scenes._RGB["red"][0] * 0.95)
    expected = area * (0.205 * side) ** 2
    assert red == pytest.approx(expected, rel=0.02)


def test_objects_stand_where_their_captions_say():
    far = {"centre": (0, 0), "top": (0, -1), "bottom": (0, 1), "left": (-1, 0), "right": (1, 0)}
    for where, (right, down) in far.items():
        image = one("square", where=where)[0].astype(float)
        rows, columns = np.indices(image.shape)
        middle = (image * columns).sum() / image.sum(), (image * rows).sum() / image.sum()
        assert middle == pytest.approx((31.5 + 16 * right, 31.5 + 16 * down), abs=0.1)
    two = Scene(
        Thing("circle", "red", "small"), "left of", Thing("circle", "blue", "large"), "black"
    )
    image = next(scenes.render([two], np.full((1, scenes.NUMBERS), 0.5), 64))[0].astype(float)
    columns = np.arange(64)
    red, blue = image[0] > 150, image[2] > 150
    assert columns[red.any(0)].max() < columns[blue.any(0)].min()
    assert blue.sum() > 2 * red.sum()


@pytest.mark.parametrize("language", sentences.LANGUAGES)
def test_every_caption_can_be_read_back(language):
    rng = np.random.default_rng(0)
    each = len(sentences.LANGUAGES) * sentences.EACH
    said = set()
    for scene in all_scenes():
        told = sentences.captions(scene, rng.random(each * sentences.NUMBERS))
        for caption in told[:2] if language == "en" else told[2:]:
            found = sentences.read(caption)
            assert found is not None, caption
            assert found.language == language
            assert found.scene in (scene, scene.turned())
            said.add(caption)
    assert len(said) > 900


@pytest.mark.parametrize(
    ("caption", "scene"),
    [
        (
            "A small red circle above a big blue square on a white background.",
            Scene(
                Thing("circle", "red", "small"), "above", Thing("square", "blue", "large"), "white"
            ),
        ),
        (
            "یک ستاره زرد بزرگ در وسط روی زمینه سیاه",
            Scene(Thing("star", "yellow", "large"), "centre", None, "black"),
        ),
    ],
)
def test_typed_captions_are_read_without_marks(caption, scene):
    assert sentences.read(caption).scene == scene


@pytest.mark.parametrize("caption", ["", "a red circle", "a small red circle above", "hello"])
def test_other_sentences_are_not(caption):
    assert sentences.read(caption) is None


def test_the_set_is_as_the_catalogue_says():
    entry = CATALOG["shapes"]
    test = load("shapes", split="test")
    assert len(test) == entry.test
    assert test.shape == entry.shape
    assert {len(several) for several in test.texts} == {entry.captions}
    assert load("shapes", split="test", size=16, channels=1).shape == (1, 16, 16)
