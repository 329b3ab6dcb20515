"""A run's images are known by what they show, whatever they are called and wherever they are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naqsh import api
from naqsh.api import Run
from naqsh.core.errors import NaqshError
from naqsh.io.foreign import read_json

NUMBERS = {"training.steps": 2, "training.batch": 4, "data.size": 16}


def folder(path: Path, count: int = 8, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    path.mkdir(parents=True)
    for number in range(count):
        pixels = random.integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{number}.png")
    return path


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose images are named by a relative path."""
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder(Path("d"))
    return train(Path("runs/r"), data="d")


def train(out: Path, data: str, steps: int = 2) -> Run:
    changes = NUMBERS | {"data.name": data, "training.steps": steps}
    return api.train("gan-digits", out=out, overrides=changes, device="cpu", quiet=True)


def test_the_runs_own_images_are_found(trained: Run) -> None:
    found = trained.images("train")
    assert found.note is None
    assert found.images.fingerprint == read_json(trained.folder.about)["data"]["fingerprint"]
    assert found.images.shape == (1, 16, 16)


def test_they_are_found_from_another_working_directory(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder(elsewhere / "d", seed=1)  # another folder of that name
    monkeypatch.chdir(elsewhere)
    run = Run(type(trained.folder)(tmp_path / "runs/r"))
    found = run.images("train")
    assert found.note is None
    assert found.recipe.data.name == str(tmp_path / "d")
    goes_on = api.train(
        run.recipe, out=run.folder.path, overrides={"training.steps": 4}, device="cpu", quiet=True
    )
    assert goes_on.step == 4


def test_moved_with_the_run_or_beside_it(trained: Run, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.move("runs", "other/runs")
    shutil.move("d", "other/d")
    run = Run(type(trained.folder)("other/runs/r"))
    assert run.images("train").note is None
    shutil.move("other/d", "other/runs/d")
    assert run.images("train").note is None
    # Nothing in the run tells where on its owner's disk it was trained.
    assert str(tmp_path) not in run.folder.about.read_text()


def test_gone_images_are_asked_for(trained: Run) -> None:
    shutil.move("d", "d2")
    with pytest.raises(
        NaqshError, match=r"was trained on d \(8 images\); it is not here: give --d"
    ):
        trained.images("train")
    with pytest.raises(
        NaqshError, match=r"was trained on d \(8 images\); it is not here: give --d"
    ):
        api.train(trained.recipe, out="runs/r", device="cpu", quiet=True)
    assert trained.images("train", data="d2").note is None
    assert train(Path("runs/r"), "d2", 4).recipe.data.name == "d2"
    assert Run(trained.folder).images("train").note is None


def test_other_images_of_that_name_are_refused_and_taken_when_named(trained: Run) -> None:
    shutil.rmtree("d")
    folder(Path("d"), 12, seed=9)
    differ = r"trained on other images than d has \(8, here 12\)"
    with pytest.raises(NaqshError, match=f"{differ}; give --data d to measure against them all"):
        trained.images("train")
    found = trained.images("train", data="d")
    assert found.note is not None
    assert len(found.images) == 12
    with pytest.raises(NaqshError, match=f"{differ}; give another --out"):
        train(Path("runs/r"), "d", 4)
    with pytest.raises(NaqshError, match=r"other images than digits has"):
        train(Path("runs/r"), "digits", 4)


def test_one_changed_pixel_is_another_set(trained: Run) -> None:
    pixels = np.array(Image.open("d/3.png"))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save("d/3.png")
    with pytest.raises(NaqshError, match="trained on other images than d has; give --data d"):
        trained.images("train")


def test_the_test_images_of_a_set_whose_training_images_changed_are_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder(Path("s/train/a"))
    folder(Path("s/test/a"), 4, seed=2)
    run = train(Path("r"), "s")
    assert len(run.images("test").images) == 4
    (Path("s/train/a/3.png")).unlink()
    with pytest.raises(NaqshError, match="trained on other images than s has"):
        run.images("test")
    found = run.images("test", data="s")
    assert found.note is not None
    assert len(found.images) == 4


def test_a_run_that_does_not_say(trained: Run) -> None:
    about = read_json(trained.folder.about)
    trained.folder.about.unlink()
    found = trained.images("train")
    assert found.note is not None
    assert "does not say" in found.note
    for wrong in ({"data": []}, {"data": {"fingerprint": 3}}, {}, about | {"data": {"name": "d"}}):
        trained.folder.about.write_text(json.dumps(wrong))
        with pytest.raises(NaqshError, match=r"run\.json is damaged: it names no data"):
            trained.images("train")
