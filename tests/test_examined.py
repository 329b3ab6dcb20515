"""What `detect` examines of a folder: the test split, kinds and masks, and what is said of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naqsh.core.errors import NaqshError
from naqsh.data.folders import Options
from naqsh.studies.detection.examined import Examined, of_path

SHAPE = (1, 16, 16)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))


def write(folder: Path, places: dict[str, int]) -> Path:
    random = np.random.default_rng(0)
    for place, count in places.items():
        for number in range(count):
            path = folder / place / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (16, 16), np.uint8)).save(path)
    return folder


def examined(folder: Path, **how: object) -> Examined:
    return of_path(folder, str(folder), SHAPE, **how)  # type: ignore[arg-type]


SPLITS = [("train", "test"), ("Training", "VALID"), ("train", "eval"), ("", "test")]


@pytest.mark.parametrize(("train", "test"), SPLITS)
@pytest.mark.parametrize("good", ["good", "Good", "OK", "Plain"])
def test_the_test_split_is_examined(tmp_path: Path, train: str, test: str, good: str) -> None:
    places = {f"{test}/{good}": 2, f"{test}/NG": 3}
    if train:
        places |= {f"{train}/{good}": 5}
    folder = write(tmp_path / "in", places)
    found = examined(folder)
    assert len(found) == 5
    assert all(path.startswith(test) for path in found.paths)
    if good == "Plain":
        assert found.kinds is None
        (note,) = [note for note in found.notes if "none is called good" in note]
        assert f"--good {'Plain' if train else 'NG'}" in note
        found = examined(folder, good="Plain")
    assert sorted(found.kinds or ()) == ["NG"] * 3 + ["good"] * 2
    assert found.anomalous is not None
    assert any("masks of 0 of 3 faulty images" in note for note in found.notes)


def test_the_recipes_name_is_taken_where_it_is_there(tmp_path: Path) -> None:
    own = write(tmp_path / "own", {"test/OK": 2, "test/NG": 1})
    assert (examined(own, usual="OK").kinds or ()).count("good") == 2
    other = write(tmp_path / "other", {"good": 2, "bad": 1})
    assert (examined(other, usual="OK").kinds or ()).count("good") == 2


def test_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"good": 2, "bad": 1})
    with pytest.raises(NaqshError, match=r"named 'god'; did you mean 'good'"):
        examined(folder, good="god")
    with pytest.raises(NaqshError, match="images without classes"):
        examined(write(tmp_path / "flat", {"": 2}), good="good")


@pytest.mark.parametrize("name", ["0.png", "in.npy"])
def test_a_file_has_no_good_sub_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"": 1})
    np.save(tmp_path / "in.npy", np.zeros((2, 16, 16), np.uint8))
    with pytest.raises(NaqshError, match="--good names a sub-folder"):
        examined(tmp_path / name, good="OK")


def test_another_folder_named_good_is_not_good(tmp_path: Path) -> None:
    found = examined(write(tmp_path / "in", {"good": 2, "OK": 1}), good="OK")
    assert found.kinds == ("good", "good (folder)", "good (folder)")


def test_masks_and_their_number(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"train/good": 2, "test/good": 2, "test/bad": 3})
    mask = np.zeros((16, 16), np.uint8)
    mask[2:5, 3:8] = 1
    (folder / "truth/bad").mkdir(parents=True)
    for number in range(2):
        Image.fromarray(mask).save(folder / f"truth/bad/{number:03}_gt.tif")
    found = examined(folder)
    assert found.masks is not None
    assert found.masks[1].tolist() == [True] * 4 + [False]
    assert found.masks[0].sum((1, 2)).tolist() == [0, 0, 15, 15, 0]
    assert any("masks of 2 of 3 faulty images" in note for note in found.notes)


def test_broken_ones(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"good": 2, "bad": 3})
    (folder / "bad/000.png").write_bytes(b"?")
    (folder / "good/001.png").write_bytes(b"?")
    with pytest.raises(NaqshError, match=r"2 images cannot be read.*--skip-broken"):
        examined(folder)
    found = examined(folder, options=Options(skip_broken=True))
    assert found.paths == ("good/000.png", "bad/001.png", "bad/002.png")
    assert found.kinds == ("good", "bad", "bad")
    assert any("2 broken images skipped" in note for note in found.notes)


def test_black_and_white_are_the_runs(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(np.full((16, 16), 4095, np.uint16)).save(folder / "0.png")
    assert examined(folder).images.max() == 16
    assert examined(folder, options=Options(range=(0, 4095))).images.max() == 255
    assert examined(folder / "0.png", options=Options(range=(0, 4095))).images.max() == 255
