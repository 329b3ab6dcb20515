"""Folders of two domains: known in the spellings of the field, refused where a half is missing."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from naqsh.core.errors import NaqshError
from naqsh.data import DataSet, edges, load

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
    with pytest.raises(NaqshError, match=r"data\.second named 'upside-down'; known: coloured, ed"):
        load("digits", second="upside-down")
    write(picture, {"A": 3, "B": 3})
    with pytest.raises(NaqshError, match="two domains already"):
        taken(tmp_path, second="inverted")
    write(picture, {"../few": 3})
    with pytest.raises(NaqshError, match="at least 4"):
        load(str(tmp_path / "few"), second="inverted")


def pairs(picture: Picture) -> None:
    for number in range(4):
        picture(f"in/trainA/{number}.png", seed=number)
        picture(f"in/trainB/{number}.jpg", size=(16, 16), seed=number)


def test_pairs_by_name(tmp_path: Path, picture: Picture) -> None:
    for number, name in enumerate(["c/3", "a", "b.b", "c/4"]):
        picture(f"in/trainA/{name}.png", mode="L", seed=number)
        picture(f"in/trainB/{name}.{['bmp', 'png'][number % 2]}", mode="L", seed=number)
    found = taken(tmp_path, paired="names")
    assert found.paired
    assert found.layout.paired
    assert np.array_equal(found.images, found.second)
    assert not taken(tmp_path).paired
    with pytest.raises(NaqshError, match="no test split"):
        taken(tmp_path, "test", paired="names")


def test_pairs_whose_names_end_in_their_domains_letter(tmp_path: Path, picture: Picture) -> None:
    for number, end in enumerate(["_A", "-a", ".A"]):
        picture(f"in/trainA/{number}{end}.png", mode="L", seed=number)
        picture(
            f"in/trainB/{number}{end.replace('A', 'B').replace('a', 'b')}.png",
            mode="L",
            seed=number,
        )
    found = taken(tmp_path, paired="names")
    assert len(found) == 3
    assert np.array_equal(found.images, found.second)
    picture("in/trainA/3.png")  # no letter: now names are taken as they are
    with pytest.raises(NaqshError, match=r"no partner .* trainA/0_A.png, .*trainB/0_B.png"):
        taken(tmp_path, paired="names")


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        (["trainA/5.png"], r"no partner .* trainA/5\.png \(train split\); add them"),
        (["trainB/5.png"], r"no partner .* trainB/5\.png"),
        ([f"trainB/x{n}.png" for n in range(5)], r"trainB/x0.png, .*x1.png, .*x2.png and 2 more"),
        (["trainA/1.gif"], "1.gif and .*1.png of domain A have one name"),
    ],
)
def test_names_without_a_partner(
    tmp_path: Path, picture: Picture, extra: list[str], complaint: str
) -> None:
    pairs(picture)
    for name in extra:
        picture(f"in/{name}")
    with pytest.raises(NaqshError, match=complaint) as told:
        taken(tmp_path, paired="names", size=8)
    assert "\n" not in str(told.value)
    assert not taken(tmp_path, size=8).paired


def test_a_broken_image_takes_its_partner_along(tmp_path: Path, picture: Picture) -> None:
    for number in range(5):
        for letter in "AB":
            picture(f"in/train{letter}/{number}.png", seed=number)
    (tmp_path / "in/trainA/1.png").write_bytes(b"no image")
    (tmp_path / "in/trainB/3.png").write_bytes(b"no image")
    found = taken(tmp_path, paired="names", skip_broken=True)
    assert len(found) == 3
    assert np.array_equal(found.images, found.second)
    assert found.notes[-1] == "in: 2 images left out, as their partners are broken"


@pytest.mark.parametrize("size", [None, 4])
def test_pairs_side_by_side(tmp_path: Path, picture: Picture, size: int | None) -> None:
    for split, count in {"train": 4, "val": 2}.items():
        for number in range(count):
            picture(f"in/{split}/{number}.png", size=(16, 8), seed=number)
    found = taken(tmp_path, paired="side-by-side", size=size)
    plain = load(str(tmp_path / "in")).images
    if size is None:
        assert np.array_equal(np.concatenate([found.images, found.second], -1), plain)
    assert (found.paired, found.domains, found.shape[1]) == (True, ("A", "B"), size or 8)
    assert len(taken(tmp_path, "test", paired="side-by-side")) == 2
    picture("in/train/odd.png", size=(15, 8))
    with pytest.raises(NaqshError, match=r"odd.png is 15 pixels wide, so that its halves"):
        taken(tmp_path, paired="side-by-side", size=4)


def test_pairs_where_there_can_be_none(tmp_path: Path, picture: Picture) -> None:
    pairs(picture)
    with pytest.raises(NaqshError, match="two domains in folders of their own"):
        taken(tmp_path, paired="side-by-side")
    with pytest.raises(NaqshError, match="has no two domains to pair"):
        load(str(tmp_path / "in/trainA"), paired="names")
    with pytest.raises(NaqshError, match=r"data\.paired is for folders of images"):
        load("digits", paired="names")
    with pytest.raises(NaqshError, match=r"data\.paired named 'x'; known: names, none, side"):
        load("digits", paired="x")


def test_a_split_that_is_held_out_keeps_pairs_and_equal_images_together(
    tmp_path: Path, picture: Picture
) -> None:
    for number in range(12):
        # 0 and 1 are equal in A, 1 and 2 in B: these three stay together.
        picture(f"in/A/{number}.png", seed=max(number, 1))
        picture(f"in/B/{number}.png", seed=100 + (2 if number == 1 else number))
    for seed in range(6):
        how = {"holdout": 0.25, "holdout_seed": seed, "paired": "names"}
        train, test = taken(tmp_path, **how), taken(tmp_path, "test", **how)
        assert (len(train), len(test)) in [(9, 3), (8, 4)]
        assert not rows(train.images) & rows(test.images)
        assert not rows(train.second) & rows(test.second)
        whole = taken(tmp_path, paired="names")
        known = dict(zip(map(bytes, whole.second), whole.images, strict=True))
        for part in (train, test):
            together = zip(part.images, part.second, strict=True)
            assert all(
                np.array_equal(image, known[bytes(other)])
                for image, other in together
                if bytes(other) != bytes(whole.second[1])
            )


def test_both_domains_are_held_out_each_by_itself(tmp_path: Path, picture: Picture) -> None:
    write(picture, {"A": 8, "B": 12})
    train, test = (taken(tmp_path, split, holdout=0.25, crop=True) for split in ("train", "test"))
    for part in (train, test):
        assert part.wide is not None
        assert (len(part.wide), len(part.wide.second)) == (len(part), len(part.second))
    assert [(len(d), len(d.second)) for d in (train, test)] == [(6, 9), (2, 3)]
    assert not rows(train.second) & rows(test.second)
    assert "2 of its 8 images and 3 of the 12 of its second domain are held out" in test.notes[-1]


def test_edges_are_pairs_with_their_images() -> None:
    plain, found = load("digits"), load("digits", second="edges")
    assert np.array_equal(found.second, plain.images)
    assert (found.paired, found.domains) == (True, ("edges", "images"))
    assert np.array_equal(found.labels, plain.labels)
    assert set(np.unique(found.images)) == {0, 255}
    # Each by itself: one alone, or the set turned round, has the same edges.
    assert np.array_equal(edges.of(plain.images[5:6])[0], found.images[5])
    assert np.array_equal(edges.of(plain.images[::-1])[::-1], found.images)


def test_where_edges_are() -> None:
    """Along the border of a square, one pixel wide; none in a flat image or a gentle slope."""
    images = np.full((3, 1, 32, 32), 60, np.uint8)
    images[0, 0, 8:24, 8:24] = 200
    images[1, 0] = np.arange(32) * 4
    found = edges.of(images)[:, 0] > 0
    assert not found[1:].any()
    inside, outside = found[0, 10:22, 10:22], found[0].copy()
    outside[6:26, 6:26] = False
    assert not inside.any()
    assert not outside.any()
    # Lines through the middle cross the border twice, one pixel each time.
    assert found[0, 16].sum() == found[0, :, 16].sum() == 2
    assert (np.flatnonzero(found[0, 16]) // 8).tolist() in ([0, 2], [1, 2], [0, 3], [1, 3])
    colour = edges.of(np.repeat(images, 3, 1))
    assert (colour[:, 0] == colour[:, 2]).all()


def test_larger_images_are_made_from_the_files(tmp_path: Path, picture: Picture) -> None:
    write(picture, {"A": 3, "B": 3}, size=(40, 40))
    found = taken(tmp_path, size=16, crop=True)
    assert np.array_equal(found.wide.images, taken(tmp_path, size=18).images)
    assert np.array_equal(found.wide.second, taken(tmp_path, size=18).second)
    assert found.fingerprint == taken(tmp_path, size=16).fingerprint
    assert taken(tmp_path, crop=True).wide.shape == (3, 45, 45)
    coloured = load("digits", second="coloured", crop=True)
    again = load("digits", second="coloured", size=18)
    assert np.array_equal(coloured.wide.second, again.second)
    assert np.array_equal(coloured.labels, again.labels)
    write(picture, {"../flat": 3}, size=(30, 20))
    with pytest.raises(NaqshError, match=r"square images, .* are 30x20; give data.size, .* 20"):
        load(str(tmp_path / "flat"), crop=True)
