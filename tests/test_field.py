"""Scores of points drawn: what is exact, how far the learnt one is, and where arrows lie."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import naqsh
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.data import load
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.schedule import Geometric
from naqsh.io.field import SIDE, TITLE, Panel, sheet
from naqsh.methods.ncsn import Spec
from naqsh.runs import kept, records
from naqsh.studies import field

SHORT = {"training.steps": 3, "training.batch": 32, "method.steps": 3, "method.inner": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> naqsh.Run:
    """A score network of the ring that has hardly begun."""
    place = tmp_path_factory.mktemp("field") / "ring"
    return naqsh.train("ncsn-ring", out=place, overrides=SHORT, device="cpu", quiet=True)


def test_the_error_is_that_of_the_learnt_score(
    run: naqsh.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "field.png"
    found = field.study(run, path, n=300)
    with Image.open(path) as drawing:
        assert drawing.width == 3 * (SIDE + 8)
    # A network that says next to nothing is as far off as the exact score is long.
    assert [level["error"] for level in found["levels"]] == pytest.approx([1.0] * 3, abs=0.6)
    sigmas = [level["sigma"] for level in found["levels"]]
    assert sigmas == sorted(sigmas, reverse=True)
    assert 0.0067 < sigmas[-1] < sigmas[0] < 1.4
    assert "Gaussians" in field.table(found)
    # The exact denoiser in the network's place.
    spec = run.recipe.method
    assert isinstance(spec, Spec)
    exact, _ = field.exact_of(load("ring", split="train", size=None), spec.schedule)
    monkeypatch.setattr(run.method.denoiser, "forward", exact.__call__)
    again = field.study(run, path, n=300)
    assert max(level["error"] for level in again["levels"]) < 1e-6


def test_the_exact_score_is_of_the_gaussians_or_of_the_points() -> None:
    schedule = Geometric(1.0, 0.05, 5)
    ring, told = field.exact_of(load("ring", split="train", size=None), schedule)
    assert told == "the Gaussians of the set"
    assert ring.means[0].tolist() == pytest.approx([1 / 1.5, 0])
    assert ring.deviations.tolist() == pytest.approx([0.01 / 1.5] * 8)
    moons = load("moons", split="train", size=None).some(500, 0)
    exact, told = field.exact_of(moons, schedule)
    assert told == "500 training points"
    assert isinstance(exact, Mixture)
    # Of points under noise: the expected clean point is their mean by distance.
    x = torch.tensor([0.3, -0.1]).view(1, 2, 1, 1).double()
    sigma = float(schedule(2.0)[1])
    points = 2 * moons.images.reshape(-1, 2).astype(np.float64) - 1
    weights = np.exp(-((points - [0.3, -0.1]) ** 2).sum(1) / (2 * sigma**2))
    expected = (weights[:, None] * points).sum(0) / weights.sum()
    assert exact(x, 2.0).x0.flatten().tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_command_draws_into_the_runs_folder(
    run: naqsh.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(run.folder.path)
    assert main(["field", path, "--n", "50", "--device", "cpu"]) == 0
    assert "relative squared error" in capsys.readouterr().out
    assert (run.folder.path / "field.png").exists()
    (result,) = kept.fields(run.folder).find(n=50)
    found = records.read(records.Field, result.found)
    assert found.kernels is None
    assert (result.of["step"], result.of["reference"]) == (3, "ring train")
    for level in found.levels:
        with Image.open(run.folder.path / level.picture) as drawing:
            assert drawing.size == (3 * (SIDE + 8), SIDE + 8)
    # Another number of points is another result; the same again takes its place.
    kept_before = len(kept.fields(run.folder).read())
    assert main(["field", path, "--n", "60", "--device", "cpu"]) == 0
    assert main(["field", path, "--n", "60", "--device", "cpu"]) == 0
    assert len(kept.fields(run.folder).read()) == kept_before + 1
    capsys.readouterr()
    assert main(["field", path, "--n", "1000000", "--device", "cpu"]) == 2
    assert "there are" in capsys.readouterr().err


def test_a_run_of_images_has_no_field(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(NaqshError, match="gan-digits has no score in the plane to draw"):
        field.study(naqsh.open(finished), tmp_path / "field.png")
    assert not list(tmp_path.iterdir())


def test_arrows_and_paths_lie_where_their_coordinates_say() -> None:
    arrow = Panel(
        "one",
        np.zeros((5, 5)),
        np.array([[0.0, 0.5]]),
        np.array([[0.4, 0.0]]),
        np.array([[[-0.5, -0.5], [-0.5, 0.0]]]),
    )
    drawn = sheet([[arrow, arrow]], 1.0).astype(int)
    one = drawn[TITLE : TITLE + SIDE, 4 : 4 + SIDE][10:-10, 10:-10]
    blue = np.argwhere(one[..., 2] - one[..., 0] > 50) + 10
    orange = np.argwhere(one[..., 0] - one[..., 2] > 50) + 10
    cell = SIDE / 2
    # y upwards: the arrow a quarter from above, the path from three quarters up to the middle.
    assert blue[:, 0].mean() == pytest.approx(0.5 * cell, abs=1.5)
    assert (blue[:, 1].min(), blue[:, 1].max()) == pytest.approx((cell, 1.4 * cell), abs=2.5)
    assert orange[:, 1].mean() == pytest.approx(0.5 * cell, abs=1.5)
    assert (orange[:, 0].min(), orange[:, 0].max()) == pytest.approx((cell, 1.5 * cell), abs=4)
    assert (drawn[:, : SIDE + 8] == drawn[:, SIDE + 8 :]).all()


def test_the_exact_score_of_points_has_no_error_whatever_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The points that are asked about are among those of which it is the exact score."""
    monkeypatch.setattr(field, "KERNELS", 200)
    short = SHORT | {"data.name": "moons"}
    moons = naqsh.train(
        "ncsn-ring", out=tmp_path / "run", overrides=short, device="cpu", quiet=True
    )
    spec = moons.recipe.method
    assert isinstance(spec, Spec)
    exact, _ = field.exact_of(load("moons", split="train", size=None).some(200, 0), spec.schedule)
    monkeypatch.setattr(moons.method.denoiser, "forward", exact.__call__)
    found = field.study(moons, tmp_path / "field.png", 50, Machine(seed=7))
    assert found["exact"] == "200 training points"
    assert kept.fields(moons.folder).read()[-1].found["kernels"] == 200
    assert max(level["error"] for level in found["levels"]) < 1e-6
    with pytest.raises(NaqshError, match="n 201: there are 200 training points"):
        field.study(moons, tmp_path / "field.png", 201)
