"""Layouts of the field's inspection sets, in the spellings that they are found in."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naqsh import data
from naqsh.core.errors import NaqshError
from naqsh.data import listing, masks
from naqsh.data.inspection import good_one
from naqsh.studies.detection import examined
from naqsh.studies.detection.examined import Examined

SIDE = 16


def write(top: Path, image: str, mask: str = "", fault: bool = False) -> None:
    """An image, and its mask, whose values are 0 and 1."""
    seed = sum(image.encode())
    pixels = np.random.default_rng(seed).integers(100, 150, (SIDE, SIDE), dtype=np.uint8)
    area = np.zeros((SIDE, SIDE), np.uint8)
    if fault:
        pixels[4:10, 4:10], area[4:10, 4:10] = 255, 1
    for path, values in ((image, pixels), (mask, area)):
        if path:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(top / path)


def with_splits(top: Path, good: str, bad: str, mask: str, ending: str = "png") -> Path:
    for number in range(5):
        write(top, f"train/{good}/{number:03}.{ending}")
    for number in range(3):
        write(top, f"test/{good}/{number:03}.{ending}")
        write(top, f"test/{bad}/{number:03}.{ending}", mask.format(f"{number:03}"), fault=True)
    return top


SPLIT = {
    "MVTec AD": ("good", "crack", "ground_truth/crack/{}_mask.png"),
    "LOCO": ("good", "logical_anomalies", "ground_truth/logical_anomalies/{}/000.png"),
    "BTAD": ("ok", "ko", "ground_truth/ko/{}.png", "bmp"),
    "MPDD": ("good", "parts_mismatch", "ground_truth/parts_mismatch/{}_mask.png"),
    "Real-IAD": ("OK", "NG", "mask/NG/{}.png"),
    "casting": ("ok_front", "def_front", "gt/def_front/{}.bmp", "jpeg"),
    "a usual name": ("Defect-Free", "Anomalous", "Masks/Anomalous/{}.tif", "tif"),
    "German": ("i.O", "n.i.O", "truth/n.i.O/{}.png"),
}


@pytest.mark.parametrize("kind", SPLIT)
def test_good_and_faulty_images_in_splits(tmp_path: Path, kind: str) -> None:
    place = with_splits(tmp_path / "in", *SPLIT[kind])
    found = look(place)
    assert found.kinds is not None
    assert (found.kinds.count("good"), len(found)) == (3, 6)
    check_masks(found)
    assert len(data.load(place)) == 5


def visa(top: Path, data: str, images: str, truth: str, good: str, bad: str) -> Path:
    place = top / "candle"
    for number in range(5):
        write(place, f"{data}{images}/{good}/{number:04}.JPG")
    for number in range(3):
        mask = f"{data}{truth}/{bad}/{number:03}.png"
        write(place, f"{data}{images}/{bad}/{number:03}.JPG", mask, fault=True)
    return place


APART = {
    "VisA": ("Data/", "Images", "Masks", "Normal", "Anomaly"),
    "lower case": ("data/", "images", "masks", "normal", "anomaly"),
    "without Data": ("", "imgs", "ground_truth", "OK", "NG"),
    "deeper": ("set/Data/", "JPEGImages", "gt", "good", "bad"),
}


@pytest.mark.parametrize("kind", APART)
@pytest.mark.parametrize("table", [True, False])
def test_images_and_masks_apart(tmp_path: Path, kind: str, table: bool) -> None:
    place = visa(tmp_path, *APART[kind])
    files = sorted(place.rglob("*.JPG"))
    trained = [file for file in files if file.parent.name == APART[kind][3]][:2]
    if table:
        write_table(tmp_path, files, trained)
    assert {found.parent.name for found in listing.files(place).files} == {APART[kind][3]}
    assert len(data.load(place)) == (2 if table else 5)
    found = look(place)
    assert found.kinds is not None
    assert (found.kinds.count("good"), len(found)) == ((3, 6) if table else (5, 8))
    check_masks(found)
    if table:
        assert len(data.load(place, split="test")) == 6
        assert not {path.name for path in trained} & {
            Path(path).name for path in found.paths if APART[kind][3] in path
        }
    else:
        with pytest.raises(NaqshError, match="no test split"):
            data.load(place, split="test")
        held = data.load(place, split="test", holdout=0.4)
        assert len(held) == 2
        assert any("is not trained on" in note for note in held.notes)


def write_table(top: Path, files: list[Path], trained: list[Path]) -> Path:
    path = top / "split_csv/1cls.csv"
    path.parent.mkdir()
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["object", "split", "label", "image", "mask"])
        for image in files:
            split = "train" if image in trained else "test"
            rows.writerow(["candle", split, "", image.relative_to(top).as_posix(), ""])
    return path


def test_a_table_of_splits_that_does_not_fit(tmp_path: Path) -> None:
    place = visa(tmp_path, *APART["VisA"])
    files = sorted(place.rglob("*.JPG"))
    path = write_table(tmp_path, files[:-1], files[3:5])
    assert any("1 images that split_csv/1cls.csv has not" in n for n in data.load(place).notes)
    whole = path.read_text()
    for wrong, line in (
        (whole.replace("image", "picture", 1), "it has no column 'image'"),
        (whole.replace("candle", "pcb"), "names no image of"),
        ("", "names no image of"),
        ("image,split\nx\n", "needs the columns image and split"),
    ):
        path.write_text(wrong)
        with pytest.raises(NaqshError, match=line):
            data.load(place)


def test_what_is_almost_such_a_set(tmp_path: Path) -> None:
    """A line says what is missing."""
    odd = visa(tmp_path / "odd", "Data/", "Images", "Masks", "Alpha", "Anomaly")
    found = look(odd)
    assert found.kinds is None
    assert any("none is called good" in note and "--good Alpha" in note for note in found.notes)
    assert look(odd, "Alpha").kinds == ("good",) * 5 + ("Anomaly",) * 3
    for name in ("a", "b"):
        visa(tmp_path / "both" / name, *APART["VisA"])
    with pytest.raises(NaqshError, match=r"2 sets of images.*\(a, b\); name one of them: .*both/a"):
        data.load(tmp_path / "both")
    bare = visa(tmp_path / "bare", *APART["VisA"])
    for mask in bare.rglob("*.png"):
        mask.unlink()
    assert any("masks of 0 of 3 faulty images" in note for note in look(bare).notes)


BESIDE = {
    "KolektorSDD2": "test/{}{}.png test/{}{}_GT.png",
    "KolektorSDD": "kos{}/Part{}.jpg kos{}/Part{}_label.bmp",
    "DAGM": "Test/{}{}.PNG Test/Label/{}{}_label.PNG",
    "flat": "{}{}.png {}{}_mask.png",
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("all_have", [True, False])
def test_masks_beside_images(tmp_path: Path, kind: str, all_have: bool) -> None:
    """They are not trained on; where every image has one, empty masks are of good images."""
    place = tmp_path / "in"
    image, mask = BESIDE[kind].split()
    for row, number in [(row, number) for row in range(2) for number in range(4)]:
        is_bad = number == 0
        with_mask = mask.format(row, number) if is_bad or all_have else ""
        write(place, image.format(row, number), with_mask, is_bad)
        for split in ("test", "Test"):
            if image.startswith(split):
                other = image.replace(split, split.replace("est", "rain"))
                write(place, other.format(row, number), "", is_bad)
    assert len(data.load(place)) == 8
    found = look(place)
    assert len(found) == 8
    if not all_have:
        assert found.kinds is None
        assert any("not every image has a mask" in n or "none is called" in n for n in found.notes)
        return
    assert found.kinds is not None
    assert (found.kinds.count("good"), found.kinds.count("faulty")) == (6, 2)
    assert "6 of 8 images are good, as their masks are empty" in " ".join(found.notes)
    check_masks(found)


def test_masks_that_are_trained_on_are_none(tmp_path: Path) -> None:
    """Photographs whose names sound like masks stay; masks beside images leave, and it is said."""
    for number in range(4):
        write(tmp_path / "in", f"part{number}.png", f"part{number}_gt.png", fault=True)
        write(tmp_path / "in", f"part{number}_defect.png")
    found = data.load(tmp_path / "in")
    assert len(found) == 12  # the masks look like masks, but others of these files do not
    for number in range(4):
        (tmp_path / f"in/part{number}_defect.png").unlink()
    found = data.load(tmp_path / "in")
    assert len(found) == 4
    assert found.notes == ("in: 4 masks of images left out (part0_gt.png)",)


@pytest.mark.parametrize(
    ("names", "good"),
    [
        ("good bad", "good"),
        ("Good normal bad", "Good"),
        ("ok ng", "ok"),
        ("NORMAL PNEUMONIA", "NORMAL"),
        ("no_defect scratch", "no_defect"),
        ("non-defective defective", "non-defective"),
        ("سالم معیوب", "سالم"),
        ("abnormal defective", None),
        ("not_good bad", None),
        ("goods-train trucks", None),
        ("ok normal bad", None),
        ("god bad", None),
        ("cat dog", None),
    ],
)
def test_names_of_good_images(names: str, good: str | None) -> None:
    assert good_one(names.split()) == good


def look(place: Path, good: str | None = None) -> Examined:
    return examined.of_path(place, str(place), (1, SIDE, SIDE), good)


def check_masks(found: Examined) -> None:
    assert found.masks is not None
    faulty, known = found.masks
    assert known.all()
    for kind, area in zip(found.kinds or (), faulty, strict=True):
        assert area.sum() == (0 if kind == "good" else 36)


def test_empty_masks_tell_good_images_from_faulty_ones(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"{number}.png", f"{number}_mask.png", fault=number == 1)
    images = [tmp_path / f"{number}.png" for number in range(3)]
    truth = [tmp_path / f"{number}_mask.png" for number in range(3)]
    assert masks.tell_good(images, truth) == [True, False, True]
    assert masks.tell_good(images, truth[:2]) is None
