"""CUB-200-2011 in its published layout, made small here; embeddings as Python 2 pickled them."""

import io
import os
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.data import load, published
from naqsh.data.decoding import Header
from naqsh.data.sets.cub import square
from naqsh.recipes import by_name

BIRDS = ["001.Grey_Gull/Gull_1", "001.Grey_Gull/Gull_2", "007.Wren/Wren_1", "007.Wren/Wren_2"]
BOX = (20, 10, 20, 12)


@pytest.fixture
def home(tmp_path):
    top = tmp_path / "cub" / "CUB_200_2011"
    for k, bird in enumerate(BIRDS):
        image = np.full((60, 80, 3), 20 * k, np.uint8)
        image[10:22, 20:40] = 200  # the bird, in its box
        file = top / "images" / f"{bird}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
        text = tmp_path / "cub" / "text" / f"{bird}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"bird {k} sits\nbird {k} flies\n")
    rows = {
        "images.txt": [f"{k} {bird}.png" for k, bird in enumerate(BIRDS, 1)],
        "image_class_labels.txt": ["1 1", "2 1", "3 7", "4 7"],
        "classes.txt": ["1 001.Grey_Gull", "2 002.Owl", "7 007.Wren"],
        "bounding_boxes.txt": [f"{k} {' '.join(f'{x:.1f}' for x in BOX)}" for k in range(1, 5)],
        "train_test_split.txt": ["1 1", "2 0", "3 1", "4 0"],
    }
    for name, lines in rows.items():
        (top / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_birds_are_cut_out_with_their_captions(home):
    data = load("cub", home=home, size=30, text="tfidf", text_size=2)
    assert data.classes == ("Grey Gull", "Wren")
    assert data.labels.tolist() == [0, 1]
    assert data.texts == (("bird 0 sits", "bird 0 flies"), ("bird 2 sits", "bird 2 flies"))
    # 1.5 times 20 is 30: from 15 to 45 and, as it would begin at 1, from 1 to 31.
    expected = np.full((30, 30), 40)
    expected[9:21, 5:25] = 200
    assert np.array_equal(data.images[1, 0], expected)
    test = load("cub", split="test", home=home, size=30)
    assert test.labels.tolist() == [0, 1]
    assert test.texts == ()
    assert any("each species is in both" in note for note in test.notes)


def test_training_birds_are_cut_out_of_larger_ones(home):
    """As the released code has it: of 76 pixels where the set has 64, the birds of the same box."""
    data = load("cub", home=home, size=64, crop=True)
    assert data.shape == (3, 64, 64)
    assert data.wide.shape == (3, 76, 76)
    apart = load("cub", home=home, size=76)
    assert np.array_equal(data.wide.images, apart.images)
    assert [load("cub", home=home, size=side, crop=True).wide.shape[1] for side in (32, 16)] == [
        38,
        19,
    ]
    for name in ("stackgan-cub-1", "stackgan-cub-2", "stackgan-cub-small-1"):
        recipe = by_name(name)
        assert recipe.data.crop
        assert recipe.data.flip


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ((30, 20, 20, 10), (25, 10, 55, 40)),
        ((0, 0, 20, 20), (0, 0, 30, 30)),  # moved in
        ((75, 55, 24, 24), (64, 44, 100, 80)),
        ((10, 10, 80, 60), (10, 0, 90, 80)),  # no larger than the image is high
    ],
)
def test_squares_lie_in_the_image(box, kept):
    assert square(*box, Header(100, 80, False, False)) == kept


def test_a_split_of_classes_is_taken_where_there_is_one(home):
    (home / "cub" / "trainvalclasses.txt").write_text("007.Wren\n")
    (home / "cub" / "testclasses.txt").write_text("001.Grey_Gull\n")
    train, test = (load("cub", split=split, home=home, size=16) for split in ("train", "test"))
    assert (train.labels.tolist(), test.labels.tolist()) == ([1, 1], [0, 0])
    assert train.classes == test.classes


@pytest.mark.parametrize(
    ("name", "row", "told"),
    [
        ("images.txt", "1 001.Grey_Gull/Gull_1.png more", "line 1: .* is no row"),
        ("images.txt", "1 ../../x.png\n3 007.Wren/Wren_1.png", "leads out of its folder"),
        ("images.txt", "1 001.Grey_Gull/none.png\n3 007.Wren/Wren_1.png", "1 of 2 images"),
        ("bounding_boxes.txt", "1 5 5 0 5", "row of '1' is no box"),
        ("bounding_boxes.txt", "1 nan 5 5 5", "row of '1' is no box"),
        ("bounding_boxes.txt", "2 5 5 5 5", "no row of '1'"),
        ("train_test_split.txt", "1 1", "no row of"),
        ("classes.txt", "1 001.Grey_Gull", "no row of '7'"),
    ],
)
def test_a_malformed_table_is_one_line(home, name, row, told):
    (home / "cub" / "CUB_200_2011" / name).write_text(row + "\n")
    with pytest.raises(NaqshError, match=told) as caught:
        load("cub", home=home, size=16)
    assert "\n" not in str(caught.value)


def test_birds_without_captions_are_named(home):
    (home / "cub" / "text" / f"{BIRDS[2]}.txt").unlink()
    with pytest.raises(NaqshError, match=r"1 of 2 images have no caption \(images/007"):
        load("cub", home=home, size=16, text="tfidf", text_size=1)
    (home / "cub" / "text").rename(home / "cub" / "else")
    with pytest.raises(NaqshError, match="put the folder text"):
        load("cub", home=home, size=16, text="tfidf", text_size=1)


def test_where_it_is_not_one_line_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.delenv("NAQSH_DATA_HOME", raising=False)
    with pytest.raises(NaqshError, match="put the folders CUB_200_2011 and text into"):
        load("cub", home=tmp_path)


def python2(arrays):
    """A list of float32 arrays as Python 2's cPickle writes it by protocol 2: bytes are texts."""
    parts = [b"\x80\x02]"]
    for array in arrays:
        raw = np.ascontiguousarray(array, "<f4").tobytes()
        parts += [
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R",
            b"(K\x01K" + bytes([array.shape[0]]) + b"K" + bytes([array.shape[1]]) + b"\x86",
            b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff",
            b"K\x00tb\x89T" + struct.pack("<i", len(raw)) + raw + b"tba",
        ]
    return b"".join(parts) + b"."


def tables():
    rng = np.random.default_rng(3)
    return [rng.normal(size=(3, 5)).astype(np.float32) for _ in BIRDS]


@pytest.mark.parametrize("form", ["python 2", 2, 4, "by columns", "float64"])
def test_published_embeddings_are_read(home, form):
    arrays = tables()
    place = home / "cub" / "train"
    place.mkdir()
    names = pickle.dumps(BIRDS[::-1], protocol=2)
    (place / published.NAMES).write_bytes(names)
    written = arrays[::-1]
    if form == "by columns":
        written = [np.asfortranarray(array) for array in written]
    elif form == "float64":
        written = [array.astype(">f8") for array in written]
    content = (
        python2(written)
        if form == "python 2"
        else pickle.dumps(written, form if form in (2, 4) else 2)
    )
    (place / published.EMBEDDINGS).write_bytes(content)
    data = load("cub", home=home, size=16, text="published")
    assert data.captions.shape == (4, 3, 5)
    assert np.array_equal(data.captions, np.stack(arrays))
    assert data.encoder is None
    assert data.labels.tolist() == [0, 0, 1, 1]
    with pytest.raises(NaqshError, match="no test/char-CNN"):
        load("cub", split="test", home=home, size=16, text="published")


class Program:
    def __reduce__(self):
        return os.system, ("touch /tmp/naqsh-should-not-be",)


class Lookup:
    def __reduce__(self):
        return getattr, (np.ndarray, "dump")


def harmful():
    """Pickles that would run something, or take memory, in a plain unpickler."""
    shadow = pickle.dumps(tables(), 2).replace(b"cnumpy\nndarray", b"cnumpy\nmemmap")
    huge = pickle.dumps(tables(), 2).replace(b"K\x03K\x05\x86", b"J\xff\xff\xff\x7fK\x05\x86")
    objects = pickle.dumps([np.array([[Program()]], object)], 2)
    build = b"\x80\x02]cnumpy\ndtype\nU\x02O8K\x00K\x01\x87Ra."
    return {
        "program": pickle.dumps([Program()], 2),
        "lookup": pickle.dumps([Lookup()], 2),
        "eval": b"\x80\x02]cbuiltins\neval\nU\x041 + 1\x85Ra.",
        "dotted": b"\x80\x04]\x8c\x05numpy\x8c\x0dndarray.dumps\x93a.",
        "elsewhere": b"\x80\x02]U\x01xQa.",
        "shadow": shadow,
        "huge": huge,
        "objects": objects,
        "type of objects": build,
        "cut": pickle.dumps(tables(), 2)[:-20],
        "no pickle": b"hello",
        "no list": pickle.dumps({"a": 1}, 2),
        "texts": pickle.dumps(["a", "b", "c", "d"], 2),
        "nothing": b"",
        "memo": b"\x80\x02]j\xff\xff\xff\x7fa.",
    }


@pytest.mark.parametrize("kind", sorted(harmful()))
def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path, kind):
    (tmp_path / published.NAMES).write_bytes(pickle.dumps(BIRDS, 2))
    (tmp_path / published.EMBEDDINGS).write_bytes(harmful()[kind])
    with pytest.raises(NaqshError) as caught:
        published.read(tmp_path)
    assert "\n" not in str(caught.value)
    assert not Path("/tmp/naqsh-should-not-be").exists()
    (tmp_path / published.EMBEDDINGS).write_bytes(pickle.dumps(tables(), 2))
    (tmp_path / published.NAMES).write_bytes(harmful()[kind])
    if kind != "texts":
        with pytest.raises(NaqshError):
            published.read(tmp_path)


def test_changed_pickles_end_in_one_line_or_in_arrays(tmp_path):
    (tmp_path / published.NAMES).write_bytes(pickle.dumps(BIRDS, 2))
    whole = pickle.dumps(tables(), 2)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            changed[place] = rng.integers(0, 256)
        (tmp_path / published.EMBEDDINGS).write_bytes(bytes(changed))
        try:
            found = published.read(tmp_path)
            assert all(np.isfinite(array).all() for array in found.values())
        except NaqshError as error:
            refused += "\n" not in str(error)
    assert refused > 100


def test_what_python_2_wrote_here_is_a_pickle():
    with io.StringIO() as out:
        pickletools.dis(python2(tables()), out)
        assert out.getvalue().count("_reconstruct") == 4
