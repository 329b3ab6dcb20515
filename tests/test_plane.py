"""Points in the plane through the whole house: trained, drawn, sampled, measured, told."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import naqsh
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.data import load
from naqsh.flows.method import FlowMethod
from naqsh.io.scatter import MARGIN, SIDE, scatter
from naqsh.methods import diffusion, maf
from naqsh.report.words import LANGUAGES
from naqsh.runs import loading
from naqsh.runs.plane import below
from naqsh.studies import samplers
from naqsh.studies.comparison.plan import families

SHORT = {"training.steps": 3, "training.batch": 32}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> "naqsh.Run":
    place = tmp_path_factory.mktemp("points") / "ring"
    return naqsh.train("gan-ring", out=place, overrides=SHORT, quiet=True)


def test_a_dot_lies_where_its_coordinates_say():
    samples = np.array([[0.5, -0.25], [9.0, 9.0], [np.nan, 0.0]])  # the others lie outside
    drawn = scatter(samples, 1.0, side=201)[:201, MARGIN:].astype(int)
    inner = drawn[10:-10, 10:-10]
    blue = np.argwhere(inner[..., 2] - inner[..., 0] > 50) + 10
    row, column = blue.mean(0)
    # 201 pixels from -1 to 1: one a hundredth, y upwards.
    assert (row, column) == (125, 150)


def test_samples_hide_real_points_and_not_the_other_way_round():
    drawn = scatter(np.zeros((30, 2)), 1.0, np.zeros((30, 2)), side=101)[:101, MARGIN:]
    red, _, blue = drawn[50, 50].astype(int)
    assert blue - red > 100


def test_stages_are_scatter_plots(run):
    stage = run.folder.grid(3)
    with Image.open(stage) as image:
        assert image.width == SIDE + MARGIN
        assert image.info["Software"] == "Naqsh"


def test_the_header_keeps_the_extent(run):
    header = loading.read_header(run.weights_file)
    assert header.layout == load("ring").layout
    assert header.layout.extent == 1.5


@pytest.mark.parametrize("kind", ["npy", "csv"])
def test_samples_are_written_as_coordinates(run, tmp_path: Path, kind):
    path = run.save_samples(20, out=tmp_path / f"new/points.{kind}", device="cpu")
    read = np.load(path) if kind == "npy" else np.loadtxt(path, delimiter=",", skiprows=1)
    expected = (2 * run.sample(20).numpy()[:, :, 0, 0].astype(float) - 1) * 1.5
    np.testing.assert_allclose(read, expected, rtol=1e-8, atol=1e-8)
    if kind == "csv":
        assert path.read_text().startswith("x,y\n")
    with pytest.raises(NaqshError, match="is there already"):
        run.save_samples(20, out=path, device="cpu")


def test_samples_are_drawn_as_a_scatter_plot(run, tmp_path: Path):
    path = run.save_samples(20, device="cpu")
    with Image.open(path) as image:
        assert image.width == SIDE + MARGIN
    shown = run.show(50)
    assert len(shown) == 50
    assert len(shown.real) == len(below(load("ring")))
    assert shown._repr_png_().startswith(b"\x89PNG")
    assert shown.save(tmp_path / "shown.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"columns": 3}, "columns is for images"),
        ({"folder": "fakes"}, "folder is for images"),
        ({"out": "points.jpg"}, r"ending in \.png"),
    ],
)
def test_what_is_for_images_is_refused(run, tmp_path: Path, given, why):
    given = {k: v if isinstance(v, int) else tmp_path / v for k, v in given.items()}
    with pytest.raises(NaqshError, match=why):
        run.save_samples(5, device="cpu", **given)


@pytest.mark.parametrize("name", ["vae-digits", "classifier-digits", "ssgan-digits"])
def test_what_is_for_images_alone_is_not_trained_on_points(name, tmp_path: Path):
    why = rf"{name} on points: .*; take a recipe of points, such as gan-ring"
    with pytest.raises(NaqshError, match=why) as refused:
        naqsh.train(name, overrides={"data.name": "ring"}, out=tmp_path / "run", quiet=True)
    assert "data.size" not in str(refused.value)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_points_are_not_examined_for_faults(tmp_path: Path):
    flow = naqsh.train("maf-moons", out=tmp_path / "moons", overrides=SHORT, quiet=True)
    with pytest.raises(NaqshError, match="detect is for images, and maf-moons was trained on poi"):
        flow.detect("moons")


def test_samplers_of_points_are_compared_without_a_look_for_copies(tmp_path: Path):
    run = naqsh.train("ddpm-ring", out=tmp_path / "ring", overrides=SHORT, quiet=True)
    found = samplers.study(run, ["ddim"], [2], n=50)
    assert [point["sampler"] for point in found["points"]] == ["ddim"]
    assert found["nearest"] is None


def test_an_evaluation_counts_modes(run):
    found = run.evaluate(n=300)
    names = [measure.name for measure in found.measures]
    assert names == ["energy", "modes", "modes_twenty", "good", "reverse_kl"][: len(names)]
    assert {measure.features for measure in found.measures} == {"ring"}
    floor = {measure.name: measure.value for measure in found.floor.measures}
    assert floor["modes"] == 8
    assert floor["good"] > 0.96  # 0.989 of 300, less four standard errors
    assert found.nearness is None
    with pytest.raises(NaqshError, match="nearest is for images, and ring has points"):
        run.evaluate("nearest", n=300)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_shows_where_points_lie(run, tmp_path: Path, language):
    page = run.report(tmp_path / "page.html", language=language).read_text()
    assert 'id="figure-points"' in page
    assert 'id="figure-grids"' not in page


def test_families_of_points():
    assert families("ring") == ["gan-ring", "wgan-gp-ring", "maf-moons", "ddpm-ring"]
    assert families("moons") == ["gan-ring", "wgan-gp-ring", "maf-moons", "ddpm-ring"]
    assert families("digits")[0] == "vae-digits"


def test_a_comparison_of_points_shows_modes_and_where_points_lie(tmp_path: Path):
    recipes = ("gan-ring", "wgan-gp-ring")
    how = {"recipes": recipes, "pictures": 2560, "n": 300, "device": "cpu", "quiet": True}
    found = naqsh.compare("ring", out=tmp_path / "compared", **how)
    page = found.page.read_text()
    assert 'id="figure-last_points"' in page
    assert "Modes found" in page
    assert "Fréchet distance" not in page
    said = " ".join(found.cautions)
    assert "one draw of samples gives no interval" in said
    assert "earlier version" not in said
    again = naqsh.compare("ring", out=tmp_path / "compared", **how)  # nothing is left to do
    assert again.cautions == found.cautions


def test_a_flow_of_points_gives_the_density_of_coordinates():
    flow = FlowMethod((2, 1, 1), [], None, maf.Spec().optimizer, extent=3.0)
    where = np.array([[0.0, 0.0], [1.5, -0.75], [2.0, 1.0]])
    points = torch.tensor((where / 3 + 1) / 2)[:, :, None, None].float()
    # Without layers y = 2 x / 3 is standard normal, so x is normal with deviation 3 / 2.
    normal = -((where / 1.5) ** 2) / 2 - math.log(1.5) - math.log(2 * math.pi) / 2
    found = flow.log_prob(points, Noise(0, 3))
    np.testing.assert_allclose(found.numpy(), normal.sum(1), rtol=1e-5)
    assert flow.level_width == 1
    assert FlowMethod((1, 4, 4), [], None, maf.Spec().optimizer).level_width == 1 / 256
    torch.testing.assert_close(flow.decode(flow.encode(points)), points)
    spread = flow.sample(Noise(1, 4000)).flatten(1).std(0).numpy() * 6
    np.testing.assert_allclose(spread, 1.5, rtol=0.06)  # 4 / sqrt(2 * 4000), and some are cut off


def test_a_diffusion_model_of_points_has_no_likelihood_of_levels():
    method = diffusion.Spec().tiny().build(Layout((2, 1, 1), extent=1.0))
    assert not hasattr(method, "log_prob")
    assert not hasattr(method, "bound")
    out = method.denoiser.network(torch.zeros(3, 2, 1, 1), torch.tensor([1.0, 1.0, 500.0]))
    assert out.shape == (3, 2, 1, 1)
    torch.testing.assert_close(out[0], out[1])
    assert not torch.allclose(out[0], out[2])  # the time is heard
