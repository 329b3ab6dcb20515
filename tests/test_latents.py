"""Latents that are made once: what is learnt from them, what they are kept under, what may fail."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from naqsh.core.abilities import LearnsLatents
from naqsh.core.optimizers import SGD
from naqsh.core.spec import Parent
from naqsh.core.world import join
from naqsh.data import DataSet, cache, notes
from naqsh.io import places
from naqsh.io.foreign import read_lines
from naqsh.methods import autoencoder, latent_diffusion
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.runs.folder import RunFolder
from naqsh.training import latents
from naqsh.training.building import build
from naqsh.training.loop import Trainer
from running import ranks
from small import differences, state, tiny_data, trainer

DISCS = tiny_data(1)
AUTOENCODER = autoencoder.Spec(latent=2, width=4, multipliers=(1, 2))
STEPS = 12
ROUNDING = 5e-5
"""The encoder has 11 convolutions one after another, of sums of at most 72 products. In another
order a float32 sum moves by at most 72 units of 6e-8 of its largest terms, 4.3e-6; normalisation
between them keeps sizes at about 1. 11 of these are 4.8e-5."""


@pytest.fixture(autouse=True)
def own(alone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, in which nothing was read before and no note was said."""
    monkeypatch.setattr(notes, "_said", set())
    monkeypatch.setattr(cache, "_checked", set())
    return alone


def recipe(flip: bool = False, crop: bool = False, sha256: str = "0", **training: object) -> Recipe:
    parent = Parent("first", sha256=64 * sha256, method=AUTOENCODER, layout=DISCS.layout)
    how = Training(**{"steps": STEPS, "batch": 8, "precision": "float32"} | training)
    spec = latent_diffusion.Spec(autoencoder=parent, width=8, steps=2, optimizer=SGD(1e-3))
    return Recipe("tiny", Data("discs", flip=flip, crop=crop), spec, how)


def begun(place: Path, of: Recipe | None = None, data: DataSet = DISCS) -> Trainer:
    """A trainer before its first step, with kept latents where there are any."""
    found = trainer(of or recipe(), data, place)
    found.encode_once()
    return found


def has_latents(one: Trainer) -> bool:
    return one.batches.take("diffusion", 0, 0, 0).latents is not None


def loss(one: Trainer, step: int, of: Tensor | None) -> float:
    """A step's loss with other latents than its batch has, or without any."""
    (phase,) = one.phases
    batch = replace(one.batches.take(phase.name, step, 0, 0), latents=of)
    with torch.no_grad():
        return phase.loss(batch, step)["total"].item()


def entries() -> list[str]:
    """What of latents lies in the cache."""
    return sorted(path.name for path in (places.cache() / "pictures").glob("latents-*"))


@pytest.mark.parametrize("flip", [False, True])
def test_a_loss_of_kept_latents_is_that_of_latents_made_in_the_step(own, flip):
    one = begun(own / "run", recipe(flip))
    method = one.method
    assert isinstance(method, LearnsLatents)
    for step in range(STEPS):  # four epochs: images come in both orientations
        batch = one.batches.take("diffusion", step, 0, 0)
        anew = method.frozen_latents(batch.images)
        largest = anew.abs().max().item()
        assert batch.latents.shape == anew.shape
        torch.testing.assert_close(batch.latents, anew, rtol=0, atol=ROUNDING * largest)
        kept, made, other = (loss(one, step, of) for of in (batch.latents, None, anew + 1))
        # The U-Net has some 30 sums on the way to a squared error, the encoder 11.
        assert kept == pytest.approx(made, rel=10 * ROUNDING)
        assert other != pytest.approx(made, rel=10 * ROUNDING)  # what is kept is what is learnt


def test_mirrored_images_are_encoded_too(own):
    one = begun(own / "run", recipe(flip=True))
    (name,) = entries()
    held = np.load(places.cache() / "pictures" / name / "images.npy")
    assert held.shape == (48, 2, 8, 8)
    assert held.dtype == np.float32
    images = torch.from_numpy(DISCS.images[..., ::-1].copy()).float() / 127.5 - 1
    turned = one.method.frozen_latents(images).numpy()
    np.testing.assert_allclose(held[24:], turned, rtol=0, atol=ROUNDING * np.abs(turned).max())
    mirrored = held[:24, ..., ::-1]  # the latents of a mirrored image are none of these
    assert np.abs(turned - mirrored).max() > 0.01 * np.abs(turned).max()


@pytest.mark.usefixtures("small_grids")
def test_a_run_learns_the_same_and_records_the_same(own, monkeypatch):
    how = recipe(validation=0.25, ema=0.9)
    kept = begun(own / "kept", how)
    assert has_latents(kept)
    kept.run()
    monkeypatch.setattr(latents, "kept", lambda *_: None)
    anew = begun(own / "anew", how)
    assert not has_latents(anew)
    anew.run()
    one, other = (read_lines(run.folder.metrics) for run in (kept, anew))
    assert [r["losses"].keys() for r in one] == [r["losses"].keys() for r in other]
    assert any("validation.total" in r["losses"] for r in one)
    for ours, theirs in zip(one, other, strict=True):
        # By plain descent, gradients that differ by 1e-3 of themselves move weights apart by 1e-6
        # of a gradient a step, which is below 10: a loss by far less than it differs in itself.
        assert ours["losses"] == pytest.approx(theirs["losses"], rel=10 * ROUNDING)


@pytest.mark.usefixtures("small_grids")
def test_a_run_that_was_stopped_goes_on_to_the_bit(own):
    straight = begun(own / "straight")
    straight.run()
    halted = begun(own / "halted")
    for _ in range(5):
        halted.step()
    halted.save()
    shutil.rmtree(places.cache())  # and the same latents are made again
    resumed = trainer(recipe(), DISCS, own / "halted")
    resumed.run()
    assert has_latents(resumed)
    assert not differences(state(resumed.method), state(straight.method))
    again = trainer(recipe(), DISCS, own / "halted")
    shutil.rmtree(places.cache())
    again.run()  # nothing is left to do, and nothing is encoded for it
    assert not places.cache().exists()


def shifted(one: Trainer) -> None:
    """The weights of another encoder under the same name."""
    with torch.no_grad():
        one.method._parent.encoder.last.bias.add_(1)


@pytest.mark.parametrize(
    ("of", "change"),
    [
        (recipe(sha256="1"), None),
        (recipe(), shifted),
        (recipe(precision="bfloat16"), None),
        (recipe(batch=4, steps=24), None),
        (recipe(flip=True), None),
    ],
    ids=["digest", "weights", "precision", "part", "flip"],
)
def test_what_another_encoder_or_rounding_left_is_not_used(
    own: Path, of: Recipe, change: Callable[[Trainer], None] | None
):
    begun(own / "one")
    (before,) = entries()
    other = trainer(of, DISCS, own / "other")
    if change:
        change(other)
    other.encode_once()
    after = entries()
    if of.data.flip:  # others of the same images and orientations make room
        assert len(after) == 2
    else:
        assert len(after) == 1
        assert after != [before]
    batch = other.batches.take("diffusion", 0, 0, 0)
    anew = other.method.frozen_latents(batch.images)
    # In bfloat16 each of the 11 layers may round by 2^-9.
    rounding = 11 * 2**-9 if of.training.precision == "bfloat16" else ROUNDING
    allowed = rounding * anew.abs().max().item()
    torch.testing.assert_close(batch.latents, anew, rtol=0, atol=allowed)


def test_what_is_there_is_read(own, monkeypatch):
    begun(own / "one")
    monkeypatch.setattr(cache, "_write", lambda *_: pytest.fail("made again"))
    assert has_latents(begun(own / "two"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def of_bytes(path: Path) -> None:
    np.save(path, np.zeros((24, 2, 8, 8), np.uint8))


@pytest.mark.parametrize("damage", [cut, changed, of_bytes, Path.unlink])
def test_a_damaged_file_is_made_again_and_said(own, damage, caplog, monkeypatch):
    first = begun(own / "one").batches.take("diffusion", 0, 0, 0).latents
    (name,) = entries()
    damage(places.cache() / "pictures" / name / "images.npy")
    monkeypatch.setattr(cache, "_checked", set())  # as another process
    again = begun(own / "two").batches.take("diffusion", 0, 0, 0).latents
    assert torch.equal(first, again)
    assert f"{name} in the cache was damaged, or of an older form: built again" in caplog.text


def a_file(place: Path, _: pytest.MonkeyPatch) -> str:
    place.write_text("in the way")
    return "cannot be written"


def no_room(_: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    usage = shutil.disk_usage(".")._replace(free=24 * 2 * 8 * 8 * 4 - 1)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    return "24 latents of 8x8x2 take 0.0 GB"


def full(_: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_sync", write)
    return "No space left on device"


@pytest.mark.parametrize("wrong", [a_file, no_room, full])
def test_where_they_cannot_be_kept_training_goes_on_without(own, wrong, caplog, monkeypatch):
    said = wrong(places.cache(), monkeypatch)
    one = begun(own / "run")
    assert not has_latents(one)
    assert "latents are not kept, and every batch is encoded anew: " in caplog.text
    assert said in caplog.text
    assert not list(places.cache().glob("pictures/*latents-*-*"))
    one.step()


def test_none_are_made_where_that_does_not_pay_or_images_are_cut(own):
    wide = replace(DISCS, wide=DataSet.of("wide", np.zeros((24, 1, 18, 18), np.uint8)))
    assert not has_latents(begun(own / "short", recipe(steps=3)))  # each image is seen once
    assert not has_latents(begun(own / "turned", recipe(steps=6, flip=True)))
    assert not has_latents(begun(own / "cut", recipe(crop=True), wide))
    assert entries() == []
    assert has_latents(begun(own / "longer", recipe(steps=4)))


def learn_as_rank(rank: int, where: str) -> None:
    """Take a few steps on this rank, and keep its first latents and its weights."""
    os.environ["NAQSH_CACHE"] = str(Path(where) / "cache")
    how = recipe()
    with join("cpu") as world:
        method = build(how, DISCS.layout)
        one = Trainer(how, method, DISCS, RunFolder(Path(where) / "run"), world, display_quiet=True)
        one.encode_once()
        first = one.batches.take("diffusion", 0, 0, 0).latents
        for _ in range(4):
            one.step()
        torch.save((first, state(method)), Path(where) / f"{rank}.pt")


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork")
def test_two_ranks_have_their_shares_and_learn_as_one(own):
    one = begun(own / "one")
    whole = one.batches.take("diffusion", 0, 0, 0).latents
    for _ in range(4):
        one.step()
    assert ranks(2, learn_as_rank, str(own)) == [0, 0]
    (first, mine), (second, theirs) = (
        torch.load(own / f"{rank}.pt", weights_only=True) for rank in (0, 1)
    )
    assert not differences(mine, theirs)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=ROUNDING * 4)
    # Gradients below 10 that differ by 10 ROUNDING of themselves, by a rate of 1e-3, four times.
    for name, value in state(one.method).items():
        torch.testing.assert_close(mine[name], value, rtol=0, atol=2e-5, msg=name)
