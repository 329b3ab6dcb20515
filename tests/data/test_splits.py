"""Splits in any spelling are never classes; what only looks like one is refused."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from naqsh.core.errors import NaqshError
from naqsh.data import load, splits
from naqsh.data.dataset import DataSet

Picture = Callable[..., Path]


def write(picture: Picture, places: Iterable[str], each: int = 3) -> None:
    for place in places:
        for number in range(each):
            name = f"{place}/{number}.png"
            picture(f"in/{name}", seed=hash(name) & 0xFFFF)


def taken(tmp_path: Path, split: str = "train", **how: object) -> DataSet:
    return load(str(tmp_path / "in"), split=split, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        (("train", "test"), 1, 1),
        (("Train", "TEST"), 1, 1),
        (("training", "testing"), 1, 1),
        (("trn", "tst"), 1, 1),
        (("train", "val"), 1, 1),
        (("train", "valid"), 1, 1),
        (("TRAIN", "Validation"), 1, 1),
        (("train", "dev"), 1, 1),
        (("train", "eval"), 1, 1),
        (("train", "Held-Out"), 1, 1),
        (("آموزش", "آزمون"), 1, 1),
        (("train", "val", "test"), 2, 1),
        (("Training", "VALID", "Evaluation"), 2, 1),
        (("train", "dev", "test"), 2, 1),
    ],
)
def test_names_of_splits(
    tmp_path: Path, picture: Picture, names: tuple[str, ...], train: int, test: int
) -> None:
    write(picture, [f"{name}/{kind}" for name in names for kind in ("cat", "dog")])
    for split, count in (("train", train), ("test", test)):
        found = taken(tmp_path, split)
        assert found.classes == ("cat", "dog")
        assert len(found) == 6 * count
        assert bool(found.notes) == (set(names) != {"train", "test"})
        assert all(name in found.notes[0] for name in names if found.notes)


@pytest.mark.parametrize(
    "names",
    [
        ("train2017", "val2017"),
        ("train_images", "test_images"),
        ("trainImages", "testImages"),
        ("training_set", "test_set"),
        ("cats_train", "cats_test", "dogs_train", "dogs_test"),
        ("traning", "valdation"),
        ("trian", "tset"),
        ("train", "tset"),
        ("train", "test", "test_old"),
        ("train", "val", "test2"),
        ("train", "bus", "car"),
        ("test", "bus"),
        ("trainA", "trainB", "tetsA"),
        ("train", "trainA", "test"),
    ],
)
def test_what_looks_almost_like_splits_is_refused(
    tmp_path: Path, picture: Picture, names: tuple[str, ...]
) -> None:
    write(picture, names)
    for split in ("train", "test"):
        with pytest.raises(NaqshError, match=r"split") as told:
            taken(tmp_path, split)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "dog"),
        ("brain", "tumor"),
        ("bullet_train", "bus", "train_station"),
        ("vest", "nest", "text"),
        ("0", "1"),
        ("oval", "round"),
    ],
)
def test_classes_stay_classes(tmp_path: Path, picture: Picture, names: tuple[str, ...]) -> None:
    write(picture, names)
    assert taken(tmp_path).classes == tuple(sorted(names))
    assert taken(tmp_path).notes == ()


@pytest.mark.parametrize(
    "places",
    [
        ("cat/train", "cat/test", "dog/train"),
        ("images/train", "images/val"),
        ("bottle/train/good", "bottle/test/crack"),
        ("train/cat/val", "test/cat"),
        ("photos/TestB",),
    ],
)
def test_splits_below_classes_are_refused(
    tmp_path: Path, picture: Picture, places: tuple[str, ...]
) -> None:
    write(picture, places)
    with pytest.raises(NaqshError, match=r"has the name of a split but lies below"):
        taken(tmp_path)
    if not (tmp_path / "in/test").exists():
        with pytest.raises(NaqshError, match=r"has the name of a split but lies below"):
            taken(tmp_path, "test")


def test_what_lies_beside_splits_is_said(tmp_path: Path, picture: Picture) -> None:
    write(picture, ["train/a", "test/a", "ground_truth/a", "unlabeled_ones", "more"])
    picture("in/loose.png")
    (note,) = taken(tmp_path).notes
    assert note == (
        "in: left out beside the splits: more (3 images), unlabeled_ones (3 images), 1 loose images"
    )
    assert len(taken(tmp_path)) == 3


def test_a_test_split_alone_is_not_trained_on(tmp_path: Path, picture: Picture) -> None:
    write(picture, ["eval/a", "eval/b"])
    with pytest.raises(NaqshError, match=r"has a test split \(eval\) and no other"):
        taken(tmp_path)
    assert len(taken(tmp_path, "test")) == 6


def test_one_numbering_of_classes(tmp_path: Path, picture: Picture) -> None:
    write(picture, ["train/b", "train/d", "test/a", "test/d", "test/e"])
    train, test = taken(tmp_path), taken(tmp_path, "test")
    assert train.classes == ("b", "d")
    assert test.classes == ("b", "d", "a", "e")
    assert test.labels.tolist() == [1] * 3 + [2] * 3 + [3] * 3


def test_good_ones_alone_are_trained_on(tmp_path: Path, picture: Picture) -> None:
    write(picture, ["train/NG", "train/OK", "test/NG", "test/OK"])
    train, test = taken(tmp_path, good="ok"), taken(tmp_path, "test", good="OK")
    assert (train.classes, train.labels.tolist()) == (("OK",), [0] * 3)
    assert (test.classes, test.labels.tolist()) == (("OK", "NG"), [0] * 3 + [1] * 3)
    with pytest.raises(NaqshError, match=r"no sub-folder of .* named 'good'; known: NG, OK"):
        taken(tmp_path, good="good")


def test_training_on_faulty_ones_is_said(tmp_path: Path, picture: Picture) -> None:
    write(picture, ["good", "crack"])
    assert "trained on good and on crack" in taken(tmp_path).notes[0]
    assert taken(tmp_path, good="good").notes == ()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("train", ("train", "")),
        ("Train ", ("train", "")),
        ("_VAL_", ("val", "")),
        ("trainB", ("train", "B")),
        ("good", None),
        ("a", None),
        ("", None),
        ("²", None),
        ("testab", None),
    ],
)
def test_role(name: str, found: tuple[str, str] | None) -> None:
    assert splits.role(name) == found


def test_the_real_horse2zebra(real_home: Path) -> None:
    place = real_home / "horse2zebra"
    if not place.is_dir():
        pytest.skip("real data: NAQSH_DATA_HOME has no horse2zebra")
    from naqsh.data import listing

    counts = {}
    for split in ("train", "test"):
        found = listing.files(place, split)
        assert found.classes == ("A", "B")
        assert all(f"/{split}" in str(file) for file in found.files)
        counts[split] = len(found.files)
    assert counts == {"train": 1067 + 1334, "test": 120 + 140}
