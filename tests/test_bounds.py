"""The bound by time: the file's numbers are the library's, and its parts sum to its total."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import naqsh
from naqsh import data
from naqsh.cli import main
from naqsh.core.abilities import Bounds, HasFlowLogProb
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise, derive
from naqsh.core.spec import Layout
from naqsh.diffusion.bound import bound
from naqsh.diffusion.likelihood import log_likelihood
from naqsh.methods import diffusion
from naqsh.methods.diffusion import Diffusion, Spec
from naqsh.runs import kept
from naqsh.studies import bound as bounds

TINY = {
    "training.batch": 16,
    "training.steps": 2,
    "training.warmup": 0,
    "method.width": 4,
    "method.multipliers": (1, 2),
    "method.schedule.steps": 10,
    "method.steps": 2,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> naqsh.Run:
    """A diffusion model that has hardly begun."""
    folder = tmp_path_factory.mktemp("bounds") / "run"
    return naqsh.train("ddpm-digits", out=folder, overrides=TINY, device="cpu", quiet=True)


def test_the_file_has_the_librarys_numbers(run: naqsh.Run) -> None:
    told: list[tuple[str, int, int]] = []
    found = bounds.study(run, 6, Machine(progress=lambda *said: told.append(said)))
    (stored,) = kept.bounds(run.folder).find(n=6, seed=0)
    assert {**stored.of, **stored.found, "note": None} == found
    real = data.load("digits", split="test", size=None)
    pixels = np.array(real.some(6, 0).images)
    images = torch.from_numpy(pixels).float() / 127.5 - 1
    method = run.method
    assert isinstance(method, Diffusion)
    parts = bound(method.denoiser, images, Noise(derive(0, "bound"), 6))
    assert found["times"] == parts.times.tolist() == list(range(1, 11))
    # The same float32 network on the same images; batches of one kind.
    np.testing.assert_allclose(found["terms"], parts.terms.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["errors"], parts.errors.mean(0), rtol=1e-5)
    for name, bits in {
        "prior": parts.prior,
        "steps": parts.terms[:, 1:].sum(1),
        "last": parts.terms[:, 0],
        "total": parts.total,
    }.items():
        assert found[name]["value"] == pytest.approx(bits.mean().item(), rel=1e-5)
        error = np.std(bits.numpy(), ddof=1) / math.sqrt(6)
        assert found[name]["error"] == pytest.approx(error, rel=1e-4)
    assert told == [("bound", done, 10) for done in range(1, 11)]
    assert (found["kind"], found["flow"]) == ("lower bound", None)


def test_parts_sum_to_the_total_however_pictures_are_batched(run: naqsh.Run) -> None:
    whole, parted = bounds.study(run, 5), bounds.study(run, 5, Machine(batch=2))
    parts = sum(whole[name]["value"] for name in ("prior", "steps", "last"))
    assert whole["total"]["value"] == pytest.approx(parts, rel=1e-12)
    by_time = whole["prior"]["value"] + sum(whole["terms"])
    assert whole["total"]["value"] == pytest.approx(by_time, rel=1e-12)
    # Convolutions of other batches round otherwise: float32, a few hundred sums deep.
    np.testing.assert_allclose(parted["terms"], whole["terms"], rtol=1e-3)
    assert parted["total"]["error"] == pytest.approx(whole["total"]["error"], rel=1e-3)


def test_the_flow_is_that_of_pictures_spread_over_their_levels(
    run: naqsh.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(log_likelihood, steps=3)  # 50 are slow, and no more of a test
    monkeypatch.setattr(diffusion, "log_likelihood", few)
    found = bounds.study(run, 3, likelihood=True, reference="train")
    assert found["reference"] == "digits train"
    assert found["flow"]["kind"] == "estimate"
    real = data.load("digits", split="train", size=None)
    pixels = np.array(real.some(3, 0).images).astype(np.float32)
    noise = Noise(derive(0, "flow"), 3)
    spread = (torch.from_numpy(pixels) + noise.uniform(1, 16, 16) - 0.5) / 127.5 - 1
    method = run.method
    assert isinstance(method, Diffusion)
    density = few(method.denoiser, spread, noise)
    bits = -(density / 256 + math.log(2 / 255)) / math.log(2)
    assert found["flow"]["value"] == pytest.approx(bits.mean().item(), rel=1e-3)
    assert "(estimate)" in bounds.table(found)


def test_diffusion_has_both_and_others_are_refused(
    run: naqsh.Run, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = Spec(width=4, multipliers=(1,)).build(Layout((1, 8, 8)))
    assert isinstance(method, Bounds)
    assert isinstance(method, HasFlowLogProb)
    with pytest.raises(NaqshError, match="gan-digits has no bound by time"):
        bounds.study(naqsh.open(finished))
    with pytest.raises(NaqshError, match="needs 2 to"):
        bounds.study(run, 10**6)
    assert main(["bound", str(finished), "--device", "cpu"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_writes_and_tells(run: naqsh.Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bound", str(run.folder.path), "--n", "3", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    stored = kept.bounds(run.folder).find(n=3, reference="digits test")[-1]
    found = stored.found
    assert f"{found['total']['value']:.4g}" in said
    assert "3 images of digits test, 10 times" in said
    assert "(lower bound)" in said
    assert main(["bound", str(run.folder.path), "--steps", "3"]) == 2
    assert "--steps" in capsys.readouterr().err
