"""Folders of two domains: known in the spellings of the field, refused where a half is missing."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from naqsh.core.errors import NaqshError
from naqsh.data import DataSet, load

Picture = Callable[..., Path]


def write(picture: Picture, counts: dict[str, int], **how: object) -> None:
    for place, count in counts.items():
        for number in range(count):
            name = f"in/{place}/{number}.png"
            picture(name, seed=sum(name.encode()) * 1000 + number, **how)


def taken(tmp_path: Path, split: str = "train", **how: object) -> DataSet:
    return load(str(tmp_path / "in"), split=split, **how)  # type: ignore[arg-type]


def rows(images: Iterable[np.ndarray]) -> set[bytes]:
    return {image.tobytes() for image in images}


ENDS = [
    "trainA trainB testA testB",
    "train_a train_b Test_a Test_b",
    "Train-A Train-B TEST-A TEST-B",
]
ENDS += [
    "A_train B_train A_test B_test",
    "trainA trainB valA valB",
    "Train A,Train B,Test A,Test B",
]
BELOW = ["train/A train/B test/A test/B", "Train/A Train/B val/A val/B"]
BELOW += [
    "A/train B/train A/test B/test",
    "DomainA/Training DomainB/Training DomainA/Valid DomainB/Valid",
]
BELOW += ["train/domain_A train/domain_B test/domain_A test/domain_B"]


@pytest.mark.parametrize("names", ENDS + BELOW)
@pytest.mark.parametrize("deeper", ["", "/2017"])
def test_two_domains_with_splits(tmp_path: Path, picture: Picture, names: str, deeper: str) -> None:
    places = names.split("," if "," in names else None)
    counts = dict(zip((place + deeper for place in places), (5, 3, 2, 4), strict=True))
    write(picture, counts)
    train, test = taken(tmp_path), taken(tmp_path, "test")
    assert [(len(d), len(d.second)) for d in (train, test)] == [(5, 3), (2, 4)]
    assert train.domains == test.domains == ("A", "B")
    assert (train.labels, train.classes, train.paired) == (None, (), False)
    groups = [rows(part) for d in (train, test) for part in (d.images, d.second)]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 14  # each image in one place
    # What a plain folder of these images alone has is what the domain has.
    alone = load(str(tmp_path / "in" / places[1]))
    assert np.array_equal(alone.images, train.second)


def test_two_domains_without_a_test_split(tmp_path: Path, picture: Picture) -> None:
    write(picture, {"A": 4, "B": 6, "AB": 3, "masks": 2})
    picture("in/more.png")
    found = taken(tmp_path)
    assert (len(found), len(found.second), found.epoch) == (4, 6, 6)
    assert found.notes == (
        "in: two domains, A and B, and not two classes; rename one of these folders where they are "
        "classes",
        "in: left out beside the two domains: AB (3 images), masks (2 images), 1 loose images",
    )
    with pytest.raises(NaqshError, match="no test split"):
        taken(tmp_path, "test")
    # One of them alone is as a class of good images is.
    (tmp_path / "in/more.png").unlink()
    alone = taken(tmp_path, good="A")
    assert (len(alone), alone.second) == (4, None)


@pytest.mark.parametrize(
    "places", ["A B C", "A", "a A", "a b", "trainA/x a b", "train/A train/B train/C"]
)
def test_letters_of_an_alphabet_are_classes(tmp_path: Path, picture: Picture, places: str) -> None:
    write(picture, dict.fromkeys(places.split(), 3))
    if "trainA" in places:
        with pytest.raises(NaqshError, match="names of splits"):
            taken(tmp_path)
        return
    found = taken(tmp_path)
    assert (found.second, len(found.classes)) == (None, len(places.split()))


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        ({"trainA": 3}, "no images of domain B in its train split"),
        ({"trainB": 3, "testB": 2}, "no images of domain A in its train split"),
        ({"trainA": 3, "trainB": 3, "testA": 3}, "no images of domain B in its test split"),
        ({"trainA": 3, "trainB": 1}, "1 image of domain B in its train split"),
        ({"A/train": 3, "B/train": 3, "A/test": 3}, "no images of domain B in its test split"),
        ({"testA": 3, "testB": 3}, "has a test split and no other"),
        ({"trainA": 3, "trainB/val": 3}, "name of a split but lies below"),
        ({"A": 2, "A/train": 3, "B/train": 3}, "beside its splits"),
        ({"A/train": 3, "A/more": 1, "B/train": 3}, "more, which is none"),
        ({"trainA": 3, "trainB": 3, "tetsA": 3}, "looks almost like"),
    ],
)
def test_what_is_almost_two_domains(
    tmp_path: Path, picture: Picture, counts: dict[str, int], complaint: str
) -> None:
    write(picture, counts)
    (tmp_path / "in/testB").mkdir(exist_ok=True)  # a folder without images makes no domain
    split = "test" if "its test split" in complaint else "train"
    with pytest.raises(NaqshError, match=complaint) as told:
        taken(tmp_path, split)
    assert "\n" not in str(told.value)


def test_sizes_and_colours(tmp_path: Path, picture: Picture) -> None:
    write(picture, {"trainA": 3}, size=(10, 8), mode="L")
    write(picture, {"trainB": 3}, size=(8, 8))
    with pytest.raises(NaqshError, match=r"10x8 in A and 8x8 in B; give one size .* example 8"):
        taken(tmp_path)
    found = taken(tmp_path, size=6)
    assert found.shape == found.second.shape[1:] == (3, 6, 6)
    assert (found.images == found.images[:, :1]).all()  # grey, in three channels
    assert taken(tmp_path, size=6, channels=1).second.shape == (3, 1, 6, 6)
    assert taken(tmp_path, size=6).fingerprint == found.fingerprint


def test_links_to_the_other_split_are_left_out(tmp_path: Path, picture: Picture) -> None:
    write(picture, {"trainA": 3, "trainB": 3, "testA": 2, "testB": 2})
    (tmp_path / "in/trainA/9.png").symlink_to(tmp_path / "in/testA/0.png")
    assert len(taken(tmp_path)) == 3
    assert len(taken(tmp_path, "test")) == 2


@pytest.mark.parametrize("inside", ["summer2winter", "summer2winter_yosemite", "summer2winter/x"])
def test_a_named_set_is_found_at_home(tmp_path: Path, picture: Picture, inside: str) -> None:
    inside = inside.replace("/x", "/summer2winter_yosemite")
    for part, count in {"trainA": 3, "trainB": 2, "testA": 2, "testB": 2}.items():
        for number in range(count):
            picture(f"home/{inside}/{part}/{number}.jpg", size=(12, 12), seed=number)
    for split in ("train", "test"):
        found = load("summer2winter", split=split, home=tmp_path / "home", download=False, size=8)
        assert (found.name, found.domains) == (
            "summer2winter (another split, of 12 px)",
            ("summer", "winter"),
        )
        assert (found.shape, found.notes) == ((3, 8, 8), ())
    with pytest.raises(NaqshError, match=r"'apple2orange' needs apple2orange\.zip"):
        load("apple2orange", home=tmp_path / "home", download=False)


def test_the_real_horse2zebra(real_home: Path) -> None:
    if not (real_home / "horse2zebra").is_dir():
        pytest.skip("real data: NAQSH_DATA_HOME has no horse2zebra")
    for split, counts in {"train": (1067, 1334), "test": (120, 140)}.items():
        found = load("horse2zebra", split=split, size=16, home=real_home, download=False)
        assert (len(found), len(found.second)) == counts
        assert found.name in ("horse2zebra", "horse2zebra (of 144 px)")


@pytest.mark.parametrize("kind", ["inverted", "coloured"])
def test_a_second_domain_of_other_digits(kind: str) -> None:
    for split in ("train", "test"):
        plain, found = load("digits", split=split), load("digits", split=split, second=kind)
        assert len(found) + len(found.second) == len(plain)
        assert found.domains == ("images", kind)
        assert found.shape == found.second.shape[1:]
        first = rows(found.images[:, :1])
        back = 255 - found.second if kind == "inverted" else found.second.max(1, keepdims=True)
        assert not first & rows(back)
        # What the halves were made of is what the set has. (Some digits are alike at 16 pixels.)
        assert first | rows(back) == rows(plain.images)
        # Neither half has one kind of digit: the published order goes 0, 1, 2, ...
        assert found.counts == pytest.approx([len(found) / 10] * 10, rel=0.5)


def test_coloured_ones_have_their_grey_and_many_hues() -> None:
    found = load("digits", second="coloured").second
    flat = found.reshape(len(found), 3, -1).astype(float)
    hues = flat.mean(2) / flat.mean(2).max(1, keepdims=True)
    assert (hues.min(1) < 0.4).all()
    assert all(np.ptp(hues[:20, channel]) > 0.5 for channel in range(3))


def test_second_domains_that_cannot_be_made(tmp_path: Path, picture: Picture) -> None:
    with pytest.raises(NaqshError, match=r"data\.second named 'upside-down'; known: coloured, inv"):
        load("digits", second="upside-down")
    write(picture, {"A": 3, "B": 3})
    with pytest.raises(NaqshError, match="two domains already"):
        taken(tmp_path, second="inverted")
    write(picture, {"../few": 3})
    with pytest.raises(NaqshError, match="at least 4"):
        load(str(tmp_path / "few"), second="inverted")
