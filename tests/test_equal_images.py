"""Equal images are said and stop nothing; advice on what is not finite fits its cause."""

from pathlib import Path

import numpy as np
import pytest
import torch

from naqsh import data
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.core.method import Phase
from naqsh.core.optimizers import Adam
from naqsh.data import DataSet
from naqsh.data.notes import STEP, all_equal
from naqsh.io.foreign import read_lines
from naqsh.recipes import by_name
from naqsh.recipes.recipe import Training
from naqsh.runs.folder import RunFolder
from naqsh.training.advice import advice
from naqsh.training.log import NotFinite
from small import tiny, tiny_data, trainer

RANDOM = np.random.default_rng(0)
ONE = RANDOM.integers(0, 256, (1, 1, 16, 16), dtype=np.uint8)
SETS = {
    "black": np.zeros((24, 1, 16, 16), np.uint8),
    "equal": ONE.repeat(24, 0),
    "most equal": np.concatenate([ONE.repeat(23, 0), 255 - ONE]),
}
NAMES = [
    *("gan-digits", "wgan-gp-digits", "vae-digits", "vae-iaf-digits", "maf-digits"),
    *("nice-digits", "realnvp-digits", "ddpm-digits", "controlvae-dsprites"),
]


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "black") for name in NAMES), *(("gan-digits", kind) for kind in SETS)],
)
def test_every_family_trains_on_equal_images(name: str, kind: str, tmp_path: Path) -> None:
    images = DataSet.of(kind, SETS[kind], np.arange(24) % 2, ("a", "b"))
    one = trainer(tiny(by_name(name), training__steps=12), images, tmp_path)
    one.run()
    losses = read_lines(RunFolder(tmp_path).metrics)[-1]["losses"]
    assert all(np.isfinite(value) for value in losses.values())
    if "gan" in name and kind != "most equal":
        assert "generator.diversity" not in losses


@pytest.mark.parametrize("kind", SETS)
def test_equal_images_are_said_when_they_are_loaded(
    kind: str, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(f"{kind}.npy", SETS[kind])
    found = data.load(f"{kind}.npy")
    said = [note for note in found.notes if "images are equal" in note]
    assert len(said) == (kind != "most equal")
    if said:
        assert "all 24 images" in said[0]
        assert ("the one value 0" in said[0]) == (kind == "black")
    command = ["train", "gan-digits", "--data", f"{kind}.npy", "--steps", "2"]
    assert main([*command, "--training.batch", "8", "--out", "run"]) == 0
    assert capsys.readouterr().err.count("images are equal") <= 1


def test_a_last_image_that_differs_is_seen() -> None:
    many = np.zeros((2 * STEP + 1, 1, 2, 2), np.uint8)
    assert all_equal(many)
    many[-1, 0, 1, 1] = 1
    assert not all_equal(many)
    assert not all_equal(many[:1])


def no_loss(*_: object) -> dict[str, torch.Tensor]:
    return {}


PHASES = [Phase(name, [], no_loss, Adam()) for name in ("critic", "generator")]
LATE, FIRST, THEN = (7, "critic"), (1, "critic"), (1, "generator")
F32, BF16 = torch.float32, torch.bfloat16
CASES = {  # step and phase, clip_norm, dtype, equal images; what the advice has and has not
    "late": (LATE, None, F32, False, "a lower learning rate or clip_norm", "float32"),
    "late, bfloat16": (LATE, None, BF16, False, "precision float32", "equal"),
    "clipped": (LATE, 1.0, F32, False, "Try a lower learning rate.", "clip_norm"),
    "first": (FIRST, None, F32, False, "not the cause", "Try a lower"),
    "first, bfloat16": (FIRST, None, BF16, False, "try precision float32", "clip"),
    "after one update": (THEN, None, F32, False, "a lower learning rate", "not the cause"),
    "equal images": (FIRST, None, F32, True, "All 24 training images are equal", "lower"),
}


@pytest.mark.parametrize("name", CASES)
def test_advice_fits_the_cause(name: str) -> None:
    (step, phase), clip, dtype, equal, there, absent = CASES[name]
    images = DataSet.of("x", SETS["black"]) if equal else tiny_data(1)
    error = NotFinite(step, phase, "total", float("nan"))
    said = advice(error, Training(clip_norm=clip), PHASES, dtype, images)
    assert there in said
    assert absent not in said


def test_advice_for_weights_and_other_ranks() -> None:
    for error in (NotFinite(1, "critic", "0.weight", 1e999, True), NaqshError("elsewhere")):
        said = advice(error, Training(), PHASES, torch.float32, tiny_data(1))
        assert "Try a lower learning rate" in said
