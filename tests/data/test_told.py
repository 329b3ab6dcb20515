"""Captions beside images: every layout gives the same sentences, and bad files are one line."""

import json

import numpy as np
import pytest
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.data import load, told

SAID = {
    "a.png": ["a red bird", "a bird on a branch"],
    "b.png": ["a blue bird"],
    "c.png": ["two birds", "birds that fly", "a pair of birds"],
}


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "birds"
    place.mkdir()
    for number, name in enumerate(SAID):
        Image.fromarray(np.full((8, 8, 3), 60 * number, np.uint8)).save(place / name)
    return place


def beside(folder):
    for name, captions in SAID.items():
        text = "\n".join(captions) + "\n\n"
        (folder / name).with_suffix(".txt").write_text("\ufeff" + text, encoding="utf-8")


def csv(folder):
    rows = [f'{name},"{caption}"' for name, captions in SAID.items() for caption in captions]
    (folder / "captions.csv").write_text("file_name,caption\n" + "\n".join(rows), encoding="utf-8")


def jsonl(folder):
    rows = [json.dumps({"file_name": name, "text": several}) for name, several in SAID.items()]
    (folder / "metadata.jsonl").write_text("\n".join(rows), encoding="utf-8")


def coco(folder):
    images = [{"id": 7 + k, "file_name": name} for k, name in enumerate(SAID)]
    said = [
        {"id": 1, "image_id": image["id"], "caption": caption}
        for image in images
        for caption in SAID[image["file_name"]]
    ]
    plain = {"images": images, "annotations": said, "info": {}}
    (folder / "captions.json").write_text(json.dumps(plain), encoding="utf-8")


def mapping(folder):
    (folder / "captions.json").write_text(json.dumps(SAID), encoding="utf-8")


@pytest.mark.parametrize("layout", [beside, csv, jsonl, coco, mapping])
def test_every_layout_gives_the_same_captions(folder, layout):
    layout(folder)
    data = load(folder, text="tfidf", text_size=3)
    assert data.texts == (
        ("a red bird", "a bird on a branch", "a red bird"),
        ("a blue bird",) * 3,
        ("two birds", "birds that fly", "a pair of birds"),
    )
    assert data.captions.shape == (3, 3, 3)
    assert np.array_equal(data.captions[1, 0], data.encoder.encode(["a blue bird"])[0])
    assert not data.notes
    plain = load(folder)
    assert plain.texts == ()
    assert plain.captions is None
    assert plain.fingerprint != data.fingerprint
    assert any("left out" in note for note in plain.notes)


def test_splits_and_classes_have_their_own(tmp_path):
    for file in ("train/x/a", "train/y/a", "train/y/b", "test/x/c", "test/y/d"):
        split, kind, name = file.split("/")
        place = tmp_path / split / kind
        place.mkdir(parents=True, exist_ok=True)
        shade = 40 * len(list(tmp_path.rglob("*.png")))
        Image.fromarray(np.full((8, 8), shade, np.uint8)).save(place / f"{name}.png")
    rows = ["x/a.png,one of x", "y/a.png,one of y", "y/b.png,another of y"]
    (tmp_path / "train" / "captions.csv").write_text("image,text\n" + "\n".join(rows))
    rows = ["test/x/c.png,one of x", "test/y/d.png,one of z"]
    (tmp_path / "captions.csv").write_text("image,text\n" + "\n".join(rows))
    train, test = (
        load(tmp_path, split=split, text="tfidf", text_size=2) for split in ("train", "test")
    )
    assert train.texts == (("one of x",), ("one of y",), ("another of y",))
    assert test.texts == (("one of x",), ("one of z",))
    assert np.array_equal(test.captions[0], train.captions[0])
    assert test.encoder.unknown("one of z") == ("z",)


def test_held_out_images_keep_their_captions(folder):
    beside(folder)
    train, test = (
        load(folder, split=split, holdout=0.34, text="tfidf", text_size=2)
        for split in ("train", "test")
    )
    assert (len(train), len(test)) == (2, 1)
    shade = int(test.images[0, 0, 0, 0]) // 60
    assert set(test.texts[0]) == set(SAID[list(SAID)[shade]])
    assert np.array_equal(test.captions[0], train.encoder.encode(test.texts[0]))


def test_images_without_captions_are_refused_or_left_out(folder):
    csv(folder)
    (folder / "captions.csv").write_text("file,caption\na.png,a bird that sings\nc.png,two birds\n")
    with pytest.raises(NaqshError, match=r"1 of 3 images have no caption \(b\.png\)"):
        load(folder, text="tfidf", text_size=1)
    data = load(folder, text="tfidf", text_size=1, skip_broken=True)
    assert data.texts == (("a bird that sings",), ("two birds",))
    assert [int(image[0, 0, 0]) for image in data.images] == [0, 120]
    assert any("1 of 3 images have no caption (b.png) and are left out" in n for n in data.notes)


@pytest.mark.parametrize(
    ("name", "content", "told_"),
    [
        ("captions.csv", "file_name,words\na.png,x\n", "no column is called caption"),
        ("captions.csv", "", "the first line names"),
        ("captions.csv", "file_name,caption\na.png,x,y\n", "line 2: 3 columns"),
        ("captions.csv", 'file_name,caption\na.png,"x', "malformed"),
        ("captions.csv", b"file_name,caption\na.png,\xff\xfe\n", "no text in UTF-8"),
        ("captions.csv", "file_name,caption\na.png,a\x07b\n", "line 2: the caption"),
        ("captions.csv", "file_name,caption\nz.png,a bird\n", "no caption of any image"),
        ("captions.jsonl", '{"file_name": "a.png"}\n', "line 1: it names no caption"),
        ("captions.jsonl", "[1]\n", "line 1: .* no record"),
        ("captions.jsonl", '{"file_name": 1, "caption": 2}\n', "are texts"),
        ("captions.jsonl", "{\n", "malformed"),
        ("captions.json", "{", "malformed"),
        ("captions.json", "7", "malformed"),
        ("captions.json", "[" * 100_000, "malformed"),
        ("captions.json", '{"images": [], "annotations": [{}]}', "malformed: it lacks 'image_id'"),
        ("captions.json", '{"images": [{}], "annotations": []}', "malformed: it lacks 'id'"),
        (
            "captions.json",
            '{"images": [], "annotations": [{"image_id": 1, "caption": "x"}]}',
            "annotation 1: there is no image 1",
        ),
        ("a.txt", "x" * 10_000, r"a\.txt, line 1: a caption has at most"),
        ("a.txt", "\n a bird \n??\n", r"a\.txt, line 3: a caption is empty"),
        ("a.txt", b"\xe9", "no text in UTF-8"),
        ("notes.txt", "nothing", "has no caption of any image"),
    ],
)
def test_malformed_captions_are_one_line(folder, name, content, told_):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NaqshError, match=told_) as caught:
        load(folder, text="tfidf", text_size=1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_two_tables_and_unclear_names_are_refused(folder):
    csv(folder)
    coco(folder)
    with pytest.raises(NaqshError, match=r"both captions\.csv and captions\.json"):
        load(folder, text="tfidf", text_size=1)
    for part in ("x", "y"):
        (folder / part).mkdir()
        (folder / "a.png").rename(folder / part / "a.png") if part == "x" else (
            folder / "b.png"
        ).rename(folder / part / "a.png")
    (folder / "c.png").rename(folder / "x" / "c.png")
    (folder / "captions.json").unlink()
    with pytest.raises(NaqshError, match=r"'a\.png' may be x/a\.png or y/a\.png"):
        load(folder, text="tfidf", text_size=1)


def test_of_many_captions_the_first_are_taken():
    many = [[f"a {k}" for k in range(30)], ["b", "c"]]
    assert told.even(many) == (tuple(f"a {k}" for k in range(10)), ("b", "c") * 5)


def test_captions_of_two_domains_are_refused(tmp_path):
    for domain in ("A", "B"):
        (tmp_path / domain).mkdir()
        for k in range(2):
            image = np.full((8, 8), 90 * k, np.uint8)
            Image.fromarray(image).save(tmp_path / domain / f"{k}.png")
    with pytest.raises(NaqshError, match="has two"):
        load(tmp_path, text="tfidf")
