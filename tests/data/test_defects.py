"""Folders in MVTec's layout: classes, masks, and what is said of one that is not there."""

import numpy as np
import pytest
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG, defects, load, masks


@pytest.fixture
def capsule(tmp_path, picture):
    """Four good images to train on; one good, one cracked and one squeezed to test."""
    for number in range(4):
        picture(f"home/capsule/train/good/{number:03}.png", (12, 12), seed=number)
    for seed, kind in enumerate(("squeeze", "good", "crack"), start=10):
        picture(f"home/capsule/test/{kind}/000.png", (12, 12), seed=seed)
    mask = np.zeros((12, 12), np.uint8)
    mask[:6, :4] = 255
    path = tmp_path / "home/capsule/ground_truth/crack/000_mask.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(mask).save(path)
    return tmp_path / "home" / "capsule"


def test_capsule_is_found_and_trains_on_good_ones_alone(capsule, monkeypatch):
    monkeypatch.setenv("NAQSH_DATA_HOME", str(capsule.parent))
    train, test = load("capsule", size=6), load("capsule", split="test", size=6)
    assert (len(train), train.shape) == (4, (3, 6, 6))
    assert train.labels.tolist() == [0] * 4
    assert train.classes == test.classes == ("good", "crack", "squeeze")
    assert [test.classes[label] for label in test.labels] == ["good", "crack", "squeeze"]
    assert train.name == "capsule (another split, of 12 px)"
    # Read as a plain folder its test split has the same numbers: the class of training is first.
    plain = load(str(capsule), split="test", size=6)
    assert plain.classes == ("good", "crack", "squeeze")
    assert load(str(capsule), size=6).classes == ("good",)
    assert [plain.classes[label] for label in plain.labels] == ["good", "crack", "squeeze"]


def test_a_missing_set_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("NAQSH_DATA_HOME", str(tmp_path))
    with pytest.raises(
        NaqshError, match=r"MVTec AD \(CC BY-NC-SA 4.0; Bergmann et al., 2019\)"
    ) as e:
        load("capsule")
    assert str(tmp_path) in str(e.value)
    assert "\n" not in str(e.value)


def test_masks_follow_their_pictures(capsule):
    listing = defects.listing(capsule, "test")
    good = [file.parent.name == "good" for file in listing.files]
    found = masks.read(listing.files, good, listing.truth, (6, 6))
    assert found.known.tolist() == [True, True, False]
    expected = np.zeros((6, 6), bool)
    expected[:3, :2] = True
    assert np.array_equal(found.faulty[1], expected)
    assert not found.faulty[[0, 2]].any()
    assert "masks of 1 of 2 faulty images" in found.notes[0]


def test_a_mask_of_another_size_is_refused(capsule):
    path = capsule / "ground_truth/crack/000_mask.png"
    Image.fromarray(np.zeros((9, 12), np.uint8)).save(path)
    listing = defects.listing(capsule, "test")
    with pytest.raises(NaqshError, match=r"is 12x9, its image 000\.png 12x12"):
        masks.read(listing.files, [False] * 3, listing.truth, (12, 12))


def test_no_good_pictures(capsule):
    for file in (capsule / "train" / "good").iterdir():
        file.unlink()
    with pytest.raises(NaqshError, match="has no images"):
        defects.listing(capsule, "train")


def test_the_real_capsule(real_home):
    if not defects.laid_out(real_home / "capsule"):
        pytest.skip("real data: NAQSH_DATA_HOME has no capsule")
    test = load("capsule", split="test", size=16, home=real_home)
    assert len(test) == CATALOG["capsule"].test
    assert test.classes == CATALOG["capsule"].classes
    # Published counts of good, crack, faulty imprint, poke, scratch and squeeze.
    assert np.bincount(test.labels).tolist() == [23, 23, 22, 21, 23, 20]
    listing = defects.listing(real_home / "capsule", "test")
    good = (test.labels == 0).tolist()
    found = masks.read(listing.files, good, listing.truth, (128, 128))
    assert found.known.all()
    assert found.faulty[test.labels > 0].any(axis=(1, 2)).all()
