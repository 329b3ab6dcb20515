"""A test split held out by seed: disjoint, the same for the same images, said in a note."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naqsh import data
from naqsh.core.errors import NaqshError
from naqsh.data import DataSet
from naqsh.data.holdout import held_out
from naqsh.recipes import by_name
from naqsh.recipes.recipe import Data
from naqsh.runs.origin import load as load_data


def images(n: int, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 1, size, size), np.uint8)


def rows(part: DataSet) -> set[bytes]:
    return {image.tobytes() for image in part.images}


@pytest.fixture(params=["folder", "classes", "npy", "npz"])
def source(request: pytest.FixtureRequest, tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """Forty images without a test split."""
    if request.param in ("folder", "classes"):
        for number in range(40):
            inside = f"{number % 2}/" if request.param == "classes" else ""
            picture(f"in/{inside}{number:02d}.png", seed=number)
        return tmp_path / "in"
    path = tmp_path / f"in.{request.param}"
    if request.param == "npy":
        np.save(path, images(40))
    else:
        np.savez(path, images=images(40), labels=np.arange(40) % 2)
    return path


@pytest.mark.parametrize(("share", "count"), [(0.25, 10), (0.001, 1), (0.999, 39)])
def test_two_disjoint_parts_make_the_whole(source: Path, share: float, count: int) -> None:
    whole = data.load(str(source))
    train, test = (
        data.load(str(source), split=split, holdout=share) for split in ("train", "test")
    )
    assert (len(train), len(test)) == (40 - count, count)
    assert rows(train) | rows(test) == rows(whole)
    assert not rows(train) & rows(test)
    assert train.classes == test.classes == whole.classes
    assert whole.notes == ()
    assert train.notes == test.notes
    assert f"{count} of its 40 images are held out (data.holdout {share:g}" in train.notes[-1]


def test_the_seed_decides_and_nothing_else(source: Path) -> None:
    def test(**how: object) -> DataSet:
        return data.load(str(source), split="test", holdout=0.25, **how)  # type: ignore[arg-type]

    assert test().fingerprint == test(holdout_seed=0).fingerprint
    others = [test(holdout_seed=seed) for seed in (1, -1, 10**30)]
    assert len({part.fingerprint for part in (test(), *others)}) == 4
    moved = source.rename(source.with_name(f"moved{source.suffix}"))
    again = data.load(str(moved), split="test", holdout=0.25)
    assert rows(again) == rows(data.load(str(moved), split="test", holdout=0.25, holdout_seed=0))


def test_the_same_images_at_every_size(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for number in range(40):
        picture(f"in/{number:02d}.png", seed=number)
    where = []
    for size, channels in ((8, 3), (16, 3), (8, 1)):
        how = {"size": size, "channels": channels}
        whole = data.load(str(tmp_path / "in"), **how)  # type: ignore[arg-type]
        test = data.load(str(tmp_path / "in"), split="test", holdout=0.25, **how)  # type: ignore[arg-type]
        where.append([n for n, one in enumerate(whole.images) if one.tobytes() in rows(test)])
    assert where[0] == where[1] == where[2]


def test_equal_images_stay_on_one_side() -> None:
    different = images(12)
    whole = DataSet.of("copies", np.concatenate([different] * 4))
    for seed in range(20):
        train, test = (held_out(whole, split, 0.25, seed) for split in ("train", "test"))
        assert not rows(train) & rows(test)
        assert len(test) == 12
        assert len(train) == 36


def test_a_split_of_its_own_is_left_alone(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for number in range(8):
        picture(f"in/{'train' if number < 5 else 'test'}/{number}.png", seed=number)
    for split, count in (("train", 5), ("test", 3)):
        own = data.load(str(tmp_path / "in"), split=split)  # type: ignore[arg-type]
        with_share = data.load(str(tmp_path / "in"), split=split, holdout=0.5)  # type: ignore[arg-type]
        assert len(own) == count
        assert own.fingerprint == with_share.fingerprint
        assert with_share.notes == ()
    assert len(data.load("digits", holdout=0.5)) == len(data.load("digits"))


def test_a_recipe_holds_out_and_says_so(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = by_name("gan-digits").override({"data.name": str(source), "data.holdout": 0.25})
    with caplog.at_level(logging.WARNING, "naqsh.data"):
        train, test = (load_data(recipe, split) for split in ("train", "test"))
        load_data(recipe.override({"training.seed": 5}), "test")
    assert (len(train), len(test)) == (30, 10)
    assert not rows(train) & rows(test)
    assert load_data(recipe.override({"training.seed": 5}), "test").fingerprint == test.fingerprint
    # Once a process, however often it is read.
    assert len([line for line in caplog.messages if "10 of its 40" in line]) <= 1


def test_what_cannot_be_held_out() -> None:
    equal = DataSet.of("equal", np.zeros((5, 1, 8, 8), np.uint8))
    with pytest.raises(NaqshError, match="all equal"):
        held_out(equal, "test", 0.5, 0)
    for share in (0, 1, -1, float("nan")):
        with pytest.raises(NaqshError, match="between 0 and 1"):
            held_out(equal, "test", share, 0)
    for share in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="holdout"):
            Data("digits", holdout=share)
